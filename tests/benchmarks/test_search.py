"""How fast a catalogue is searched, against the bare matrix product on the same cores.

A million tracks of five instruments, in memory. Each number is the least of several tries, and the
two that are compared take turns.
"""

from time import monotonic

import numpy as np
import pytest

from csn.evaluation.top_k import SubspaceRows
from csn.search.approximate import NUM_CANDIDATES, CodedRows

NUM_TRACKS, NUM_INSTRUMENTS, DIM, TOP_K = 1_000_000, 5, 128, 10
NUM_CLUSTERS, CLUSTER_DIMS = 500, 12
ROWS_AT_ONCE = 50_000
WEIGHTS = {"one": (1, 0, 0, 0, 0), "two": (1, 0.2, 0, 0, 0), "all": (1, 1, 1, 1, 1)}


def tracks(num: int, dim: int) -> list[np.ndarray]:
    """Vectors of length 1 in clusters, as music lies: each instrument in clusters of its own."""
    rng = np.random.default_rng(0)
    found = [np.empty((num, dim), np.float32) for _ in range(NUM_INSTRUMENTS)]
    for own in found:
        centres = rng.standard_normal((NUM_CLUSTERS, CLUSTER_DIMS), dtype=np.float32)
        basis = rng.standard_normal((CLUSTER_DIMS, dim), dtype=np.float32) / CLUSTER_DIMS**0.5
        for start in range(0, num, ROWS_AT_ONCE):
            rows = own[start : start + ROWS_AT_ONCE]
            places = centres[rng.integers(NUM_CLUSTERS, size=len(rows))]
            places += 0.7 * rng.standard_normal(places.shape, dtype=np.float32)
            np.matmul(places, basis, out=rows)
            rows += (
                0.15
                * (CLUSTER_DIMS / dim) ** 0.5
                * rng.standard_normal(rows.shape, dtype=np.float32)
            )
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return found


@pytest.fixture(scope="module")
def held():
    return SubspaceRows.of(tracks(NUM_TRACKS, DIM))


@pytest.mark.parametrize("num_queries", [1, 64])
def test_search_takes_as_long_as_the_matrix_product(held, record, num_queries):
    width = NUM_INSTRUMENTS * DIM
    rng = np.random.default_rng(1)
    queries = held.values[rng.choice(NUM_TRACKS, num_queries, replace=False), :width].copy()
    weights = (1, 0.2, 0.5, 0.3, 0.7)
    factors = np.ascontiguousarray((queries * np.repeat(weights, DIM)).T, dtype=np.float32)
    vectors = np.ascontiguousarray(held.values[:, :width])
    out = np.empty((NUM_TRACKS, num_queries), np.float32)
    bare_s, search_s = [], []
    for _ in range(9 if num_queries == 1 else 4):
        started = monotonic()
        np.matmul(vectors, factors, out=out)
        between = monotonic()
        held.nearest(queries, weights, TOP_K)
        bare_s.append(between - started)
        search_s.append(monotonic() - between)
    bare, search = min(bare_s), min(search_s)
    record(
        "search_vs_blas" if num_queries == 1 else f"search_vs_blas_{num_queries}",
        bare / search,
        1 / 1.2,
        f"exact top-{TOP_K} of {num_queries} queries over {NUM_TRACKS:,} tracks x "
        f"{NUM_INSTRUMENTS} x {DIM}: {search:.3f} s, the product alone {bare:.3f} s "
        f"(search takes {search / bare:.2f} times as long)",
    )


def test_index_finds_almost_all_of_the_exact_answer(record):
    num, dim, num_queries = 200_000, 32, 100
    held = SubspaceRows.of(tracks(num, dim))
    started = monotonic()
    coded = CodedRows.of(held)
    built_s = monotonic() - started
    queries = held.values[:num_queries, : NUM_INSTRUMENTS * dim]
    recalls, told, took = [], [], []
    for name, weights in WEIGHTS.items():
        exact = held.nearest(queries, weights, TOP_K).rows
        started = monotonic()
        found = [coded.candidates(query, weights, NUM_CANDIDATES)[0] for query in queries]
        took.append((monotonic() - started) / num_queries)
        hits = [np.isin(e, f).mean() for e, f in zip(exact, found, strict=True)]
        recalls.append(float(np.mean(hits)))
        told.append(f"{recalls[-1]:.3f} by {name}")
    size = len(coded.to_bytes()) / num
    record(
        "ann_recall",
        min(recalls),
        0.95,
        f"recall@{TOP_K} against exact, {num:,} tracks x {NUM_INSTRUMENTS} x {dim}, "
        f"{NUM_CANDIDATES} candidates ranked exactly: {', '.join(told)}; built in "
        f"{built_s:.1f} s, {size:.0f} bytes a track, {1e3 * max(took):.2f} ms a query",
    )
