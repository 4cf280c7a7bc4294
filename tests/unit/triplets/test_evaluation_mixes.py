from collections import defaultdict
from functools import cache
from itertools import pairwise

import numpy as np
import prepared_tracks as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig, EvaluationConfig, TripletConfig
from csn.records import EVALUATION_MIX_SCHEMA, Mix
from csn.triplets.evaluation_mixes import music_id_mixes, pseudo_mix_id_mixes
from csn.triplets.planning import candidates, sounding_parts

AUDIO = AudioConfig(sample_rate_hz=made.SAMPLE_RATE_HZ)
CONFIG = EvaluationConfig(num_focus_tracks=3, num_versions=4)
law = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 7)


def corpus(seed=0, num_tracks=16):
    """Make tracks of two tempi and of 30 to 60 s whose parts rest at times."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(num_tracks):
        blocks = rng.integers(8, 16)
        sounding = {
            part: np.repeat(rng.random(blocks) < 0.8, 16).tolist()
            for part in INSTRUMENTS
            if rng.random() < 0.9
        }
        tempo_bpm = (120.0, 90.0)[number % 2]
        rows.append(made.track(f"Track{number:05d}", sounding, tempo_bpm=tempo_bpm))
    return made.table(*rows)


TRACKS = corpus()
GROUPS = candidates(TRACKS, AUDIO, TripletConfig()).groups
LENGTH_S = {
    row["track_id"]: row["num_samples"] / made.SAMPLE_RATE_HZ for row in TRACKS.to_pylist()
}


def music_id(tracks=TRACKS, duration_s=3.0, *, config=CONFIG, max_segments=None):
    return music_id_mixes(
        tracks, duration_s, audio=AUDIO, config=config, max_segments=max_segments
    )


def pseudo_mix_id(tracks=TRACKS, groups=GROUPS, duration_s=3.0, *, seed=0, config=CONFIG, **more):
    return pseudo_mix_id_mixes(
        tracks,
        groups,
        duration_s,
        conditions=INSTRUMENTS,
        seed=seed,
        audio=AUDIO,
        config=config,
        **more,
    )


@cache
def drawn(seed, duration_s=3.0):
    """Draw once for all laws that look at it."""
    return pseudo_mix_id(seed=seed, duration_s=duration_s)[0]


def versions_of(table):
    """Give the backing tracks of each focus track, by instrument."""
    versions = defaultdict(set)
    for row in table.to_pylist():
        versions[row["focus"], row["track_id"]].add(row["backing_track_id"])
    return versions


def test_music_id_lists_every_segment_that_sounds_and_no_other():
    table = music_id()
    assert table.schema == EVALUATION_MIX_SCHEMA
    sounding = sounding_parts(TRACKS, 3.0, AUDIO)
    expected = [
        (track_id, index, 3.0 * index)
        for track_id in sorted(sounding)
        for index, anything in enumerate(sounding[track_id].any(axis=0)[::12])
        if anything
    ]
    columns = zip(
        *(table[name].to_pylist() for name in ("track_id", "segment_index", "start_s")),
        strict=True,
    )
    assert list(columns) == expected


@pytest.mark.parametrize("duration_s", [3.0, 10.0])
def test_segments_of_music_id_do_not_overlap_and_lie_in_their_tracks(duration_s):
    by_track = defaultdict(list)
    for row in music_id(duration_s=duration_s).to_pylist():
        assert row["duration_s"] == duration_s
        by_track[row["track_id"]].append(row["start_s"])
    assert by_track
    for track_id, starts in by_track.items():
        assert all(after - start >= duration_s for start, after in pairwise(starts))
        assert starts[-1] + duration_s <= LENGTH_S[track_id]


def test_mix_of_music_id_is_the_whole_track():
    for row in music_id().to_pylist():
        mix = Mix.of_track(row["track_id"], row["start_s"])
        assert (tuple(row["tracks"]), tuple(row["starts_s"])) == (mix.tracks, mix.starts_s)
        assert (row["source"], row["focus"]) == ("mix", "")
        assert row["backing_track_id"] == row["track_id"]


@pytest.mark.parametrize("duration_s", [3.0, 10.0])
def test_sounds_says_which_parts_sound_in_the_segment(duration_s):
    sounding = sounding_parts(TRACKS, duration_s, AUDIO)
    tables = [music_id(duration_s=duration_s), pseudo_mix_id(duration_s=duration_s)[0]]
    for row in [row for table in tables for row in table.to_pylist()]:
        for place, part in enumerate(INSTRUMENTS):
            frame = round(row["starts_s"][place] / AUDIO.level_hop_s)
            assert row[f"sounds_{part}"] == sounding[row["tracks"][place]][place, frame]


def test_track_that_hardly_sounds_is_left_out():
    # [H24] 4.1: under 10 % of its segments; here 1 of 20 sounds, then 2 of 20.
    def track(name, seconds):
        return made.track(name, {"piano": [True] * (4 * seconds) + [False] * (4 * (60 - seconds))})

    table = made.table(track("A", 3), track("B", 6), track("C", 60))
    assert set(music_id(table)["track_id"].to_pylist()) == {"B", "C"}


def test_track_shorter_than_a_segment_has_no_mix():
    table = made.table(made.whole("A", 2.75), made.whole("B", 3.0), made.track("C", {}))
    assert music_id(table)["track_id"].to_pylist() == ["B"]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_limited_segments_are_spread_over_the_track(limit):
    table = made.table(made.whole("A", 60.0), made.whole("B", 9.0))
    rows = music_id(table, max_segments=limit).to_pylist()
    indices = [row["segment_index"] for row in rows if row["track_id"] == "A"]
    assert len(indices) == len(set(indices)) == limit
    assert indices[0] == 0
    assert limit == 1 or indices[-1] == 19
    gaps = np.diff(indices)
    assert limit == 1 or gaps.max() - gaps.min() <= 1
    assert len(rows) == limit + min(limit, 3)


def test_pseudo_mix_id_has_the_schema_and_no_message_where_there_is_enough():
    table, messages = pseudo_mix_id()
    assert table.schema == EVALUATION_MIX_SCHEMA
    assert messages == []
    assert set(table["source"].to_pylist()) == {"pseudo_mix"}
    assert set(table["focus"].to_pylist()) == set(INSTRUMENTS)


@law
@given(seed=seeds)
def test_each_focus_track_has_its_versions_and_the_original_is_one(seed):
    versions = versions_of(drawn(seed))
    assert len(versions) == len(INSTRUMENTS) * CONFIG.num_focus_tracks
    for (_, track_id), backings in versions.items():
        assert len(backings) == CONFIG.num_versions
        assert track_id in backings


@law
@given(seed=seeds)
def test_versions_are_of_one_tempo_group(seed):
    group_of = {track: group.name for group in GROUPS for track in group.track_ids}
    for (_, track_id), backings in versions_of(drawn(seed)).items():
        assert {group_of[backing] for backing in backings} == {group_of[track_id]}


@law
@given(seed=seeds)
def test_focused_part_sounds_in_every_segment(seed):
    for row in drawn(seed).to_pylist():
        assert row[f"sounds_{row['focus']}"]


@law
@given(seed=seeds, duration_s=st.sampled_from([3.0, 10.0]))
def test_no_window_reaches_beyond_either_track(seed, duration_s):
    table = drawn(seed, duration_s)
    assert len(table)
    for row in table.to_pylist():
        for track_id, start_s in zip(row["tracks"], row["starts_s"], strict=True):
            assert 0 <= start_s <= LENGTH_S[track_id] - duration_s


@law
@given(seed=seeds)
def test_mix_is_a_pseudo_mix_on_the_grid(seed):
    for row in drawn(seed).to_pylist():
        mix = Mix.pseudo(row["focus"], row["track_id"], row["backing_track_id"], row["start_s"])
        assert (tuple(row["tracks"]), tuple(row["starts_s"])) == (mix.tracks, mix.starts_s)
        assert row["start_s"] == row["segment_index"] * row["duration_s"]


def test_segments_of_a_version_are_all_in_which_the_focused_part_sounds():
    # A's bass rests from 6 to 12 s; the tracks behind it end at 18 s, A at 24 s.
    rests = [True] * 24 + [False] * 24 + [True] * 48
    rows = [made.track("A", {"bass": rests, "drums": [True] * 96})]
    rows += [made.whole(name, 18.0, ["drums", "bass"][: 1 + (name == "B")]) for name in "BCD"]
    tracks = made.table(*rows)
    table, _ = pseudo_mix_id_mixes(
        tracks,
        candidates(tracks, AUDIO, TripletConfig()).groups,
        3.0,
        conditions=["bass"],
        seed=0,
        audio=AUDIO,
        config=EvaluationConfig(num_focus_tracks=2, num_versions=4),
    )
    indices = defaultdict(list)
    for row in table.to_pylist():
        if row["track_id"] == "A":
            indices[row["backing_track_id"]].append(row["segment_index"])
    ours, others = [0, 1, 4, 5, 6, 7], [0, 1, 4, 5]
    assert indices == {"A": ours, "B": others, "C": others, "D": others}


def test_same_seed_draws_the_same_and_another_others():
    assert pseudo_mix_id(seed=1) == pseudo_mix_id(seed=1)
    assert versions_of(drawn(1)) != versions_of(drawn(2))


def test_draw_of_a_condition_does_not_depend_on_the_others():
    alone, _ = pseudo_mix_id_mixes(
        TRACKS, GROUPS, 3.0, conditions=["bass"], seed=0, audio=AUDIO, config=CONFIG
    )
    rows = [row for row in pseudo_mix_id()[0].to_pylist() if row["focus"] == "bass"]
    assert alone.to_pylist() == rows


def test_order_of_tracks_in_the_table_does_not_matter():
    order = np.random.default_rng(0).permutation(len(TRACKS))
    assert pseudo_mix_id(TRACKS.take(order)) == pseudo_mix_id()


def test_condition_with_too_few_tracks_is_left_out_with_a_message():
    rows = [made.whole(f"A{i}", 30.0, ["drums"]) for i in range(4)]
    rows += [made.whole(f"B{i}", 30.0, ["drums", "bass"]) for i in range(2)]
    tracks = made.table(*rows)
    groups = candidates(tracks, AUDIO, TripletConfig()).groups
    table, messages = pseudo_mix_id(tracks, groups)
    assert set(table["focus"].to_pylist()) == {"drums"}
    assert [message.partition(":")[0] for message in messages] == [
        f"pseudo_mix_id of {part}" for part in INSTRUMENTS if part != "drums"
    ]
    assert "2 tracks have a sounding bass part and 3 others of their tempo, 3 are" in messages[0]
    assert "--evaluation.num_focus_tracks" in messages[0]


def test_fewer_focus_tracks_serve_where_they_are_allowed():
    rows = [made.whole(f"A{i}", 30.0, ["drums"]) for i in range(3)]
    rows += [made.whole(f"B{i}", 30.0, ["drums", "bass"]) for i in range(2)]
    rows += [made.whole("C", 30.0, ["drums", "piano"])]
    tracks = made.table(*rows)
    groups = candidates(tracks, AUDIO, TripletConfig()).groups
    table, messages = pseudo_mix_id(tracks, groups, allow_fewer=True)
    focused = {part: [t for p, t in versions_of(table) if p == part] for part in INSTRUMENTS}
    assert len(focused["drums"]) == CONFIG.num_focus_tracks
    assert focused["bass"] == ["B0", "B1"]
    assert focused["piano"] == []
    assert len(messages) == 3
    assert all(
        message.endswith("2 are needed; add tracks or raise --triplets.tempo_group_bpm")
        for message in messages
    )


def test_track_without_enough_tracks_of_its_tempo_is_not_focused_on():
    # Four of 120 bpm give each other three backgrounds; with five versions they are too few.
    rows = [made.whole(f"A{i}", 30.0) for i in range(4)]
    tracks = made.table(*rows)
    groups = candidates(tracks, AUDIO, TripletConfig()).groups
    _, messages = pseudo_mix_id(tracks, groups, config=EvaluationConfig(num_focus_tracks=3))
    assert not messages
    five = EvaluationConfig(num_focus_tracks=3, num_versions=5)
    table, messages = pseudo_mix_id(tracks, groups, config=five)
    assert len(table) == 0
    assert len(messages) == 5


def test_track_whose_part_hardly_sounds_is_not_focused_on():
    rare = [True] * 12 + [False] * 228
    rows = [made.whole(f"A{i}", 60.0, ["drums", "bass"]) for i in range(4)]
    rows += [made.track("B", {"drums": [True] * 240, "bass": rare})]
    tracks = made.table(*rows)
    groups = candidates(tracks, AUDIO, TripletConfig()).groups
    for seed in range(5):
        table, _ = pseudo_mix_id(tracks, groups, seed=seed)
        assert ("bass", "B") not in versions_of(table)


@pytest.mark.parametrize("limit", [1, 4])
def test_limited_segments_are_of_each_version(limit):
    table, _ = pseudo_mix_id(max_segments=limit)
    counts = defaultdict(int)
    for row in table.to_pylist():
        counts[row["focus"], row["track_id"], row["backing_track_id"]] += 1
    assert max(counts.values()) == limit
    assert len(counts) == len(INSTRUMENTS) * CONFIG.num_focus_tracks * CONFIG.num_versions
