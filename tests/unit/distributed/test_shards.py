"""What a night's shards come to, where another run has committed a part of them."""

import pyarrow as pa
import pytest

from csn.catalogue.commit_log import CommitLog
from csn.catalogue.committing import Committer
from csn.catalogue.entries import ADD, ENTRY_SCHEMA, REJECT, Shard, ShardFile
from csn.distributed.catalogue_worker import ShardResult
from csn.distributed.shards import Done


def added(track, shard, audio_s):
    words = {"action": ADD, "shard": shard, "audio_s": audio_s, "num_segments": int(audio_s)}
    return {"track_id": track} | words


def rejected(track):
    words = {"action": REJECT, "stage": "decode", "error": "ValueError", "attempts": 1}
    return {"track_id": track} | words


def result(name, *rows, num_bytes=0):
    files = (ShardFile("track", "drums", f"{name}.parquet", 1, num_bytes),)
    shard = Shard(name, files) if num_bytes else None
    entries = pa.Table.from_pylist(list(rows), schema=ENTRY_SCHEMA)
    return ShardResult(shard, entries, {"network": 2.0}, 100.0)


def committed(committer, done, *results):
    entries = pa.concat_tables([one.entries for one in results])
    shards = [one.shard for one in results if one.shard]
    done.add(results, committer.commit(entries, shards))


def test_only_what_stood_counts_and_all_work_makes_the_rate(tmp_path):
    log = CommitLog(str(tmp_path))
    one, other = Committer(log, 0, "one"), Committer(log, 0, "other")
    theirs, done = Done(), Done()
    first = result("s1", added("a", "s1", 10.0), added("b", "s1", 20.0), num_bytes=60)
    committed(other, theirs, first, result("", rejected("x")))
    assert (theirs.tracks, theirs.audio_s, theirs.worked_s, theirs.num_bytes) == (
        2,
        30.0,
        30.0,
        60,
    )
    assert theirs.newly_failed == 1
    # Of ours a and x are theirs, and so is all of the second shard.
    second = result("s2", added("a", "s2", 10.0), added("c", "s2", 40.0), num_bytes=80)
    third = result("s3", added("b", "s3", 20.0), num_bytes=50)
    committed(one, done, second, third, result("", rejected("x"), rejected("y")))
    assert (done.tracks, done.segments, done.audio_s) == (1, 40, 40.0)
    assert done.num_bytes == 40
    assert (done.rejects.total(), done.newly_failed) == (1, 1)
    assert done.worked_s == pytest.approx(70.0)
    assert done.seconds["network"] == 6.0
    assert len(log.read().of(ADD)) == theirs.tracks + done.tracks
