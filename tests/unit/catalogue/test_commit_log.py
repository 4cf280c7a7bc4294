"""The log of commits, and what is true after them."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn import storage
from csn.catalogue.commit_log import Commit, CommitLog
from csn.catalogue.entries import ENTRY_SCHEMA, STATE_SCHEMA, Shard, ShardFile, State
from csn.catalogue.snapshot import ModelNote, log_uri, make_current, read_snapshot, write_note
from csn.errors import StorageError


def entry(track, action="add", shard="s1", **more):
    return {"track_id": track, "action": action, "shard": shard, **more}


def commit(*rows, shards=(), removed=(), run="r"):
    table = pa.Table.from_pylist(list(rows), schema=ENTRY_SCHEMA)
    made = tuple(
        Shard(s, (ShardFile("track", "drums", f"data/{s}.parquet", 2, 10),)) for s in shards
    )
    return Commit(run, table, made, tuple(removed))


def told(state):
    """Action and shard of each track, and the dead rows."""
    live = {
        row["track_id"]: (row["action"], row["shard"])
        for row in state.entries.to_pylist()
        if row["action"] in ("add", "delete")
    }
    return live, state.dead_ids()


def test_empty_log_says_nothing(tmp_path):
    state = CommitLog(str(tmp_path)).read()
    assert state.version == 0
    assert told(state) == ({}, {})


def test_last_word_of_a_track_counts(tmp_path):
    log = CommitLog(str(tmp_path))
    assert log.append(1, commit(entry("a"), entry("b"), shards=["s1"]))
    assert log.append(2, commit(entry("a", shard="s2"), shards=["s2"]))
    assert log.append(3, commit(entry("b", "delete", None)))
    assert log.append(4, commit(entry("b", "reject", None, attempts=1)))
    state = log.read()
    # s1 has no living row left, so nothing refers to its files any longer.
    assert told(state) == ({"a": ("add", "s2"), "b": ("delete", None)}, {})
    assert list(state.shards) == ["s2"]
    assert state.of("reject")["track_id"].to_pylist() == ["b"]


def test_dead_rows_are_told_for_each_shard(tmp_path):
    log = CommitLog(str(tmp_path))
    log.append(1, commit(entry("a"), entry("b"), entry("c"), shards=["s1"]))
    log.append(2, commit(entry("a", shard="s2"), entry("x", "dead", "s2"), shards=["s2"]))
    log.append(3, commit(entry("c", "delete", None)))
    assert told(log.read())[1] == {"s1": ("a", "c"), "s2": ("x",)}


def test_reject_leaves_the_rows_that_are_there(tmp_path):
    log = CommitLog(str(tmp_path))
    log.append(1, commit(entry("a"), shards=["s1"]))
    log.append(2, commit(entry("a", "reject", None, attempts=1)))
    state = log.read()
    assert told(state) == ({"a": ("add", "s1")}, {})
    assert state.of("reject")["attempts"].to_pylist() == [1]
    log.append(3, commit(entry("a", shard="s2"), shards=["s2"]))
    assert len(log.read().of("reject")) == 0


def test_joined_shards_are_gone(tmp_path):
    log = CommitLog(str(tmp_path))
    log.append(1, commit(entry("a"), entry("b"), shards=["s1"]))
    log.append(2, commit(entry("b", shard="s2"), shards=["s2"]))
    joined = commit(
        entry("a", shard="s3"), entry("b", shard="s3"), shards=["s3"], removed=["s1", "s2"]
    )
    log.append(3, joined)
    assert told(log.read()) == ({"a": ("add", "s3"), "b": ("add", "s3")}, {})
    assert list(log.read().shards) == ["s3"]


def test_a_number_is_given_once(tmp_path):
    log = CommitLog(str(tmp_path))
    first, second = commit(entry("a")), commit(entry("b"))
    assert log.append(1, first)
    assert not log.append(1, second)
    assert log.append(1, first)  # the answer to the first write was lost: it is our own
    assert [one.commit_id for one in log.commits(0)] == [first.commit_id]
    assert log.commits(1) == []


def test_of_many_that_write_at_once_one_wins(tmp_path):
    log = CommitLog(str(tmp_path))
    commits = [commit(entry(str(n))) for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda one: log.append(1, one), commits))
    assert sum(won) == 1
    assert log.commits(0)[0].commit_id == commits[won.index(True)].commit_id


words = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "delete", "reject", "dead"])),
    max_size=12,
)


@given(words=words, checkpoint_after=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_checkpoint_changes_nothing(tmp_path_factory, words, checkpoint_after):
    log = CommitLog(str(tmp_path_factory.mktemp("log")))
    for version, (track, action) in enumerate(words, 1):
        shard = f"s{version}" if action in ("add", "dead") else None
        shards = [shard] if shard else []
        log.append(version, commit(entry(track, action, shard), shards=shards))
        if version == checkpoint_after:
            before = log.read()
            log.write_checkpoint(before)
            assert log.read().entries.equals(before.entries)
    plain = CommitLog(log.folder_uri)
    with_checkpoint = plain.read()
    storage.remove(storage.join(log.folder_uri, "checkpoints"))
    without = plain.read()
    assert told(with_checkpoint) == told(without)
    assert with_checkpoint.shards == without.shards
    assert with_checkpoint.version == without.version == len(words)
    # Against the plain meaning of the words, one after the other.
    live = {}
    for version, (track, action) in enumerate(words, 1):
        if action in ("add", "delete"):
            live[track] = (action, f"s{version}" if action == "add" else None)
    assert told(without)[0] == live


def test_shards_of_a_large_catalogue_take_little_of_the_footer(tmp_path):
    conditions = ("drums", "bass", "piano", "guitar", "residuals")
    shards = {}
    for name in (uuid.uuid4().hex for _ in range(1000)):
        files = tuple(
            ShardFile(level, one, f"level={level}/condition={one}/date=d/{name}.parquet", 2, 1_000)
            for level in ("track", "segment")
            for one in conditions
        )
        shards[name] = Shard(name, files)
    state = State(1, pa.table([["a"], *[[None]] * 12, [1]], schema=STATE_SCHEMA), shards)
    log = CommitLog(str(tmp_path))
    log.write_checkpoint(state)
    (file,) = (tmp_path / "checkpoints").iterdir()
    # Of 100 million tracks there are 400,000 shards, whose footer Arrow writes twice.
    assert 400_000 / 1000 * file.stat().st_size < 2**31 / 10
    assert {shard.shard_id: shard for shard in log.shards_since(2e9)} == shards


@pytest.mark.parametrize("is_older", [False, True])
def test_checkpoint_of_so_many_shards_that_pyarrow_alone_refuses_it(tmp_path, is_older):
    """One shard with a very long path stands for 40,000, which would take half a minute."""
    log = CommitLog(str(tmp_path))
    log.append(1, commit(entry("a"), shards=["s1"]))
    entries = log.read().entries
    size = 80_000_000 if is_older else 120_000_000
    shard = Shard("s1", (ShardFile("track", "drums", "x" * size, 1, 10),))
    state = State(1, entries, {"s1": shard})
    if is_older:  # of a version that did not pack it
        header = json.dumps({"shards": [asdict(shard)]})
        file = tmp_path / "checkpoints" / "0000000001.parquet"
        file.parent.mkdir()
        pq.write_table(entries.replace_schema_metadata({"csn": header}), file)
        with pytest.raises(OSError, match="Exceeded size limit"):
            pq.ParquetFile(file)
    else:
        log.write_checkpoint(state)
    assert log.read() == state


def test_file_that_is_no_commit_is_refused(tmp_path):
    log = CommitLog(str(tmp_path))
    storage.write_table(
        storage.join(log.folder_uri, "commits", "0000000001.parquet"), pa.table({"a": [1]})
    )
    with pytest.raises(StorageError, match="not a commit of this version"):
        log.read()


def test_snapshot_lists_committed_files_and_their_dead_rows(tmp_path):
    output = str(tmp_path / "catalogues" / "music")
    with pytest.raises(StorageError, match="no embeddings of a current model"):
        read_snapshot(output)
    write_note(
        output, ModelNote("abc", "s3://m", {"drums": 4}, {"drums": 0.2}, "float32", "cosine")
    )
    log = CommitLog(log_uri(output, "abc"))
    log.append(1, commit(entry("a"), entry("b"), shards=["s1"]))
    log.append(2, commit(entry("a", shard="s2"), shards=["s2"]))
    with pytest.raises(StorageError, match="no embeddings of a current model"):
        read_snapshot(output)
    make_current(output, "abc")
    snapshot = read_snapshot(output + "/")
    assert snapshot == read_snapshot(output, "abc")
    assert snapshot.catalogue == "music"
    assert dict(snapshot.thresholds) == {"drums": 0.2}
    assert [(f.uri.rpartition("/")[2], f.dead_track_ids) for f in snapshot.files] == [
        ("s1.parquet", ("a",)),
        ("s2.parquet", ()),
    ]
    with pytest.raises(StorageError, match="no embeddings of xyz"):
        read_snapshot(output, "xyz")
