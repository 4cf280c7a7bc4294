import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.audio.activity import levels_db, sounding_starts
from csn.audio.parts import Parts
from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig
from csn.errors import CorpusError
from csn.records import ABSENT, Mix
from csn.triplets.rendering import render, render_mix

RATE_HZ = 8_000
NUM_SAMPLES = 2_000


def parts_of(seed, parts=INSTRUMENTS, *, num_samples=3 * RATE_HZ, scale=1 / 32_768):
    rng = np.random.default_rng(seed)
    pcm = {part: rng.integers(-32_768, 32_768, num_samples).astype(np.int16) for part in parts}
    return Parts(pcm, scale, RATE_HZ)


BANK = {
    "A": parts_of(1),
    "B": parts_of(2, scale=2.5 / 32_768),
    "C": parts_of(3, ("bass", "others"), num_samples=4 * RATE_HZ),
}


def plain_sum(mix, bank, num_samples):
    """Sum the slices in double precision, part by part."""
    total = np.zeros(num_samples)
    for part, track_id, start_s in zip(INSTRUMENTS, mix.tracks, mix.starts_s, strict=True):
        if track_id and part in bank[track_id].pcm:
            start = int(start_s * RATE_HZ)
            piece = bank[track_id].pcm[part][start : start + num_samples]
            total += piece.astype(np.float64) * bank[track_id].pcm_scale
    return total


@settings(max_examples=60, deadline=None)
@given(
    tracks=st.lists(st.sampled_from([*BANK, ABSENT]), min_size=5, max_size=5),
    frames=st.lists(st.integers(0, 11), min_size=5, max_size=5),
)
def test_mix_is_the_sum_of_its_slices(tracks, frames):
    mix = Mix(tuple(tracks), tuple(0.25 * frame for frame in frames))
    (waveform,) = render([mix], BANK, NUM_SAMPLES)
    assert waveform.dtype == np.float32
    assert waveform == pytest.approx(plain_sum(mix, BANK, NUM_SAMPLES), abs=1e-6 * 5)


def test_pseudo_mix_of_a_track_with_itself_is_its_mix():
    whole = np.sum(list(BANK["A"].pcm.values()), axis=0, dtype=np.int64) / 32_768
    for focus in INSTRUMENTS:
        (waveform,) = render([Mix.pseudo(focus, "A", "A", 0.5)], BANK, NUM_SAMPLES)
        assert waveform == pytest.approx(whole[4_000 : 4_000 + NUM_SAMPLES], abs=1e-6)


def test_pseudo_mix_holds_one_part_of_a_and_the_others_of_b():
    (waveform,) = render([Mix.pseudo("bass", "A", "B", 1.0)], BANK, NUM_SAMPLES)
    window = slice(RATE_HZ, RATE_HZ + NUM_SAMPLES)
    expected = BANK["A"].pcm["bass"][window] / 32_768
    for part in ("drums", "piano", "guitar", "others"):
        expected = expected + BANK["B"].pcm[part][window] * 2.5 / 32_768
    assert waveform == pytest.approx(expected, abs=1e-6)


def test_part_that_a_track_does_not_have_is_silent():
    (waveform,) = render([Mix((ABSENT, ABSENT, "C", "C", ABSENT), (0.0,) * 5)], BANK, NUM_SAMPLES)
    assert not waveform.any()


def test_part_that_a_mix_leaves_out_is_silent_and_needs_no_track():
    (waveform,) = render([Mix((ABSENT,) * 5, (99.0,) * 5)], {}, NUM_SAMPLES)
    assert not waveform.any()


def test_rendering_twice_gives_the_same_samples():
    mixes = [Mix.pseudo(focus, "A", "C", 0.25) for focus in INSTRUMENTS]
    assert np.array_equal(render(mixes, BANK, NUM_SAMPLES), render(mixes, BANK, NUM_SAMPLES))


def test_mixes_do_not_depend_on_their_neighbours():
    mixes = [Mix.pseudo(focus, "A", "B", 0.25) for focus in INSTRUMENTS]
    together = render(mixes, BANK, NUM_SAMPLES)
    for mix, waveform in zip(mixes, together, strict=True):
        out = np.full(NUM_SAMPLES, 9.0, np.float32)
        render_mix(mix, BANK, NUM_SAMPLES, out)
        assert np.array_equal(out, waveform)


def test_no_mixes_make_no_waveforms():
    assert render([], BANK, NUM_SAMPLES).shape == (0, NUM_SAMPLES)


def test_bank_is_not_changed():
    before = BANK["A"].pcm["drums"].copy()
    render([Mix.of_track("A", 0.0)], BANK, NUM_SAMPLES)
    assert np.array_equal(BANK["A"].pcm["drums"], before)


def test_sum_beyond_full_scale_is_not_clipped():
    loud = Parts(
        {part: np.full(NUM_SAMPLES, 32_000, np.int16) for part in INSTRUMENTS}, 1 / 32_768, RATE_HZ
    )
    (waveform,) = render([Mix.of_track("L", 0.0)], {"L": loud}, NUM_SAMPLES)
    assert waveform == pytest.approx(5 * 32_000 / 32_768)


def test_last_window_of_a_track_fits():
    (waveform,) = render([Mix.of_track("A", 2.75)], BANK, NUM_SAMPLES)
    assert waveform.any()


@pytest.mark.parametrize("start_s", [2.7502, 3.0, 100.0, -0.25])
def test_window_beyond_its_track_is_refused(start_s):
    with pytest.raises(
        CorpusError, match=r"A: a window of 2000 samples from .* 24000 samples.*plan"
    ):
        render([Mix.of_track("A", start_s)], BANK, NUM_SAMPLES)


@settings(max_examples=100, deadline=None)
@given(
    rate_hz=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100]),
    segment_s=st.sampled_from([0.2, 1.0, 1.1, 3.0]),
    last=st.integers(0, 20),
)
def test_every_window_that_sounds_can_be_rendered(rate_hz, segment_s, last):
    # Also where neither the hop nor the segment is a whole number of samples, and in the shortest
    # track that has so many windows.
    hop_s = segment_s / 4
    audio = AudioConfig(sample_rate_hz=rate_hz, segment_s=segment_s, level_hop_s=hop_s)
    pcm = np.full(math.ceil((last + 4) * hop_s * rate_hz - 1e-6), 20_000, np.int16)
    levels = levels_db(pcm / np.float32(32_768), rate_hz, hop_s)
    starts = np.flatnonzero(sounding_starts(levels, segment_s, audio))
    assert len(starts) == last + 1
    bank = {"A": Parts({"bass": pcm}, 1 / 32_768, rate_hz)}
    mixes = [Mix.of_track("A", float(start * hop_s)) for start in starts]
    assert render(mixes, bank, round(segment_s * rate_hz)).all()


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100])
def test_window_fits_a_track_that_is_cut_where_the_window_ends(rate_hz):
    # Training keeps of a track only what can be asked for.
    for frame in range(40):
        start_s = 0.25 * frame
        pcm = np.ones(round((start_s + 3.0) * rate_hz), np.int16)
        bank = {"A": Parts({"bass": pcm}, 1 / 32_768, rate_hz)}
        assert render([Mix.of_track("A", start_s)], bank, 3 * rate_hz).all()
