from dataclasses import replace

import catalogue_files
import numpy as np
import pyarrow.parquet as pq
import pytest

from csn.catalogue.snapshot import read_rows
from csn.errors import ProtocolError, StorageError
from csn.search.shards import carried, read_shard, shards_of, taking_part

NUM = 10


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    return {"drums": rng.normal(size=(NUM, 3)), "bass": rng.normal(size=(NUM, 2))}


def test_shard_is_the_files_of_one_name(tmp_path, vectors):
    files = catalogue_files.write_shards(str(tmp_path), vectors, num_shards=2)
    segments = catalogue_files.write_shards(
        str(tmp_path), vectors, segments=[0] * NUM, num_shards=1
    )
    snapshot = catalogue_files.snapshot_of([*segments, *files], vectors)
    shards = shards_of(snapshot)
    assert [shard.conditions for shard in shards] == [("drums", "bass")] * 2
    assert {file.level for shard in shards for file in shard.files} == {"track"}
    assert len(shards_of(snapshot, "segment")) == 1
    found = read_shard(shards[1])
    assert found.facts["track_id"].to_pylist() == [f"track {n:06}" for n in (1, 3, 5, 7, 9)]
    np.testing.assert_array_equal(found.vectors[1], vectors["bass"][1::2].astype(np.float32))
    assert read_shard(shards[1].of(["bass"])).vectors[0].shape == (5, 2)


def test_rows_of_dead_tracks_are_left_out(tmp_path, vectors):
    files = catalogue_files.write_shards(str(tmp_path), vectors, dead=["gone", "track 000001"])
    (first, *_) = shards_of(catalogue_files.snapshot_of(files, vectors))
    assert (first.num_rows, first.num_living) == (6, 4)
    assert read_shard(first).facts["track_id"].to_pylist() == [
        f"track {n:06}" for n in (0, 3, 6, 9)
    ]


def test_filter_gate_and_names_choose_rows_of_all_conditions(tmp_path, vectors):
    presence = {"drums": np.arange(NUM), "bass": np.arange(NUM)[::-1]}
    files = catalogue_files.write_shards(
        str(tmp_path), vectors, num_shards=1, presence=presence, carried={"year": range(NUM)}
    )
    (shard,) = shards_of(catalogue_files.snapshot_of(files, vectors))
    found = read_shard(shard, where="year < 8", thresholds={"drums": 2, "bass": 5})
    assert found.facts["year"].to_pylist() == [2, 3, 4]
    assert found.presence["bass"].tolist() == [7, 6, 5]
    np.testing.assert_array_equal(found.vectors[0], vectors["drums"][2:5].astype(np.float32))
    assert read_shard(shard, track_ids=["track 000004"]).facts["year"].to_pylist() == [4]
    assert len(read_shard(shard, track_ids=[]).facts) == 0


def test_shard_from_before_a_column_lets_no_track_through_by_it(tmp_path, vectors):
    files = catalogue_files.write_shards(str(tmp_path / "old"), vectors, num_shards=1)
    more = catalogue_files.write_shards(
        str(tmp_path / "new"), vectors, num_shards=1, carried={"year": range(NUM)}
    )
    (old,) = shards_of(catalogue_files.snapshot_of(files, vectors))
    (new,) = shards_of(catalogue_files.snapshot_of(more, vectors))
    assert set(carried(new)) - set(carried(old)) == {"year"}
    for shard, num in ((old, 0), (new, 8)):
        assert len(read_shard(shard, where="year < 8").facts) == num
        assert taking_part(shard, where="year < 8", thresholds={})[1].sum() == num
        assert len(read_shard(shard, where="year < 8 or track_id >= ''").facts) == NUM


def test_columns_of_numbers_are_read_together_whatever_their_types(tmp_path, vectors):
    years = {"old": range(NUM), "new": [year + 0.5 for year in range(NUM)]}
    files = [
        file
        for name, year in years.items()
        for file in catalogue_files.write_shards(
            str(tmp_path / name), vectors, num_shards=1, carried={"year": year}
        )
    ]
    rows = read_rows(catalogue_files.snapshot_of(files, vectors), "track", "drums")
    assert sorted(rows["year"].to_pylist()) == [n / 2 for n in range(2 * NUM)]


def test_by_cosine_vectors_have_length_1_and_those_without_direction_are_left_out(
    tmp_path, vectors
):
    vectors["bass"][3] = 0
    files = catalogue_files.write_shards(str(tmp_path), vectors, num_shards=1, number="float16")
    (shard,) = shards_of(catalogue_files.snapshot_of(files, vectors))
    found = read_shard(shard, metric="cosine")
    assert len(found.facts) == NUM - 1
    for some in found.vectors:
        np.testing.assert_allclose(np.linalg.norm(some, axis=1), 1, rtol=1e-6)
    assert len(read_shard(shard).facts) == NUM


def test_missing_condition_is_refused(tmp_path, vectors):
    files = catalogue_files.write_shards(str(tmp_path), vectors, num_shards=1)
    with pytest.raises(StorageError, match="drums 10 rows found, the same rows of drums, bass"):
        shards_of(catalogue_files.snapshot_of(files[:1], vectors))
    other = [files[0], replace(files[1], num_rows=9)]
    with pytest.raises(StorageError, match="bass 9 rows found"):
        shards_of(catalogue_files.snapshot_of(other, vectors))


def test_files_of_other_rows_are_refused(tmp_path, vectors):
    files = catalogue_files.write_shards(str(tmp_path), vectors, num_shards=1)
    table = pq.read_table(files[1].uri, partitioning=None)
    pq.write_table(table.sort_by([("track_id", "descending")]), files[1].uri)
    (shard,) = shards_of(catalogue_files.snapshot_of(files, vectors))
    with pytest.raises(StorageError, match="does not have the rows of"):
        read_shard(shard)
    pq.write_table(table.drop_columns(["vector"]), files[1].uri)
    with pytest.raises(StorageError, match="expected those of an embedded catalogue"):
        read_shard(shard)


def test_vectors_that_are_no_numbers_are_refused(tmp_path, vectors):
    vectors["bass"][3, 0] = np.nan
    files = catalogue_files.write_shards(str(tmp_path), vectors, num_shards=1)
    (shard,) = shards_of(catalogue_files.snapshot_of(files, vectors))
    with pytest.raises(ProtocolError, match="1 of 10 vectors are not finite"):
        read_shard(shard).held()


def test_who_takes_part_is_said_without_reading_vectors(tmp_path, vectors):
    presence = {"drums": np.arange(NUM), "bass": np.arange(NUM)[::-1]}
    files = catalogue_files.write_shards(
        str(tmp_path),
        vectors,
        num_shards=1,
        presence=presence,
        carried={"year": range(NUM)},
        dead=["gone"],
    )
    (shard,) = shards_of(catalogue_files.snapshot_of(files, vectors))
    ids, kept = taking_part(shard, where="year < 8", thresholds={"drums": 2, "bass": 5})
    assert len(ids) == NUM + 1
    found = read_shard(shard, where="year < 8", thresholds={"drums": 2, "bass": 5})
    assert ids.filter(kept).to_pylist() == found.facts["track_id"].to_pylist()
    assert len(read_shard(shard.with_dead()).facts) == NUM + 1
