"""Rows of a catalogue's output."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from csn.catalogue.rows import EmbeddedTrack, encoded, row_schema, rows

CONSTANTS = {"model_digest": "m", "code_version": "c"}
TRACK = EmbeddedTrack(
    track_id="a",
    uri="s3://b/a",
    source_digest="e",
    duration_s=7.0,
    start_s=np.array([0.0, 3.0, 4.0]),
    segment_s=np.array([3.0, 3.0, 3.0]),
    vectors=np.array([[9, 9, 3, 4], [9, 9, 0, 0.1], [9, 9, 0, 1]], np.float32),
    carried={"genre": "rock"},
)
SCHEMA = row_schema(2, "float32", [pa.field("genre", pa.string())])


def made(level, **settings):
    wanted = {"threshold": None, "is_unit": False} | settings
    return rows([TRACK], level, slice(2, 4), SCHEMA, CONSTANTS, **wanted).to_pylist()


def test_a_row_a_segment():
    found = made("segment", threshold=0.5)
    assert [row["segment_index"] for row in found] == [0, 1, 2]
    assert [row["start_s"] for row in found] == [0.0, 3.0, 4.0]
    np.testing.assert_allclose([row["presence"] for row in found], [5, 0.1, 1], rtol=1e-6)
    np.testing.assert_allclose([row["vector"] for row in found], TRACK.vectors[:, 2:])
    assert {row["genre"] for row in found} == {"rock"}
    assert (found[0]["model_digest"], found[0]["code_version"]) == ("m", "c")


def test_track_is_the_mean_of_the_segments_that_sound():
    (row,) = made("track", threshold=0.5)
    np.testing.assert_allclose(row["vector"], [1.5, 2.5])
    assert row["presence"] == pytest.approx(3)
    assert (row["segment_index"], row["start_s"], row["duration_s"]) == (-1, 0.0, 7.0)
    # Where it never sounds, or nothing says whether it does, of all.
    (row,) = made("track", threshold=50)
    np.testing.assert_allclose(row["vector"], [1, 1.7], rtol=1e-6)
    (row,) = made("track")
    np.testing.assert_allclose(row["vector"], [1, 1.7], rtol=1e-6)
    assert row["presence"] is None


def test_unit_vectors_have_unit_means():
    (row,) = made("track", is_unit=True)
    assert np.linalg.norm(row["vector"]) == pytest.approx(1)
    np.testing.assert_allclose(row["vector"], np.array([1, 1.7]) / np.hypot(1, 1.7), rtol=1e-6)


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_file_has_plain_fixed_size_lists(kind):
    schema = row_schema(2, kind)
    table = rows([TRACK], "segment", slice(2, 4), schema, CONSTANTS, threshold=None, is_unit=False)
    read = pq.ParquetFile(pa.BufferReader(encoded(table))).read()
    number = pa.float16() if kind == "float16" else pa.float32()
    assert read.schema.field("vector").type == pa.list_(number, 2)
    assert read.equals(table)
