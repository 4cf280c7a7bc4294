"""What a night makes of a manifest, beside what is committed."""

import pyarrow as pa
import pytest

from csn import storage
from csn.catalogue.difference import difference
from csn.catalogue.entries import Shard, ShardFile, State
from csn.catalogue.listing import LISTING_SCHEMA, Listing
from csn.config import CatalogueConfig
from csn.distributed.night import check_carried, check_faulty
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


def test_numbers_go_together_and_so_does_what_is_missing(tmp_path, state):
    tonight = listing(year=[1999.5, None, 2001.0], mood=["sad", "calm", None])
    check_carried(tonight, state, str(tmp_path))
    check_carried(listing(year=[None, None, None], genre=[None] * 3), state, str(tmp_path))
    check_carried(listing(year=["late", "", ""]), State(), str(tmp_path))


def test_column_that_no_reader_could_put_beside_the_committed_is_refused(tmp_path, state):
    with pytest.raises(ConfigError, match=r"column year is string, of what is embedded .* int64"):
        check_carried(listing(year=["1999", "last year", ""]), state, str(tmp_path))
    with pytest.raises(ConfigError, match="column genre is int64"):
        check_carried(listing(genre=[1, 2, 3]), state, str(tmp_path))


@pytest.mark.parametrize(("num_faulty", "share", "refused"), [(3, 0.5, True), (3, 1, False)])
def test_catalogue_of_which_most_cannot_be_tried_is_refused(num_faulty, share, refused):
    tonight = listing()
    place = LISTING_SCHEMA.get_field_index("fault")
    faults = pa.array(["no such file"] * num_faulty + [""] * (3 - num_faulty))
    tonight = Listing(tonight.tracks.set_column(place, "fault", faults), {})
    found = difference(tonight, State(), "S", max_attempts=3)
    config = CatalogueConfig(
        checkpoint_uri="net", catalogue_uri="music", min_failed=2, max_failed_share=share
    )
    if not refused:
        check_faulty(config, tonight, found)
        return
    with pytest.raises(ConfigError, match=r"music: 3 of 3 tracks .*; the first: no such file"):
        check_faulty(config, tonight, found)
