from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.audio.activity import levels_db
from csn.audio.parts import FULL_SCALE, prepare_track
from csn.config import AudioConfig
from csn.errors import CorpusError
from csn.records import Stem, Track

RATE_HZ = 8_000
AUDIO = AudioConfig(sample_rate_hz=RATE_HZ)


@pytest.fixture
def track_of(tmp_path):
    """Write each instrument's stems to files, and give the track that has them."""

    def track_of(stems, *, rate_hz=RATE_HZ, subtype="PCM_16", ending="flac"):
        found = []
        for instrument, files in stems.items():
            for samples in files:
                stem_id = f"S{len(found):02d}"
                uri = str(tmp_path / f"{stem_id}.{ending}")
                soundfile.write(uri, samples, rate_hz, subtype=subtype)
                found.append(Stem(stem_id, instrument, uri, 0))
        return Track("Track00001", "made-up", "train", 120.0, 1.0, tuple(found))

    return track_of


def noise(seed, seconds, peak=0.2):
    """16-bit noise whose first sample is loud, so that it begins at once."""
    pcm = np.random.default_rng(seed).integers(
        -round(peak * FULL_SCALE), round(peak * FULL_SCALE), round(seconds * RATE_HZ)
    )
    pcm[0] = round(peak * FULL_SCALE)
    return pcm.astype(np.int16)


def after(seconds, pcm):
    return np.concatenate([np.zeros(round(seconds * RATE_HZ), np.int16), pcm])


def test_single_stem_is_kept_exactly(track_of):
    pcm = noise(0, 2.0, peak=0.99)
    prepared = prepare_track(track_of({"bass": [pcm]}), AUDIO)
    assert prepared.parts.pcm["bass"].dtype == np.int16
    assert np.array_equal(prepared.parts.pcm["bass"], pcm)
    assert prepared.parts.pcm_scale == 1 / FULL_SCALE
    assert prepared.parts.sample_rate_hz == RATE_HZ
    assert prepared.onset_s == 0.0
    assert prepared.warnings == []


def test_part_is_the_sum_of_its_stems(track_of):
    stems = {"guitar": [noise(i, 1.0) for i in range(3)], "drums": [noise(9, 1.0)]}
    parts = prepare_track(track_of(stems), AUDIO).parts
    assert set(parts.pcm) == {"guitar", "drums"}
    assert np.array_equal(parts.pcm["guitar"], np.sum(stems["guitar"], axis=0))
    assert np.array_equal(parts.pcm["drums"], stems["drums"][0])
    assert parts.num_samples == RATE_HZ


def test_order_of_stems_does_not_matter(track_of):
    stems = [noise(i, 1.0 - i / 10) for i in range(3)]
    one = prepare_track(track_of({"others": stems}), AUDIO)
    other = prepare_track(track_of({"others": stems[::-1]}), AUDIO)
    assert np.array_equal(one.parts.pcm["others"], other.parts.pcm["others"])


def test_levels_are_of_the_aligned_parts(track_of):
    pcm = noise(0, 2.0)
    prepared = prepare_track(track_of({"bass": [after(0.3, pcm)]}), AUDIO)
    expected = levels_db((pcm / FULL_SCALE).astype(np.float32), RATE_HZ, AUDIO.level_hop_s)
    assert prepared.levels_db["bass"] == pytest.approx(expected, abs=1e-4)
    assert len(prepared.levels_db["bass"]) == 8


def test_piece_begins_at_its_first_onset_over_all_stems(track_of):
    early, late = noise(0, 3.0), noise(1, 1.5)
    track = track_of({"drums": [after(1.5, late)], "piano": [after(0.5, early)]})
    prepared = prepare_track(track, AUDIO)
    assert prepared.onset_s == 0.5
    assert prepared.parts.num_samples == 3 * RATE_HZ
    assert prepared.parts.pcm["piano"][0] == early[0]


def test_instrument_that_enters_later_still_does(track_of):
    piano, drums = noise(0, 3.0), noise(1, 2.0)
    track = track_of({"piano": [after(0.5, piano)], "drums": [after(1.5, drums)]})
    parts = prepare_track(track, AUDIO).parts
    # Its stem sounds from 1.5 s, the piece from 0.5 s: it enters 1 s into the piece.
    assert np.array_equal(parts.pcm["drums"], after(1.0, drums))
    assert np.array_equal(parts.pcm["piano"], piano)


@settings(max_examples=30, deadline=None)
@given(
    silence=st.integers(0, 3_000),
    entries=st.lists(st.integers(0, 3_000), min_size=1, max_size=3),
    seed=st.integers(0, 5),
)
def test_leading_silence_changes_nothing_but_the_onset(tmp_path_factory, silence, entries, seed):
    folder = tmp_path_factory.mktemp("silence")
    prepared = []
    for lead in (0, silence):
        stems = []
        for i, entry in enumerate(entries):
            uri = str(folder / f"{lead}-{i}.wav")
            pcm = noise(seed + i, 0.5)
            zeros = np.zeros(lead + entry, np.int16)
            tail = np.zeros(3_000 - entry, np.int16)
            soundfile.write(uri, np.concatenate([zeros, pcm, tail]), RATE_HZ)
            stems.append(Stem(f"S{i:02d}", ("drums", "bass", "piano")[i], uri, 0))
        track = Track("Track00001", "made-up", "train", 120.0, 1.0, tuple(stems))
        prepared.append(prepare_track(track, AUDIO))
    plain, led = prepared
    assert plain.onset_s == min(entries) / RATE_HZ
    assert led.onset_s == pytest.approx(plain.onset_s + silence / RATE_HZ)
    assert plain.parts.pcm.keys() == led.parts.pcm.keys()
    for part, pcm in plain.parts.pcm.items():
        assert np.array_equal(pcm, led.parts.pcm[part])
        assert np.array_equal(plain.levels_db[part], led.levels_db[part])
    assert plain.parts.pcm_scale == led.parts.pcm_scale
    assert plain.warnings == led.warnings


def test_onset_is_40_db_below_the_peak_of_the_mix(track_of):
    pcm = np.zeros(RATE_HZ, np.int16)
    pcm[4_000] = 20_000
    pcm[1_000] = 199  # -40.04 dB of the peak
    pcm[2_000] = 201  # -39.96 dB
    prepared = prepare_track(track_of({"drums": [pcm]}), AUDIO)
    assert prepared.onset_s == 2_000 / RATE_HZ


def test_onset_is_heard_in_the_mix_and_not_in_a_part(track_of):
    # Two stems that cancel each other until 0.5 s: nobody hears them before.
    pcm = noise(0, 1.0)
    other = -pcm
    other[RATE_HZ // 2 :] = 0
    prepared = prepare_track(track_of({"drums": [pcm], "bass": [other]}), AUDIO)
    assert prepared.onset_s == 0.5
    assert set(prepared.parts.pcm) == {"drums"}


def test_part_that_never_sounds_has_no_entry(track_of):
    track = track_of({"drums": [noise(0, 1.0)], "bass": [np.zeros(RATE_HZ, np.int16)]})
    prepared = prepare_track(track, AUDIO)
    assert set(prepared.parts.pcm) == set(prepared.levels_db) == {"drums"}


def test_shorter_stem_is_padded_with_a_warning(track_of):
    long, short = noise(0, 2.0), noise(1, 1.5)
    prepared = prepare_track(track_of({"drums": [long], "bass": [short]}), AUDIO)
    assert np.array_equal(prepared.parts.pcm["bass"][: len(short)], short)
    assert not prepared.parts.pcm["bass"][len(short) :].any()
    assert prepared.parts.num_samples == len(long)
    assert prepared.warnings == ["stems of 1.500 to 2.000 s, padded to the longest"]


def test_stems_of_one_part_may_differ_in_length_too(track_of):
    long, short = noise(0, 2.0), noise(1, 1.5)
    for stems in ([long, short], [short, long]):
        pcm = prepare_track(track_of({"bass": stems}), AUDIO).parts.pcm["bass"]
        assert np.array_equal(pcm, long + np.pad(short, (0, len(long) - len(short))))


def test_stem_that_is_much_shorter_is_refused_by_name(track_of):
    track = track_of({"drums": [noise(0, 3.0)], "bass": [noise(1, 1.5)]})
    with pytest.raises(CorpusError, match=r"stem S01 is 1\.50 s long, others 3\.00 s.*copy it"):
        prepare_track(track, AUDIO)
    allowed = AudioConfig(sample_rate_hz=RATE_HZ, max_length_difference_s=2.0)
    assert len(prepare_track(track, allowed).warnings) == 1


def test_stems_of_different_rates_are_refused_with_their_files(track_of, tmp_path):
    track = track_of({"drums": [noise(0, 1.0)], "bass": [noise(1, 1.0)]})
    soundfile.write(track.stems[1].audio_uri, np.zeros(2 * RATE_HZ, np.int16), 2 * RATE_HZ)
    with pytest.raises(CorpusError, match=r"8000 Hz in .*S00\.flac, 16000 Hz in .*S01\.flac"):
        prepare_track(track, AUDIO)


@pytest.mark.parametrize("peak", [0, 2])
def test_silent_track_is_refused(track_of, peak):
    pcm = np.zeros(RATE_HZ, np.int16)
    pcm[100] = peak  # of 32,768: below 1e-4
    with pytest.raises(CorpusError, match="Track00001: silent in all of its 2 stems"):
        prepare_track(track_of({"drums": [pcm], "bass": [pcm * 0]}), AUDIO)


def test_track_without_samples_is_refused(track_of):
    with pytest.raises(CorpusError, match="Track00001: silent"):
        prepare_track(track_of({"drums": [np.zeros(0, np.int16)]}, ending="wav"), AUDIO)


def test_track_without_stems_is_refused():
    with pytest.raises(CorpusError, match="Track00001: no rendered stem"):
        prepare_track(Track("Track00001", "made-up", "train", 120.0, 1.0, ()), AUDIO)


def test_sum_beyond_full_scale_is_scaled_and_not_clipped(track_of):
    stems = [noise(0, 1.0, peak=0.9), noise(0, 1.0, peak=0.9), noise(1, 1.0, peak=0.5)]
    parts = prepare_track(track_of({"others": stems, "bass": [stems[2]]}), AUDIO).parts
    expected = np.sum(stems, axis=0, dtype=np.int64) / FULL_SCALE
    assert np.abs(expected).max() > 1.5
    assert parts.pcm_scale == pytest.approx(np.abs(expected).max() / FULL_SCALE)
    # One step of the scale, and half of one for rounding.
    assert np.abs(parts.pcm["others"] * parts.pcm_scale - expected).max() <= 1.01 * parts.pcm_scale
    bass = stems[2] / FULL_SCALE
    assert np.abs(parts.pcm["bass"] * parts.pcm_scale - bass).max() <= 0.51 * parts.pcm_scale


def test_full_scale_itself_is_kept(track_of):
    pcm = noise(0, 1.0)
    pcm[10], pcm[11] = -32_768, 32_767
    assert np.array_equal(prepare_track(track_of({"bass": [pcm]}), AUDIO).parts.pcm["bass"], pcm)


def test_stems_of_a_higher_rate_are_resampled(track_of):
    pcm = np.repeat(noise(0, 1.0), 2)
    track = track_of({"bass": [after(0.25, pcm)]}, rate_hz=2 * RATE_HZ)
    prepared = prepare_track(track, AUDIO)
    assert prepared.parts.sample_rate_hz == RATE_HZ
    assert prepared.onset_s == pytest.approx(0.125, abs=0.01)
    assert prepared.parts.num_samples / RATE_HZ == pytest.approx(1.0, abs=0.01)


def test_long_track_is_cut_with_a_warning(track_of):
    audio = AudioConfig(sample_rate_hz=RATE_HZ, max_track_s=4.0)
    pcm = noise(0, 5.0)
    prepared = prepare_track(track_of({"bass": [pcm], "drums": [noise(1, 5.0)]}), audio)
    assert np.array_equal(prepared.parts.pcm["bass"], pcm[: 4 * RATE_HZ])
    assert prepared.warnings == ["cut to its first 4.0 of 5.0 s"]


def test_clipped_samples_are_told(track_of):
    pcm = noise(0, 1.0)
    pcm[:40] = 32_767
    prepared = prepare_track(track_of({"bass": [noise(1, 1.0)], "drums": [pcm]}), AUDIO)
    assert prepared.warnings == ["S01: 0.500 % clipped"]


def test_stem_that_cannot_be_decoded_refuses_the_track_by_the_file_s_name(track_of):
    track = track_of({"drums": [noise(0, 1.0)], "bass": [noise(1, 1.0)]})
    Path(track.stems[1].audio_uri).write_bytes(b"not audio")
    with pytest.raises(CorpusError, match=r"S01\.flac: cannot be decoded"):
        prepare_track(track, AUDIO)


def test_stem_that_is_gone_refuses_the_track_by_the_file_s_name(track_of):
    track = track_of({"drums": [noise(0, 1.0)]})
    Path(track.stems[0].audio_uri).unlink()
    with pytest.raises(CorpusError, match=r"S00\.flac: no such file"):
        prepare_track(track, AUDIO)


def test_onset_of_the_midi_keeps_what_sounds_before_the_audio_is_loud(track_of):
    track = replace(track_of({"drums": [after(0.5, noise(0, 2.0))]}), first_note_s=0.25)
    prepared = prepare_track(track, replace(AUDIO, onset_source="midi"))
    assert prepared.onset_s == 0.25


def test_onset_of_the_midi_is_never_after_the_first_sound(track_of):
    track = replace(track_of({"drums": [after(0.5, noise(0, 2.0))]}), first_note_s=2.0)
    prepared = prepare_track(track, replace(AUDIO, onset_source="midi"))
    assert prepared.onset_s == pytest.approx(0.5, abs=0.01)


def test_onset_of_the_midi_is_refused_where_there_is_none(track_of):
    with pytest.raises(CorpusError, match="no MIDI note"):
        prepare_track(
            track_of({"drums": [after(0.5, noise(0, 2.0))]}), replace(AUDIO, onset_source="midi")
        )
