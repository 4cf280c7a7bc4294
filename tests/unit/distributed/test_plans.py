from dataclasses import replace

import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared_tracks import table, whole

from csn import recipes, storage
from csn.distributed.plans import epoch_rows, note_tracks, split_of
from csn.model import checkpoint
from csn.model.network import build_network
from csn.paths import Paths

law = settings(max_examples=40, deadline=None)
epochs = st.integers(0, 20)
seeds = st.integers(0, 1_000)


def plan_of(num_plans, num_rows):
    return pa.table(
        {
            "plan_index": pa.array(
                [p for p in range(num_plans) for _ in range(num_rows)], pa.int32()
            ),
            "triplet_id": pa.array(list(range(num_rows)) * num_plans, pa.int64()),
        }
    )


def ids(rows, epoch, *, seed=0, batch_size=8, rank=0, num_ranks=1):
    found = epoch_rows(
        rows, epoch, seed=seed, batch_size=batch_size, rank=rank, num_ranks=num_ranks
    )
    assert len(set(found["plan_index"].to_pylist())) == 1
    return found["triplet_id"].to_pylist()


def batches(values, size):
    return [values[start : start + size] for start in range(0, len(values), size)]


@law
@given(num_rows=st.integers(8, 100), num_ranks=st.sampled_from([2, 4]), epoch=epochs, seed=seeds)
def test_ranks_batches_together_are_one_worker_s(num_rows, num_ranks, epoch, seed):
    rows = plan_of(2, num_rows)
    alone = batches(ids(rows, epoch, seed=seed), 8)
    shares = [
        batches(ids(rows, epoch, seed=seed, rank=rank, num_ranks=num_ranks), 8 // num_ranks)
        for rank in range(num_ranks)
    ]
    for k, batch in enumerate(alone):
        together = [value for share in shares for value in share[k]]
        assert together == batch
    assert all(len(share) == len(alone) for share in shares)


@law
@given(num_rows=st.integers(8, 100), epoch=epochs, seed=seeds)
def test_epoch_takes_each_row_at_most_once_in_whole_batches(num_rows, epoch, seed):
    found = ids(plan_of(1, num_rows), epoch, seed=seed)
    assert len(found) == num_rows // 8 * 8
    assert len(set(found)) == len(found)
    assert set(found) <= set(range(num_rows))


def test_epoch_of_whole_batches_takes_every_row():
    assert sorted(ids(plan_of(1, 64), 3)) == list(range(64))


def test_epochs_cycle_through_the_plans():
    rows = plan_of(3, 16)
    found = [
        set(
            epoch_rows(rows, epoch, seed=0, batch_size=8, rank=0, num_ranks=1)[
                "plan_index"
            ].to_pylist()
        )
        for epoch in range(7)
    ]
    assert found == [{epoch % 3} for epoch in range(7)]


def test_epoch_can_be_redone_and_each_has_an_order_of_its_own():
    rows = plan_of(1, 64)
    assert ids(rows, 5) == ids(rows, 5)
    assert ids(rows, 5) != ids(rows, 6)
    assert ids(rows, 5) != ids(rows, 5, seed=1)
    assert ids(rows, 5) != sorted(ids(rows, 5))


def test_rows_left_over_take_their_turn_in_another_epoch():
    rows = plan_of(1, 15)
    seen = {value for epoch in range(20) for value in ids(rows, epoch)}
    assert seen == set(range(15))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_split_has_its_tracks_alone(split):
    tracks = pa.table({"track_id": ["A", "B", "C"], "split": ["train", "test", "train"]})
    expected = {"train": ["A", "C"], "validation": [], "test": ["B"]}
    assert split_of(tracks, split)["track_id"].to_pylist() == expected[split]


@pytest.fixture
def made(tmp_path):
    """What was made from three train tracks under a name that experiments share."""
    config = recipes.tiny()
    corpus = replace(config.corpus, num_train_tracks=3)
    config = replace(config, name="teachers-abc", root=str(tmp_path), corpus=corpus)
    note_tracks(config, tracks_of("abc"))
    return config


def tracks_of(names, length_s=10.0):
    return table(*[whole(name, length_s, tempo_bpm=float("nan")) for name in names])


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("names", ["abc", "abcd"])
def test_what_was_made_from_the_same_tracks_is_used(made, caplog, names):
    note_tracks(made, tracks_of(names))  # of four the first three are used
    assert not warnings(caplog)


@pytest.mark.parametrize(
    ("tracks", "then_and_now"),
    [
        pytest.param(tracks_of("ab"), "3 then, 2 now", id="one-less"),
        pytest.param(tracks_of("abz"), "3 then, 3 now", id="another"),
        pytest.param(tracks_of("abc", 11.0), "3 then, 3 now", id="other-lengths"),
    ],
)
def test_what_was_made_from_other_tracks_is_told_of_and_kept(made, caplog, tracks, then_and_now):
    before = storage.read_bytes(Paths(made).experiment("tracks.json"))
    note_tracks(made, tracks)
    (told,) = warnings(caplog)
    assert f"teachers-abc was made from other tracks ({then_and_now})" in told
    assert storage.read_bytes(Paths(made).experiment("tracks.json")) == before


def test_what_was_made_from_another_network_is_told_of_and_kept(tmp_path, caplog):
    config = replace(recipes.tiny(), name="pretraining-abc", root=str(tmp_path))
    uri = str(tmp_path / "elsewhere")
    config = replace(config, start=replace(config.start, initial_checkpoint_uri=uri))
    digests = []
    for shift in (1, 1, 2):
        torch.manual_seed(0)
        network = build_network(config)
        next(iter(network.parameters())).data += shift
        digests.append(checkpoint.save(uri, network, config))
        assert not warnings(caplog)
        note_tracks(config, tracks_of("abc"))
    (told,) = warnings(caplog)
    assert "pretraining-abc was made from other networks or lists" in told
    assert told.index(digests[0]) < told.index(digests[2])
