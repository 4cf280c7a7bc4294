import pytest
from hypothesis import given
from hypothesis import strategies as st

from csn.corpora.tag_groups import GROUPS, bits_of, canonical
from csn.corpora.tags import TAGS

ALL = [tag for tags in GROUPS.values() for tag in tags]
NOTHING = dict.fromkeys(GROUPS, 0)


def test_there_are_fifty_tags_in_four_groups_and_none_is_in_two():
    assert list(GROUPS) == ["genre", "mood", "instrument", "era"]
    assert [len(tags) for tags in GROUPS.values()] == [28, 12, 5, 5]
    assert len({tag.casefold() for tag in ALL}) == len(ALL) == 50


def test_the_generated_corpus_speaks_these_words():
    for group, tags in TAGS.items():
        assert set(tags) <= set(GROUPS[group])


@given(tag=st.sampled_from(ALL), change=st.sampled_from([str.upper, str.lower, str.title]))
def test_case_and_blanks_around_are_not_looked_at(tag, change):
    assert canonical(f" {change(tag)}\t") == tag
    assert bits_of([change(tag)]) == bits_of([tag]) != NOTHING


@given(st.lists(st.sampled_from(ALL)))
def test_a_bit_stands_for_one_tag(tags):
    bits = bits_of(tags)
    assert sum(number.bit_count() for number in bits.values()) == len(set(tags))
    found = {
        tag for group in GROUPS for i, tag in enumerate(GROUPS[group]) if bits[group] >> i & 1
    }
    assert found == set(tags)


@pytest.mark.parametrize("tag", ["seen live", "", "rocky", "favorites"])
def test_other_words_are_passed_over(tag):
    assert canonical(tag) is None
    assert bits_of([tag]) == NOTHING
