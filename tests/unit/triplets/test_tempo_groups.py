import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.config import TripletConfig
from csn.triplets.tempo_groups import TempoGroup, tempo_groups

NAN = float("nan")
DEFAULT = TripletConfig()
law = settings(max_examples=100, deadline=None)

# Few different tempi near each other, so that bins of every size and their merging occur.
tempi = st.lists(st.integers(230, 260).map(lambda halves: halves / 2) | st.just(NAN), max_size=40)
widths = st.sampled_from([1.0, 2.0, 5.0])
merges = st.sampled_from([0.0, 2.0, 6.0])
sizes = st.integers(4, 6)


def named(values):
    return {f"Track{i:05d}": value for i, value in enumerate(values)}


def config_of(width, merge, size):
    return TripletConfig(tempo_group_bpm=width, max_merge_bpm=merge, min_group_tracks=size)


def ids(*numbers):
    return tuple(f"Track{number:05d}" for number in numbers)


@law
@given(values=tempi, width=widths, merge=merges, size=sizes)
def test_every_track_is_in_one_group_or_left_out(values, width, merge, size):
    tracks = named(values)
    groups, left_out = tempo_groups(tracks, config_of(width, merge, size))
    placed = [track for group in groups for track in group.track_ids]
    assert sorted([*placed, *left_out]) == sorted(tracks)


@law
@given(values=tempi, width=widths, merge=merges, size=sizes)
def test_groups_are_large_enough_and_in_order(values, width, merge, size):
    groups, left_out = tempo_groups(named(values), config_of(width, merge, size))
    assert all(len(group.track_ids) >= size for group in groups)
    assert all(list(group.track_ids) == sorted(group.track_ids) for group in groups)
    centres = [group.tempo_bpm for group in groups]
    assert centres == sorted(set(centres))
    assert left_out == sorted(left_out)


@law
@given(values=tempi, width=widths, merge=merges, size=sizes)
def test_no_track_is_far_from_its_group_however_bins_were_merged(values, width, merge, size):
    tracks = named(values)
    groups, _ = tempo_groups(tracks, config_of(width, merge, size))
    for group in groups:
        for track in group.track_ids:
            assert abs(tracks[track] - group.tempo_bpm) <= width / 2 + merge + 1e-9


@law
@given(values=tempi, width=widths, merge=merges, size=sizes, data=st.data())
def test_order_of_tracks_does_not_matter(values, width, merge, size, data):
    tracks = named(values)
    shuffled = dict(data.draw(st.permutations(list(tracks.items()))))
    config = config_of(width, merge, size)
    assert tempo_groups(shuffled, config) == tempo_groups(tracks, config)


@law
@given(values=tempi, width=widths, size=sizes)
def test_without_merging_a_group_is_a_bin(values, width, size):
    tracks = named(values)
    groups, _ = tempo_groups(tracks, config_of(width, 0.0, size))
    for group in groups:
        found = {tracks[track] for track in group.track_ids}
        assert max(found) - min(found) <= width


def test_group_is_named_after_its_centre():
    groups, left_out = tempo_groups(named([119.5, 120.0, 120.4, 120.9]), DEFAULT)
    assert groups == [TempoGroup(120.0, ids(0, 1, 2, 3))]
    assert groups[0].name == "120 bpm"
    assert left_out == []
    (group,), _ = tempo_groups(named([90.0] * 4), TripletConfig(tempo_group_bpm=2.5))
    assert group.name == "90 bpm"
    (group,), _ = tempo_groups(named([92.6] * 4), TripletConfig(tempo_group_bpm=2.5))
    assert group.name == "92.5 bpm"


def test_small_bin_joins_its_neighbour():
    groups, left_out = tempo_groups(named([120, 120, 120, 120, 122]), DEFAULT)
    assert groups == [TempoGroup(120.0, ids(0, 1, 2, 3, 4))]
    assert left_out == []


def test_small_bin_too_far_from_all_others_is_left_out():
    groups, left_out = tempo_groups(named([120, 120, 120, 120, 124.5]), DEFAULT)
    assert groups == [TempoGroup(120.0, ids(0, 1, 2, 3))]
    assert left_out == ["Track00004"]


def test_small_bins_join_each_other():
    groups, left_out = tempo_groups(named([120, 120, 122, 122]), DEFAULT)
    assert [group.track_ids for group in groups] == [ids(0, 1, 2, 3)]
    assert left_out == []


def test_smallest_bin_moves_and_to_the_nearest():
    # 126 moves, not 124; it is 2 from 124 and 4 from 122.
    groups, _ = tempo_groups(
        named([122] * 4 + [124] * 3 + [126]), TripletConfig(max_merge_bpm=4.0)
    )
    assert [(group.tempo_bpm, len(group.track_ids)) for group in groups] == [(122, 4), (124, 4)]


def test_tracks_do_not_travel_from_bin_to_bin():
    # 120 joins 122, which is then too small itself and joins 124: 4 bpm is too far for 120.
    groups, left_out = tempo_groups(named([120, 122, 122, 124, 124, 124, 124]), DEFAULT)
    assert groups == [TempoGroup(124.0, ids(1, 2, 3, 4, 5, 6))]
    assert left_out == ["Track00000"]


def test_tracks_of_unknown_tempo_are_left_out():
    groups, left_out = tempo_groups(named([120, NAN, 120, 120, float("inf"), 120]), DEFAULT)
    assert groups == [TempoGroup(120.0, ids(0, 2, 3, 5))]
    assert left_out == ["Track00001", "Track00004"]


@pytest.mark.parametrize("values", [[], [NAN], [120, 120, 120]])
def test_too_few_tracks_make_no_group(values):
    groups, left_out = tempo_groups(named(values), DEFAULT)
    assert groups == []
    assert len(left_out) == len(values)
