import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.errors import ProtocolError
from csn.evaluation import pseudo_mix_id

seeds = st.integers(0, 2**32 - 1)


def grid(num_tracks=4, num_versions=3, num_segments=4):
    """Ids of A and B for every segment of every A_B."""
    focus, backing, _ = np.meshgrid(
        *(np.arange(n) for n in (num_tracks, num_versions, num_segments)), indexing="ij"
    )
    return focus.ravel(), (focus.ravel() + backing.ravel()) % num_tracks


def vectors_of(seed, focus_ids, backing_ids, focus_weight, backing_weight):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((2, focus_ids.max() + 1, 8))
    noise = 0.05 * rng.standard_normal((len(focus_ids), 8))
    return (
        focus_weight * centres[0][focus_ids] + backing_weight * centres[1][backing_ids] + noise
    ).astype(np.float32)


def test_vectors_of_the_focused_part_alone_are_all_right():
    focus_ids, backing_ids = grid()
    vectors = vectors_of(0, focus_ids, backing_ids, 1.0, 0.0)
    assert pseudo_mix_id.accuracy(vectors, focus_ids, backing_ids).all()


def test_vectors_of_the_background_alone_are_all_wrong():
    # Were only the query left out, its own mix would answer: seven votes for it.
    focus_ids, backing_ids = grid(num_segments=8)
    vectors = vectors_of(0, focus_ids, backing_ids, 0.0, 1.0)
    vectors += 1e-3 * focus_ids[:, None]
    assert not pseudo_mix_id.accuracy(vectors, focus_ids, backing_ids).any()


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_a_mix_never_votes_for_itself(seed):
    rng = np.random.default_rng(seed)
    focus_ids, backing_ids = grid()
    only = np.where(focus_ids == 0, 0, backing_ids)  # track 0 has the one mix 0_0
    vectors = rng.standard_normal((len(focus_ids), 4))
    correct = pseudo_mix_id.accuracy(vectors, focus_ids, only)
    assert not correct[focus_ids == 0].any()


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_order_of_rows_and_names_do_not_matter(seed):
    focus_ids, backing_ids = grid()
    vectors = vectors_of(seed, focus_ids, backing_ids, 0.3, 0.3)
    correct = pseudo_mix_id.accuracy(vectors, focus_ids, backing_ids)
    order = np.random.default_rng(seed).permutation(len(vectors))
    names = np.array([f"Track{i:05d}" for i in range(4)])
    again = pseudo_mix_id.accuracy(
        vectors[order], names[focus_ids[order]], names[backing_ids[order]]
    )
    assert np.array_equal(again, correct[order])


@pytest.mark.parametrize("backings", [["a", "a"], ["b", "a"]])
def test_another_focus_is_another_mix(backings):
    # A_A beside B_A, A_B beside B_A: only a mix's own segments are removed; the others answer.
    vectors = np.concatenate([np.linspace(0, 1, 6), np.linspace(0, 1, 6) + 0.01])[:, None]
    focus_ids, backing_ids = np.repeat(["a", "b"], 6), np.repeat(backings, 6)
    assert not pseudo_mix_id.accuracy(vectors, focus_ids, backing_ids).any()


def test_too_few_other_mixes_are_refused():
    focus_ids, backing_ids = np.array(list("aaaab")), np.array(list("aaaab"))
    with pytest.raises(ProtocolError, match="has 1 others to be compared with, k=5 needed"):
        pseudo_mix_id.accuracy(np.zeros((5, 1)), focus_ids, backing_ids)


def test_a_single_focused_track_is_refused():
    with pytest.raises(ProtocolError, match=r"1 track\(s\).*at least 2 needed"):
        pseudo_mix_id.accuracy(np.zeros((8, 1)), np.full(8, "a"), np.arange(8))
