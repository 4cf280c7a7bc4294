import math

import numpy as np
import pytest

from csn.config import GeneratedMsdConfig
from csn.corpora import generated, generated_msd
from csn.corpora.annotations import (
    Annotation,
    by_listening,
    key_of,
    of_song,
    profile,
    read_table,
)
from csn.corpora.song_tables import song_fields, song_file
from csn.errors import CorpusError

RATE_HZ = 22_050
HEADER = "track_id,tempo_bpm,key,is_major\n"


def test_fields_of_a_song_are_its_annotation():
    fields = song_fields(song_file({"tempo": 97.5, "key": 11, "mode": 1}))
    assert of_song(fields) == Annotation(97.5, 11, True)


@pytest.mark.parametrize("tempo", [0.0, math.nan, -1.0, math.inf])
def test_tempo_of_a_song_may_not_be_known(tempo):
    said = of_song(song_fields(song_file({"tempo": tempo, "key": 0})))
    assert math.isnan(said.tempo_bpm)
    assert (said.key, said.is_major) == (0, False)


@pytest.mark.parametrize(
    "fields", [{}, {"key": -1, "mode": -1}, {"key": 12, "mode": 2}, {"tempo": "fast", "key": "C"}]
)
def test_key_of_a_song_may_not_be_known(fields):
    said = of_song(fields)
    assert math.isnan(said.tempo_bpm)
    assert (said.key, said.is_major) == (None, None)


@pytest.mark.parametrize("is_major", [True, False])
@pytest.mark.parametrize("tonic", range(12))
def test_key_is_found_in_its_own_profile_and_in_its_triad(tonic, is_major):
    assert key_of(np.roll(profile(is_major=is_major), tonic)) == (tonic, is_major)
    triad = np.zeros(12)
    triad[[tonic, (tonic + (4 if is_major else 3)) % 12, (tonic + 7) % 12]] = 1
    assert key_of(triad) == (tonic, is_major)


def test_profiles_are_scales_with_a_stressed_triad():
    assert profile(is_major=True).tolist() == [2, 0, 1, 0, 2, 1, 0, 2, 0, 1, 0, 1]
    assert profile(is_major=False).tolist() == [2, 0, 1, 2, 0, 1, 0, 2, 1, 0, 1, 0]


def test_sound_without_notes_has_no_key():
    assert key_of(np.ones(12)) == (None, None)
    said = by_listening(np.zeros(5 * RATE_HZ, np.float32), RATE_HZ)
    assert math.isnan(said.tempo_bpm)
    assert (said.key, said.is_major) == (None, None)


def test_chords_on_the_beat_have_the_key_and_tempo_they_are_played_in():
    rng = np.random.default_rng(0)
    times_s = np.arange(RATE_HZ // 2) / RATE_HZ  # 120 beats a minute
    envelope = np.exp(-6 * times_s)
    beats = []
    for chord in ((57, 60, 64), (62, 65, 69), (57, 60, 64), (64, 67, 71)) * 6:  # A minor
        tones = sum(np.sin(2 * np.pi * 440 * 2 ** ((n - 69) / 12) * times_s) for n in chord)
        click = rng.standard_normal(len(times_s)) * np.exp(-200 * times_s)
        beats.append(0.2 * envelope * tones + 0.2 * click)
    said = by_listening(np.concatenate(beats).astype(np.float32), RATE_HZ)
    assert said.tempo_bpm == pytest.approx(120, rel=0.03)
    assert (said.key, said.is_major) == (9, False)


@pytest.mark.slow
def test_most_generated_clips_are_heard_aright():
    config = GeneratedMsdConfig(
        num_train_tracks=8, num_validation_tracks=0, num_test_tracks=3, clip_s=16.0, seed=5
    )
    tempi = keys = 0
    specs = generated_msd.songs(config)
    for spec in specs:
        piece = generated_msd.composed(spec, config)
        mix = generated.rendered(piece, RATE_HZ)[0].sum(axis=0) / np.float32(32_768)
        said = by_listening(mix.astype(np.float32), RATE_HZ)
        octaves = said.tempo_bpm * np.array([0.25, 0.5, 1, 2, 4])
        tempi += (np.abs(octaves / piece.tempo_bpm - 1) < 0.05).any()
        keys += said.key == piece.key
    assert tempi >= len(specs) - 2
    assert keys >= 4  # by chance, of 11 and 12 tonics, one


def test_table_gives_annotations_by_track(tmp_path):
    uri = tmp_path / "x.csv"
    uri.write_text(
        "\ufeffis_major,track_id,comment,key,tempo_bpm\n"
        "true,TRA,x,0,120.5\nFalse,TRB,,11,\n1,TRC,,,90\n,TRD,,5,0\n0,TRF,,,\n"
    )
    table = read_table(str(uri))
    assert list(table) == ["TRA", "TRB", "TRC", "TRD", "TRF"]
    assert table["TRA"] == Annotation(120.5, 0, True)
    assert (table["TRB"].key, table["TRB"].is_major) == (11, False)
    assert table["TRC"] == Annotation(90.0, None, True)
    assert (table["TRD"].key, table["TRD"].is_major) == (5, None)
    assert all(math.isnan(table[name].tempo_bpm) for name in ("TRB", "TRD", "TRF"))


@pytest.mark.parametrize(
    "row", ["fast,0,true", "120,C,true", "120,12,true", "120,-1,true", "120,0,yes", "-5,0,1"]
)
def test_cell_that_is_not_what_its_column_says_is_refused_with_its_line(tmp_path, row):
    uri = tmp_path / "x.csv"
    uri.write_text(f"{HEADER}TRA,100,0,1\nTRB,{row}\n")
    with pytest.raises(
        CorpusError, match=r"x\.csv: line 3: tempo_bpm=.*; expected a tempo in BPM"
    ):
        read_table(str(uri))


def test_table_of_other_columns_or_with_a_track_twice_is_refused(tmp_path):
    uri = tmp_path / "x.csv"
    uri.write_text("track_id,bpm,key\n")
    with pytest.raises(CorpusError, match=r"no column tempo_bpm, is_major; .*found track_id, bpm"):
        read_table(str(uri))
    uri.write_text("")
    with pytest.raises(CorpusError, match=r"no column .*found none"):
        read_table(str(uri))
    uri.write_text(f"{HEADER}TRA,100,0,1\nTRA,101,0,1\n")
    with pytest.raises(CorpusError, match="line 3: TRA is there already"):
        read_table(str(uri))
    with pytest.raises(CorpusError, match=r"y\.csv: .*no such file"):
        read_table(str(tmp_path / "y.csv"))


def test_quotation_mark_that_is_not_closed_loses_no_rows(tmp_path):
    uri = tmp_path / "x.csv"
    uri.write_text(f'{HEADER}TRA,100,0,1\n"TRB,90,0,1\nTRC,80,0,1\n')
    with pytest.raises(CorpusError, match=r"x\.csv: line \d: not a row .*quotation mark"):
        read_table(str(uri))


def test_a_low_sample_rate_has_a_key_as_well():
    times_s = np.arange(4 * 8_000) / 8_000
    notes = sum(np.sin(2 * np.pi * hz * times_s) for hz in (261.63, 329.63, 392.0, 523.25))
    said = by_listening((0.2 * notes).astype(np.float32), 8_000)
    assert (said.key, said.is_major) == (0, True)
