"""Two runs on one log: every track has one living version, whoever comes first."""

import random

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.catalogue import compaction
from csn.catalogue.commit_log import CommitLog
from csn.catalogue.committing import Committer
from csn.catalogue.entries import ADD, ENTRY_SCHEMA, REJECT, Shard, ShardFile


def shard(name, num_bytes=10):
    return Shard(name, (ShardFile("track", "drums", f"{name}.parquet", 1, num_bytes),))


def entries(*tracks, shard_id=None, action=ADD):
    rows = [{"track_id": t, "action": action, "shard": shard_id} for t in tracks]
    return pa.Table.from_pylist(rows, schema=ENTRY_SCHEMA)


def tracks(stood):
    return stood["track_id"].to_pylist()


def living(log):
    return {row["track_id"]: row["shard"] for row in log.read().of(ADD).to_pylist()}


def test_what_another_has_done_meanwhile_is_dead_in_ours(tmp_path):
    log = CommitLog(str(tmp_path))
    one, other = Committer(log, 0, "one"), Committer(log, 0, "other")
    assert tracks(one.commit(entries("a", "b", shard_id="s1"), [shard("s1")])) == ["a", "b"]
    assert tracks(other.commit(entries("b", "c", shard_id="s2"), [shard("s2")])) == ["c"]
    assert living(log) == {"a": "s1", "b": "s1", "c": "s2"}
    assert log.read().dead_ids() == {"s2": ("b",)}
    # All of it is done: nothing is written, and the shard's files are orphans.
    version = log.read().version
    assert tracks(other.commit(entries("a", "b", shard_id="s3"), [shard("s3")])) == []
    assert log.read().version == version
    assert tracks(other.commit(entries("a", action="reject"))) == []
    assert tracks(other.commit(entries("a", action="delete"))) == []
    assert living(log) == {"a": "s1", "b": "s1", "c": "s2"}


def test_files_are_not_joined_over_what_another_did(tmp_path):
    log = CommitLog(str(tmp_path))
    Committer(log, 0, "before").commit(entries("a", shard_id="s1"), [shard("s1")])
    one, other = Committer(log, 1, "one"), Committer(log, 1, "other")
    other.commit(entries("a", shard_id="s2"), [shard("s2")])
    assert not one.join(entries("a", shard_id="s3"), shard("s3"), ["s1"])
    assert living(log) == {"a": "s2"}
    again = Committer(log, 2, "again")
    assert again.join(entries("a", shard_id="s4"), shard("s4"), ["s2"])
    # Joining changed no row: who planned before it may still replace the track.
    assert tracks(other.commit(entries("b", shard_id="s5"), [shard("s5")])) == ["b"]
    assert tracks(other.commit(entries("a", shard_id="s6"), [shard("s6")])) == ["a"]
    assert living(log) == {"a": "s6", "b": "s5"}


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_many_runs_in_any_order_leave_each_track_once(tmp_path_factory, seed):
    chance = random.Random(seed)
    log = CommitLog(str(tmp_path_factory.mktemp("log")))
    runs = [Committer(log, 0, str(number)) for number in range(3)]
    work = {run: [["a", "b"], ["c", "d"], ["e"]] for run in runs}
    written = {}
    while any(work.values()):
        run = chance.choice([run for run in runs if work[run]])
        some = work[run].pop(chance.randrange(len(work[run])))
        name = f"s{len(written)}"
        written[name] = some
        run.commit(entries(*some, shard_id=name), [shard(name)])
        if chance.random() < 0.3:
            state = log.read()
            for group in compaction.groups(state, 100):
                joined = shard(f"s{len(written)}")
                moved = compaction.moved(state, group, joined)
                written[joined.shard_id] = moved["track_id"].to_pylist()
                run.refresh()
                run.join(moved, joined, [one.shard_id for one in group])
    state = log.read()
    owners = living(log)
    assert set(owners) == set("abcde")
    dead = state.dead_ids()
    rows = [
        track
        for name in state.shards
        for track in written[name]
        if track not in dead.get(name, ())
    ]
    assert sorted(rows) == sorted("abcde")


def test_what_failed_last_is_still_open_when_its_older_rows_are_moved(tmp_path):
    log = CommitLog(str(tmp_path))
    run = Committer(log, 0, "run")
    for name in ("s1", "s2"):
        run.commit(entries(f"{name}a", f"{name}b", shard_id=name), [shard(name)])
    run.commit(entries("s1a", action=REJECT))
    run.commit(entries("s2a", action=REJECT))
    run.commit(entries("s2a", shard_id="s3"), [shard("s3", 90)])  # it went well after all
    (group,) = compaction.groups(log.read(), 100)
    joined = shard("s4")
    assert run.join(compaction.moved(log.read(), group, joined), joined, ["s1", "s2"])
    assert log.read().of(REJECT)["track_id"].to_pylist() == ["s1a"]
    assert living(log) == {"s1a": "s4", "s1b": "s4", "s2b": "s4", "s2a": "s3"}


def test_only_small_shards_and_mostly_dead_ones_are_joined(tmp_path):
    log = CommitLog(str(tmp_path))
    run = Committer(log, 0, "run")
    for name, size in (("s1", 10), ("s2", 60), ("s3", 10), ("s4", 60), ("s5", 30), ("s6", 40)):
        run.commit(entries(f"{name}a", f"{name}b", f"{name}c", shard_id=name), [shard(name, size)])
    found = compaction.groups(log.read(), 100)
    assert [[one.shard_id for one in group] for group in found] == [["s1", "s3", "s5", "s6"]]
    run.commit(entries("s2a", "s2b", action="delete"))
    found = compaction.groups(log.read(), 100)
    assert ["s2"] in [[one.shard_id for one in group] for group in found]
