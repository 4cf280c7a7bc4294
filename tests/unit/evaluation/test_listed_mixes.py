import pytest
from prepared_tracks import HOP_S, table, track, whole

from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig
from csn.errors import CorpusError
from csn.evaluation.listed_mixes import listed_pseudo_mixes, listed_triplets
from csn.records import ABSENT, EVALUATION_MIX_SCHEMA, TRIPLET_SCHEMA

AUDIO = AudioConfig(segment_s=3.0, level_hop_s=HOP_S)
FOUR = [whole(f"Track{number:05d}", 30.0) for number in (1, 2, 7)]
# In the fourth the bass sounds from 12 s on, and there is no guitar.
LATE = [False] * 48 + [True] * 72
FOUR.append(
    track("Track00008", {p: LATE if p == "bass" else [True] * 120 for p in INSTRUMENTS[:3]})
)
TRACKS = table(*FOUR)
# Bass of 7 before 1 (anchor) and before 2 (positive); bass of 8 before 1 (negative).
TRIPLET = [
    *("1, 7, 1, 1, 1", "2, 7, 2, 2, 2", "1, 8, 1, 1, 1"),
    *("4, 9, 4, 4, 4", "5, 11, 5, 5, 5", "6, 8, 6, 6, 6"),
    *("1, 1, 0, 1, 1", "1, 1, 1, 1, 1", "1, 1, 1, 0, 0"),
    "1",
]
BASS_OF_8 = ["1", "2, 8, 2, 2, 2", "0, {}, 0, 0, 0", "8, 2"]


def read(uri):
    return listed_triplets(uri, TRACKS, hop_s=1.5, audio=AUDIO)


def segment(place):
    return [group.format(place) for group in BASS_OF_8]


def read_mixes(uri, conditions=INSTRUMENTS):
    return listed_pseudo_mixes(uri, TRACKS, 3.0, conditions=conditions, audio=AUDIO)


def test_listed_triplets_are_a_plan(written):
    rows = read(written(TRIPLET, TRIPLET))
    assert rows.schema.equals(TRIPLET_SCHEMA)
    assert rows["triplet_id"].to_pylist() == [0, 1]
    assert rows["plan_index"].to_pylist() == [0, 0]
    row = rows.to_pylist()[0]
    one, seven, eight = "Track00001", "Track00007", "Track00008"
    assert row["anchor_tracks"] == [one, seven, ABSENT, one, one]
    assert row["anchor_starts_s"] == [6, 13.5, 0, 6, 6]
    assert row["negative_tracks"] == [one, eight, one, ABSENT, ABSENT]
    # Left out by a flag, here and there; and the late bass sounds at 8 x 1.5 s.
    assert row["anchor_sounds"] == [True, True, False, True, True]
    assert row["positive_sounds"] == [True] * 5
    assert row["negative_sounds"] == [True, True, True, False, False]


def test_a_part_sounds_by_our_rule_whatever_the_flag_says(written):
    early = [*TRIPLET]
    early[5] = "6, 3, 6, 6, 6"
    (row,) = read(written(early)).to_pylist()
    assert row["negative_sounds"] == [True, False, True, False, False]


def test_listed_pseudo_mixes_are_asked_as_drawn_ones_are(written):
    rows = read_mixes(written(segment(4), segment(5)))
    assert rows.schema.equals(EVALUATION_MIX_SCHEMA)
    first, _ = rows.to_pylist()
    two, eight = "Track00002", "Track00008"
    assert first["tracks"] == [two, eight, two, two, two]
    assert first["starts_s"] == [0, 12, 0, 0, 0]
    told = ("source", "focus", "track_id", "backing_track_id", "segment_index", "duration_s")
    assert [first[name] for name in told] == ["pseudo_mix", "bass", eight, two, 4, 3.0]
    assert [first[f"sounds_{part}"] for part in INSTRUMENTS] == [True] * 5
    assert rows["segment_index"].to_pylist() == [4, 5]


def test_of_a_silent_part_nothing_is_asked(written):
    assert read_mixes(written(segment(3), segment(4)))["segment_index"].to_pylist() == [4]


def test_other_conditions_are_left_out(written):
    assert not len(read_mixes(written(segment(4)), ("drums", "guitar")))


@pytest.mark.parametrize(
    ("place", "group", "told"),
    [
        (0, "5, 7, 5, 5, 5", "Track00005 found, one of the 4 tracks of the split expected"),
        (3, "4, 19, 4, 4, 4", "a segment at 28.5 s of Track00007 found, .* begins at 27 s"),
    ],
)
def test_what_is_not_there_is_named_by_its_line(written, place, group, told):
    line = [*TRIPLET[:place], group, *TRIPLET[place + 1 :]]
    if place == 0:
        line[2] = "5, 8, 5, 5, 5"  # the negative shares the anchor's background
    with pytest.raises(CorpusError, match=rf"some\.lst: line 2: {told}"):
        read(written(TRIPLET, line))


def test_the_last_whole_segment_may_be_named(written):
    assert len(read(written([*TRIPLET[:3], "4, 18, 4, 4, 4", *TRIPLET[4:]]))) == 1
    assert len(read_mixes(written(segment(9)))) == 1
    with pytest.raises(CorpusError, match="a segment at 30 s of Track00008 found"):
        read_mixes(written(segment(10)))
