import io
import math
import shutil
from pathlib import Path

import mido
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.audio.parts import prepare_track
from csn.config import AudioConfig
from csn.corpora.slakh import KNOWN_FAULTS, instrument_of, list_tracks, read_track
from csn.errors import CorpusError
from csn.records import TrackLocation


def entry(program=0, *, is_drum=False, rendered=True):
    return {"program_num": program, "is_drum": is_drum, "audio_rendered": rendered}


def write_track(folder, entries, files=(), ending="flac"):
    """Write a track's metadata and its stems' files, which nobody opens here."""
    (folder / "stems").mkdir(parents=True)
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"UUID": "x", "stems": entries}))
    for stem_id in files:
        (folder / "stems" / f"{stem_id}.{ending}").touch()
    return TrackLocation(folder.name, "train", str(folder))


@pytest.fixture
def real(shared_fixtures):
    """Give the folder of Slakh2100's Track00001, whose audio is cut to 2 s."""
    return shared_fixtures / "slakh2100_flac_redux"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "Track00009"


@pytest.mark.parametrize(
    ("program", "instrument"),
    [
        (0, "piano"),
        (7, "piano"),
        (8, "others"),
        (23, "others"),
        (24, "guitar"),
        (31, "guitar"),
        (32, "bass"),
        (39, "bass"),
        (40, "others"),
        (127, "others"),
        (128, "drums"),
    ],
)
def test_program_belongs_to_its_instrument(program, instrument):
    assert instrument_of(program) == instrument


def test_real_track_is_read(real):
    (location,) = list_tracks(str(real))
    uri = f"{real}/train/Track00001"
    assert location == TrackLocation("Track00001", "train", uri)
    track, rejects = read_track(location, "slakh2100-redux")
    assert (track.track_id, track.corpus, track.split) == (
        "Track00001",
        "slakh2100-redux",
        "train",
    )
    # S06 was not rendered: it is named in the metadata, and so not a fault.
    assert [stem.stem_id for stem in track.stems] == [
        "S00",
        "S01",
        "S02",
        "S03",
        "S04",
        "S05",
        "S07",
        "S08",
        "S09",
        "S10",
    ]
    assert rejects == []
    assert all(Path(stem.audio_uri).is_file() for stem in track.stems)


def test_instruments_of_the_real_track_are_those_of_its_metadata(real):
    track, _ = read_track(list_tracks(str(real))[0], "slakh2100-redux")
    metadata = yaml.safe_load((real / "train/Track00001/metadata.yaml").read_text())
    classes = {"Drums": "drums", "Bass": "bass", "Piano": "piano", "Guitar": "guitar"}
    for stem in track.stems:
        assert stem.instrument == classes.get(
            metadata["stems"][stem.stem_id]["inst_class"], "others"
        )
    assert {stem.program for stem in track.stems if stem.instrument == "drums"} == {128}


def test_tempo_of_the_real_track(real):
    track, _ = read_track(list_tracks(str(real))[0], "slakh2100-redux")
    # By hand from its one set_tempo event.
    midi = mido.MidiFile(real / "train/Track00001/all_src.mid")
    tempi = {m.tempo for track in midi.tracks for m in track if m.type == "set_tempo"}
    assert len(tempi) == 1
    assert track.tempo_bpm == pytest.approx(6e7 / tempi.pop(), abs=1e-3)
    assert track.tempo_stability == pytest.approx(1.0)
    assert track.first_note_s == pytest.approx(0.781, abs=1e-3)


def test_real_track_is_prepared(real):
    track, _ = read_track(list_tracks(str(real))[0], "slakh2100-redux")
    prepared = prepare_track(track, AudioConfig())
    assert prepared.onset_s == pytest.approx(0.877, abs=0.01)
    assert len(prepared.parts.pcm) == 1  # of its first 2 s only S00 sounds
    assert prepared.parts.num_samples == 88_200 - round(prepared.onset_s * 44_100)


def test_splits_are_the_folders_in_slakh_s_order(tmp_path):
    for name in ("test/Track00003", "omitted/Track00004", "train/Track00002", "train/Track00001"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "train" / "notes").mkdir()
    (tmp_path / "train" / "Track00005").touch()
    assert [(t.track_id, t.split) for t in list_tracks(str(tmp_path))] == [
        ("Track00001", "train"),
        ("Track00002", "train"),
        ("Track00003", "test"),
        ("Track00004", "omitted"),
    ]


def test_flat_layout_is_dealt_to_splits(tmp_path):
    for number in range(1, 21):
        (tmp_path / f"Track{number:05d}").mkdir()
    (tmp_path / "metadata").mkdir()
    found = list_tracks(str(tmp_path))
    splits = {
        split: [t.track_id for t in found if t.split == split] for split in ("train", "test")
    }
    assert len(found) == 20
    assert len(splits["train"]) == 12
    assert splits["test"] == ["Track00005", "Track00010", "Track00015", "Track00020"]
    assert [(t.track_id, t.split) for t in found if t.split == "validation"] == [
        (f"Track{number:05d}", "validation") for number in (4, 9, 14, 19)
    ]


def test_one_track_in_two_splits_is_refused(tmp_path):
    for name in ("train/Track00001", "test/Track00001", "test/Track00002"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(CorpusError, match="test/Track00001: the track is in split train too"):
        list_tracks(str(tmp_path))
    # What is omitted is not used, so it may be anywhere.
    (tmp_path / "test" / "Track00001").rename(tmp_path / "Track00001")
    (tmp_path / "omitted").mkdir()
    (tmp_path / "Track00001").rename(tmp_path / "omitted" / "Track00001")
    assert len(list_tracks(str(tmp_path))) == 3


@pytest.mark.parametrize("inside", [(), ("train",), ("a/Track00001",), ("train/a", "b")])
def test_folder_without_tracks_is_refused(tmp_path, inside):
    for name in inside:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(
        CorpusError, match=r"no track found; expected Slakh2100's layout.*one folder"
    ):
        list_tracks(str(tmp_path))


def test_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="missing: no track found"):
        list_tracks(str(tmp_path / "missing"))


def test_stems_of_babyslakh_are_wav(folder):
    location = write_track(folder, {"S01": entry(25)}, ["S01"], ending="wav")
    track, rejects = read_track(location, "babyslakh")
    assert [stem.audio_uri for stem in track.stems] == [f"{folder}/stems/S01.wav"]
    assert not rejects


def test_file_that_exists_is_taken_whatever_the_flag_says(folder):
    # BabySlakh's flags say false for stems that exist.
    location = write_track(folder, {"S00": entry(33, rendered=False)}, ["S00"])
    track, rejects = read_track(location, "babyslakh")
    assert [(stem.stem_id, stem.instrument) for stem in track.stems] == [("S00", "bass")]
    assert not rejects


def test_missing_file_of_a_rendered_stem_is_a_reject(folder):
    # As in Track00446 and four others of Slakh2100-redux.
    location = write_track(folder, {"S00": entry(), "S01": entry(24)}, ["S01"])
    track, (reject,) = read_track(location, "slakh2100-redux")
    assert [stem.stem_id for stem in track.stems] == ["S01"]
    assert (reject.track_id, reject.scope, reject.stage) == ("Track00009", "stem", "read")
    assert reject.audio_uri == f"{folder}/stems/S00"
    assert "as rendered, but stems/ has no such file; the track goes on" in reject.reason


def test_stem_that_was_not_rendered_is_no_reject(folder):
    location = write_track(folder, {"S00": entry(rendered=False), "S01": entry()}, ["S01"])
    track, rejects = read_track(location, "slakh2100-redux")
    assert [stem.stem_id for stem in track.stems] == ["S01"]
    assert not rejects


def test_file_that_the_metadata_does_not_name_is_a_reject(folder):
    location = write_track(folder, {"S00": entry()}, ["S00", "S07"])
    (folder / "stems" / "._S00.flac").touch()
    track, (reject,) = read_track(location, "slakh2100-redux")
    assert [stem.stem_id for stem in track.stems] == ["S00"]
    assert reject.audio_uri.endswith("stems/S07")
    assert "not named in metadata.yaml" in reject.reason


def test_other_files_among_the_stems_are_not_looked_at(folder):
    location = write_track(folder, {"S00": entry()}, ["S00"])
    (folder / "stems" / "S00.flac.md5").touch()
    (folder / "stems" / "S00.mid").touch()
    track, rejects = read_track(location, "slakh2100-redux")
    assert [stem.audio_uri for stem in track.stems] == [f"{folder}/stems/S00.flac"]
    assert not rejects


def test_drums_are_known_by_their_flag(folder):
    # The program of a drum kit is its kit's number in places.
    location = write_track(
        folder, {"S00": entry(0, is_drum=True), "S01": entry(128)}, ["S00", "S01"]
    )
    track, _ = read_track(location, "slakh2100-redux")
    assert [(stem.instrument, stem.program) for stem in track.stems] == [("drums", 128)] * 2


def test_known_faults_are_left_out_unless_wanted(tmp_path):
    location = write_track(
        tmp_path / "Track00357", {"S02": entry(), "S03": entry(24)}, ["S02", "S03"]
    )
    track, (reject,) = read_track(location, "slakh2100-redux")
    assert [stem.stem_id for stem in track.stems] == ["S02"]
    assert "known fault: white noise" in reject.reason
    track, rejects = read_track(location, "slakh2100-redux", exclude_known_faults=False)
    assert [stem.stem_id for stem in track.stems] == ["S02", "S03"]
    assert not rejects


def test_known_faults_name_tracks_and_stems():
    assert len(KNOWN_FAULTS) == 15
    for (track_id, stem_id), reason in KNOWN_FAULTS.items():
        assert track_id.startswith("Track")
        assert len(track_id) == 10
        assert stem_id[0] == "S"
        assert len(stem_id) == 3
        assert reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be understood"),
        ("stems: [", "cannot be understood"),
        ("UUID: x", r"cannot be understood \(no 'stems'\)"),
        ("stems:", "cannot be understood"),
        ("stems: {S00: {program_num: 3}}", r"cannot be understood \(no 'is_drum'\)"),
        ("stems: {S00: {is_drum: false}}", r"cannot be understood \(no 'program_num'\)"),
        ("stems: {S00: {is_drum: false, program_num: loud}}", "cannot be understood"),
        ("stems: {S00: {is_drum: false, program_num: null}}", "cannot be understood"),
        ("stems: {S00: [1, 2]}", "cannot be understood"),
        ("\x00\x01", "cannot be understood"),
    ],
)
def test_metadata_that_cannot_be_understood_is_refused(folder, text, message):
    location = write_track(folder, {})
    (folder / "metadata.yaml").write_text(text)
    with pytest.raises(CorpusError, match=rf"metadata\.yaml: {message}.*expected Slakh's"):
        read_track(location, "slakh2100-redux")


def test_metadata_that_is_no_text_is_refused(folder):
    location = write_track(folder, {})
    (folder / "metadata.yaml").write_bytes(bytes(range(128, 256)))
    with pytest.raises(CorpusError, match=r"metadata\.yaml: cannot be understood"):
        read_track(location, "slakh2100-redux")


def test_missing_metadata_is_refused(folder):
    location = write_track(folder, {})
    (folder / "metadata.yaml").unlink()
    with pytest.raises(CorpusError, match=r"metadata\.yaml: no such file"):
        read_track(location, "slakh2100-redux")


def test_track_without_stems_is_read_and_refused_later(folder):
    track, rejects = read_track(write_track(folder, {}), "slakh2100-redux")
    assert track.stems == ()
    assert not rejects


def write_midi(path, tempi, notes, *, kind=1):
    """Write tempo changes as (beat, bpm) and notes as (beat, length in beats)."""
    file = mido.MidiFile(type=kind, ticks_per_beat=480)
    events = [
        (480 * beat, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm)))
        for beat, bpm in tempi
    ]
    for beat, length in notes:
        events.append((480 * beat, mido.Message("note_on", note=60, velocity=80)))
        events.append((480 * (beat + length), mido.Message("note_off", note=60)))
    track, now = mido.MidiTrack(), 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=round(tick - now)))
        now = round(tick)
    file.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save(path)


@pytest.fixture
def tempo_of(folder):
    """Read the tempo of a track with this MIDI."""
    location = write_track(folder, {"S00": entry()}, ["S00"])

    def tempo_of(tempi, notes, *, kind=1):
        write_midi(folder / "all_src.mid", tempi, notes, kind=kind)
        track, rejects = read_track(location, "slakh2100-redux")
        assert not rejects
        return track.tempo_bpm, track.tempo_stability

    return tempo_of


@pytest.mark.parametrize("kind", [0, 1])
def test_one_tempo_is_wholly_stable(tempo_of, kind):
    assert tempo_of([(0, 80)], [(0, 4), (8, 4)], kind=kind) == (80.0, pytest.approx(1.0))


def test_tempo_is_the_one_longest_in_force(tempo_of):
    # 100 bpm for 20 beats (12 s), 60 bpm for 8 beats (8 s), 100 bpm for 5 beats (3 s).
    bpm, stability = tempo_of([(0, 100), (20, 60), (28, 100)], [(0, 33)])
    assert bpm == 100.0
    assert stability == pytest.approx(15 / 23)


def test_time_counts_and_not_beats(tempo_of):
    # 30 beats at 180 bpm take 10 s, 12 beats at 60 bpm 12 s.
    bpm, stability = tempo_of([(0, 180), (30, 60)], [(0, 42)])
    assert bpm == 60.0
    assert stability == pytest.approx(12 / 22)


def test_tempo_before_the_first_and_after_the_last_note_does_not_count(tempo_of):
    bpm, stability = tempo_of([(0, 30), (60, 90), (70, 30)], [(60, 4), (66, 4)])
    assert bpm == 90.0
    assert stability == pytest.approx(1.0)


def test_tempo_that_comes_back_counts_together(tempo_of):
    tempi = [(4 * i, 100 if i % 2 else 99) for i in range(10)]
    bpm, stability = tempo_of(tempi, [(0, 40)])
    assert bpm == 99.0
    assert stability == pytest.approx(0.5, abs=0.01)


def is_unknown(track):
    return math.isnan(track.tempo_bpm) and track.tempo_stability == 0.0


def test_track_without_midi_has_no_tempo(folder):
    track, rejects = read_track(write_track(folder, {"S00": entry()}, ["S00"]), "babyslakh")
    assert is_unknown(track)
    assert not rejects


def test_track_without_notes_has_no_tempo(folder):
    location = write_track(folder, {"S00": entry()}, ["S00"])
    write_midi(folder / "all_src.mid", [(0, 100)], [])
    track, rejects = read_track(location, "slakh2100-redux")
    assert is_unknown(track)
    assert not rejects


def wrong_key_signature():
    file = io.BytesIO()
    midi = mido.MidiFile()
    track = mido.MidiTrack([mido.MetaMessage("key_signature", key="C")])
    midi.tracks.append(track)
    midi.save(file=file)
    return file.getvalue().replace(b"\xff\x59\x02\x00\x00", b"\xff\x59\x02\x55\x00")


def tempo_of_zero():
    file = io.BytesIO()
    midi = mido.MidiFile()
    midi.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=0)]))
    midi.save(file=file)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not MIDI",
        b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\1\0",
        wrong_key_signature(),
        tempo_of_zero(),
    ],
    ids=["empty", "text", "cut", "key", "tempo"],
)
def test_midi_that_cannot_be_understood_costs_the_tempo_and_is_told(folder, data):
    location = write_track(folder, {"S00": entry()}, ["S00"])
    (folder / "all_src.mid").write_bytes(data)
    track, (reject,) = read_track(location, "slakh2100-redux")
    assert is_unknown(track)
    assert len(track.stems) == 1
    assert (reject.audio_uri, reject.scope) == (f"{folder}/all_src.mid", "tempo")
    assert "cannot be understood" in reject.reason
    assert "without a tempo" in reject.reason


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.floats(0.2, 1))
def test_no_damage_to_the_midi_stops_the_reader(
    shared_fixtures, tmp_path_factory, place, value, cut
):
    source = shared_fixtures / "slakh2100_flac_redux/train/Track00001"
    data = bytearray((source / "MIDI/S07.mid").read_bytes())
    data[int(place * len(data))] = value
    folder = tmp_path_factory.mktemp("damaged") / "Track00001"
    location = write_track(folder, {"S00": entry()}, ["S00"])
    (folder / "all_src.mid").write_bytes(data[: int(cut * len(data))])
    track, rejects = read_track(location, "slakh2100-redux")
    assert is_unknown(track) or 0 < track.tempo_bpm < np.inf
    assert len(rejects) <= 1


def test_midi_that_cannot_be_read_refuses_the_track(folder):
    # It would go on without a tempo although it has one.
    location = write_track(folder, {"S00": entry()}, ["S00"])
    (folder / "all_src.mid").mkdir()
    with pytest.raises(CorpusError, match=r"all_src\.mid: reading failed"):
        read_track(location, "slakh2100-redux")


def test_copy_of_a_real_track_under_another_root_is_the_same_track(real, tmp_path):
    # metadata.yaml names folders of the machine it was made on; they are not looked at.
    copy = tmp_path / "elsewhere" / "train" / "Track00001"
    shutil.copytree(real / "train" / "Track00001", copy)
    (ours,) = list_tracks(str(tmp_path / "elsewhere"))
    track, rejects = read_track(ours, "slakh2100-redux")
    assert not rejects
    assert all(stem.audio_uri.startswith(str(copy)) for stem in track.stems)
