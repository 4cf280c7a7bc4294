"""Preparing a corpus on Ray: its rows, what is rejected and why, and going on after a crash."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile
import yaml

from csn import storage
from csn.audio.parts import prepare_track
from csn.conditions import INSTRUMENTS
from csn.corpora import slakh
from csn.distributed import experiment, ingest
from csn.distributed.progress import Stages
from csn.errors import CorpusError
from csn.paths import Paths
from csn.records import PARTS_SCHEMA, REJECT_SCHEMA, TRACK_SCHEMA

RATE_HZ = 16_000
LENGTH_S = 6.0
FAULTS = {
    # track: scope, file that is named, a word of the reason
    "Track00001": ("track", "stems/S01.flac", "cut short|cannot be decoded"),
    "Track00002": ("stem", "stems/S01", "stems/ has no such file; the track goes on without it"),
    "Track00003": ("track", "metadata.yaml", "cannot be understood"),
    "Track00004": ("track", "Track00004", "different sample rates .*16000 Hz.*22050 Hz"),
    "Track00005": ("track", "Track00005", r"stem S01 is 2\.00 s long, others 6\.00 s"),
    "Track00006": ("track", "Track00006", "silent in all of its 2 stems"),
    "Track00007": ("track", "stems/S01.wav", "not numbers"),
}
REFUSED = [track for track, (scope, *_) in FAULTS.items() if scope == "track"]
GOOD = [f"Track{number:05d}" for number in range(8, 13)]
ALL = [*FAULTS, *GOOD]


def tone(frequency_hz, length_s=LENGTH_S, rate_hz=RATE_HZ):
    times_s = np.arange(round(length_s * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


def write_stem(folder, stem, samples, rate_hz=RATE_HZ):
    (folder / "stems").mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "stems" / f"{stem}.flac", samples, rate_hz, subtype="PCM_16")


def write_track(corpus, track):
    """Write a whole track of two stems, piano and bass."""
    folder = corpus / "train" / track
    number = int(track[-2:])
    write_stem(folder, "S00", tone(200 + 10 * number))
    write_stem(folder, "S01", tone(50 + 5 * number))
    midi = pretty_midi.PrettyMIDI(initial_tempo=120)
    midi.instruments.append(pretty_midi.Instrument(0))
    midi.instruments[0].notes.append(pretty_midi.Note(100, 60, 0.0, LENGTH_S))
    midi.write(str(folder / "all_src.mid"))
    stems = {
        stem: {"program_num": program, "is_drum": False, "audio_rendered": True}
        for stem, program in (("S00", 0), ("S01", 33))
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"stems": stems}))
    (folder / "stems" / "S01.wav").unlink(missing_ok=True)


def spoil(corpus):
    """Give each track of `FAULTS` its fault."""
    folders = {track: corpus / "train" / track for track in FAULTS}
    flac = folders["Track00001"] / "stems" / "S01.flac"
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    (folders["Track00002"] / "stems" / "S01.flac").unlink()
    (folders["Track00003"] / "metadata.yaml").write_text("stems: {S00: [")
    write_stem(folders["Track00004"], "S01", tone(55, rate_hz=22_050), rate_hz=22_050)
    write_stem(folders["Track00005"], "S01", tone(55, length_s=2.0))
    for stem in ("S00", "S01"):
        write_stem(folders["Track00006"], stem, np.zeros(round(LENGTH_S * RATE_HZ)))
    samples = tone(55)
    samples[1000] = np.nan
    (folders["Track00007"] / "stems" / "S01.flac").unlink()
    wav = io.BytesIO()
    soundfile.write(wav, samples, RATE_HZ, format="WAV", subtype="FLOAT")
    (folders["Track00007"] / "stems" / "S01.wav").write_bytes(wav.getvalue())


def configured(tiny, folder, corpus, max_reject_fraction):
    return replace(
        tiny,
        root=str(folder),
        corpus=replace(
            tiny.corpus, name="made", uri=str(corpus), max_reject_fraction=max_reject_fraction
        ),
    )


def prepare(config):
    return ingest.prepare(config, Stages(storage.join(Paths(config).prepared, "stages.json")))


@pytest.fixture(scope="module")
def spoilt(tiny, local_ray, tmp_path_factory):
    """Prepare a corpus with every fault, all of them allowed; gives configuration and index."""
    corpus = tmp_path_factory.mktemp("spoilt-corpus")
    for track in ALL:
        write_track(corpus, track)
    spoil(corpus)
    config = configured(tiny, tmp_path_factory.mktemp("spoilt-root"), corpus, 1.0)
    return config, prepare(config)


def test_rows_are_what_prepare_track_gives(tiny, tracks, subtests):
    paths = Paths(tiny)
    locations = {t.track_id: t for t in slakh.list_tracks(paths.corpus)}
    assert sorted(locations) == sorted(tracks["track_id"].to_pylist())
    for track_id in ("Track00001", "Track00009", "Track00017"):
        with subtests.test(track_id):
            track, rejects = slakh.read_track(locations[track_id], tiny.corpus.name)
            expected = prepare_track(track, tiny.audio)
            table = storage.read_table(paths.parts(track_id))
            assert table.schema.equals(PARTS_SCHEMA)
            (row,) = table.to_pylist()
            assert (row["track_id"], row["split"]) == (track_id, locations[track_id].split)
            assert row["tempo_bpm"] == track.tempo_bpm
            assert row["onset_s"] == expected.onset_s
            assert row["pcm_scale"] == pytest.approx(expected.parts.pcm_scale)
            assert row["num_samples"] == expected.parts.num_samples
            assert {p for p in INSTRUMENTS if row[f"pcm_{p}"] is not None} == set(
                expected.parts.pcm
            )
            for part, pcm in expected.parts.pcm.items():
                assert np.array_equal(np.frombuffer(row[f"pcm_{part}"], "<i2"), pcm)
                np.testing.assert_allclose(row[f"level_db_{part}"], expected.levels_db[part])
            assert not rejects


def test_index_is_the_prepared_tracks_without_their_audio(tiny, tracks):
    assert tracks.schema.equals(TRACK_SCHEMA)
    parts = storage.read_table(Paths(tiny).parts(), TRACK_SCHEMA.names)
    assert tracks.sort_by("track_id").equals(parts.sort_by("track_id"))
    splits = tracks["split"].to_pylist()
    sizes = tiny.corpus.generated
    assert splits.count("train") == sizes.num_train_tracks
    assert splits.count("validation") == sizes.num_validation_tracks
    assert splits.count("test") == sizes.num_test_tracks


@pytest.mark.parametrize("track", FAULTS)
def test_fault_is_rejected_with_its_reason(spoilt, track):
    config, index = spoilt
    scope, named, reason = FAULTS[track]
    rejects = ingest.read_rejects(config)
    assert rejects.schema.equals(REJECT_SCHEMA)
    (row,) = (row for row in rejects.to_pylist() if row["track_id"] == track)
    assert row["scope"] == scope
    assert row["audio_uri"].endswith(named)
    assert Path(row["audio_uri"]).is_absolute()
    with pytest.raises(CorpusError, match=reason):
        raise CorpusError(row["reason"])
    assert (track in index["track_id"].to_pylist()) == (scope == "stem")


def test_tracks_beside_rejected_ones_are_prepared(spoilt):
    config, index = spoilt
    assert index["track_id"].to_pylist() == ["Track00002", *GOOD]
    assert set(ingest.read_rejects(config)["track_id"].to_pylist()) == set(FAULTS)
    counts = storage.read_manifest(storage.join(Paths(config).prepared, "manifest.json")).counts
    assert counts == {"tracks": 6, "rejected": 6}


def test_track_that_lost_a_stem_has_its_other_parts(spoilt):
    config, _ = spoilt
    (row,) = storage.read_table(Paths(config).parts("Track00002")).to_pylist()
    present = {part for part in INSTRUMENTS if row[f"pcm_{part}"] is not None}
    assert present == {"piano"}


def test_too_many_rejects_fail_and_mended_files_are_all_that_is_prepared_then(
    spoilt, tmp_path, snapshot
):
    source = Path(spoilt[0].corpus.uri)
    corpus = tmp_path / "corpus"
    for path in source.rglob("*"):
        if path.is_file():
            target = corpus / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    config = configured(spoilt[0], tmp_path / "root", corpus, 0.2)
    paths = Paths(config)
    first = f"{corpus}/train/Track00001/stems/S01.flac: "
    with pytest.raises(
        CorpusError,
        match=rf"6 of 12 tracks were rejected, at most 20\.0% expected; the first: {first}",
    ):
        prepare(config)
    # What could be prepared is, and says that it is not the whole: there is no index yet.
    assert storage.list_uris(paths.parts()) == [paths.parts(t) for t in ("Track00002", *GOOD)]
    assert not storage.exists(paths.tracks)
    assert not storage.exists(storage.join(paths.prepared, "manifest.json"))

    before = snapshot(paths.parts())
    mended = ["Track00001", "Track00003", "Track00005", "Track00007"]
    for track in mended:
        write_track(corpus, track)
    index = prepare(config)
    prepared = sorted([*mended, "Track00002", *GOOD])
    assert index["track_id"].to_pylist() == prepared
    after = snapshot(paths.parts())
    assert {path: after[path] for path in before} == before
    assert len(after) == len(prepared)
    left = set(ingest.read_rejects(config)["track_id"].to_pylist())
    assert left == {"Track00002", "Track00004", "Track00006"}


@pytest.fixture
def prepared_copy(spoilt, tmp_path):
    """Copy the good tracks, and prepare them."""
    source, corpus = Path(spoilt[0].corpus.uri), tmp_path / "corpus"
    for track in GOOD:
        for path in (source / "train" / track).rglob("*"):
            if path.is_file():
                target = corpus / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    config = configured(spoilt[0], tmp_path / "root", corpus, 0.0)
    return config, prepare(config)


def test_interrupted_run_goes_on_with_the_rest(prepared_copy, snapshot):
    config, index = prepared_copy
    paths = Paths(config)
    # As a kill leaves it: some whole files, no index, no manifest.
    for name in (paths.tracks, storage.join(paths.prepared, "manifest.json")):
        Path(name).unlink()
    for track in GOOD[2:]:
        Path(paths.parts(track)).unlink()
    before = snapshot(paths.parts())
    assert prepare(config).equals(index)
    after = snapshot(paths.parts())
    assert {path: after[path] for path in before} == before
    assert len(after) == len(GOOD)
    assert storage.exists(storage.join(paths.prepared, "manifest.json"))


@pytest.mark.parametrize("left", ["nothing", "index", "old index"])
def test_run_that_was_killed_before_its_manifest_is_completed(prepared_copy, snapshot, left):
    config, index = prepared_copy
    paths = Paths(config)
    manifest = Path(storage.join(paths.prepared, "manifest.json"))
    if left == "old index":  # and its manifest, of a run over fewer tracks
        storage.write_table(paths.tracks, index.slice(0, 2))
    else:
        manifest.unlink()
    if left == "nothing":
        Path(paths.tracks).unlink()
    before = snapshot(paths.parts())
    assert prepare(config).equals(index)
    assert storage.read_table(paths.tracks).equals(index)
    assert storage.read_manifest(str(manifest)).counts["tracks"] == len(GOOD)
    assert snapshot(paths.parts()) == before


def test_second_call_prepares_and_writes_nothing(prepared_copy, snapshot):
    config, index = prepared_copy
    before = snapshot(config.root)
    experiment.prepare(config)
    assert prepare(config).equals(index)
    assert snapshot(config.root) == before


def test_overwriting_prepares_everything_again(prepared_copy, snapshot):
    config, index = prepared_copy
    before = snapshot(Paths(config).parts())
    experiment.prepare(replace(config, on_existing="overwrite"))
    after = snapshot(Paths(config).parts())
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert storage.read_table(Paths(config).tracks).equals(index)


def test_limit_takes_the_first_tracks_and_raising_it_adds_the_others(prepared_copy, tmp_path):
    whole, index = prepared_copy
    root = str(tmp_path / "limited")
    limited = replace(whole, root=root, corpus=replace(whole.corpus, num_train_tracks=2))
    assert prepare(limited)["track_id"].to_pylist() == GOOD[:2]
    grown = replace(whole, root=root)
    assert prepare(grown).equals(index)
    assert prepare(limited)["track_id"].to_pylist() == GOOD[:2]
