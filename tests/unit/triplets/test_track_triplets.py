from collections import Counter
from functools import cache

import numpy as np
import prepared_tracks as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.conditions import INSTRUMENTS, MIX
from csn.config import AudioConfig, TripletConfig
from csn.errors import CorpusError
from csn.records import ABSENT, ROLES, TRIPLET_SCHEMA
from csn.triplets.planning import candidates
from csn.triplets.track_triplets import plan_track_triplets

AUDIO = AudioConfig(sample_rate_hz=made.SAMPLE_RATE_HZ)
CONFIG = TripletConfig(hop_s=0.5, min_gap_s=1.0, interchanged=False)
CONDITIONS = (*INSTRUMENTS, MIX)
NUM_ROWS = 48


def corpus(num_tracks=9, num_frames=160):
    """Make tracks whose parts rest for seconds at a time; some are absent."""
    rng = np.random.default_rng(3)
    rows = []
    for number in range(num_tracks):
        sounding = {
            part: np.repeat(rng.random(num_frames // 16) < 0.6, 16).tolist()
            for part in INSTRUMENTS
            if rng.random() < 0.8
        }
        rows.append(made.track(f"Track{number:05d}", sounding))
    return made.table(*rows)


FOUND = candidates(corpus(), AUDIO, CONFIG)


def planned(row_ids, *, found=FOUND, plan_index=0, seed=0, conditions=CONDITIONS, config=CONFIG):
    return plan_track_triplets(
        found,
        row_ids,
        plan_index=plan_index,
        seed=seed,
        conditions=conditions,
        audio=AUDIO,
        config=config,
    )


@cache
def drawn_rows(seed):
    """Draw rows once for all laws that look at them."""
    return planned(range(NUM_ROWS), seed=seed).to_pylist()


seeds = st.integers(0, 9)
law = settings(max_examples=10, deadline=None)


def heard(row, role):
    """Track and frame of each part that the mix of `role` holds."""
    parts = zip(INSTRUMENTS, row[f"{role}_tracks"], row[f"{role}_starts_s"], strict=True)
    return {part: (track, round(s / AUDIO.level_hop_s)) for part, track, s in parts if track}


@law
@given(seed=seeds)
def test_anchor_and_positive_are_of_one_track_and_the_negative_is_of_another(seed):
    for row in drawn_rows(seed):
        (anchor,), (positive,), (negative,) = (
            {track for track, _ in heard(row, role).values()} for role in ROLES
        )
        assert anchor == positive != negative
        assert (row["kind"], row["tempo_group"]) == ("track", "any")
        assert row["interchanged_condition"] is None


@law
@given(seed=seeds)
def test_mix_holds_the_conditions_part_alone_and_it_sounds(seed):
    for row in drawn_rows(seed):
        for role in ROLES:
            parts, condition = heard(row, role), row["condition"]
            frames = {part: FOUND.sounding[t][:, frame] for part, (t, frame) in parts.items()}
            if condition == MIX:
                assert set(parts) == set(INSTRUMENTS)
                assert frames["drums"].any()
            else:
                assert set(parts) == {condition}
                assert frames[condition][INSTRUMENTS.index(condition)]


@law
@given(seed=seeds)
def test_row_says_of_each_part_whether_it_sounds(seed):
    for row in drawn_rows(seed):
        for role in ROLES:
            parts = heard(row, role)
            expected = [
                part in parts and FOUND.sounding[parts[part][0]][place, parts[part][1]]
                for place, part in enumerate(INSTRUMENTS)
            ]
            assert row[f"{role}_sounds"] == expected


@law
@given(seed=seeds, gap_s=st.sampled_from([0.0, 1.0, 3.0]))
def test_windows_of_one_track_never_overlap(seed, gap_s):
    config = TripletConfig(hop_s=0.5, min_gap_s=gap_s, interchanged=False)
    for row in planned(range(NUM_ROWS), seed=seed, config=config).to_pylist():
        anchor, positive = (row[f"{role}_starts_s"][0] for role in ("anchor", "positive"))
        assert abs(positive - anchor) >= AUDIO.segment_s + gap_s
        for role in ROLES:
            (start_s,) = set(row[f"{role}_starts_s"])
            assert (start_s / config.hop_s).is_integer()


@law
@given(seed=seeds, data=st.data())
def test_rows_are_the_same_however_the_ids_are_dealt_to_calls(seed, data):
    order = data.draw(st.permutations(range(NUM_ROWS)))
    cut = data.draw(st.integers(0, NUM_ROWS))
    dealt = [
        *planned(order[:cut], seed=seed).to_pylist(),
        *planned(order[cut:], seed=seed).to_pylist(),
    ]
    assert sorted(dealt, key=lambda row: row["triplet_id"]) == drawn_rows(seed)


def test_another_seed_or_plan_gives_other_rows():
    rows = planned(range(NUM_ROWS)).drop_columns(["plan_index"])
    assert planned(range(NUM_ROWS), seed=1).drop_columns(["plan_index"]) != rows
    assert planned(range(NUM_ROWS), plan_index=1).drop_columns(["plan_index"]) != rows


def test_table_has_the_schema_and_conditions_take_turns():
    table = planned(range(NUM_ROWS), plan_index=2)
    assert table.schema == TRIPLET_SCHEMA
    assert set(table["plan_index"].to_pylist()) == {2}
    assert Counter(table["condition"].to_pylist()) == dict.fromkeys(CONDITIONS, NUM_ROWS // 6)


def test_tracks_of_any_tempo_meet():
    rows = [made.whole(f"A{i}", 40.0, tempo_bpm=90.0) for i in range(4)]
    rows += [made.whole(f"B{i}", 40.0, tempo_bpm=200.0) for i in range(2)]
    found = candidates(made.table(*rows), AUDIO, CONFIG)
    pairs = {
        (row["anchor_tracks"][0][0], row["negative_tracks"][0][0])
        for row in planned(range(60), found=found, conditions=("drums",)).to_pylist()
    }
    assert {("A", "B"), ("B", "A")} <= pairs


def test_track_with_too_short_a_part_is_a_negative_alone():
    brief = [True] * 14 + [False] * 146
    rows = [made.whole(f"A{i}", 40.0, ["drums"]) for i in range(4)]
    rows.append(made.track("Brief", {"drums": [True] * 160, "bass": brief}))
    rows.append(made.whole("Long", 40.0, ["drums", "bass"]))
    found = candidates(made.table(*rows), AUDIO, CONFIG)
    for row in planned(range(20), found=found, conditions=("bass",)).to_pylist():
        tracks = [row[f"{role}_tracks"] for role in ROLES]
        assert [set(names) - {ABSENT} for names in tracks] == [{"Long"}, {"Long"}, {"Brief"}]


def test_part_of_one_track_alone_is_refused_by_its_name():
    rows = [made.whole(f"A{i}", 40.0, ["drums"]) for i in range(4)]
    rows.append(made.whole("B", 40.0, ["drums", "bass"]))
    found = candidates(made.table(*rows), AUDIO, CONFIG)
    message = r"condition bass: sounds in 1 tracks, in 1 .*leave it out of --network\.conditions$"
    with pytest.raises(CorpusError, match=message):
        planned([0], found=found)
    assert len(planned([0], found=found, conditions=("drums", MIX)))


def test_tracks_too_short_for_two_windows_are_refused_with_what_to_change():
    found = candidates(made.table(*(made.whole(f"T{i}", 5.0) for i in range(6))), AUDIO, CONFIG)
    message = r"condition drums: sounds in 6 tracks, in 0 .*1\.0 s apart.*--triplets\.min_gap_s"
    with pytest.raises(CorpusError, match=message):
        planned([0], found=found)
