"""[H24] 3.1: pseudo-mixes A_B, basic sets {A_B, A_C, C_B}, interchanged sets."""

from functools import cache

import prepared_tracks as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig, TripletConfig
from csn.records import Mix
from csn.triplets.planning import candidates, plan

AUDIO = AudioConfig(sample_rate_hz=made.SAMPLE_RATE_HZ)
CONFIG = TripletConfig()
FOUND = candidates(made.table(*(made.whole(name, 60.0) for name in "PQRSTU")), AUDIO, CONFIG)

law = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 19)


@cache
def rows(seed):
    table = plan(
        FOUND,
        range(20),
        plan_index=0,
        seed=seed,
        conditions=INSTRUMENTS,
        audio=AUDIO,
        config=CONFIG,
    )
    return table.to_pylist()


def sources(row, part):
    """Give the tracks of `part` in anchor, positive and negative."""
    place = INSTRUMENTS.index(part)
    return [row[f"{role}_tracks"][place] for role in ("anchor", "positive", "negative")]


def test_pseudo_mix_by_hand():
    # A_B^(dr): drums of A with everything else of B, [H24] Fig. 1.
    mix = Mix.pseudo("drums", "A", "B", 1.5)
    assert mix.tracks == ("A", "B", "B", "B", "B")
    assert Mix.pseudo("others", "A", "B", 1.5).tracks == ("B", "B", "B", "B", "A")


@law
@given(seed=seeds)
def test_anchor_and_positive_share_the_conditioned_part_and_the_negative_does_not(seed):
    for row in rows(seed):
        anchor, positive, negative = sources(row, row["condition"])
        assert anchor == positive != negative


@law
@given(seed=seeds)
def test_anchor_and_negative_share_every_other_part_and_the_positive_does_not(seed):
    for row in rows(seed):
        for part in set(INSTRUMENTS) - {row["condition"]}:
            anchor, positive, negative = sources(row, part)
            assert anchor == negative != positive


@law
@given(seed=seeds)
def test_swapped_mixes_are_a_triplet_under_the_interchanged_condition(seed):
    # [H24] 3.1.2: positive and negative change places; the condition is another instrument's.
    for row in rows(seed):
        other = row["interchanged_condition"]
        assert other != row["condition"]
        anchor, negative, positive = sources(row, other)
        assert anchor == positive != negative


@law
@given(seed=seeds)
def test_set_has_the_form_of_the_paper(seed):
    # {A_B, A_C, C_B}: A at the condition, B behind it. Ours takes two tracks for the paper's C, so
    # that positive and negative have nothing in common.
    for row in rows(seed):
        focus, backing = row["condition"], next(p for p in INSTRUMENTS if p != row["condition"])
        a, a_again, c = sources(row, focus)
        b, c_too, b_again = sources(row, backing)
        assert (a, b) == (a_again, b_again)
        assert len({a, b, c, c_too}) == 4
        for role, mix in {
            "anchor": Mix.pseudo(focus, a, b, row["anchor_starts_s"][0]),
            "positive": Mix.pseudo(focus, a, c_too, row["positive_starts_s"][0]),
            "negative": Mix.pseudo(focus, c, b, row["negative_starts_s"][0]),
        }.items():
            assert tuple(row[f"{role}_tracks"]) == mix.tracks
            assert tuple(row[f"{role}_starts_s"]) == mix.starts_s


@pytest.mark.parametrize("interchanged", [True, False])
def test_20000_triplets_are_10000_rows_that_serve_twice(interchanged):
    config = TripletConfig(num_triplets=20_000, interchanged=interchanged)
    assert config.num_rows * (2 if interchanged else 1) == 20_000
