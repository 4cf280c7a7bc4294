import pytest

from csn.distributed.reporting import describe_mix
from csn.records import Mix


def test_a_mix_names_its_focus_and_what_it_is_heard_with():
    mix = Mix.pseudo("drums", "A", "B", 12.0)
    assert describe_mix(mix, "drums") == "A_B(drums), from 12.0 s"
    assert describe_mix(Mix.of_track("A", 3.0), "drums") == "A_A(drums), from 3.0 s"


@pytest.mark.parametrize("condition", ["genre", "all", "mix"])
def test_a_whole_track_is_named_by_its_id(condition):
    assert describe_mix(Mix.of_track("TRAAAAA", 4.5), condition) == "TRAAAAA, from 4.5 s"
