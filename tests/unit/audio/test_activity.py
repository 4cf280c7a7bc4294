import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.audio.activity import FLOOR_DB, levels_db, sounding_starts
from csn.config import AudioConfig

AUDIO = AudioConfig()
RATE_HZ = 8_000
HOP_S = 0.25
FRAMES = 12  # of a 3 s segment


def sine(amplitude, seconds, rate_hz=RATE_HZ, frequency_hz=1_000.0):
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "level_db"),
    [
        (np.ones(8_000, np.float32), 0.0),  # the power of full scale
        (-np.ones(8_000, np.float32), 0.0),
        (sine(1.0, 1.0), -3.0103),  # 10 log10(1 / 2)
        (sine(0.1, 1.0), -23.0103),
        (np.full(8_000, 0.01, np.float32), -40.0),
        (np.zeros(8_000, np.float32), FLOOR_DB),
        (np.full(8_000, 1e-7, np.float32), FLOOR_DB),
    ],
)
def test_level_of_a_steady_sound_by_hand(samples, level_db):
    levels = levels_db(samples, RATE_HZ, HOP_S)
    assert levels == pytest.approx(np.full(4, level_db), abs=1e-3)


def test_each_frame_has_its_own_level():
    samples = np.concatenate([np.full(2_000, a, np.float32) for a in (1.0, 0.1, 0.0, 0.01)])
    assert levels_db(samples, RATE_HZ, HOP_S) == pytest.approx([0, -20, FLOOR_DB, -40], abs=1e-3)


def test_only_whole_frames_count():
    assert len(levels_db(np.ones(1_999, np.float32), RATE_HZ, HOP_S)) == 0
    assert len(levels_db(np.ones(2_000, np.float32), RATE_HZ, HOP_S)) == 1
    assert len(levels_db(np.ones(3_999, np.float32), RATE_HZ, HOP_S)) == 1
    assert len(levels_db(np.zeros(0, np.float32), RATE_HZ, HOP_S)) == 0


def test_grid_does_not_drift_where_a_frame_is_no_whole_number_of_samples():
    # At 22,050 Hz a frame has 5,512.5 samples: by minute 10, a frame cut off would make 0.05 s.
    rate_hz, seconds = 22_050, 600
    samples = np.zeros(rate_hz * seconds, np.float32)
    samples[round(599.5 * rate_hz) : round(599.75 * rate_hz)] = 1.0
    levels = levels_db(samples, rate_hz, HOP_S)
    assert len(levels) == 4 * seconds
    assert np.flatnonzero(levels > -60).tolist() == [4 * 599 + 2]
    assert levels[4 * 599 + 2] == pytest.approx(0.0, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    num_samples=st.integers(0, 60_000),
    rate_hz=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100]),
    hop_s=st.sampled_from([0.05, 0.1, 0.25, 0.3]),
)
def test_every_sample_but_the_last_broken_frame_is_measured(num_samples, rate_hz, hop_s):
    levels = levels_db(np.ones(num_samples, np.float32), rate_hz, hop_s)
    assert levels == pytest.approx(0.0, abs=1e-4)
    covered = len(levels) * hop_s * rate_hz
    assert covered - 1 < num_samples < covered + hop_s * rate_hz + 1


@settings(max_examples=60, deadline=None)
@given(frames=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8), gain=st.floats(0.1, 1))
def test_gain_moves_every_level_by_itself(frames, gain):
    samples = np.repeat(np.array(frames, np.float32), 2_000)
    moved = levels_db((samples * np.float32(gain)).astype(np.float32), RATE_HZ, HOP_S)
    expected = np.maximum(levels_db(samples, RATE_HZ, HOP_S) + 20 * np.log10(gain), FLOOR_DB)
    above = expected > FLOOR_DB + 1
    assert moved[above] == pytest.approx(expected[above], abs=1e-2)


def test_segment_of_mean_power_1e_4_sounds():
    # [H24]'s author: silent under 1e-4 of full scale, which is -40 dB.
    just, under = np.full(FRAMES, -39.99, np.float32), np.full(FRAMES, -40.01, np.float32)
    assert sounding_starts(just, 3.0, AUDIO).tolist() == [True]
    assert sounding_starts(under, 3.0, AUDIO).tolist() == [False]


def test_power_is_averaged_and_not_decibels():
    # One frame of 12 at -29 dB, the others at -60: the mean power is -39.8 dB, of decibels -57.4.
    levels = np.full(FRAMES, -60.0, np.float32)
    levels[5] = -29.0
    assert sounding_starts(levels, 3.0, AUDIO).tolist() == [True]
    levels[5] = -29.4
    assert sounding_starts(levels, 3.0, AUDIO).tolist() == [False]


@pytest.mark.parametrize("quarter", range(4))
def test_segment_with_a_flat_quarter_is_silent(quarter):
    levels = np.zeros(FRAMES, np.float32)
    levels[3 * quarter : 3 * quarter + 3] = -91.0
    assert sounding_starts(levels, 3.0, AUDIO).tolist() == [False]
    levels[3 * quarter : 3 * quarter + 3] = -89.0
    assert sounding_starts(levels, 3.0, AUDIO).tolist() == [True]


def test_a_whole_quarter_must_be_flat():
    # Six flat frames in a row that leave something in every quarter.
    levels = np.zeros(FRAMES, np.float32)
    levels[1:3] = FLOOR_DB
    levels[4:6] = FLOOR_DB
    assert sounding_starts(levels, 3.0, AUDIO).tolist() == [True]


def test_thresholds_are_the_configuration_s():
    levels = np.full(FRAMES, -50.0, np.float32)
    assert not sounding_starts(levels, 3.0, AUDIO).any()
    assert sounding_starts(levels, 3.0, AudioConfig(silence_db=-60.0)).all()
    levels[:3] = -80.0
    assert not sounding_starts(levels, 3.0, AudioConfig(silence_db=-60.0, flat_db=-70.0)).any()


def test_only_starts_of_whole_segments_count():
    levels = np.zeros(20, np.float32)
    assert len(sounding_starts(levels, 3.0, AUDIO)) == 20 - 12 + 1
    assert len(sounding_starts(levels, 5.0, AUDIO)) == 1
    assert len(sounding_starts(levels, 5.25, AUDIO)) == 0
    assert len(sounding_starts(np.zeros(0, np.float32), 3.0, AUDIO)) == 0


def test_sound_is_heard_only_where_it_lies_in_all_quarters():
    # 3 s of sound from frame 8 on: only the segment that begins there has no flat quarter, and
    # two frames of sound keep a quarter of three frames from being flat.
    levels = np.full(40, FLOOR_DB, np.float32)
    levels[8:20] = -10.0
    assert np.flatnonzero(sounding_starts(levels, 3.0, AUDIO)).tolist() == [6, 7, 8, 9, 10]


@settings(max_examples=60, deadline=None)
@given(
    levels=st.lists(
        st.sampled_from([-120.0, -95.0, -85.0, -45.0, -38.0, 0.0]), min_size=12, max_size=40
    ),
    num_frames=st.sampled_from([4, 8, 12]),
)
def test_rule_agrees_with_a_plain_loop(levels, num_frames):
    array = np.array(levels, np.float32)
    power = 10 ** (np.array(levels) / 10)
    expected = []
    for start in range(len(levels) - num_frames + 1):
        segment = power[start : start + num_frames]
        quarters = [quarter.mean() for quarter in np.split(segment, 4)]
        expected.append(segment.mean() >= 1e-4 and min(quarters) >= 1e-9)
    found = sounding_starts(array, num_frames * AUDIO.level_hop_s, AUDIO)
    assert found.tolist() == expected
