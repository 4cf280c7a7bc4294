"""What a catalogue holds is opened by others, as it lies."""

import catalogue_files
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest

NUM, DIM = 12, 4


@pytest.fixture(scope="module")
def vectors():
    return {"drums": np.arange(NUM * DIM, dtype=np.float32).reshape(NUM, DIM)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, vectors):
    root = tmp_path_factory.mktemp("catalogue")
    catalogue_files.write_shards(str(root), vectors, carried={"year": range(NUM)})
    return root


def test_duckdb_opens_it_and_ranks_by_distance(folder, vectors):
    duckdb = pytest.importorskip("duckdb")
    query = vectors["drums"][3].tolist()
    rows = duckdb.execute(
        "SELECT track_id, condition, array_distance(vector::FLOAT[4], ?::FLOAT[4]) AS distance "
        f"FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true) "
        "WHERE year > 3 ORDER BY distance LIMIT 2",
        [query],
    ).fetchall()
    assert rows == [("track 000004", "drums", 8.0), ("track 000005", "drums", 16.0)]


def test_polars_opens_it(folder, vectors):
    polars = pytest.importorskip("polars")
    table = polars.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=True)
    assert table.schema["vector"] == polars.Array(polars.Float32, DIM)
    ordered = table.sort("track_id")
    assert ordered["condition"].unique().to_list() == ["drums"]
    np.testing.assert_array_equal(ordered["vector"].to_numpy(), vectors["drums"])


def test_pandas_opens_it(folder, vectors):
    table = pd.read_parquet(folder).sort_values("track_id")
    np.testing.assert_array_equal(np.stack(table["vector"]), vectors["drums"])


def test_pyarrow_opens_it_as_one_data_set(folder):
    found = ds.dataset(folder, partitioning="hive").to_table(filter=ds.field("year") == 7)
    assert found["track_id"].to_pylist() == ["track 000007"]
    assert found["level"].to_pylist() == ["track"]


def test_lancedb_takes_it_over(folder, tmp_path):
    lancedb = pytest.importorskip("lancedb", reason="180 MB, for whoever uses it")
    table = ds.dataset(folder, partitioning="hive").to_table()
    taken = lancedb.connect(tmp_path).create_table("drums", table)
    nearest = taken.search([0.0, 1.0, 2.0, 3.0]).limit(1).to_list()
    assert nearest[0]["track_id"] == "track 000000"
