import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csn.conditions import INSTRUMENTS
from csn.errors import CorpusError, StorageError
from csn.evaluation.triplet_lists import ListedPseudoMix, read_pseudo_mixes, read_triplets
from csn.records import ABSENT, Mix

# Four tracks: bass of 7 before 1 (anchor) and before 2 (positive); bass of 8 before 1 (negative).
TRIPLET = [
    *("1, 7, 1, 1, 1", "2, 7, 2, 2, 2", "1, 8, 1, 1, 1"),
    *("4, 9, 4, 4, 4", "5, 11, 5, 5, 5", "6, 3, 6, 6, 6"),
    *("1, 1, 0, 1, 1", "1, 1, 1, 1, 1", "1, 1, 1, 0, 0"),
    "1",
]
PSEUDO_MIX = ["2", "5, 5, 31, 5, 5", "0, 0, 8, 0, 0", "31, 5"]


def changed(line, place, group):
    return [*line[:place], group, *line[place + 1 :]]


def test_a_triplet_is_three_mixes_under_a_condition(written):
    (triplet,) = read_triplets(written(TRIPLET), hop_s=1.5)
    assert (triplet.triplet_id, triplet.kind, triplet.tempo_group) == (0, "basic", "")
    assert (triplet.condition, triplet.interchanged_condition) == ("bass", None)
    one, two = "Track00001", "Track00002"
    assert triplet.anchor == Mix((one, "Track00007", ABSENT, one, one), (6, 13.5, 0, 6, 6))
    assert triplet.positive == Mix((two, "Track00007", two, two, two), (7.5, 16.5, 7.5, 7.5, 7.5))
    assert triplet.negative == Mix((one, "Track00008", one, ABSENT, ABSENT), (9, 4.5, 9, 0, 0))


def test_triplets_are_counted_and_a_last_line_may_end(written):
    triplets = read_triplets(written(TRIPLET, TRIPLET, [*TRIPLET[:-1], "1\n"]), hop_s=3.0)
    assert [triplet.triplet_id for triplet in triplets] == [0, 1, 2]


def test_marks_at_both_ends_and_empty_lines_do_no_harm(tmp_path):
    line = "; ".join(TRIPLET)
    (tmp_path / "some.lst").write_text(f"\ufeff{line};\n{line} ; \n\n")
    assert len(read_triplets(str(tmp_path / "some.lst"), hop_s=3.0)) == 2


@pytest.mark.parametrize(("group", "other"), [("1, 0", "drums"), ("1,-1", None)])
def test_a_second_value_is_the_interchanged_condition(written, group, other):
    (triplet,) = read_triplets(written(changed(TRIPLET, 9, group)), hop_s=3.0)
    assert triplet.interchanged_condition == other


def test_the_swapped_line_is_a_triplet_of_the_other_condition(written):
    a, p, n, *_ = TRIPLET
    swapped = [a, n, p, *(TRIPLET[i] for i in (3, 5, 4, 6, 8, 7)), "0"]
    first, second = read_triplets(written(TRIPLET, swapped), hop_s=3.0)
    assert second.condition == "drums"
    assert (second.positive, second.negative) == (first.negative, first.positive)


def test_an_absent_part_may_have_no_track(written):
    line = changed(changed(TRIPLET, 0, "1,7,-1,1,1"), 3, "4,9,-1,4,4")
    assert read_triplets(written(line), hop_s=3.0) == read_triplets(written(TRIPLET), hop_s=3.0)


@pytest.mark.parametrize(
    ("place", "group", "message"),
    [
        (0, "1, 7, 1, 1", "anchor: 4 tracks found, 5 expected, for drums, bass"),
        (4, "5, 11, 5, 5, 5, 5", "positive: 6 segments found, 5 expected"),
        (8, "1, 1", "negative: 2 flags found, 5 expected"),
        (2, "1, x, 1, 1, 1", "'1, x, 1, 1, 1' found, whole numbers parted by ',' expected"),
        (5, "", "'' found, whole numbers"),
        (6, "1, 2, 0, 1, 1", r"anchor: flags \[1, 2, 0, 1, 1\] found, 0 and 1 expected"),
        (7, "4, 9, 4, 4, 4", r"positive: flags .* \(are columns swapped"),
        (1, "2, 0, 2, 2, 2", "positive: track 0 found, Slakh's number from 1 on"),
        (3, "4, -1, 4, 4, 4", "anchor: segment -1 of a part that sounds found"),
        (9, "5", r"condition \[5\] found, one of 0 \(drums\) to 4 \(others\) expected"),
        (9, "-1", r"condition \[-1\] found"),
        (9, "1, 1", r"condition \[1, 1\] found"),
        (9, "1, 0, 2", r"condition \[1, 0, 2\] found"),
        (1, "2, 6, 2, 2, 2", "bass of Track00007, Track00006 and Track00008 found, of one track"),
        (2, "1, 7, 1, 1, 1", "bass of Track00007, Track00007 and Track00007 found, of one track"),
        (6, "1, 0, 0, 1, 1", "bass of none, Track00007 and Track00008 found"),
        (9, "1, 4", "others of Track00001, none and Track00002 found"),
        (9, "0", "drums of .* does the condition count otherwise"),
    ],
)
def test_a_malformed_triplet_is_refused_by_file_and_line(written, place, group, message):
    uri = written(TRIPLET, changed(TRIPLET, place, group))
    with pytest.raises(CorpusError, match=rf"some\.lst: line 2: {message}"):
        read_triplets(uri, hop_s=3.0)


@pytest.mark.parametrize("line", [TRIPLET[:-1], [*TRIPLET, "1"], [""], PSEUDO_MIX])
def test_another_number_of_groups_is_refused(written, line):
    with pytest.raises(CorpusError, match=rf"line 2: {len(line)} group\(s\) found, 10 parted by"):
        read_triplets(written(TRIPLET, line, TRIPLET), hop_s=3.0)


@pytest.mark.parametrize("line", [PSEUDO_MIX, [*PSEUDO_MIX[:3], "31", "5"]])
def test_a_pseudo_mix_is_a_focus_before_a_backing(written, line):
    starts_s = (0.0, 0.0, 80.0, 0.0, 0.0)
    assert read_pseudo_mixes(written(line), hop_s=10.0) == [
        ListedPseudoMix(
            *("piano", "Track00031", "Track00005", 8),
            Mix(Mix.pseudo("piano", "Track00031", "Track00005", 0.0).tracks, starts_s),
        )
    ]


def test_a_pseudo_mix_may_be_the_track_itself(written):
    (found,) = read_pseudo_mixes(written(["0", "5,5,5,5,5", "2,2,2,2,2", "5,5"]), hop_s=10.0)
    assert found.mix == Mix.of_track("Track00005", 20.0)


@pytest.mark.parametrize(
    ("place", "group", "message"),
    [
        (0, "3", "parts of .* found, guitar of Track00031 and all else of Track00005 expected"),
        (0, "2, 1", r"condition \[2, 1\] found"),
        (1, "5, 5, 31, 5, 6", "parts of .*Track00006 found, piano of Track00031"),
        (2, "0, 0, -8, 0, 0", "segment -8 of a part that sounds"),
        (3, "5, 31", "parts of .* found, piano of Track00005"),
        (3, "31", r"tracks \[31\] found at its end, focused and backing track expected"),
        (3, "31, 0", "track 0 found"),
    ],
)
def test_a_malformed_pseudo_mix_is_refused_by_file_and_line(written, place, group, message):
    uri = written(PSEUDO_MIX, changed(PSEUDO_MIX, place, group))
    with pytest.raises(CorpusError, match=rf"some\.lst: line 2: {message}"):
        read_pseudo_mixes(uri, hop_s=10.0)


def test_a_list_of_the_other_kind_is_refused(written):
    with pytest.raises(CorpusError, match=r"10 group\(s\) found, 4 parted by ';' expected"):
        read_pseudo_mixes(written(TRIPLET), hop_s=10.0)


def test_files_that_hold_no_list_are_refused(tmp_path):
    uri = str(tmp_path / "some.lst")
    with pytest.raises(StorageError, match="no such file"):
        read_triplets(uri, hop_s=3.0)
    (tmp_path / "some.lst").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"some\.lst: 0 lines found"):
        read_triplets(uri, hop_s=3.0)
    (tmp_path / "some.lst").write_bytes(b"\xff\xfe")
    with pytest.raises(CorpusError, match="UTF-8 text expected"):
        read_pseudo_mixes(uri, hop_s=3.0)


@given(
    condition=st.integers(0, 4),
    tracks=st.lists(st.integers(1, 2100), min_size=2, max_size=2),
    segments=st.lists(st.integers(0, 90), min_size=2, max_size=2),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(written, condition, tracks, segments):
    def spread(values):
        return ", ".join(str(values[part != condition]) for part in range(5))

    line = [str(condition), spread(tracks), spread(segments), f"{tracks[0]}, {tracks[1]}"]
    (found,) = read_pseudo_mixes(written(line), hop_s=10.0)
    assert found.condition == INSTRUMENTS[condition]
    assert found.segment_index == segments[0]
    assert found.mix.start_of(found.condition) == 10.0 * segments[0]
    assert found.focus_track_id == f"Track{tracks[0]:05d}"
