"""Plans made in parallel, and the order in which epochs go through them.

Conventions
-----------
``triplets.parquet`` holds all plans of an experiment, ordered by (plan_index, triplet_id). The
same seed gives the same rows, however many workers made them.
"""

import logging
import zlib
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data

from csn import storage
from csn.config import ExperimentConfig
from csn.distributed.progress import Stages
from csn.paths import Paths
from csn.records import TRIPLET_SCHEMA
from csn.triplets.planning import Candidates, candidates, check_conditions, plan

log = logging.getLogger(__name__)

ROWS_PER_TASK = 1_000
"""About 0.3 s of drawing: a block costs Ray some 30 ms."""


def split_of(tracks: pa.Table, split: str) -> pa.Table:
    """Keep the tracks of one split."""
    return tracks.filter(pa.compute.equal(tracks["split"], split))


def plan_triplets(
    config: ExperimentConfig, tracks: pa.Table, stages: Stages
) -> tuple[pa.Table, Candidates]:
    """Draw the training triplets, or read them where the same plan is written already.

    Returns
    -------
    pyarrow.Table, Candidates
        Rows of `TRIPLET_SCHEMA`; what they were drawn from.
    """
    found = candidates(split_of(tracks, "train"), config.audio, config.triplets)
    conditions = config.network.conditions
    check_conditions(found, conditions, split="train")
    for group in found.groups:
        log.info("tempo group %s: %s tracks", group.name, len(group.track_ids))
    if found.left_out:
        log.info("in no tempo group: %s tracks", len(found.left_out))
    num_plans = min(config.triplets.num_plans, config.training.num_epochs)
    num_rows = config.triplets.num_rows
    uri = Paths(config).experiment("triplets.parquet")
    if storage.exists(uri):
        log.info("plan: reading %s", uri)
        return storage.read_table(uri), found
    shared = ray.put(found)
    total = num_plans * num_rows
    blocks = max(1, -(-total // ROWS_PER_TASK))
    drawn: list[pa.Table] = []
    with stages.stage("plan", total, "rows") as counter:
        dataset = ray.data.range(total, override_num_blocks=blocks).map_batches(
            partial(_draw, found=shared, config=config),
            batch_size=None,
            batch_format="pyarrow",
        )
        blocks_drawn: Any = dataset.iter_batches(batch_size=None, batch_format="pyarrow")
        for block in blocks_drawn:
            drawn.append(block.cast(TRIPLET_SCHEMA))
            counter.advance(len(block))
        counter.detail = f"{num_plans} plans of {num_rows} rows"
    rows = pa.concat_tables(drawn).sort_by(
        [("plan_index", "ascending"), ("triplet_id", "ascending")]
    )
    storage.write_table(uri, rows)
    return rows, found


def _draw(block: pa.Table, *, found: ray.ObjectRef, config: ExperimentConfig) -> pa.Table:
    """Draw the rows that the block's numbers stand for, which run through all plans."""
    offered = ray.get(found)
    ids = block["id"].to_numpy()
    num_rows = config.triplets.num_rows
    tables = [
        plan(
            offered,
            (ids[ids // num_rows == index] % num_rows).tolist(),
            plan_index=int(index),
            seed=config.seed,
            conditions=config.network.conditions,
            audio=config.audio,
            config=config.triplets,
        )
        for index in np.unique(ids // num_rows)
    ]
    return pa.concat_tables(tables)


def epoch_rows(
    rows: pa.Table, epoch: int, *, seed: int, batch_size: int, rank: int, num_ranks: int
) -> pa.Table:
    """Give a rank its rows of an epoch, in order; pure, so that any epoch can be redone.

    All ranks' k-th batches together are the k-th batch of `batch_size` rows of one worker; rows
    that fill no whole batch wait for another epoch's order.
    """
    num_plans = int(pa.compute.max(rows["plan_index"]).as_py()) + 1
    mine = rows.filter(pa.compute.equal(rows["plan_index"], epoch % num_plans))
    rng = np.random.default_rng([seed, zlib.crc32(b"order"), epoch])
    num_batches = len(mine) // batch_size
    order = rng.permutation(len(mine))[: num_batches * batch_size]
    local = order.reshape(num_batches, num_ranks, batch_size // num_ranks)[:, rank]
    return mine.take(local.ravel())
