"""Nights that are disturbed: every row once, as in a night that was not."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import object_store as store
import pytest
from catalogue_audio import write_network, write_sound
from failing_proxy import FailingProxy

from csn import storage
from csn.catalogue.snapshot import read_rows, read_snapshot
from csn.conditions import INSTRUMENTS

pytestmark = pytest.mark.slow
NUM_TRACKS = 40
LIMIT_S = 600
STRANGE = (
    "/leading slash.wav",
    "a//two slashes.wav",
    "up/../and down.flac",
    "spaces and ünïcödé 曲 🎵.ogg",
    "100%25 + ?query=1&b #hash [brackets] *.mp3",
    "'quotes\" and; semicolons.wav",
    f"{'n' * 990}.flac",
    "CAPITALS.WAV",
)


@pytest.fixture(scope="module")
def proxy(object_store):
    with FailingProxy(object_store.endpoint).running() as running:
        yield running


@pytest.fixture(scope="module")
def joined(joinable_ray, object_store, proxy):
    """Environment of drivers, whose workers reach the store through the proxy."""
    with joinable_ray(object_store.env | {"AWS_ENDPOINT_URL": proxy.endpoint}) as environment:
        yield environment


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """Folder with a network and the tracks of a catalogue."""
    folder = tmp_path_factory.mktemp("catalogue")
    write_network(folder / "network")
    for place in range(NUM_TRACKS):
        write_sound(folder / "music" / f"{place:03}.wav", 3.0 + place % 3, place, 16_000)
    return folder


@pytest.fixture
def run(joined, repository, tmp_path):
    """Give what starts a driver on a root; its output goes to a file beside the root."""
    started = []

    def start(catalogue_uri, root, *options, network):
        log = tmp_path / f"log{len(started)}"
        command = [sys.executable, "jobs/embed.py", "--checkpoint_uri", network]
        command += ["--catalogue_uri", catalogue_uri, "--root", root, *options]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=repository,
                env=joined,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        started.append(process)
        return process, log

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def finished(process, log):
    assert process.wait(LIMIT_S) == 0, log.read_text()
    return json.loads(next(one for one in log.read_text().splitlines() if one.startswith("{")))


def all_rows(output, **replaced):
    """Every living row of every level and condition, without what differs from run to run."""
    snapshot = read_snapshot(output)
    found = {}
    for level in ("track", "segment"):
        for condition in INSTRUMENTS:
            table = read_rows(snapshot, level, condition)
            vectors = np.array(table["vector"].to_pylist())
            names = ["track_id", "segment_index", "start_s", "duration_s"]
            found[level, condition] = table.select(names).to_pylist(), vectors
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for kind, (rows, vectors) in found.items():
        assert rows == expected[kind][0]
        np.testing.assert_allclose(vectors, expected[kind][1], atol=1e-4)


@pytest.fixture(scope="module")
def undisturbed(catalogue, joined, repository, tmp_path_factory):
    """Rows of a night that nothing disturbs."""
    root = tmp_path_factory.mktemp("undisturbed")
    command = [sys.executable, "jobs/embed.py", "--checkpoint_uri", str(catalogue / "network")]
    command += ["--catalogue_uri", str(catalogue / "music"), "--root", str(root)]
    subprocess.run(command, cwd=repository, env=joined, check=True, capture_output=True)
    rows = all_rows(str(root / "catalogues" / "music"))
    assert len(rows["track", "drums"][0]) == NUM_TRACKS
    return rows


def workers_of(environment):
    """Numbers of the processes that embed, of this Ray alone."""
    mark = f"RAY_TMPDIR={environment['RAY_TMPDIR']}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_worker = b"ray::CatalogueWorker" in (folder / "cmdline").read_bytes()
            if is_worker and mark in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def test_killed_drivers_and_workers_lose_nothing_and_repeat_nothing(
    catalogue, undisturbed, run, joined, tmp_path
):
    root = tmp_path / "root"
    output = root / "catalogues" / "music"
    chance = random.Random(5)
    options = ["--workers.shard_tracks", "2", "--workers.num_workers", "2", "--compact_mb", "0"]

    def start():
        uri, network = str(catalogue / "music"), str(catalogue / "network")
        return run(uri, str(root), *options, network=network)

    def num(pattern):
        return len(list(output.glob(pattern)))

    def wait_for(happened, process, log):
        deadline = time.monotonic() + LIMIT_S
        while not happened():
            assert process.poll() is None, f"ended before it could be killed:\n{log.read_text()}"
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.002)

    # Before the first commit, when some files of a shard lie there, and then at any point.
    points = [lambda: num("model=*/level=*/*/*/*.parquet") >= 3]
    counts = [chance.randrange(2, 5), chance.randrange(6, 9), chance.randrange(10, 13)]
    points += [lambda n=n: num("log/*/commits/*.parquet") >= n for n in counts]
    for happened in points:
        process, log = start()
        wait_for(happened, process, log)
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (output / "log").exists():
            digest = next(output.glob("log/model=*")).name.partition("=")[2]
            # Readers see whole commits, and no track twice.
            tracks = [
                row["track_id"]
                for row in (
                    read_rows(read_snapshot(str(output), digest), "track", "bass").to_pylist()
                    if num("log/*/commits/*.parquet")
                    else []
                )
            ]
            assert len(tracks) == len(set(tracks))
    before = num("log/*/commits/*.parquet")
    assert before < NUM_TRACKS / 2

    # Now a worker dies, the driver goes on.
    process, log = start()
    wait_for(lambda: num("log/*/commits/*.parquet") > before, process, log)
    victims = list(workers_of(joined))
    os.kill(chance.choice(victims), signal.SIGKILL)
    line = finished(process, log)
    assert line["tracks"]["done"] < NUM_TRACKS
    assert_same(all_rows(str(output)), undisturbed)

    # What killed runs left is swept, and nothing else.
    write_sound(catalogue / "music" / "more.wav", seed=77)
    try:
        process, log = run(
            str(catalogue / "music"),
            str(root),
            *("--keep_hours", "0", *options),
            network=str(catalogue / "network"),
        )
        finished(process, log)
    finally:
        (catalogue / "music" / "more.wav").unlink()
    named = {file.uri for file in read_snapshot(str(output)).files}
    assert named == {str(path) for path in output.glob("model=*/level=*/*/*/*.parquet")}


def test_two_runs_at_once_share_the_work(catalogue, undisturbed, run, tmp_path):
    root = str(tmp_path / "root")
    network = str(catalogue / "network")
    options = ["--workers.shard_tracks", "2", "--workers.num_workers", "1"]
    both = [run(str(catalogue / "music"), root, *options, network=network) for _ in range(2)]
    lines = [finished(*one) for one in both]
    assert sum(line["tracks"]["done"] for line in lines) == NUM_TRACKS
    assert_same(all_rows(f"{root}/catalogues/music"), undisturbed)


def test_file_that_kills_its_workers_is_a_reject_and_costs_no_other(
    catalogue, run, joined, tmp_path
):
    music = tmp_path / "music"
    write_sound(music / "deadly.wav", 1200, rate_hz=16_000)  # so large that it is read in ranges
    for place in range(3):
        write_sound(music / f"{place}.wav", 3.0, place, 16_000)
    options = ["--workers.num_workers", "1", "--workers.max_deaths", "2", "--compact_mb", "0"]
    network = str(catalogue / "network")
    process, log = run(str(music), str(tmp_path / "root"), *options, network=network)
    killed = set()
    while process.poll() is None:
        for worker in workers_of(joined):
            with suppress(OSError):
                opened = {str(file.readlink()) for file in Path(f"/proc/{worker}/fd").iterdir()}
                if str(music / "deadly.wav") in opened and worker not in killed:
                    os.kill(worker, signal.SIGKILL)
                    killed.add(worker)
        time.sleep(0.002)
    line = finished(process, log)
    # Twice with the three others, once with one of them, and then by itself.
    assert len(killed) == line["deaths"] == 4
    assert line["rejected"] == {"embed/CatalogueError": 1}
    assert line["tracks"]["done"] == 3


@pytest.fixture
def strange_bucket(bucket, s3_client, tmp_path):
    """Bucket with a network and tracks of strange names."""
    write_network(tmp_path / "network")
    name = bucket.removeprefix("s3://")
    for place, key in enumerate(STRANGE):
        file = tmp_path / f"sound{Path(key).suffix.lower()}"
        write_sound(file, 4.0, place)
        s3_client.put_object(Bucket=name, Key=f"music/{key}", Body=file.read_bytes())
    s3_client.put_object(Bucket=name, Key="music/empty.wav", Body=b"")
    for file in (tmp_path / "network").iterdir():
        s3_client.put_object(Bucket=name, Key=f"net/{file.name}", Body=file.read_bytes())
    return bucket


def keys(s3_client, bucket):
    answer = s3_client.list_objects_v2(Bucket=bucket.removeprefix("s3://"))
    return [item["Key"] for item in answer.get("Contents", ())]


def test_store_that_fails_for_a_while_costs_time_and_nothing_else(
    strange_bucket, run, proxy, s3_client, monkeypatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    root = f"{strange_bucket}/csn"
    asked = (f"{strange_bucket}/music", root, "--workers.shard_tracks", "2")
    network = f"{strange_bucket}/net"

    # Credentials that expire midway stop the run; no track is called a reject for it.
    proxy.share, proxy.kinds = 0.5, ("slow",)
    process, log = run(*asked, network=network)
    while sum("/commits/" in key for key in keys(s3_client, strange_bucket)) < 2:
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    proxy.share, proxy.kinds = 1.0, ("expired",)
    assert process.wait(LIMIT_S) == 1, log.read_text()
    assert re.search(r"ExpiredToken|403", log.read_text().splitlines()[-1])
    assert "the same command goes on" in log.read_text().splitlines()[-1]

    proxy.share, proxy.kinds, proxy.num_failed = 0.2, ("500", "503", "cut", "slow"), 0
    process, log = run(*asked, network=network)
    line = finished(process, log)
    failed, proxy.share = proxy.num_failed, 0.0
    assert failed > 5
    assert 0 < line["tracks"]["done"] <= len(STRANGE)
    assert set(line["rejected"]) <= {"list/CorpusError"}
    output = f"{root}/catalogues/music"
    snapshot = read_snapshot(output)
    for level, condition in (("track", "drums"), ("segment", "others")):
        rows = read_rows(snapshot, level, condition).to_pylist()
        assert {row["track_id"] for row in rows} == set(STRANGE)
        assert len(rows) == len({(row["track_id"], row["segment_index"]) for row in rows})
        assert {row["uri"] for row in rows} == {f"{strange_bucket}/music/{key}" for key in STRANGE}

    # No secret in what is told or written.
    texts = [log.read_text()]
    for uri in storage.list_uris(output):
        if uri.endswith((".json", ".html")):
            texts.append(storage.read_bytes(uri).decode())
        elif uri.endswith(".parquet") and "/level=" not in uri:
            texts.append(str(storage.read_table(uri).to_pylist()))
            texts.append(storage.read_bytes(uri).decode(errors="replace"))
    for secret in (store.SECRET_KEY, store.ACCESS_KEY):
        assert not [text for text in texts if re.search(rf"\b{re.escape(secret)}\b", text)]
