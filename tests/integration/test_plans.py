"""Planning on Ray: the rows of pure planning, however the work is dealt out."""

from dataclasses import replace
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from csn.distributed import plans
from csn.distributed.plans import epoch_rows, plan_rows, split_of
from csn.distributed.progress import Stages
from csn.paths import Paths
from csn.records import TRIPLET_SCHEMA
from csn.triplets.planning import candidates, plan

NUM_PLANS = 3


@pytest.fixture
def drawn(tiny, tracks, tmp_path, monkeypatch):
    """Give what draws plans, in blocks of so many rows."""

    def draw(rows_per_task, seed=0):
        monkeypatch.setattr(plans, "ROWS_PER_TASK", rows_per_task)
        config = replace(
            tiny,
            name=f"{rows_per_task}-{seed}",
            root=str(tmp_path),
            seed=seed,
            training=replace(tiny.training, num_epochs=NUM_PLANS),
        )
        rows, _ = plan_rows(config, tracks, Stages(str(tmp_path / "stages.json")))
        return rows, Paths(config).experiment("triplets.parquet")

    return draw


def test_one_block_and_many_give_the_rows_of_pure_planning(drawn, tiny, tracks):
    found = candidates(split_of(tracks, "train"), tiny.audio, tiny.triplets)
    expected = pa.concat_tables(
        plan(
            found,
            list(range(tiny.triplets.num_rows)),
            plan_index=index,
            seed=0,
            conditions=tiny.network.conditions,
            audio=tiny.audio,
            config=tiny.triplets,
        )
        for index in range(NUM_PLANS)
    )
    one, one_uri = drawn(10_000)
    many, many_uri = drawn(5)  # blocks that begin and end within a plan
    assert one.equals(expected)
    assert many.equals(expected)
    assert pq.read_table(one_uri).equals(pq.read_table(many_uri))


def test_written_plan_has_the_schema_and_its_order(drawn, tiny):
    rows, uri = drawn(7)
    written = pq.read_table(uri)
    assert written.schema.equals(TRIPLET_SCHEMA)
    assert written.equals(rows)
    keys = list(
        zip(written["plan_index"].to_pylist(), written["triplet_id"].to_pylist(), strict=True)
    )
    assert keys == [(p, i) for p in range(NUM_PLANS) for i in range(tiny.triplets.num_rows)]


def test_seed_and_plan_change_the_rows(drawn):
    rows, _ = drawn(10_000)
    other, _ = drawn(10_000, seed=1)
    assert not rows.equals(other)
    contents = [
        rows.filter(pa.compute.equal(rows["plan_index"], index)).drop_columns("plan_index")
        for index in range(NUM_PLANS)
    ]
    assert not contents[0].equals(contents[1])
    assert not contents[1].equals(contents[2])


def test_written_plan_is_read_and_not_drawn_again(drawn, snapshot, tmp_path):
    rows, _ = drawn(10_000)
    before = snapshot(str(tmp_path))
    again, _ = drawn(10_000)
    assert again.equals(rows)
    assert snapshot(str(tmp_path)) == before


@pytest.mark.parametrize("num_ranks", [1, 2, 4])
def test_batches_of_all_ranks_together_are_those_of_one(drawn, num_ranks):
    rows, _ = drawn(10_000)
    batch = 16

    def batches(rank, ranks, epoch):
        mine = epoch_rows(rows, epoch, seed=0, batch_size=batch, rank=rank, num_ranks=ranks)
        size = batch // ranks
        return [mine.slice(i, size)["triplet_id"].to_pylist() for i in range(0, len(mine), size)]

    for epoch in range(NUM_PLANS + 1):
        of_ranks = [batches(rank, num_ranks, epoch) for rank in range(num_ranks)]
        together = [sorted(chain.from_iterable(parts)) for parts in zip(*of_ranks, strict=True)]
        assert together == [sorted(of_one) for of_one in batches(0, 1, epoch)]
    assert batches(0, 1, 0) != batches(0, 1, NUM_PLANS)  # one plan, in another order
