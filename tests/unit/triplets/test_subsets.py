from collections import Counter
from functools import cache

import numpy as np
import prepared_tracks as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig, MixingConfig, TripletConfig
from csn.errors import CorpusError
from csn.records import ABSENT, MIX_SCHEMA
from csn.triplets.planning import candidates
from csn.triplets.subsets import plan_subsets

AUDIO = AudioConfig(sample_rate_hz=made.SAMPLE_RATE_HZ)
HOP_S = 0.5
NUM_ROWS = 40
CHOICES = ("mix_and_parts", "random_subsets")
every_choice = pytest.mark.parametrize("subsets", CHOICES)


def corpus():
    """Make tracks whose parts rest for seconds at a time; one has no guitar."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(6):
        sounding = {
            part: np.repeat(rng.random(10) < 0.6, 16).tolist()
            for part in INSTRUMENTS
            if (part, number) != ("guitar", 2)
        }
        rows.append(made.track(f"Track{number:05d}", sounding))
    rows.append(made.track("Silent", dict.fromkeys(INSTRUMENTS, [False] * 160)))
    return candidates(made.table(*rows), AUDIO, TripletConfig(hop_s=HOP_S))


FOUND = corpus()
WHOLE = candidates(
    made.table(*(made.whole(f"T{i}", 40.0) for i in range(4))), AUDIO, TripletConfig(hop_s=HOP_S)
)
TRIO = candidates(
    made.table(*(made.whole(f"T{i}", 40.0, ["drums", "bass", "others"]) for i in range(4))),
    AUDIO,
    TripletConfig(hop_s=HOP_S),
)


def planned(row_ids, subsets, *, found=FOUND, plan_index=0, seed=0):
    return plan_subsets(
        found,
        row_ids,
        plan_index=plan_index,
        seed=seed,
        hop_s=HOP_S,
        audio=AUDIO,
        config=MixingConfig(subsets=subsets),
    )


@cache
def drawn_rows(subsets, seed):
    """Draw rows once for all laws that look at them."""
    return planned(range(NUM_ROWS), subsets, seed=seed).to_pylist()


def kept(row):
    """Parts that a mix holds."""
    return frozenset(p for p, t in zip(INSTRUMENTS, row["tracks"], strict=True) if t != ABSENT)


def sounding(row):
    """Parts of the mix's segment that sound."""
    (track,) = set(row["tracks"]) - {ABSENT}
    frame = round(row["starts_s"][0] / AUDIO.level_hop_s)
    return {p for p, s in zip(INSTRUMENTS, FOUND.sounding[track][:, frame], strict=True) if s}


law = settings(max_examples=10, deadline=None)
choices, seeds = st.sampled_from(CHOICES), st.integers(0, 9)


@law
@given(subsets=choices, seed=seeds)
def test_mix_holds_some_parts_of_one_window_of_one_track_and_all_of_them_sound(subsets, seed):
    for row in drawn_rows(subsets, seed):
        assert kept(row)
        assert kept(row) <= sounding(row)
        (start_s,) = set(row["starts_s"])
        assert (start_s / HOP_S).is_integer()


@law
@given(seed=seeds)
def test_mix_and_parts_holds_all_that_sounds_or_one_part(seed):
    for row in drawn_rows("mix_and_parts", seed):
        assert kept(row) == sounding(row) or len(kept(row)) == 1


@law
@given(subsets=choices, seed=seeds, data=st.data())
def test_rows_are_the_same_however_the_ids_are_dealt_to_calls(subsets, seed, data):
    order = data.draw(st.permutations(range(NUM_ROWS)))
    cut = data.draw(st.integers(0, NUM_ROWS))
    dealt = [
        *planned(order[:cut], subsets, seed=seed).to_pylist(),
        *planned(order[cut:], subsets, seed=seed).to_pylist(),
    ]
    assert sorted(dealt, key=lambda row: row["mix_id"]) == drawn_rows(subsets, seed)


@every_choice
def test_another_seed_or_plan_gives_other_rows(subsets):
    rows = planned(range(NUM_ROWS), subsets).drop_columns(["plan_index"])
    assert rows != planned(range(NUM_ROWS), subsets, seed=1).drop_columns(["plan_index"])
    assert rows != planned(range(NUM_ROWS), subsets, plan_index=1).drop_columns(["plan_index"])


@every_choice
def test_table_has_the_schema_and_every_track_that_sounds(subsets):
    table = planned(range(200), subsets, plan_index=3)
    assert table.schema == MIX_SCHEMA
    assert table["mix_id"].to_pylist() == list(range(200))
    assert set(table["plan_index"].to_pylist()) == {3}
    tracks = {track for row in table["tracks"].to_pylist() for track in row} - {ABSENT}
    assert tracks == set(FOUND.sounding) - {"Silent"}


def test_mix_and_each_part_are_about_as_frequent():
    num_rows = 1_200
    rows = planned(range(num_rows), "mix_and_parts", found=WHOLE).to_pylist()
    counts = Counter(map(kept, rows))
    assert set(counts) == {frozenset(INSTRUMENTS), *(frozenset({p}) for p in INSTRUMENTS)}
    # 200 of each are expected; five standard deviations are 65.
    assert all(abs(count - num_rows / 6) < 65 for count in counts.values())


def test_every_subset_of_what_sounds_is_about_as_frequent_and_none_is_empty():
    num_rows = 1_400
    rows = planned(range(num_rows), "random_subsets", found=TRIO).to_pylist()
    counts = Counter(map(kept, rows))
    assert len(counts) == 2**3 - 1
    assert set().union(*counts) == {"drums", "bass", "others"}
    # 200 of each are expected; five standard deviations are 66.
    assert all(abs(count - num_rows / 7) < 66 for count in counts.values())


def test_silence_everywhere_is_refused():
    rows = [made.track(f"T{i}", dict.fromkeys(INSTRUMENTS, [False] * 160)) for i in range(4)]
    silent = candidates(made.table(*rows), AUDIO, TripletConfig(hop_s=HOP_S))
    with pytest.raises(CorpusError, match=r"no part sounds for 3 s in any of 4 tracks"):
        planned([0], "random_subsets", found=silent)
