from collections import Counter
from functools import cache

import numpy as np
import prepared_tracks as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig, TripletConfig
from csn.errors import CorpusError
from csn.records import ROLES, TRIPLET_SCHEMA, Mix
from csn.triplets.planning import any_part, candidates, check_conditions, plan, sounding_parts

AUDIO = AudioConfig(sample_rate_hz=made.SAMPLE_RATE_HZ)
CONFIG = TripletConfig(hop_s=0.5, min_gap_s=1.0)
NUM_ROWS = 40


def corpus(seed=0, num_tracks=12, num_frames=160):
    """Make tracks of two tempi whose parts rest for seconds at a time; some are absent."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(num_tracks):
        sounding = {
            part: np.repeat(rng.random(num_frames // 16) < 0.7, 16).tolist()
            for part in INSTRUMENTS
            if rng.random() < 0.8
        }
        tempo_bpm = (120.0, 90.0)[number % 2]
        rows.append(made.track(f"Track{number:05d}", sounding, tempo_bpm=tempo_bpm))
    return made.table(*rows)


TRACKS = corpus()
FOUND = candidates(TRACKS, AUDIO, CONFIG)
SOUNDING = sounding_parts(TRACKS, AUDIO.segment_s, AUDIO)


def planned(row_ids, *, found=FOUND, plan_index=0, seed=0, conditions=INSTRUMENTS, config=CONFIG):
    return plan(
        found,
        row_ids,
        plan_index=plan_index,
        seed=seed,
        conditions=conditions,
        audio=AUDIO,
        config=config,
    )


def sounds(track_id, part, start_s):
    """Whether the segment of `track_id` that starts there sounds, by the whole track's rule."""
    return bool(SOUNDING[track_id][INSTRUMENTS.index(part), round(start_s / AUDIO.level_hop_s)])


def part_of(row, role, part):
    place = INSTRUMENTS.index(part)
    return row[f"{role}_tracks"][place], row[f"{role}_starts_s"][place]


@cache
def drawn_rows(seed):
    """Draw rows once for all laws that look at them."""
    return planned(range(NUM_ROWS), seed=seed).to_pylist()


seeds = st.integers(0, 9)
law = settings(max_examples=10, deadline=None)


@law
@given(seed=seeds, data=st.data())
def test_rows_are_the_same_however_the_ids_are_dealt_to_calls(seed, data):
    whole = drawn_rows(seed)
    order = data.draw(st.permutations(range(NUM_ROWS)))
    cut = data.draw(st.integers(0, NUM_ROWS))
    calls = (order[:cut], order[cut:])
    dealt = [row for ids in calls for row in planned(ids, seed=seed).to_pylist()]
    assert sorted(dealt, key=lambda row: row["triplet_id"]) == whole


def test_another_seed_or_plan_gives_other_rows():
    rows = planned(range(NUM_ROWS)).drop_columns(["plan_index"])
    assert planned(range(NUM_ROWS)).drop_columns(["plan_index"]) == rows
    assert planned(range(NUM_ROWS), seed=1).drop_columns(["plan_index"]) != rows
    assert planned(range(NUM_ROWS), plan_index=1).drop_columns(["plan_index"]) != rows


def test_table_has_the_schema_and_the_ids():
    table = planned([7, 3], plan_index=2)
    assert table.schema == TRIPLET_SCHEMA
    assert table["triplet_id"].to_pylist() == [7, 3]
    assert table["plan_index"].to_pylist() == [2, 2]
    assert set(table["kind"].to_pylist()) == {"basic"}
    assert planned([]).schema == TRIPLET_SCHEMA


@law
@given(seed=seeds)
def test_conditioned_part_sounds_in_all_three_mixes(seed):
    for row in drawn_rows(seed):
        for role in ROLES:
            track_id, start_s = part_of(row, role, row["condition"])
            assert sounds(track_id, row["condition"], start_s)


@law
@given(seed=seeds)
def test_interchanged_part_sounds_in_all_three_mixes(seed):
    for row in drawn_rows(seed):
        other = row["interchanged_condition"]
        assert other in set(INSTRUMENTS) - {row["condition"]}
        for role in ROLES:
            track_id, start_s = part_of(row, role, other)
            assert sounds(track_id, other, start_s)


@law
@given(seed=seeds)
def test_row_says_of_each_part_of_each_mix_whether_it_sounds(seed):
    for row in drawn_rows(seed):
        for role in ROLES:
            for part, told in zip(INSTRUMENTS, row[f"{role}_sounds"], strict=True):
                track_id, start_s = part_of(row, role, part)
                assert told == sounds(track_id, part, start_s)


def test_absent_part_of_a_mix_does_not_sound():
    row = drawn_rows(0)[0]
    mix = Mix(tuple(row["anchor_tracks"]), tuple(row["anchor_starts_s"]))
    assert FOUND.sounds_in(mix, AUDIO.level_hop_s) == row["anchor_sounds"]
    found = FOUND.sounds_in(mix.only(row["condition"]), AUDIO.level_hop_s)
    assert found == [part == row["condition"] for part in INSTRUMENTS]


@law
@given(seed=seeds)
def test_row_takes_four_tracks_of_one_tempo_group(seed):
    groups = {group.name: set(group.track_ids) for group in FOUND.groups}
    for row in drawn_rows(seed):
        tracks = {track for role in ROLES for track in row[f"{role}_tracks"]}
        assert len(tracks) == 4
        assert tracks <= groups[row["tempo_group"]]


@law
@given(seed=seeds)
def test_all_parts_of_a_mix_come_from_one_window(seed):
    for row in drawn_rows(seed):
        for role in ROLES:
            assert len(set(row[f"{role}_starts_s"])) == 1
            # Two tracks: the conditioned part's, and all others'.
            assert len(set(row[f"{role}_tracks"])) == 2


@law
@given(seed=seeds, gap_s=st.sampled_from([0.0, 1.0, 3.0, 5.0]))
def test_windows_that_count_as_alike_never_overlap(seed, gap_s):
    config = TripletConfig(hop_s=0.5, min_gap_s=gap_s)
    for row in planned(range(NUM_ROWS), seed=seed, config=config).to_pylist():
        anchor, positive, negative = (row[f"{role}_starts_s"][0] for role in ROLES)
        assert abs(positive - anchor) >= AUDIO.segment_s + gap_s
        assert abs(negative - anchor) >= AUDIO.segment_s + gap_s


@law
@given(seed=seeds)
def test_windows_start_on_the_grid(seed):
    for row in drawn_rows(seed):
        for role in ROLES:
            start_s = row[f"{role}_starts_s"][0]
            assert start_s >= 0
            assert (start_s / CONFIG.hop_s).is_integer()


@law
@given(seed=seeds)
def test_windows_lie_in_a_track_s_first_sounding_segments(seed):
    config = TripletConfig(hop_s=0.5, min_gap_s=0.0, max_segments_per_track=30)
    found = candidates(TRACKS, AUDIO, config)
    for row in planned(range(NUM_ROWS), found=found, seed=seed, config=config).to_pylist():
        for role in ROLES:
            for track_id in set(row[f"{role}_tracks"]):
                anything = any_part(SOUNDING[track_id])
                first = [s for s in range(0, len(anything), 2) if anything[s]][:30]
                assert round(row[f"{role}_starts_s"][0] / AUDIO.level_hop_s) in first


@pytest.mark.parametrize("conditions", [INSTRUMENTS, ("bass", "drums"), ("guitar",)])
def test_conditions_take_turns(conditions):
    counts = Counter(planned(range(60), conditions=conditions)["condition"].to_pylist())
    assert counts == dict.fromkeys(conditions, 60 // len(conditions))


def test_interchanged_conditions_are_among_those_wanted():
    table = planned(range(NUM_ROWS), conditions=("bass", "drums"))
    pairs = set(
        zip(
            table["condition"].to_pylist(),
            table["interchanged_condition"].to_pylist(),
            strict=True,
        )
    )
    assert pairs == {("bass", "drums"), ("drums", "bass")}


@pytest.mark.parametrize(
    ("conditions", "interchanged"), [(("guitar",), True), (INSTRUMENTS, False)]
)
def test_without_another_condition_nothing_is_interchanged(conditions, interchanged):
    config = TripletConfig(hop_s=0.5, min_gap_s=1.0, interchanged=interchanged)
    table = planned(range(NUM_ROWS), conditions=conditions, config=config)
    assert set(table["interchanged_condition"].to_pylist()) == {None}


def test_every_track_and_group_is_drawn_sometimes():
    table = planned(range(300))
    drawn = {
        track
        for role in ROLES
        for tracks in table[f"{role}_tracks"].to_pylist()
        for track in tracks
    }
    assert drawn == set(TRACKS["track_id"].to_pylist())
    assert set(table["tempo_group"].to_pylist()) == {"90 bpm", "120 bpm"}


def test_background_that_is_silent_in_the_window_is_not_taken():
    # A and N rest in their second half, so windows lie in the first.
    half = [True] * 80 + [False] * 80
    rows = [made.whole(f"Focus{i}", 40.0, ["bass"]) for i in range(2)]
    rows += [made.track(f"Backing{i}", {"drums": half, "piano": half}) for i in range(2)]
    found = candidates(made.table(*rows), AUDIO, CONFIG)
    for row in planned(range(20), found=found, conditions=("bass",)).to_pylist():
        for role in ROLES:
            assert row[f"{role}_tracks"][INSTRUMENTS.index("drums")].startswith("Backing")
            assert row[f"{role}_starts_s"][0] <= 20.0 - AUDIO.segment_s + 1.0


def test_condition_that_no_track_has_is_refused_by_its_name():
    table = made.table(*(made.whole(f"T{i}", 40.0, ["drums", "bass"]) for i in range(6)))
    found = candidates(table, AUDIO, CONFIG)
    check_conditions(found, ("drums", "bass"), split="train")
    message = r"condition guitar: sounds in 0 tracks .*train.*--network\.conditions drums bass$"
    with pytest.raises(CorpusError, match=message):
        check_conditions(found, ("drums", "guitar", "bass"), split="train")


def test_condition_that_one_track_of_each_group_has_is_refused():
    rows = [made.whole(f"T{i}", 40.0, ["drums"], tempo_bpm=(90, 120)[i % 2]) for i in range(10)]
    rows += [made.whole(f"U{i}", 40.0, ["bass"], tempo_bpm=(90, 120)[i % 2]) for i in range(2)]
    found = candidates(made.table(*rows), AUDIO, CONFIG)
    with pytest.raises(
        CorpusError, match=r"condition bass: sounds in 1 tracks .* needs 2; add tracks$"
    ):
        check_conditions(found, ("bass",), split="train")


def test_tracks_too_short_for_two_windows_are_refused_with_what_to_change():
    # 5 s hold no two windows of 3 s that do not overlap.
    table = made.table(*(made.whole(f"T{i}", 5.0) for i in range(6)))
    found = candidates(table, AUDIO, CONFIG)
    message = r"condition drums: no triplet found.*--triplets\.min_gap_s.*max_segments_per_track"
    with pytest.raises(CorpusError, match=message):
        planned([0], found=found)


def test_split_without_tracks_is_refused():
    with pytest.raises(CorpusError, match="no prepared track to draw triplets from"):
        candidates(made.table(), AUDIO, CONFIG)


def test_tracks_of_too_many_tempi_are_refused():
    table = made.table(*(made.whole(f"T{i}", 40.0, tempo_bpm=60.0 + 10 * i) for i in range(6)))
    with pytest.raises(CorpusError, match=r"none of 6 tracks .* group of 4 .*max_merge_bpm"):
        candidates(table, AUDIO, CONFIG)


def test_group_under_four_tracks_merges_or_is_left_out():
    rows = [made.whole(f"A{i}", 40.0, tempo_bpm=120.0) for i in range(5)]
    rows += [made.whole("B", 40.0, tempo_bpm=122.0), made.whole("C", 40.0, tempo_bpm=150.0)]
    found = candidates(made.table(*rows), AUDIO, CONFIG)
    assert [group.track_ids for group in found.groups] == [("A0", "A1", "A2", "A3", "A4", "B")]
    assert found.left_out == ("C",)


@pytest.mark.parametrize(
    ("tempo_bpm", "stability"), [(120.0, 0.89), (float("nan"), 0.0), (float("nan"), 1.0)]
)
def test_track_whose_tempo_changes_or_is_unknown_meets_no_other(tempo_bpm, stability):
    frames = dict.fromkeys(INSTRUMENTS, [True] * 160)
    rows = [made.whole(f"A{i}", 40.0) for i in range(4)]
    rows.append(made.track("X", frames, tempo_bpm=tempo_bpm, tempo_stability=stability))
    found = candidates(made.table(*rows), AUDIO, CONFIG)
    assert found.left_out == ("X",)
    assert "X" in found.sounding


def test_track_shorter_than_a_segment_is_never_drawn():
    rows = [made.whole(f"A{i}", 40.0) for i in range(4)]
    rows += [made.whole("Short", 2.75), made.track("Empty", {"bass": []}), made.track("None", {})]
    found = candidates(made.table(*rows), AUDIO, CONFIG)
    drawn = {t for t in planned(range(60), found=found)["anchor_tracks"].to_pylist() for t in t}
    assert drawn <= {"A0", "A1", "A2", "A3"}


def test_tracks_with_a_part_are_those_in_which_it_sounds():
    rows = [made.whole(f"A{i}", 40.0, ["drums"]) for i in range(4)]
    rows.append(made.track("B", {"drums": [True] * 160, "bass": [False] * 160}))
    rows.append(made.track("C", {"drums": [True] * 160, "bass": [False] * 100 + [True] * 60}))
    found = candidates(made.table(*rows), AUDIO, TripletConfig(max_segments_per_track=None))
    (group,) = found.groups
    assert found.tracks_with(group, "bass") == ["C"]
    assert found.tracks_with(group, "piano") == []
    # C's bass enters after the first 10 windows.
    found = candidates(made.table(*rows), AUDIO, TripletConfig(max_segments_per_track=10))
    assert found.tracks_with(group, "bass") == []


def test_sounding_parts_have_a_row_for_each_part_and_a_place_for_each_start():
    (mask,) = sounding_parts(
        made.table(made.track("A", {"bass": [True] * 20, "others": [False] * 20})), 3.0, AUDIO
    ).values()
    assert mask.shape == (5, 20 - 12 + 1)
    assert mask.any(axis=1).tolist() == [False, True, False, False, False]
    assert any_part(mask).all()
