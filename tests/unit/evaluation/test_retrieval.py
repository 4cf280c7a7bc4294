import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from csn.errors import ProtocolError
from csn.evaluation.retrieval import retrieve


def exact_neighbours(query, k, reference, ref_includes_query):
    """Stand in for faiss, which is not installed, and leave out exactly the query itself."""
    assert ref_includes_query
    distances = torch.cdist(query, reference).fill_diagonal_(torch.inf)
    return distances.topk(k, largest=False)  # k is without the query already


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_scores_are_those_of_pytorch_metric_learning(seed, spread):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(7), [1, 2, 3, 5, 8, 13, 1]))
    vectors = rng.standard_normal((7, 3))[labels] + spread * rng.standard_normal((33, 3))
    found = retrieve(vectors, labels)

    calculator = AccuracyCalculator(
        include=("r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=exact_neighbours,
    )
    expected = calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))

    assert found.r_precision.mean() == pytest.approx(expected["r_precision"])
    assert found.average_precision_at_r.mean() == pytest.approx(
        expected["mean_average_precision_at_r"]
    )


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_map_at_r_is_at_most_r_precision(seed):
    rng = np.random.default_rng(seed)
    found = retrieve(rng.standard_normal((30, 2)), rng.permutation(np.arange(30) % 4))
    assert (found.average_precision_at_r <= found.r_precision + 1e-12).all()
    assert (found.average_precision_at_r >= 0).all()
    assert (found.r_precision <= 1).all()


def test_tracks_far_apart_are_found_whole():
    vectors = np.random.default_rng(0).random((12, 2)) + 100 * np.repeat(np.arange(3), 4)[:, None]
    found = retrieve(vectors, np.repeat(["a", "b", "c"], 4))
    assert (found.r_precision == 1).all()
    assert (found.average_precision_at_r == 1).all()


def test_a_query_without_others_is_left_out_but_is_in_the_way():
    vectors = np.array([[0.0], [1.0], [0.5], [9.0], [9.5]])
    found = retrieve(vectors, np.array(list("aaxbb")))
    assert found.rows.tolist() == [0, 1, 3, 4]
    assert found.r_precision.tolist() == [0, 0, 1, 1]


def test_equal_vectors_do_not_find_themselves():
    found = retrieve(np.zeros((4, 2)), np.array(list("abba")))
    # Ties go to the lowest other row: 1, 0, 0, 0, of labels b, a, a, a.
    assert found.r_precision.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("labels", ["aaaa", "abcd", ""])
def test_labels_that_ask_nothing_are_refused(labels):
    with pytest.raises(ProtocolError, match="at least 2 tracks needed, one with 2 segments"):
        retrieve(np.zeros((len(labels), 2)), np.array(list(labels), dtype=str))
