"""Nights on a catalogue in a folder: what is embedded, what is not, and what readers see."""

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from catalogue_audio import write_catalogue, write_network, write_sound

from csn import storage
from csn.catalogue.snapshot import current_model, read_rows, read_snapshot
from csn.conditions import INSTRUMENTS
from csn.config import CatalogueConfig, EmbedderConfig
from csn.distributed import nightly
from csn.distributed.night import planned
from csn.errors import CatalogueError, ConfigError, CorpusError, StorageError


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    write_network(folder)
    return str(folder)


@pytest.fixture
def config(network, tmp_path, local_ray):
    return CatalogueConfig(
        checkpoint_uri=network,
        catalogue_uri=str(tmp_path / "music"),
        root=str(tmp_path / "root"),
        workers=EmbedderConfig(num_workers=1, shard_tracks=5, patience_s=2),
        compact_mb=0,
    )


def output(config):
    return str(Path(config.root) / "catalogues" / "music")


def night(config, capsys):
    """Run a night; gives the line that it prints."""
    capsys.readouterr()
    nightly.embed_catalogue(config)
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def ids(config, level="track", condition="drums"):
    return read_rows(read_snapshot(output(config)), level, condition)["track_id"].to_pylist()


def files(config):
    return set(Path(output(config)).glob("model=*/*/*/*/*.parquet"))


def rejects(config):
    (file,) = (Path(output(config)) / "rejects").iterdir()
    return {row["track_id"]: row for row in storage.read_table(str(file)).to_pylist()}


def nonzero(counts):
    return {name: count for name, count in counts.items() if count}


def test_rows_are_what_the_network_says_of_each_file(config, tmp_path, capsys):
    import soundfile as sf
    import soxr
    import torch

    from csn.model import checkpoint

    names = write_catalogue(tmp_path / "music")
    line = night(config, capsys)
    assert line["tracks"]["done"] == 12
    assert line["rejected"] == {}
    assert ids(config) == names
    snapshot = read_snapshot(output(config))
    loaded = checkpoint.load(config.checkpoint_uri)
    assert snapshot.model_digest == loaded.digest == current_model(output(config))
    assert dict(snapshot.dims) == dict.fromkeys(INSTRUMENTS, 4)
    assert dict(snapshot.thresholds) == {}
    assert {(f.level, f.condition) for f in snapshot.files} == {
        (level, c) for level in ("track", "segment") for c in INSTRUMENTS
    }
    rate_hz, length = 16_000, 3 * 16_000
    for condition in INSTRUMENTS:
        found = read_rows(snapshot, "segment", condition)
        means = read_rows(snapshot, "track", condition)
        assert found.schema.field("vector").type == pa.list_(pa.float32(), 4)
        for name in names[::5]:
            samples, rate = sf.read(tmp_path / "music" / name, dtype="float32", always_2d=True)
            mono = soxr.resample(samples.mean(axis=1), rate, rate_hz)
            starts = list(range(0, len(mono) - length + 1, length))
            if len(mono) - starts[-1] - length >= rate_hz:
                starts.append(len(mono) - length)
            batch = torch.from_numpy(np.stack([mono[s : s + length] for s in starts]))
            with torch.inference_mode():
                vectors = loaded.network(batch)[:, loaded.config.network.layout.dims(condition)]
            rows = found.filter(pa.compute.equal(found["track_id"], name)).to_pylist()
            assert [row["segment_index"] for row in rows] == list(range(len(starts)))
            np.testing.assert_allclose(
                [row["start_s"] for row in rows], np.array(starts) / rate_hz, atol=1e-4
            )
            np.testing.assert_allclose([row["vector"] for row in rows], vectors, atol=2e-4)
            (mean,) = means.filter(pa.compute.equal(means["track_id"], name)).to_pylist()
            np.testing.assert_allclose(mean["vector"], vectors.mean(axis=0), atol=2e-4)
            assert mean["segment_index"] == -1
            assert mean["duration_s"] == pytest.approx(len(mono) / rate_hz, abs=1e-3)
            assert mean["model_digest"] == loaded.digest
            assert mean["code_version"]
            assert mean["presence"] is None


def test_only_what_is_new_or_changed_is_embedded(config, tmp_path, capsys, monkeypatch):
    music = tmp_path / "music"
    names = write_catalogue(music, 6)
    night(config, capsys)
    before = files(config)
    line = night(config, capsys)
    assert nonzero(line["counts"]) == {"unchanged": 6}
    assert files(config) == before

    # From here on this machine's clock is three years late.
    class Late(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(days=3 * 365)

    monkeypatch.setattr("csn.distributed.night.datetime", Late)

    write_sound(music / names[0], seed=99)  # changed
    (music / names[1]).unlink()  # deleted
    write_sound(music / "new.wav", seed=7)
    line = night(config, capsys)
    assert nonzero(line["counts"]) == {"unchanged": 4, "changed": 1, "deleted": 1, "new": 1}
    assert ids(config) == sorted([names[0], *names[2:], "new.wav"])
    assert before < files(config)
    dead = {track for f in read_snapshot(output(config)).files for track in f.dead_track_ids}
    assert dead == {names[0], names[1]}
    segments = read_rows(read_snapshot(output(config)), "segment", "bass")
    assert segments.num_rows == len({(r["track_id"], r["start_s"]) for r in segments.to_pylist()})

    # Joined, the dead rows are gone, and so are the old files once nobody may read them.
    kept = read_rows(read_snapshot(output(config)), "segment", "bass")
    write_sound(music / "newer.wav", seed=8)
    night(replace(config, compact_mb=64, keep_hours=0), capsys)
    snapshot = read_snapshot(output(config))
    assert len(snapshot.files) == 2 * 5
    assert not any(f.dead_track_ids for f in snapshot.files)
    assert files(config) == {Path(f.uri) for f in snapshot.files}
    after = read_rows(snapshot, "segment", "bass")
    is_old = pa.compute.not_equal(after["track_id"], "newer.wav")
    assert after.filter(is_old).equals(kept)


def test_what_cannot_be_embedded_is_told_of_and_tried_again(config, tmp_path, capsys):
    music = tmp_path / "music"
    names = write_catalogue(music, 4)
    (music / "empty.wav").touch()
    (music / "text.wav").write_text("no audio at all")
    (music / "song.m4a").write_bytes(b"\0" * 100)
    (music / "notes.txt").write_text("hello")
    write_sound(music / "short.flac", seconds=0.4)
    write_sound(music / "shorter than a segment.flac", seconds=1.5)
    line = night(config, capsys)
    whole = sorted([*names, "shorter than a segment.flac"])
    assert ids(config) == whole
    assert line["ignored"] == {".txt": 1}
    told = {t: (r["stage"], r["error"], r["attempts"]) for t, r in rejects(config).items()}
    assert told == {
        "empty.wav": ("list", "CorpusError", 1),
        "song.m4a": ("list", "CorpusError", 1),
        "text.wav": ("decode", "LibsndfileError", 1),
        "short.flac": ("decode", "ValueError", 1),
    }
    assert line["rejected"] == {
        "list/CorpusError": 2,
        "decode/LibsndfileError": 1,
        "decode/ValueError": 1,
    }
    rows = read_rows(read_snapshot(output(config)), "segment", "bass").to_pylist()
    (alone,) = (row for row in rows if row["track_id"].startswith("shorter"))
    assert alone["duration_s"] == pytest.approx(1.5, abs=0.01)

    # One night more, then they are given up; those that are no audio are not even tried.
    config = replace(config, max_attempts=2)
    assert nonzero(night(config, capsys)["counts"])["retried"] == 2
    line = night(config, capsys)
    assert nonzero(line["counts"]) == {"unchanged": 5, "given_up": 2, "faulty": 2}
    assert line["rejected"] == {}
    assert rejects(config)["text.wav"]["attempts"] == 2

    write_sound(music / "text.wav", seed=5)  # mended: as good as new
    line = night(replace(config, only="rejects"), capsys)
    assert line["rejected"] == {"decode/ValueError": 1}
    assert rejects(config)["short.flac"]["attempts"] == 3
    assert nonzero(night(config, capsys)["counts"])["new"] == 1
    assert ids(config) == sorted([*whole, "text.wav"])
    assert "text.wav" not in rejects(config)


def test_run_that_goes_wrong_as_a_whole_stops_and_keeps_nothing_of_it(config, tmp_path, capsys):
    music = tmp_path / "music"
    music.mkdir()
    for place in range(60):
        (music / f"{place:02}.flac").write_bytes(b"fLaC nothing")
    with pytest.raises(CatalogueError, match=r"of the first \d+ tracks failed .*decode") as error:
        nightly.embed_catalogue(replace(config, min_failed=4))
    assert int(str(error.value).split()[0]) == 5  # a shard: the 55 others were not tried
    write_sound(music / "00.flac")
    line = night(replace(config, max_failed_share=1.0), capsys)
    assert line["tracks"]["done"] == 1
    assert {row["attempts"] for row in rejects(config).values()} == {1}


def test_lost_folder_is_not_taken_for_deleted_tracks(config, tmp_path, capsys):
    music = tmp_path / "music"
    names = write_catalogue(music, 6)
    night(config, capsys)
    shutil.rmtree(music / "album 1")
    shutil.rmtree(music / "album 2")
    with pytest.raises(ConfigError, match="4 of 6 embedded tracks are gone"):
        nightly.embed_catalogue(replace(config, min_failed=0))
    night(replace(config, min_failed=0, max_deleted_share=1.0), capsys)
    assert ids(config) == [name for name in names if name.startswith("album 0")]


def test_new_model_stands_beside_the_old_until_it_is_whole(config, tmp_path, capsys):
    write_catalogue(tmp_path / "music", 4)
    night(config, capsys)
    first = read_snapshot(output(config))
    other = tmp_path / "other"
    digest = write_network(other, seed=1, unit_subspaces=True)
    second = replace(config, checkpoint_uri=str(other))
    night(replace(second, make_current=False), capsys)
    assert read_snapshot(output(config)) == first
    assert read_snapshot(output(config), digest).model_digest == digest
    night(second, capsys)
    now = read_snapshot(output(config))
    assert now.model_digest == digest
    for level in ("track", "segment"):
        vectors = np.array(read_rows(now, level, "bass")["vector"].to_pylist())
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert read_snapshot(output(config), first.model_digest) == first


def test_manifest_carries_its_columns_along(config, tmp_path, capsys):
    music = tmp_path / "music"
    names = write_catalogue(music, 3)
    table = pa.table(
        {
            "track_id": ["b", "a", "c", "lost"],
            "uri": [str(music / name) for name in names] + [str(music / "album 0/none.wav")],
            "genre": ["rock", None, "jazz", "pop"],
            "year": [1999, 2001, 2020, 1980],
        }
    )
    pacsv.write_csv(table, tmp_path / "music.csv")
    manifest = replace(
        config,
        catalogue_uri=str(tmp_path / "music.csv"),
        vector="float16",
        segments=replace(config.segments, duration_s=2.0, hop_s=1.0),
    )
    line = night(manifest, capsys)
    assert nonzero(line["counts"]) == {"new": 3, "faulty": 1}
    rows = read_rows(read_snapshot(output(config)), "track", "guitar")
    assert rows.schema.field("vector").type == pa.list_(pa.float16(), 4)
    assert rows.select(["track_id", "genre", "year"]).to_pylist() == [
        {"track_id": "a", "genre": "", "year": 2001},
        {"track_id": "b", "genre": "rock", "year": 1999},
        {"track_id": "c", "genre": "jazz", "year": 2020},
    ]
    segments = read_rows(read_snapshot(output(config)), "segment", "guitar").to_pylist()
    starts = [row["start_s"] for row in segments if row["track_id"] == "a"]
    assert starts[:3] == [0.0, 1.0, 2.0]
    assert "no such file" in rejects(config)["lost"]["message"]
    with pytest.raises(ConfigError, match="holds float16 of model"):
        nightly.embed_catalogue(replace(manifest, vector="float32"))


def test_what_stands_can_be_refused_or_made_again(config, tmp_path, capsys):
    names = write_catalogue(tmp_path / "music", 3)
    night(config, capsys)
    with pytest.raises(ConfigError, match=r"3 tracks of model .* are embedded already"):
        nightly.embed_catalogue(replace(config, on_existing="error"))
    before = read_rows(read_snapshot(output(config)), "segment", "bass")
    line = night(replace(config, on_existing="overwrite"), capsys)
    assert nonzero(line["counts"]) == {"again": 3}
    assert ids(config) == names
    after = read_rows(read_snapshot(output(config)), "segment", "bass")
    assert after.drop_columns("vector").equals(before.drop_columns("vector"))


@pytest.mark.parametrize("policy", ["overwrite", "error"])
def test_what_is_not_to_be_skipped_goes_on_where_it_was_interrupted(
    config, tmp_path, capsys, policy
):
    write_catalogue(tmp_path / "music", 2)
    asked = replace(config, on_existing=policy)
    if policy == "overwrite":
        night(config, capsys)
    # A run that plans, and embeds, and is killed before it ends: to skip is to do the same work.
    begun = planned(asked)
    (written,) = Path(output(config)).glob("log/*/unfinished.json")
    at_work = written.read_bytes()
    if policy == "overwrite":
        night(asked, capsys)
    else:
        night(config, capsys)
    assert not written.exists()
    written.write_bytes(at_work)
    assert json.loads(at_work) == {"on_existing": policy, "version": begun.state.version}
    write_sound(tmp_path / "music" / "later.flac")
    assert nonzero(night(asked, capsys)["counts"]) == {"unchanged": 2, "new": 1}
    assert len(ids(config)) == 3
    assert not written.exists()


def test_mistyped_address_does_not_take_the_name(config, tmp_path, capsys):
    write_catalogue(tmp_path / "music", 1)
    wrong = replace(config, catalogue_uri=str(tmp_path / "musik" / "music"))
    with pytest.raises((CorpusError, StorageError)):
        nightly.embed_catalogue(wrong)
    assert nonzero(night(config, capsys)["counts"]) == {"new": 1}


def test_name_of_another_catalogue_is_refused(config, tmp_path):
    write_sound(tmp_path / "music" / "notes.flac", seconds=0.1)
    write_sound(tmp_path / "other" / "music" / "a.flac")
    storage.write_json(f"{output(config)}/catalogue.json", {"catalogue_uri": "s3://music/"})
    with pytest.raises(ConfigError, match=r"holds the embeddings of s3://music/.*another --name"):
        nightly.embed_catalogue(config)
