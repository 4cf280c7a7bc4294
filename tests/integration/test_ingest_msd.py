"""Preparing clips on Ray: composed, listed, tagged, and all that can be wrong with them."""

import csv
import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csn import storage
from csn.audio.clips import prepare_clip
from csn.conditions import CONCEPTS
from csn.config import AudioConfig, CorpusConfig, GeneratedMsdConfig, LossConfig, MsdConfig
from csn.corpora import generated_msd, msd
from csn.corpora.song_tables import song_fields, song_file
from csn.distributed import ingest
from csn.distributed.progress import Stages
from csn.errors import CorpusError
from csn.paths import Paths
from csn.records import PARTS_SCHEMA, REJECT_SCHEMA, TRACK_SCHEMA, Stem, Track

RATE_HZ = 22_050
SIZE = GeneratedMsdConfig(
    num_train_tracks=3, num_validation_tracks=2, num_test_tracks=3, clip_s=6.0, num_triplets=12
)
SPECS = generated_msd.songs(SIZE)
FAULTS = ("missing", "short", "cut short", "silent", "text", "no tempo", "no song")
FAULTY = dict(zip(FAULTS, SPECS, strict=False))
GOOD = SPECS[len(FAULTS)]
REFUSED = ("short", "cut short", "silent", "text", "no song")


@pytest.fixture(scope="module")
def composed(tiny, local_ray, tmp_path_factory):
    """Compose and prepare a corpus of clips; gives configuration and index."""
    config = replace(
        tiny,
        root=str(tmp_path_factory.mktemp("msd-root")),
        corpus=CorpusConfig(
            name="generated-msd-tiny", layout="msd", generated_msd=SIZE, max_reject_fraction=0.0
        ),
        audio=AudioConfig(sample_rate_hz=RATE_HZ),
        network=replace(tiny.network, conditions=CONCEPTS),
        loss=LossConfig(distance="cosine"),
        triplets=replace(tiny.triplets, interchanged=False),
    )
    compose(config)
    return config, prepare(config)


@pytest.fixture
def corpus(composed, tmp_path):
    """Copy the composed corpus, to be spoilt."""
    folder = tmp_path / "corpus"
    shutil.copytree(Paths(composed[0]).corpus, folder)
    return folder


@pytest.fixture
def configured(composed, tmp_path):
    """Give what configures preparing a corpus into a root of the test's own."""

    def configured(corpus, *, max_reject_fraction=0.0, **of_msd):
        old = composed[0]
        return replace(
            old,
            root=str(tmp_path / "root"),
            corpus=replace(
                old.corpus,
                name="made",
                uri=str(corpus),
                max_reject_fraction=max_reject_fraction,
                msd=MsdConfig(**of_msd),
            ),
        )

    return configured


def stages(config):
    return Stages(storage.join(Paths(config).prepared, "stages.json"))


def compose(config):
    ingest.compose(config, stages(config))


def prepare(config):
    return ingest.prepare(config, stages(config))


def clip_of(corpus, spec):
    return Path(corpus) / msd.clip_path(spec.sevendigital_id)


def song_of(corpus, spec):
    return Path(corpus) / msd.song_path(spec.track_id)


def write_clip(path, samples):
    soundfile.write(path, samples, RATE_HZ, format="MP3")


def noise(seconds):
    rng = np.random.default_rng(0)
    return rng.uniform(-0.5, 0.5, round(seconds * RATE_HZ)).astype(np.float32)


def spoil(corpus):
    """Give each track of `FAULTY` its fault."""
    clip_of(corpus, FAULTY["missing"]).unlink()
    write_clip(clip_of(corpus, FAULTY["short"]), noise(2.0))
    cut = clip_of(corpus, FAULTY["cut short"])
    cut.write_bytes(cut.read_bytes()[:20_000])
    write_clip(clip_of(corpus, FAULTY["silent"]), np.zeros(5 * RATE_HZ, np.float32))
    clip_of(corpus, FAULTY["text"]).write_text("404 not found")
    untimed = song_of(corpus, FAULTY["no tempo"])
    untimed.write_bytes(song_file(song_fields(untimed.read_bytes()) | {"tempo": 0.0}))
    song_of(corpus, FAULTY["no song"]).write_bytes(b"no HDF5")


def test_index_says_what_was_composed(composed):
    _, index = composed
    assert index.schema.equals(TRACK_SCHEMA)
    rows = {row["track_id"]: row for row in index.to_pylist()}
    assert list(rows) == sorted(spec.track_id for spec in SPECS)
    for spec in SPECS:
        row, piece = rows[spec.track_id], generated_msd.composed(spec, SIZE)
        assert (row["split"], row["corpus"]) == (spec.split, "generated-msd-tiny")
        assert row["tempo_bpm"] == spec.tempo_bpm
        assert (row["tempo_stability"], row["onset_s"]) == (1.0, 0.0)
        assert (row["key"], row["is_major"]) == (piece.key, generated_msd.is_major(piece))
        tags = dict(zip(row["tags"], row["tag_strengths"], strict=True))
        assert tags == generated_msd.tags_of(piece)
        assert row["num_samples"] == pytest.approx(piece.length_s * RATE_HZ, abs=1)
        assert row["warnings"] == []


def test_rows_are_what_prepare_clip_gives(composed):
    config, _ = composed
    paths = Paths(config)
    for spec in SPECS[::3]:
        uri = storage.join(paths.corpus, msd.clip_path(spec.sevendigital_id))
        stem = Stem("clip", "others", uri, 0)
        track = Track(spec.track_id, "", spec.split, math.nan, 1.0, (stem,))
        expected = prepare_clip(track, config.audio)
        table = storage.read_table(paths.parts(spec.track_id))
        assert table.schema.equals(PARTS_SCHEMA)
        (row,) = table.to_pylist()
        pcm = np.frombuffer(row["pcm_others"], "<i2")
        assert np.array_equal(pcm, expected.parts.pcm["others"])
        np.testing.assert_allclose(row["level_db_others"], expected.levels_db["others"])
        others = ("drums", "bass", "piano", "guitar")
        assert all(row[f"{what}_{p}"] is None for p in others for what in ("pcm", "level_db"))


def test_second_call_composes_and_writes_nothing(composed, snapshot):
    config, index = composed
    before = snapshot(config.root)
    compose(config)
    assert prepare(config).equals(index)
    assert snapshot(config.root) == before


def test_composing_that_was_killed_goes_on_with_the_rest(composed, tmp_path, snapshot):
    config = replace(composed[0], root=str(tmp_path))
    there = Path(Paths(config).corpus)
    shutil.copytree(Paths(composed[0]).corpus, there)
    whole = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    before = snapshot(str(there))
    lost = song_of(there, SPECS[1])
    for path in (lost, there / "lastfm_tags.db", there / "splits" / "test.txt"):
        path.unlink()
    compose(config)
    assert {p: p.read_bytes() for p in there.rglob("*") if p.is_file()} == whole
    after = snapshot(str(there))
    kept = [path for path in before if path.endswith((".h5", ".mp3"))]
    again = {str(lost), str(clip_of(there, SPECS[1]))}
    assert {path for path in kept if after[path] != before[path]} == again
    # As a kill leaves it before the last file of all.
    (there / "lastfm_tags.db").unlink()
    compose(config)
    assert {p: p.read_bytes() for p in there.rglob("*") if p.is_file()} == whole


@pytest.mark.parametrize("per_task", [1, 3])
def test_clips_share_tasks_and_each_has_its_own_file(
    composed, configured, corpus, per_task, monkeypatch
):
    monkeypatch.setattr(ingest.clips, "CLIPS_PER_TASK", per_task)
    config = configured(corpus)
    index = prepare(config)
    assert index.drop_columns(["corpus"]).equals(composed[1].drop_columns(["corpus"]))
    assert len(storage.list_uris(Paths(config).parts(), ".parquet")) == len(SPECS)


REASONS = {
    "missing": ("track", "read", r"\.clip\.mp3: no preview of TR\w+ is there"),
    "short": ("track", "prepare", r"\.clip\.mp3: 2\.00 s long, at least 3 s expected"),
    "cut short": ("track", "prepare", r"\.clip\.mp3: ends after .* cut short"),
    "silent": ("track", "prepare", r"\.clip\.mp3: silent"),
    "text": ("track", "prepare", r"\.clip\.mp3: cannot be decoded"),
    "no tempo": ("tempo", "read", r"\.h5: no tempo in it \(0\.0 found\)"),
    "no song": ("track", "prepare", r"\.h5: cannot be understood .*preview cannot be found"),
}


def test_every_fault_has_its_row_and_the_rest_is_prepared(configured, corpus, caplog):
    spoil(corpus)
    config = configured(corpus, max_reject_fraction=0.7)
    caplog.set_level(logging.INFO, logger="csn")
    index = prepare(config)
    assert index["track_id"].to_pylist() == sorted(
        spec.track_id for spec in (FAULTY["no tempo"], GOOD)
    )
    rejects = ingest.read_rejects(config)
    assert rejects.schema.equals(REJECT_SCHEMA)
    rows = {row["track_id"]: row for row in rejects.to_pylist()}
    assert set(rows) == {spec.track_id for spec in FAULTY.values()}
    for fault, (scope, stage, reason) in REASONS.items():
        row = rows[FAULTY[fault].track_id]
        assert (row["scope"], row["stage"]) == (scope, stage)
        assert row["reason"].startswith(f"{row['audio_uri']}: ")
        with pytest.raises(CorpusError, match=reason):
            raise CorpusError(row["reason"])
    tempi = dict(zip(index["track_id"].to_pylist(), index["tempo_bpm"].to_pylist(), strict=True))
    assert math.isnan(tempi[FAULTY["no tempo"].track_id])
    assert tempi[GOOD.track_id] == GOOD.tempo_bpm
    manifest = storage.read_manifest(storage.join(Paths(config).prepared, "manifest.json"))
    assert manifest.counts == {"tracks": 2, "rejected": len(REFUSED), "missing": 1}
    assert [r.message for r in caplog.records if "previews" in r.message] == [
        "1 of 8 previews are missing"
    ]


def test_mended_files_are_all_that_is_prepared_then(composed, configured, corpus, snapshot):
    whole = {path: path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    spoil(corpus)
    config = configured(corpus)
    with pytest.raises(CorpusError, match=r"5 of 8 tracks were rejected, at most 0\.0% expected"):
        prepare(config)
    before = snapshot(Paths(config).parts())
    assert len(before) == 2
    for path, content in whole.items():
        path.write_bytes(content)
    index = prepare(config)
    assert index["track_id"].to_pylist() == composed[1]["track_id"].to_pylist()
    after = snapshot(Paths(config).parts())
    assert {path: after[path] for path in before} == before
    (left,) = ingest.read_rejects(config).to_pylist()  # it was prepared, as it was then
    assert (left["track_id"], left["scope"]) == (FAULTY["no tempo"].track_id, "tempo")


def test_missing_previews_are_no_fault_unless_all_are_missing(configured, corpus):
    for spec in SPECS[1:]:
        clip_of(corpus, spec).unlink()
    assert prepare(configured(corpus))["track_id"].to_pylist() == [SPECS[0].track_id]
    clip_of(corpus, SPECS[0]).unlink()
    config = replace(configured(corpus), root=str(corpus.parent / "other"))
    with pytest.raises(
        CorpusError, match=r"8 of 8 previews are missing, and no track is left; the first: .*mp3"
    ):
        prepare(config)
    assert not storage.exists(Paths(config).tracks)


def test_clipping_is_a_warning(configured, corpus):
    write_clip(clip_of(corpus, GOOD), np.clip(5 * noise(5.0), -1, 1))
    index = prepare(configured(corpus))
    warnings = dict(zip(index["track_id"].to_pylist(), index["warnings"].to_pylist(), strict=True))
    assert warnings[GOOD.track_id][0].endswith("% clipped")
    assert len(ingest.read_rejects(configured(corpus))) == 0


def test_tags_of_another_vocabulary_stop_before_any_track(configured, corpus):
    (corpus / "lastfm_tags.db").unlink()
    for spec in SPECS:
        path = corpus / "lastfm" / f"{spec.track_id}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"tags": [["rockish", "90"], ["jazzy", "10"], ["loud", "5"]]}')
    config = configured(corpus)
    with pytest.raises(CorpusError, match=r"another vocabulary.* found rockish, jazzy, loud, and"):
        prepare(config)
    assert not storage.list_uris(Paths(config).parts())
    # One track with a tag is enough; and when it is done, the others need none.
    path.write_text('{"tags": [["ROCK", "90"]]}')
    assert len(prepare(config)) == len(SPECS)
    Path(Paths(config).parts(SPECS[0].track_id)).unlink()
    index = prepare(config)
    tags = dict(zip(index["track_id"].to_pylist(), index["tags"].to_pylist(), strict=True))
    assert tags == {s.track_id: ["rock"] if s == SPECS[-1] else [] for s in SPECS}


def test_json_file_that_cannot_be_read_is_the_fault_of_its_track(configured, corpus):
    (corpus / "lastfm_tags.db").unlink()
    (corpus / "lastfm").mkdir()
    (corpus / "lastfm" / f"{GOOD.track_id}.json").write_text("{")
    config = configured(corpus, max_reject_fraction=0.2)
    assert len(prepare(config)) == len(SPECS) - 1
    (row,) = ingest.read_rejects(config).to_pylist()
    assert row["audio_uri"].endswith(f"lastfm/{GOOD.track_id}.json")


def test_unreadable_database_stops_before_any_track(configured, corpus):
    (corpus / "lastfm_tags.db").write_bytes(b"no database" * 100)
    config = configured(corpus)
    with pytest.raises(CorpusError, match=r"lastfm_tags\.db: cannot be read .*tids, tags and"):
        prepare(config)
    assert not storage.list_uris(Paths(config).prepared)


def test_corpus_without_tags_is_prepared_without(configured, corpus, caplog):
    (corpus / "lastfm_tags.db").unlink()
    index = prepare(configured(corpus))
    assert index["tags"].to_pylist() == [None] * len(SPECS)
    assert "has no tags" in caplog.text


def test_tempo_and_key_come_from_a_table(configured, corpus):
    shutil.rmtree(song_of(corpus, GOOD).parents[2])  # no h5 file of its first letter is there
    table, lists = corpus / "told.csv", corpus / "lists.csv"
    told = [spec for spec in SPECS if spec != GOOD]
    rows = "".join(f"{spec.track_id},{100 + i},{i},true\n" for i, spec in enumerate(told))
    table.write_text(f"track_id,tempo_bpm,key,is_major\n{rows}")
    rows = "".join(f"{s.split},{s.track_id},{s.sevendigital_id}\n" for s in SPECS)
    lists.write_text(f"split,msd_id,sevendigital_id\n{rows}")
    config = configured(
        corpus, annotations="csv", annotations_uri=str(table), splits_uri=str(lists)
    )
    index = {row["track_id"]: row for row in prepare(config).to_pylist()}
    for i, spec in enumerate(told):
        row = index[spec.track_id]
        assert (row["tempo_bpm"], row["key"], row["is_major"]) == (100 + i, i, True)
    assert math.isnan(index[GOOD.track_id]["tempo_bpm"])
    assert index[GOOD.track_id]["key"] is None
    (reject,) = ingest.read_rejects(config).to_pylist()
    assert (reject["track_id"], reject["scope"]) == (GOOD.track_id, "tempo")
    assert reject["audio_uri"] == str(table)


@pytest.mark.slow
def test_tempo_and_key_are_heard(composed, configured, corpus):
    index = prepare(configured(corpus, annotations="librosa"))
    octaves = np.array([[0.25, 0.5, 1, 2, 4]])
    heard = index["tempo_bpm"].to_numpy()[:, None] * octaves
    right = np.abs(heard / composed[1]["tempo_bpm"].to_numpy()[:, None] - 1) < 0.06
    assert right.any(axis=1).sum() >= len(SPECS) - 2
    assert all(key in range(12) for key in index["key"].to_pylist())


def test_real_list_is_prepared_where_previews_are_at_hand(
    composed, configured, tmp_path, shared_fixtures, caplog
):
    uri = shared_fixtures / "msd_mini.csv"
    with uri.open(newline="") as file:
        rows = list(csv.DictReader(file))
    here = rows[:2] + rows[-2:]
    previews = tmp_path / "previews"
    for row, spec in zip(here, SPECS, strict=False):
        path = previews / row["audio_relpath"]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip_of(Paths(composed[0]).corpus, spec), path)
    config = configured(previews, splits_uri=str(uri))
    index = {row["track_id"]: row for row in prepare(config).to_pylist()}
    assert set(index) == {row["msd_id"] for row in here}
    for row in here:
        found = index[row["msd_id"]]
        assert found["split"] == {"valid": "validation"}.get(row["split"], row["split"])
        assert found["tags"] == row["tags"].split("|")
        assert set(found["tag_strengths"]) == {100.0}
        assert math.isnan(found["tempo_bpm"])  # there are no h5 files
    rejects = ingest.read_rejects(config).to_pylist()
    scopes = [row["scope"] for row in rejects if row["track_id"] in index]
    assert scopes == ["tempo"] * len(here)
    assert "143 of 147 previews are missing" in caplog.text
    gone = {row["track_id"]: row for row in rejects if "no preview" in row["reason"]}
    assert len(gone) == 143
    for row in rows[2:-2]:
        assert gone[row["msd_id"]]["audio_uri"] == str(previews / row["audio_relpath"])


def test_corpus_in_a_bucket_is_prepared_as_on_the_disk(composed, configured, corpus, bucket):
    for path in corpus.rglob("*"):
        if path.is_file():
            name = str(path.relative_to(corpus))
            storage.write_bytes(storage.join(bucket, "corpus", name), path.read_bytes())
    missing = FAULTY["missing"]
    storage.remove(storage.join(bucket, "corpus", msd.clip_path(missing.sevendigital_id)))
    config = configured(storage.join(bucket, "corpus"))
    config = replace(
        config,
        root=storage.join(bucket, "root"),
        corpus=replace(config.corpus, uri=f"{bucket}/corpus"),
    )
    index = prepare(config).to_pandas().drop(columns="corpus")
    expected = composed[1].to_pandas().drop(columns="corpus")
    expected = expected[expected.track_id != missing.track_id].reset_index(drop=True)
    assert index.to_json() == expected.to_json()
    (row,) = ingest.read_rejects(config).to_pylist()
    assert row["track_id"] == missing.track_id


def test_corpus_is_composed_in_a_bucket_as_on_the_disk(composed, bucket):
    config = replace(composed[0], root=bucket)
    compose(config)
    there, here = Paths(config).corpus, Path(Paths(composed[0]).corpus)
    names = [uri.removeprefix(f"{there}/") for uri in storage.list_uris(there)]
    assert names == sorted(str(p.relative_to(here)) for p in here.rglob("*") if p.is_file())
    for name in names:
        assert storage.read_bytes(storage.join(there, name)) == (here / name).read_bytes()
