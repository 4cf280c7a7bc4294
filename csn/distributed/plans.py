"""Plans made in parallel, and the order in which epochs go through them.

Conventions
-----------
``triplets.parquet`` (or ``mixes.parquet``) holds all plans of an experiment, ordered by plan_index
and the row's id. The same seed gives the same rows, however many workers made them. What is drawn
at once, and by itself, is a triplet row, or a batch of free mixes.
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
from csn.distributed.compatibility import started_from
from csn.distributed.progress import Stages
from csn.errors import CorpusError
from csn.evaluation.listed_mixes import listed_triplets
from csn.paths import Paths
from csn.records import MIX_SCHEMA, TRIPLET_SCHEMA
from csn.triplets.concept_triplets import (
    Recordings,
    check_concepts,
    plan_concept_triplets,
    recordings,
)
from csn.triplets.free_mixing import plan_mixes
from csn.triplets.planning import Candidates, candidates, check_conditions, plan
from csn.triplets.subsets import plan_subsets
from csn.triplets.track_triplets import plan_track_triplets

log = logging.getLogger(__name__)

ROWS_PER_TASK = 1_000
"""About 0.3 s of drawing: a block costs Ray some 30 ms."""
_SCHEMAS = {
    "triplets": TRIPLET_SCHEMA,
    "track_triplets": TRIPLET_SCHEMA,
    "concept_triplets": TRIPLET_SCHEMA,
    "free_mixes": MIX_SCHEMA,
    "subsets": MIX_SCHEMA,
}


def split_of(tracks: pa.Table, split: str) -> pa.Table:
    """Keep the tracks of one split."""
    return tracks.filter(pa.compute.equal(tracks["split"], split))


def note_tracks(config: ExperimentConfig, tracks: pa.Table) -> None:
    """Note what is made under the name of `config` from, or warn of what was made from others.

    For what experiments share: its name carries the digest of a configuration, and to the corpus
    that this names tracks may have been added since, or at an address that it names may lie
    another network. It stays as it is, since others may be at
    work with it, and a training that was interrupted goes on with what it began with.
    """
    used = [
        split_of(tracks, "train").slice(0, config.corpus.num_train_tracks),
        split_of(tracks, "validation"),
    ]
    facts = [table.select(["track_id", "num_samples"]).to_pylist() for table in used]
    now = {"digest": storage.digest(facts), "num_tracks": sum(map(len, used))}
    now |= {"started_from": started_from(config)}
    uri = Paths(config).experiment("tracks.json")
    if not storage.exists(uri):
        storage.write_json(uri, now)
        return
    before = storage.read_json(uri)
    if before["digest"] != now["digest"]:
        told = f"tracks ({before['num_tracks']} then, {now['num_tracks']} now)"
    elif before.get("started_from", now["started_from"]) != now["started_from"]:
        told = f"networks or lists ({before['started_from']} then, {now['started_from']} now)"
    else:
        return
    log.warning(
        "%s was made from other %s and is used as it is; for one of these remove %s, or give "
        "another --root",
        config.name,
        told,
        Paths(config).experiment(),
    )


Offered = Candidates | Recordings
"""What a plan is drawn from: tracks whose parts meet, or recordings that are like or unlike."""


def plan_rows(
    config: ExperimentConfig, tracks: pa.Table, stages: Stages
) -> tuple[pa.Table, Offered]:
    """Draw what the loss trains on, or read it where the same plan is written already.

    Of the train tracks the first are offered, as many as the configuration uses.

    Returns
    -------
    pyarrow.Table, Candidates or Recordings
        Rows of `TRIPLET_SCHEMA` or `MIX_SCHEMA`; what they were drawn from.
    """
    found = _offered(config, split_of(tracks, "train").slice(0, config.corpus.num_train_tracks))
    num_plans = min(config.triplets.num_plans, config.training.num_epochs)
    uri = Paths(config).plan
    if storage.exists(uri):
        log.info("plan: reading %s", uri)
        return storage.read_table(uri), found
    if config.triplets.list_uri:
        rows = _listed(config, split_of(tracks, "train"))
        storage.write_table(uri, rows)
        return rows, found
    rows_at_once = _rows_at_once(config)
    total = num_plans * config.num_rows // rows_at_once
    blocks = max(1, -(-total * rows_at_once // ROWS_PER_TASK))
    drawn: list[pa.Table] = []
    with stages.stage("plan", total * rows_at_once, "rows") as counter:
        dataset = ray.data.range(total, override_num_blocks=min(blocks, total)).map_batches(
            partial(_draw, found=ray.put(found), config=config),
            batch_size=None,
            batch_format="pyarrow",
        )
        blocks_drawn: Any = dataset.iter_batches(batch_size=None, batch_format="pyarrow")
        for block in blocks_drawn:
            drawn.append(block.cast(_SCHEMAS[config.plan_kind]))
            counter.advance(len(block))
        counter.detail = f"{num_plans} plans of {config.num_rows} rows"
    rows = pa.concat_tables(drawn)
    rows = rows.sort_by([("plan_index", "ascending"), (rows.schema.names[0], "ascending")])
    storage.write_table(uri, rows)
    return rows, found


def _listed(config: ExperimentConfig, tracks: pa.Table) -> pa.Table:
    """Read the list of triplets that `config` names, and refuse it where it counts others."""
    triplets, audio = config.triplets, config.audio
    rows = listed_triplets(triplets.list_uri, tracks, hop_s=triplets.hop_s, audio=audio)
    if len(rows) != config.num_rows:
        # A list may have its interchanged triplets in lines of their own.
        interchanged = rows["interchanged_condition"].null_count < len(rows)
        raise CorpusError(
            f"{triplets.list_uri}: {len(rows)} lines found, {config.num_rows} expected by "
            f"triplets.num_triplets={triplets.num_triplets} with triplets.interchanged="
            f"{triplets.interchanged}; set --triplets.num_triplets "
            f"{len(rows) * (1 + interchanged)} --triplets.interchanged {interchanged}"
        )
    log.info("plan: %s triplets of %s", len(rows), triplets.list_uri)
    return rows


def _offered(config: ExperimentConfig, tracks: pa.Table) -> Offered:
    """Work out what can be drawn from train `tracks`, and refuse what cannot be learnt from."""
    conditions = config.network.conditions
    if config.plan_kind == "concept_triplets":
        found = recordings(tracks, config.audio, config.similarity)
        check_concepts(found, conditions, split="train")
        return found
    free = config.plan_kind == "free_mixes"
    drawn = config.plan_kind == "triplets" and not config.triplets.list_uri
    meet = drawn or (free and config.mixing.tempo == "group")
    found = candidates(tracks, config.audio, config.triplets, need_groups=meet)
    if meet:
        check_conditions(found, conditions, split="train")
    for group in found.groups:
        log.info("tempo group %s: %s tracks", group.name, len(group.track_ids))
    if found.left_out:
        log.info("in no tempo group: %s tracks", len(found.left_out))
    return found


def _rows_at_once(config: ExperimentConfig) -> int:
    return config.training.batch_size if config.plan_kind == "free_mixes" else 1


def _draw(block: pa.Table, *, found: ray.ObjectRef, config: ExperimentConfig) -> pa.Table:
    """Draw what the block's numbers stand for, which run through all plans."""
    offered = ray.get(found)
    ids = block["id"].to_numpy()
    per_plan = config.num_rows // _rows_at_once(config)
    tables = []
    for index in np.unique(ids // per_plan):
        of_plan = (ids[ids // per_plan == index] % per_plan).tolist()
        tables.append(_draw_plan(offered, of_plan, int(index), config))
    return pa.concat_tables(tables)


def _draw_plan(found: Any, ids: list[int], plan_index: int, config: ExperimentConfig) -> pa.Table:
    """Draw some of the rows (or batches) of one plan from what its kind is drawn from."""
    common: dict[str, Any] = {
        "plan_index": plan_index,
        "seed": config.seed,
        "audio": config.audio,
    }
    if config.plan_kind == "free_mixes":
        size = config.training.batch_size
        return plan_mixes(found, ids, batch_size=size, config=config.mixing, **common)
    if config.plan_kind == "subsets":
        hop_s = config.triplets.hop_s
        return plan_subsets(found, ids, hop_s=hop_s, config=config.mixing, **common)
    common |= {"conditions": config.network.conditions, "config": config.triplets}
    if config.plan_kind == "concept_triplets":
        return plan_concept_triplets(found, ids, similarity=config.similarity, **common)
    draw = plan if config.plan_kind == "triplets" else plan_track_triplets
    return draw(found, ids, **common)


def epoch_rows(
    rows: pa.Table,
    epoch: int,
    *,
    seed: int,
    batch_size: int,
    rank: int,
    num_ranks: int,
    keep_batches: bool = False,
) -> pa.Table:
    """Give a rank its rows of an epoch, in order; pure, so that any epoch can be redone.

    All ranks' k-th batches together are the k-th batch of `batch_size` rows of one worker; rows
    that fill no whole batch wait for another epoch's order. Rows that were drawn as batches keep
    together with `keep_batches`.
    """
    num_plans = int(pa.compute.max(rows["plan_index"]).as_py()) + 1
    mine = rows.filter(pa.compute.equal(rows["plan_index"], epoch % num_plans))
    rng = np.random.default_rng([seed, zlib.crc32(b"order"), epoch])
    num_batches = len(mine) // batch_size
    if keep_batches:
        batches = rng.permutation(num_batches)
        order = batches[:, None] * batch_size + np.arange(batch_size)
    else:
        order = rng.permutation(len(mine))[: num_batches * batch_size]
    local = order.reshape(num_batches, num_ranks, batch_size // num_ranks)[:, rank]
    return mine.take(local.ravel())
