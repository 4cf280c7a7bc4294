"""Clusters of several nodes, on one machine: what happens to a job whose node is lost."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import own_ray
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from catalogue_audio import write_network, write_sound

import csn
from csn.catalogue.snapshot import read_rows, read_snapshot

LIMIT_S = 600
NUM_TRACKS = 40
"""Of a catalogue."""
ELASTIC = "--workers.num_train_workers 2 --workers.min_train_workers 1"


@pytest.fixture(scope="module")
def cluster():
    with own_ray.several_nodes() as running:
        yield running


@pytest.fixture
def nodes(cluster):
    """Give the cluster without nodes; those that a test leaves are lost after it."""
    yield cluster
    for raylet in list(cluster.raylets):
        cluster.lose(raylet)


@pytest.fixture
def run(nodes, repository, tmp_path):
    """Give what starts a job on the cluster."""
    log, started = tmp_path / "log", []

    def start(job, *options, env=None):
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, f"jobs/{job}.py", *map(str, options)],
                cwd=repository,
                env=nodes.env | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        started.append(process)
        return process, log

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def with_work(nodes, descendants):
    """Give what waits until a node does some work, and names the node."""

    def find(work, process, log, when=lambda: True):
        deadline = time.monotonic() + LIMIT_S
        while True:
            for raylet in nodes.raylets:
                if any(work in what for what in descendants(raylet).values()) and when():
                    return raylet
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    return find


@pytest.mark.slow
def test_prepare_and_embed_lose_a_node_each_and_end_with_the_same_rows(
    nodes, run, with_work, tiny_options, finished, tmp_path
):
    root = tmp_path / "root"
    nodes.add(2), nodes.add(2)
    process, log = run(
        *("embed", *tiny_options, "--root", root, "--corpus.uri", finished.corpus),
        *("--evaluation.checkpoint_uri", finished.best_checkpoint),
    )
    prepared = lambda: len(list(root.glob("prepared/*/parts/Track*.parquet")))  # noqa: E731
    nodes.lose(with_work("(_prepare_tracks)", process, log, when=lambda: prepared() >= 2))
    assert prepared() < 17
    nodes.add(2)
    nodes.lose(with_work("MapWorker(MapBatches(Embedder))", process, log))
    assert not list(root.glob("embeddings/model=*/corpus=*/split=*/condition=*"))
    assert process.wait(LIMIT_S) == 0, log.read_text()

    parts = sorted(root.glob("prepared/*/parts/*.parquet"))
    assert len(parts) == 17
    for path in parts:
        assert pq.read_table(path).equals(pq.read_table(f"{finished.parts()}/{path.name}"))
    folders = list((root / "embeddings").glob("model=*/corpus=*/split=test/condition=*"))
    assert len(folders) == 3 * 5  # ours and two baselines, for each instrument
    for folder in folders:
        (file,) = folder.iterdir()
        model, condition = file.parts[-5], file.parts[-2]
        (undisturbed,) = Path(finished.root, "embeddings", model).glob(
            f"corpus=*/split=test/{condition}/*.parquet"
        )
        assert pq.ParquetFile(file).read().equals(pq.ParquetFile(undisturbed).read())


@pytest.mark.slow
def test_night_loses_a_node_and_embeds_every_track_once(nodes, run, with_work, tmp_path):
    write_network(tmp_path / "network")
    music = tmp_path / "music"
    for place in range(NUM_TRACKS):
        write_sound(music / f"{place:03}.wav", 3.0 + place % 3, place, 16_000)
    root = tmp_path / "root"
    output = root / "catalogues" / "music"
    nodes.add(1), nodes.add(1)
    process, log = run(
        *("embed", "--checkpoint_uri", tmp_path / "network", "--catalogue_uri", music),
        *("--root", root, "--workers.shard_tracks", 2),
    )
    committed = lambda: len(list(output.glob("log/*/commits/*.parquet")))  # noqa: E731
    # One that starts has no tracks to lose yet.
    nodes.lose(with_work("ray::CatalogueWorker.embed", process, log, when=committed))
    assert committed() < NUM_TRACKS / 2
    assert process.wait(LIMIT_S) == 0, log.read_text()

    (line,) = [json.loads(one) for one in log.read_text().splitlines() if one.startswith("{")]
    assert line["deaths"] >= 1
    assert line["rejected"] == {}
    assert line["tracks"]["done"] == NUM_TRACKS
    snapshot = read_snapshot(str(output))
    network = csn.load(str(tmp_path / "network"))
    for track in read_rows(snapshot, "track", "drums").sort_by("track_id").to_pylist():
        waveform, rate_hz = sf.read(music / track["track_id"], dtype="float32")
        expected = network.embed(waveform, rate_hz)["drums"]
        np.testing.assert_allclose(track["vector"], expected, atol=1e-4)
    tracks = read_rows(snapshot, "track", "bass")["track_id"].to_pylist()
    assert sorted(tracks) == [f"{place:03}.wav" for place in range(NUM_TRACKS)]
    segments = read_rows(snapshot, "segment", "bass").select(["track_id", "segment_index"])
    assert len(segments) == len({tuple(row.values()) for row in segments.to_pylist()})


@pytest.mark.slow
def test_training_loses_a_node_and_goes_on_with_the_other_from_its_checkpoint(
    nodes, run, with_work, tiny, tiny_options, noted_history
):
    experiment = Path(tiny.root, "experiments", "elastic")
    # Room for one rank each, and for rendering on the one that stays.
    small, _ = nodes.add(2), nodes.add(3)
    process, log = run(
        *("train", *tiny_options, "--root", tiny.root, "--name", "elastic", *ELASTIC.split()),
        *("--workers.cpus_per_train_worker", 2, "--workers.threads_per_train_worker", 1),
        env={"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20"},
    )
    with_work("RayTrainWorker", process, log, when=lambda: noted_history(experiment))
    nodes.lose(small)
    kept = noted_history(experiment)
    assert process.wait(LIMIT_S) == 0, log.read_text()

    metrics = pq.read_table(experiment / "metrics.parquet").sort_by("epoch").to_pylist()
    assert [row["epoch"] for row in metrics] == list(range(tiny.training.num_epochs))
    assert [row["seconds"] for row in metrics[: len(kept)]] == [row["seconds"] for row in kept]
    ranks = [row["ranks"] for row in metrics]
    assert ranks[0] == 2
    assert ranks[-1] == 1
    assert ranks == sorted(ranks, reverse=True)
    assert json.loads((experiment / "training.json").read_text())["counts"]["epochs"] == len(ranks)


@pytest.mark.slow
def test_root_that_a_node_cannot_write_is_refused_before_any_work(
    nodes, run, tiny_options, finished, object_store, bucket
):
    nodes.add(1)
    process, log = run(
        *("prepare", *tiny_options, "--root", bucket, "--corpus.uri", finished.corpus),
        env=object_store.env | {"AWS_MAX_ATTEMPTS": "1"},
    )
    assert process.wait(LIMIT_S) == 2, log.read_text()
    (line,) = [one for one in log.read_text().splitlines() if one.startswith("error: ")]
    assert "cannot use it" in line
    assert bucket in line
    assert "2/7 prepare" not in log.read_text()
