"""What the teachers make of the single parts that a plan's rows hold.

Conventions
-----------
A key is a part of a track at one time: many rows share it, and each is embedded once. The vectors
lie in ``targets.parquet`` beside the plan, and in the object store while training; rows refer to
them by `TARGET_ROWS`.

Source
------
[H24] 3.2, Eq. 5: y is the concatenation of g_c(x^(c)), zero where the instrument is silent.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
import torch

from csn import curriculum, storage
from csn.conditions import INSTRUMENTS
from csn.config import ExperimentConfig
from csn.distributed import cluster
from csn.distributed.bank import Bank, mixes_of
from csn.distributed.embedding import BATCH_S, actor_pool
from csn.distributed.objectives import TARGET_ROWS, objective_of
from csn.distributed.progress import Stages
from csn.model import checkpoint
from csn.paths import Paths
from csn.records import ABSENT, Mix

KEYS_PER_BLOCK = 256
Key = tuple[str, str, float]
"""Track, condition, start in seconds."""


def with_targets(
    config: ExperimentConfig, rows: pa.Table, bank: Bank, stages: Stages
) -> tuple[pa.Table, Bank]:
    """Add `TARGET_ROWS` to the plan's rows, and the vectors to the bank.

    The teachers of `config` are trained by now.
    """
    keys_of_rows = _keys(config, rows)
    keys = sorted({key for of_row in keys_of_rows for key in of_row if key is not None})
    vectors = _vectors(config, keys, bank, stages)
    place = {key: i for i, key in enumerate(keys)}
    column = [[-1 if key is None else place[key] for key in of] for of in keys_of_rows]
    rows = rows.append_column(TARGET_ROWS, pa.array(column, pa.list_(pa.int32())))
    return rows, replace(bank, targets_ref=ray.put(vectors))


def _keys(config: ExperimentConfig, rows: pa.Table) -> list[list[Key | None]]:
    """For each row and condition, the part that its anchor holds; none where it is silent."""
    objective = objective_of(config)
    conditions = config.network.conditions
    places = [INSTRUMENTS.index(name) for name in conditions]
    anchor = objective.roles[0]
    found = []
    sounding = objective.sounding(rows, anchor)[:, places].tolist()
    for mix, sounds in zip(mixes_of(rows, anchor), sounding, strict=True):
        parts = zip(conditions, places, sounds, strict=True)
        found.append([(mix.tracks[p], c, mix.starts_s[p]) if s else None for c, p, s in parts])
    return found


def _vectors(
    config: ExperimentConfig, keys: Sequence[Key], bank: Bank, stages: Stages
) -> np.ndarray:
    """[keys, subspace] the teachers' embeddings, made or read."""
    uri, teachers_uri = (
        Paths(config).experiment("targets.parquet"),
        curriculum.teachers_uri(config),
    )
    tracks, conditions, starts_s = zip(*keys, strict=True)
    table = pa.table({"track_id": tracks, "condition": conditions, "start_s": starts_s})
    made_by = {b"teachers": checkpoint.load(teachers_uri).digest.encode()}
    if storage.exists(uri):
        written = storage.read_table(uri)
        same_teachers = (written.schema.metadata or {}).get(b"teachers") == made_by[b"teachers"]
        if same_teachers and written.drop(["vector"]).equals(table):
            return _as_array(written["vector"])
    # What reads the tracks needs CPUs that actors, once they are there, do not give back.
    refs = list(bank.refs.values())
    ray.wait(refs, num_returns=len(refs), timeout=cluster.LIMIT_S, fetch_local=False)
    size = min(KEYS_PER_BLOCK, max(1, len(keys) // 8))
    blocks = [table.slice(i, size) for i in range(0, len(keys), size)]
    dataset = ray.data.from_arrow(blocks).map_batches(
        Teachers,
        batch_size=size,  # Ray Data wants to be told, for actors with a GPU
        batch_format="pyarrow",
        fn_constructor_args=(teachers_uri, config, bank),
        **actor_pool(config, len(blocks)),
    )
    found = []
    with stages.stage("targets", len(keys), "parts") as counter:
        embedded: Any = dataset.iter_batches(batch_size=None, batch_format="pyarrow")
        for block in embedded:
            found.append(block)
            counter.advance(len(block))
        counter.audio_hours = len(keys) * config.audio.segment_s / 3600
    made = pa.concat_tables(found).combine_chunks()
    # Blocks come in order; a key that does not stand where it was asked for would be a silent lie.
    assert made.drop(["vector"]) == table.combine_chunks()
    storage.write_table(uri, made.replace_schema_metadata(made_by))
    return _as_array(made["vector"])


def _as_array(column: pa.ChunkedArray) -> np.ndarray:
    values = np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks])
    return values.reshape(len(column), -1)


class Teachers:
    """An actor's individual networks, loaded once."""

    def __init__(self, uri: str, config: ExperimentConfig, bank: Bank) -> None:
        self._config, self._bank = config, bank
        cuda = config.workers.use_gpu and torch.cuda.is_available()
        self._device = torch.device("cuda" if cuda else "cpu")
        torch.set_num_threads(1)
        self._network = checkpoint.load(uri).network.to(self._device)

    @torch.inference_mode()
    def __call__(self, block: pa.Table) -> pa.Table:
        """Add the column ``vector`` to a block of keys."""
        layout, audio = self._network.layout, self._config.audio
        keys = block.to_pylist()
        mixes = [_single(key["track_id"], key["condition"], key["start_s"]) for key in keys]
        places = torch.tensor([layout.index(key["condition"]) for key in keys])
        size = max(1, int(BATCH_S / audio.segment_s))
        found = []
        for i in range(0, len(keys), size):
            waveforms = torch.from_numpy(self._bank.render(mixes[i : i + size], audio.segment_s))
            of = places[i : i + size]
            heard = waveforms.to(self._device), of.to(self._device)
            embedding = self._network(*heard).float().cpu()
            subspaces = embedding.unflatten(1, (len(layout.conditions), -1))
            found.append(subspaces[torch.arange(len(of)), of].numpy())
        values = pa.array(np.concatenate(found).ravel())
        vectors = pa.FixedSizeListArray.from_arrays(values, layout.subspace_dim)
        return block.append_column("vector", vectors)


def _single(track_id: str, condition: str, start_s: float) -> Mix:
    tracks = tuple(track_id if part == condition else ABSENT for part in INSTRUMENTS)
    return Mix(tracks, (start_s,) * len(tracks))
