import catalogue_files
import numpy as np
import pytest

from csn.search.ranking import Query, best, ranked, with_condition
from csn.search.shards import read_shard, shards_of

NUM = 60
DIMS = {"drums": 3, "bass": 2, "piano": 4}


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(NUM, dim)).astype(np.float32) for name, dim in DIMS.items()}


@pytest.fixture
def shards(tmp_path, vectors):
    files = catalogue_files.write_shards(
        str(tmp_path), vectors, carried={"distance_drums": ["of a manifest"] * NUM}
    )
    return shards_of(catalogue_files.snapshot_of(files, vectors))


def whole_ranking(shards, query, top_k):
    read = [read_shard(shard.of(query.counted), metric=query.metric) for shard in shards]
    return best([ranked(query, rows, top_k) for rows in read], top_k)


def test_total_is_the_root_of_the_weighted_mean_of_squares(shards, vectors):
    query = Query({n: v[7] for n, v in vectors.items()}, {"drums": 2, "bass": 1}, "euclidean")
    found = whole_ranking(shards, query, NUM)
    assert found["track_id"][0].as_py() == "track 000007"
    gaps = {n: np.linalg.norm(v - v[7], axis=1) for n, v in vectors.items()}
    total = np.sqrt((2 * gaps["drums"] ** 2 + gaps["bass"] ** 2) / 3)
    order = np.argsort(total, kind="stable")
    assert found["track_id"].to_pylist() == [f"track {n:06}" for n in order]
    np.testing.assert_allclose(found["distance"], total[order], rtol=1e-5)
    np.testing.assert_allclose(found["distance_bass"], gaps["bass"][order], rtol=1e-5)


def test_cosine_total_is_the_weighted_mean_and_length_does_not_matter(tmp_path, vectors):
    unit = {n: v / np.linalg.norm(v, axis=1, keepdims=True) for n, v in vectors.items()}
    longer = {n: v * 3 for n, v in vectors.items()}
    files = catalogue_files.write_shards(str(tmp_path), longer)
    shards = shards_of(catalogue_files.snapshot_of(files, vectors))
    query = Query({n: v[7] for n, v in unit.items()}, {"drums": 3, "piano": 1}, "cosine")
    found = whole_ranking(shards, query, NUM)
    cosine = {n: 1 - v @ v[7] for n, v in unit.items()}
    total = (3 * cosine["drums"] + cosine["piano"]) / 4
    np.testing.assert_allclose(found["distance"], np.sort(total), atol=1e-6)


def test_query_itself_is_left_out_and_nothing_else(shards, vectors):
    weights = {"drums": 1.0}
    query = Query({n: v[7] for n, v in vectors.items()}, weights, "euclidean", "track 000007")
    found = whole_ranking(shards, query, NUM)
    assert len(found) == NUM - 1
    assert "track 000007" not in found["track_id"].to_pylist()


def test_condition_that_does_not_count_is_added_to_what_was_found(shards, vectors):
    query = Query({n: v[7] for n, v in vectors.items()}, {"drums": 1.0}, "euclidean")
    rows = read_shard(shards[0].of(["bass"]))
    here = best([ranked(query, read_shard(shards[0].of(["drums"])), 3)], 3)
    found = with_condition(here, query, "bass", rows)
    numbers = [int(one.split()[1]) for one in found["track_id"].to_pylist()]
    expected = np.linalg.norm(vectors["bass"][numbers] - vectors["bass"][7], axis=1)
    np.testing.assert_allclose(found["distance_bass"], expected, rtol=1e-5)
    fewer = read_shard(shards[0].of(["bass"]), track_ids=found["track_id"].to_pylist()[:1])
    partly = with_condition(here, query, "bass", fewer)["distance_bass"].to_pylist()
    assert partly[0] is not None
    assert partly[1:] == [None, None]


def test_equal_distances_are_in_the_order_of_the_ids(tmp_path):
    same = {"drums": np.ones((9, 2), np.float32)}
    files = catalogue_files.write_shards(str(tmp_path), same)
    shards = shards_of(catalogue_files.snapshot_of(files, same))
    query = Query({"drums": np.ones(2, np.float32)}, {"drums": 1.0}, "euclidean")
    found = whole_ranking(shards, query, 4)
    assert found["track_id"].to_pylist() == [f"track {n:06}" for n in range(4)]
