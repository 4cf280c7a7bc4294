"""Files that nothing refers to: how long they are kept for those who may still read them."""

import os

import pyarrow as pa
import pytest

from csn.catalogue import compaction
from csn.catalogue.commit_log import CommitLog
from csn.catalogue.committing import Committer
from csn.catalogue.entries import ADD, ENTRY_SCHEMA, Shard, ShardFile

NOW_S, HOUR_S = 2e9, 3600


class Catalogue:
    """A catalogue whose files have the times that a test gives them."""

    def __init__(self, folder):
        self.folder = folder
        self.log = CommitLog(str(folder / "log"))
        self.run = Committer(self.log, 0, "run")

    def shard(self, name, age_h):
        path = self.folder / "model=m" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        self.set_age(path, age_h)
        return Shard(name, (ShardFile("track", "drums", f"model=m/{name}.parquet", 1, 10),))

    def set_age(self, path, age_h):
        os.utime(path, times=(NOW_S - age_h * HOUR_S,) * 2)

    def commit(self, track, name, age_h):
        rows = [{"track_id": track, "action": ADD, "shard": name}]
        entries = pa.Table.from_pylist(rows, schema=ENTRY_SCHEMA)
        self.run.commit(entries, [self.shard(name, age_h)])

    def join(self, name, age_h):
        state = self.log.read()
        shard = self.shard(name, age_h)
        group = list(state.shards.values())
        moved = compaction.moved(state, group, shard)
        assert self.run.join(moved, shard, [one.shard_id for one in group])

    def checkpoint(self, age_h):
        self.log.write_checkpoint(self.log.read())
        newest = max((self.folder / "log" / "checkpoints").iterdir())
        self.set_age(newest, age_h)

    def orphans(self, keep_h):
        before_s = NOW_S - keep_h * HOUR_S
        named = self.log.shards_since(before_s)
        found = compaction.orphans(str(self.folder), "m", named, before_s)
        return sorted(uri.rpartition("/")[2].removesuffix(".parquet") for uri in found)


@pytest.fixture
def catalogue(tmp_path):
    made = Catalogue(tmp_path)
    made.commit("a", "s1", age_h=100)
    made.commit("b", "s2", age_h=100)
    made.checkpoint(age_h=99)
    made.shard("killed", age_h=100)
    made.shard("fresh", age_h=1)
    return made


def test_what_was_replaced_is_kept_for_those_who_read_it_before(catalogue):
    catalogue.join("s3", age_h=2)
    catalogue.checkpoint(age_h=1)
    assert catalogue.orphans(keep_h=24) == ["killed"]  # old as s1 and s2 are, they were in force
    catalogue.checkpoint(age_h=25)
    assert catalogue.orphans(keep_h=24) == ["killed", "s1", "s2"]
    catalogue.checkpoint(age_h=0)
    assert catalogue.orphans(keep_h=0) == ["fresh", "killed", "s1", "s2"]


def test_rows_that_others_replaced_are_kept_too(catalogue):
    catalogue.commit("a", "s4", age_h=2)
    catalogue.checkpoint(age_h=1)
    assert list(catalogue.log.read().shards) == ["s2", "s4"]
    assert catalogue.orphans(keep_h=24) == ["killed"]
    catalogue.checkpoint(age_h=30)
    assert catalogue.orphans(keep_h=24) == ["killed", "s1"]


def test_run_that_was_killed_before_its_checkpoint_keeps_more(catalogue):
    catalogue.join("s3", age_h=90)
    assert catalogue.orphans(keep_h=24) == ["killed"]
    catalogue.commit("c", "s5", age_h=50)
    catalogue.checkpoint(age_h=49)
    assert catalogue.orphans(keep_h=24) == ["killed", "s1", "s2"]


def test_log_without_a_checkpoint_that_old_names_all(catalogue):
    assert catalogue.orphans(keep_h=99.5) == ["killed"]
