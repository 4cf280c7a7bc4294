import pyarrow as pa
import pytest

from csn import recipes
from csn.distributed.reporting import describe_mix, triplets_to_play
from csn.records import Mix


def test_a_mix_names_its_focus_and_what_it_is_heard_with():
    mix = Mix.pseudo("drums", "A", "B", 12.0)
    assert describe_mix(mix, "drums") == "A_B(drums), from 12.0 s"
    assert describe_mix(Mix.of_track("A", 3.0), "drums") == "A_A(drums), from 3.0 s"


@pytest.mark.parametrize("condition", ["genre", "all", "mix"])
def test_a_whole_track_is_named_by_its_id(condition):
    assert describe_mix(Mix.of_track("TRAAAAA", 4.5), condition) == "TRAAAAA, from 4.5 s"


def free_mixes(*rows: tuple[str, float]) -> pa.Table:
    """Write each mix as its five tracks, a letter each, and where it starts."""
    return pa.table(
        {
            "tracks": [list(tracks) for tracks, _ in rows],
            "starts_s": [[start_s] * len(tracks) for tracks, start_s in rows],
        }
    )


def test_a_batch_in_one_window_has_triplets_to_play():
    rows = free_mixes(("ABCDE", 8.0), ("BBDCA", 8.0), ("AEDBC", 8.0))
    found = triplets_to_play(rows, recipes.demo())
    drums = (("ABCDE", "AEDBC", "BBDCA"), "drums")
    bass = (("ABCDE", "BBDCA", "AEDBC"), "bass")
    piano = (("BBDCA", "AEDBC", "ABCDE"), "piano")
    heard = [(tuple("".join(m.tracks) for m in mixes), condition) for condition, mixes in found]
    assert heard == [drums, bass, piano]


@pytest.mark.parametrize(("start_s", "num_found"), [(8.0, 1), (8.5, 0), (30.0, 1)])
def test_positives_overlap_wholly_or_not_at_all(start_s, num_found):
    rows = free_mixes(("ABCDE", 8.0), ("AFGHI", start_s), ("BJKLM", 8.0))
    assert len(triplets_to_play(rows, recipes.demo())) == num_found


def test_without_a_negative_there_is_nothing_to_play():
    assert not triplets_to_play(free_mixes(("ABCDE", 8.0), ("AFGHI", 8.0)), recipes.demo())
