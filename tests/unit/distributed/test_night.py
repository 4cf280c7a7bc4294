"""What a night makes of a manifest, beside what is committed."""

import pyarrow as pa
import pytest

from csn import storage
from csn.catalogue.entries import Shard, ShardFile, State
from csn.catalogue.listing import LISTING_SCHEMA, Listing
from csn.distributed.night import in_committed_types
from csn.errors import ConfigError


@pytest.fixture
def state(tmp_path):
    rows = {"track_id": ["a"], "year": pa.array([1999], pa.int64()), "genre": ["rock"]}
    storage.write_table(str(tmp_path / "one.parquet"), pa.table(rows))
    return State(1, shards={"s": Shard("s", (ShardFile("track", "drums", "one.parquet", 1, 9),))})


def listing(**carried):
    row = {"track_id": "a", "uri": "a", "size": 1, "source_digest": "1", "fault": ""}
    tracks = pa.Table.from_pylist([{**row, "track_id": t} for t in "abc"], schema=LISTING_SCHEMA)
    for name, values in carried.items():
        tracks = tracks.append_column(name, pa.array(values))
    return Listing(tracks, {})


def test_columns_keep_the_types_of_what_is_committed(tmp_path, state):
    tonight = listing(year=[1999.0, None, 2001.0], mood=["sad", "calm", None])
    found = in_committed_types(tonight, state, str(tmp_path))
    assert found.tracks["year"].to_pylist() == [1999, None, 2001]
    assert found.tracks.schema.field("year").type == pa.int64()
    assert found.carried == ["year", "mood"]
    assert in_committed_types(tonight, State(), str(tmp_path)) == tonight


def test_values_that_do_not_fit_are_refused(tmp_path, state):
    with pytest.raises(ConfigError, match=r"column year is string, of what is embedded .* int64"):
        in_committed_types(listing(year=["1999", "last year", ""]), state, str(tmp_path))
    with pytest.raises(ConfigError, match="column year is double"):
        in_committed_types(listing(year=[1999.5, 1.0, 2.0]), state, str(tmp_path))
