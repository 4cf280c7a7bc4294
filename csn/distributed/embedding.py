"""Embed the mixes of an evaluation with our network and the baselines, and write Parquet.

Conventions
-----------
Below ``embeddings/model=<digest>/corpus=/split=/`` there is a folder a condition and a manifest,
which is written last and names the plan that was embedded. A mix is rendered once for all systems.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
import ray.data
import torch
from torch import Tensor

from csn import storage
from csn.audio.parts import Parts
from csn.conditions import part_of
from csn.config import ExperimentConfig, from_json, to_json
from csn.distributed import cluster, metrics
from csn.distributed.bank import Bank, load_bank, mixes_of
from csn.distributed.progress import Stages
from csn.distributed.systems import build_system, condition_dims, embedded_by, system_digests
from csn.paths import Paths
from csn.records import Mix, embedding_schema
from csn.triplets.rendering import render

log = logging.getLogger(__name__)

MANIFEST = "_manifest.json"
"""The underscore hides it from those who read the folder as one Parquet data set."""
EMBED_CPUS = 0.5
"""CPUs an embedding actor reserves on a machine without GPU: as much is left to load tracks."""
MIXES_PER_BLOCK = 96
BLOCKS_AN_ACTOR = 8
BATCH_S = 48.0
"""Audio in one forward pass, which bounds its memory."""


def embed(config: ExperimentConfig, mixes: pa.Table, stages: Stages) -> dict[str, str]:
    """Embed `mixes` (`EVALUATION_MIX_SCHEMA`), unless the same are embedded already.

    Returns
    -------
    dict
        For each system the folder of its embeddings.

    Raises
    ------
    ConfigError
        The checkpoint is of another sample rate or front end than `config`.
    """
    paths = Paths(config)
    plan_digest = storage.digest([mixes.to_pylist(), asdict(config.frontend)])
    digests = system_digests(config, paths)
    uris = {system: paths.embeddings(digest) for system, digest in digests.items()}
    again = config.on_existing == "overwrite"
    asked = config.network.conditions
    missing = [
        name for name, uri in uris.items() if again or not _is_complete(uri, plan_digest, asked)
    ]
    if not missing:
        log.info("embed: all of %s is embedded", ", ".join(uris))
        return uris
    started_at = storage.utc_now()
    vectors = _embedded(config, paths, mixes, missing, stages)
    for system in missing:
        conditions = condition_dims(config, system, paths)
        _write(uris[system], mixes, vectors[system], conditions, digests[system])
        manifest = storage.Manifest.finished(
            started_at,
            corpus_digest=paths.corpus_digest,
            plan_digest=plan_digest,
            checkpoint_digest=digests[system],
            counts={"segments": len(mixes)},
        )
        storage.write_manifest(storage.join(uris[system], MANIFEST), manifest)
    return uris


def _is_complete(uri: str, plan_digest: str, conditions: Sequence[str]) -> bool:
    """Whether the same mixes are embedded there, under all conditions that are asked."""
    manifest = storage.join(uri, MANIFEST)
    if not storage.exists(manifest) or storage.read_manifest(manifest).plan_digest != plan_digest:
        return False
    there = {folder.rsplit("/", 1)[-1] for folder in storage.list_folders(uri)}
    return all(f"condition={condition}" in there for condition in conditions)


class Embedder:
    """An actor's networks, loaded once."""

    def __init__(self, config_json: str, systems: list[str], bank: Bank) -> None:
        self._config = from_json(config_json)
        self._bank = bank
        paths = Paths(self._config)
        cuda = self._config.workers.use_gpu and torch.cuda.is_available()
        self._device = torch.device("cuda" if cuda else "cpu")
        torch.set_num_threads(1)
        self._systems = {
            name: build_system(name, self._config, paths).to(self._device) for name in systems
        }

    @torch.inference_mode()
    def __call__(self, block: pa.Table) -> pa.Table:
        """Embed a block of mixes, those of one duration together: ``row`` and a column a system.

        Ray Data may put the ends of two durations into one block.
        """
        durations_s = pc.unique(block["duration_s"])
        same = [block.filter(pc.equal(block["duration_s"], d)) for d in durations_s]
        return pa.concat_tables(map(self._of_one_duration, same))

    def _of_one_duration(self, block: pa.Table) -> pa.Table:
        duration_s = block["duration_s"][0].as_py()
        mixes = mixes_of(block)
        parts = self._bank.parts_of(mixes)
        num_samples = round(duration_s * self._config.audio.sample_rate_hz)
        batch = max(1, int(BATCH_S / duration_s))
        found: dict[str, list[np.ndarray]] = {name: [] for name in self._systems}
        bf16 = self._config.training.bf16 and self._device.type == "cuda"
        for start in range(0, len(mixes), batch):
            some = mixes[start : start + batch]
            heard = cache(partial(self._heard, some, parts, num_samples))
            with torch.autocast(self._device.type, torch.bfloat16, enabled=bf16):
                for name, module in self._systems.items():
                    vectors = embedded_by(module, self._config.network.conditions, heard)
                    found[name].append(vectors.float().cpu().numpy())
        columns = {name: _vectors(np.concatenate(vectors)) for name, vectors in found.items()}
        return pa.table({"row": block["row"], **columns})

    def _heard(
        self, mixes: list[Mix], parts: Mapping[str, Parts], num_samples: int, condition: str
    ) -> Tensor:
        """Waveforms of the mixes, or of one part of each."""
        waveforms = render([mix.only(condition) for mix in mixes], parts, num_samples)
        return torch.from_numpy(waveforms).to(self._device)


def _vectors(vectors: np.ndarray) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def _embedded(
    config: ExperimentConfig, paths: Paths, mixes: pa.Table, systems: list[str], stages: Stages
) -> dict[str, np.ndarray]:
    cluster.release()
    used = {track for names in mixes["tracks"].to_pylist() for track in names}
    bank = load_bank(paths, used)
    numbered = mixes.select(["duration_s", "tracks", "starts_s"]).append_column(
        "row", pa.array(np.arange(len(mixes)))
    )
    blocks = _blocks(numbered)
    dataset = ray.data.from_arrow(blocks).map_batches(
        Embedder,
        batch_size=MIXES_PER_BLOCK,  # Ray Data wants to be told, for actors with a GPU
        batch_format="pyarrow",
        fn_constructor_args=(to_json(config), systems, bank),
        **actor_pool(config, len(blocks)),
    )
    found: dict[str, list[np.ndarray]] = {name: [] for name in systems}
    rows = []
    with stages.stage("embed", len(mixes), "segments") as counter:
        embedded: Any = dataset.iter_batches(batch_size=None, batch_format="pyarrow")
        for block in embedded:
            rows.append(block["row"].to_numpy())
            for name in systems:
                column = block[name].combine_chunks()
                vectors = column.flatten().to_numpy().reshape(len(block), -1)
                found[name].append(vectors)
            counter.advance(len(block))
            metrics.count("segments_embedded", len(block), config.name)
        counter.audio_hours = pc.sum(mixes["duration_s"]).as_py() / 3600
        counter.detail = f"{', '.join(systems)}, each on the same rendered mixes"
    order = np.argsort(np.concatenate(rows))
    return {name: np.concatenate(vectors)[order] for name, vectors in found.items()}


def _blocks(mixes: pa.Table) -> list[pa.Table]:
    """Blocks of one duration each; rows of one track lie together, so a block needs few tracks."""
    blocks = []
    for duration_s in pc.unique(mixes["duration_s"]).to_pylist():
        same = mixes.filter(pc.equal(mixes["duration_s"], duration_s)).combine_chunks()
        blocks += [same.slice(i, MIXES_PER_BLOCK) for i in range(0, len(same), MIXES_PER_BLOCK)]
    return blocks


def actor_pool(config: ExperimentConfig, num_blocks: int) -> dict[str, Any]:
    """Resources of the embedding actors: no more of them than there are blocks for."""
    workers = config.workers
    with_gpu = {"CPU": 1.0, "GPU": workers.gpus_per_worker}
    needed = with_gpu if workers.use_gpu else {"CPU": EMBED_CPUS}
    cluster.check_has(workers.wait_for_nodes_s, needed, "by an actor that embeds")
    have: Mapping[str, float] = ray.cluster_resources()
    cpus, gpus = have.get("CPU", 1), have.get("GPU", 0)
    if workers.use_gpu:
        fitting, each = gpus, {"num_gpus": workers.gpus_per_worker}
    else:
        fitting, each = (
            min(cpus, (cpus - cluster.RENDER_CPUS) / EMBED_CPUS),
            {"num_cpus": EMBED_CPUS},
        )
    # An actor takes seconds to start: it has to be worth it, and to be up before all is done.
    size = min(
        workers.num_embed_workers or max(1, int(fitting)), -(-num_blocks // BLOCKS_AN_ACTOR)
    )
    return {"compute": ray.data.ActorPoolStrategy(size=size), **each}


def _write(
    uri: str,
    mixes: pa.Table,
    vectors: np.ndarray,
    conditions: Mapping[str, slice],
    model_digest: str,
) -> None:
    storage.remove(storage.join(uri, MANIFEST))
    # What is there for other conditions is of other mixes, or will be made again when it is asked.
    for folder in storage.list_folders(uri):
        storage.remove(folder)
    for condition, dims in conditions.items():
        table = condition_table(mixes, vectors[:, dims], condition, model_digest)
        storage.write_table(
            storage.join(uri, f"condition={condition}", "part-00000.parquet"), table
        )


def condition_table(
    mixes: pa.Table, vectors: np.ndarray, condition: str, model_digest: str
) -> pa.Table:
    """Make one condition's embeddings table: its segments, then the means of its tracks."""
    schema = embedding_schema(vectors.shape[1])
    sounds = mixes[f"sounds_{part_of(condition)}"]
    columns = {
        "track_id": mixes["track_id"],
        "segment_index": mixes["segment_index"],
        "start_s": mixes["start_s"],
        "duration_s": mixes["duration_s"],
        "source": mixes["source"],
        "focus": mixes["focus"],
        "focus_track_id": mixes["track_id"],
        "backing_track_id": mixes["backing_track_id"],
        "sounds": sounds,
        "model_digest": pa.array([model_digest] * len(mixes)),
        "vector": _vectors(vectors),
    }
    segments = pa.table(columns, schema=schema)
    return pa.concat_tables([segments, _track_means(segments, vectors)])


def _track_means(segments: pa.Table, vectors: np.ndarray) -> pa.Table:
    """Mean of each track's segments in which the part sounds; of all, where it never does."""
    meta = segments.drop_columns(["vector"]).to_pandas()
    meta["place"] = np.arange(len(meta))
    rows, means = [], []
    for (track_id, duration_s), group in meta[meta["source"] == "mix"].groupby(
        ["track_id", "duration_s"]
    ):
        kept = group[group["sounds"]] if group["sounds"].any() else group
        means.append(vectors[kept["place"].to_numpy()].mean(axis=0))
        first = group.iloc[0].to_dict()
        del first["place"]
        rows.append(
            first
            | {"segment_index": -1, "start_s": 0.0, "duration_s": duration_s}
            | {"track_id": track_id, "sounds": bool(group["sounds"].any())}
        )
    if not rows:
        return segments.schema.empty_table()
    table = pa.Table.from_pylist(rows, schema=segments.schema.remove(len(segments.schema) - 1))
    return table.append_column(segments.schema.field("vector"), _vectors(np.stack(means)))


def read_embeddings(uri: str, conditions: tuple[str, ...]) -> dict[str, pa.Table]:
    """Read one system's embeddings, a table a condition."""
    return {c: storage.read_table(storage.join(uri, f"condition={c}")) for c in conditions}
