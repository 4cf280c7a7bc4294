"""What a night has to do."""

import numpy as np
import pyarrow as pa
import pytest

from csn.catalogue.difference import difference, shard_places
from csn.catalogue.entries import ENTRY_SCHEMA, Shard, numbered, resolved
from csn.catalogue.listing import LISTING_SCHEMA, Listing
from csn.distributed.catalogue_worker import reject
from csn.errors import CorpusError


def listing(**digests):
    rows = [
        {"track_id": t, "uri": t, "size": 1, "source_digest": d, "fault": ""}
        for t, d in digests.items()
    ]
    return Listing(pa.Table.from_pylist(rows, schema=LISTING_SCHEMA), {})


def state(*commits):
    tables = [
        numbered(pa.Table.from_pylist(rows, schema=ENTRY_SCHEMA), version)
        for version, rows in enumerate(commits, 1)
    ]
    shards = {"s": Shard("s", ())}
    return resolved(len(tables), pa.concat_tables(tables), shards, frozenset())


def row(track, action="add", digest="1", settings="S", attempts=None, message=None, uri=None):
    return {
        "track_id": track,
        "uri": uri or track,
        "action": action,
        "shard": "s" if action == "add" else None,
        "source_digest": digest,
        "settings_digest": settings,
        "attempts": attempts,
        "message": message,
    }


def nonzero(counts):
    return {name: count for name, count in counts.items() if count}


def test_first_night_embeds_all():
    found = difference(listing(a="1", b="1"), state([]), "S", max_attempts=3)
    assert found.todo["track_id"].to_pylist() == ["a", "b"]
    assert nonzero(found.counts) == {"new": 2}
    assert found.todo["base_version"].to_pylist() == [0, 0]


def test_new_changed_deleted_and_unchanged_are_told_apart():
    before = state([row("same"), row("changed"), row("gone")], [row("other", settings="T")])
    tonight = listing(same="1", changed="2", fresh="1", other="1")
    found = difference(tonight, before, "S", max_attempts=3)
    assert found.todo.select(["track_id", "base_version"]).to_pylist() == [
        {"track_id": "changed", "base_version": 1},
        {"track_id": "fresh", "base_version": 0},
        {"track_id": "other", "base_version": 2},
    ]
    assert found.deleted.to_pylist() == [{"track_id": "gone", "base_version": 1}]
    assert nonzero(found.counts) == {"unchanged": 1, "changed": 2, "new": 1, "deleted": 1}


@pytest.mark.parametrize("action", ["add", "reject"])
def test_track_at_another_address_is_another_file_even_if_it_looks_the_same(action):
    before = state([row("a", action, attempts=3, uri="old/a")])
    found = difference(listing(a="1"), before, "S", max_attempts=3)
    assert nonzero(found.counts) == {"changed" if action == "add" else "new": 1}
    assert found.todo["attempts"].to_pylist() == [0]


def test_deleted_track_that_comes_back_is_new():
    before = state([row("a")], [row("a", "delete")])
    found = difference(listing(a="1"), before, "S", max_attempts=3)
    assert nonzero(found.counts) == {"new": 1}
    assert found.todo["base_version"].to_pylist() == [2]


@pytest.mark.parametrize(("attempts", "kind"), [(1, "retried"), (2, "retried"), (3, "given_up")])
def test_rejects_are_tried_on_as_many_nights_as_allowed(attempts, kind):
    before = state([row("a", "reject", attempts=attempts)])
    found = difference(listing(a="1"), before, "S", max_attempts=3)
    assert nonzero(found.counts) == {kind: 1}
    assert len(found.todo) == (kind == "retried")
    # Asked for, it is tried however often it has failed; nothing else is.
    found = difference(listing(a="1", b="1"), before, "S", max_attempts=3, only="rejects")
    assert found.todo.select(["track_id", "attempts"]).to_pylist() == [
        {"track_id": "a", "attempts": attempts}
    ]


def test_reject_whose_file_changed_begins_anew():
    before = state([row("a"), row("b", "reject", attempts=3)], [row("a", "reject", "2", "S", 3)])
    found = difference(listing(a="3", b="2"), before, "S", max_attempts=3)
    assert nonzero(found.counts) == {"changed": 1, "new": 1}
    assert found.todo["attempts"].to_pylist() == [0, 0]


def test_reject_that_is_gone_is_closed_without_counting_as_deleted():
    found = difference(
        listing(b="1"), state([row("a", "reject", attempts=1)]), "S", max_attempts=3
    )
    assert found.deleted["track_id"].to_pylist() == ["a"]
    assert nonzero(found.counts) == {"new": 1}


def test_faulty_track_is_told_of_once():
    tonight = listing(a="1")
    place = LISTING_SCHEMA.get_field_index("fault")
    tonight = Listing(tonight.tracks.set_column(place, "fault", pa.array(["empty"])), {})
    found = difference(tonight, state([]), "S", max_attempts=3)
    assert (len(found.todo), len(found.faulty)) == (0, 1)
    told = state([row("a", "reject", attempts=1, message="empty")])
    found = difference(tonight, told, "S", max_attempts=3)
    assert (len(found.todo), len(found.faulty)) == (0, 0)
    assert nonzero(found.counts) == {"faulty": 1}


@pytest.mark.parametrize(
    "fault",
    [
        "no such file (/music/two  spaces.wav); correct the manifest",
        "no such file (/music/a\nline.wav); correct the manifest",
        f"no such file (/music/{'long' * 200}.wav); correct the manifest",
    ],
)
def test_faulty_track_of_a_strange_address_is_told_of_once(fault):
    tonight = listing(a="1")
    place = LISTING_SCHEMA.get_field_index("fault")
    tonight = Listing(tonight.tracks.set_column(place, "fault", pa.array([fault])), {})
    entry = reject(row("a") | {"attempts": 0}, "S", "list", CorpusError(fault))
    found = difference(tonight, state([entry]), "S", max_attempts=3)
    assert (len(found.todo), len(found.faulty)) == (0, 0)
    other = state([entry | {"message": "the file is empty"}])
    assert len(difference(tonight, other, "S", max_attempts=3).faulty) == 1


def test_overwrite_does_all_again():
    found = difference(listing(a="1"), state([row("a")]), "S", max_attempts=3, overwrite=1)
    assert nonzero(found.counts) == {"again": 1}
    assert len(found.todo) == 1


def test_overwrite_that_was_interrupted_leaves_what_it_did():
    before = state([row("a"), row("b")], [row("b")])
    found = difference(listing(a="1", b="1"), before, "S", max_attempts=3, overwrite=1)
    assert nonzero(found.counts) == {"again": 1, "unchanged": 1}
    assert found.todo["track_id"].to_pylist() == ["a"]


def test_shards_keep_the_order_and_leave_nothing_out():
    sizes = np.random.default_rng(0).integers(1, 50, 200)
    places = shard_places(sizes, 16, 300)
    assert [i for p in places for i in range(p.start, p.stop)] == list(range(200))
    for place in places:
        held = sizes[place]
        assert len(held) <= 16
        assert held.sum() <= 300 or len(held) == 1
    assert shard_places(np.array([]), 4, 4) == []
