import numpy as np
import pytest

from csn.errors import ConfigError, StorageError
from csn.evaluation.top_k import SubspaceRows

faiss = pytest.importorskip("faiss", reason="the extra index is not installed")
NUM, WIDTHS = 4_000, (9, 8, 6)


def unit(rng, num, width):
    found = rng.normal(size=(num, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def held():
    rng = np.random.default_rng(0)
    return SubspaceRows.of([unit(rng, NUM, width) for width in WIDTHS])


@pytest.fixture(scope="module")
def coded(held):
    from csn.search.approximate import CodedRows

    return CodedRows.of(held)


@pytest.mark.parametrize("weights", [[1, 0, 0], [0, 0, 1], [1, 0.2, 0], [1, 1, 1]])
def test_candidates_hold_almost_all_of_the_exact_answer_for_any_weights(held, coded, weights):
    queries = held.values[:50, : sum(WIDTHS)]
    exact = held.nearest(queries, weights, k=10).rows
    found = [coded.candidates(query, weights, 400)[0] for query in queries]
    recall = np.mean([np.isin(e, f).mean() for e, f in zip(exact, found, strict=True)])
    assert recall >= 0.95
    assert np.mean([f[:10] == e for e, f in zip(exact, found, strict=True)]) < 1  # they are codes


def test_codes_are_short_and_the_same_each_time(held, coded):
    from csn.search.approximate import CodedRows

    data = coded.to_bytes()
    assert len(data) < NUM * sum(WIDTHS) * 4 / 8 + 20_000
    assert CodedRows.of(held).to_bytes() == data
    again = CodedRows.from_bytes(data, WIDTHS)
    query = held.values[3, : sum(WIDTHS)]
    np.testing.assert_array_equal(
        again.candidates(query, [1, 1, 1], 20)[0], coded.candidates(query, [1, 1, 1], 20)[0]
    )


def test_vectors_of_any_length_are_refused_but_for_zero():
    from csn.search.approximate import CodedRows

    rng = np.random.default_rng(0)
    vectors = unit(rng, 100, 4)
    vectors[7] = 0
    CodedRows.of(SubspaceRows.of([vectors]))
    with pytest.raises(ConfigError, match=r"of length 1 expected.*search exactly"):
        CodedRows.of(SubspaceRows.of([vectors * 3]))


def test_bytes_that_are_no_index_are_refused(coded):
    from csn.search.approximate import CodedRows

    with pytest.raises(StorageError, match="remove it, it is built again"):
        CodedRows.from_bytes(b"not an index at all", WIDTHS)
    with pytest.raises(StorageError, match="24 dimensions found, 20 expected"):
        CodedRows.from_bytes(coded.to_bytes(), (10, 10))


def test_missing_faiss_is_named(held, monkeypatch):
    from csn.search.approximate import CodedRows

    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ConfigError, match="uv sync --extra index"):
        CodedRows.of(held)
