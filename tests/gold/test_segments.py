"""[H22] 4.1: segments of 3 s with 50 % overlap, in training a track's first 40 that sound."""

import numpy as np
import prepared_tracks as made
import pytest

from csn.audio.activity import sounding_starts
from csn.audio.segments import first_sounding
from csn.config import AudioConfig, TripletConfig
from csn.triplets.planning import candidates

AUDIO = AudioConfig()
HOP_FRAMES = 6  # 1.5 s on the grid of 0.25 s


@pytest.mark.parametrize(
    ("length_s", "count"),
    # By counting: the n-th segment ends at 3 + 1.5 (n - 1) seconds.
    [(2.9, 0), (3.0, 1), (4.4, 1), (4.5, 2), (6.0, 3), (60.0, 39), (61.5, 40), (240.0, 159)],
)
def test_number_of_half_overlapping_segments(length_s, count):
    levels = np.full(int(length_s / AUDIO.level_hop_s), -20.0, np.float32)
    kept = first_sounding(sounding_starts(levels, 3.0, AUDIO), HOP_FRAMES, None)
    starts = np.flatnonzero(kept) * AUDIO.level_hop_s
    assert len(starts) == count
    assert (np.diff(starts) == 1.5).all()


def test_first_40_segments_of_a_track_that_always_sounds_end_at_61_5_s():
    sounding = np.ones(4 * 240, bool)
    kept = np.flatnonzero(first_sounding(sounding, HOP_FRAMES, 40)) * AUDIO.level_hop_s
    assert kept.tolist() == [1.5 * n for n in range(40)]
    assert kept[-1] + 3.0 == 61.5


def test_silent_segments_do_not_count_among_the_40():
    # Silent until 30 s: the 40 begin there.
    sounding = np.arange(4 * 240) >= 4 * 30
    kept = np.flatnonzero(first_sounding(sounding, HOP_FRAMES, 40)) * AUDIO.level_hop_s
    assert kept.tolist() == [30.0 + 1.5 * n for n in range(40)]


def test_defaults_of_training_are_the_paper_s():
    # A track with a rest from 15 to 30 s; the papers' segments are counted by hand: 0, 1.5 ... 12
    # are whole (9), 13.5 has two flat quarters and so has 28.5; 30 ... 75 are the other 31.
    frames = [True] * 60 + [False] * 60 + [True] * 240
    table = made.table(*(made.track(name, {"piano": frames}) for name in "ABCD"))
    found = candidates(table, AUDIO, TripletConfig())
    for parts in found.sounding.values():
        starts = np.flatnonzero(parts.any(axis=0)) * AUDIO.level_hop_s
        assert len(starts) == 40
        assert starts.tolist() == [
            *(1.5 * n for n in range(9)),
            *(30.0 + 1.5 * n for n in range(31)),
        ]
