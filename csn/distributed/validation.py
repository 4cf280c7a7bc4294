"""P1 and P2 on a few segments of the validation split, after an epoch.

Choices
-------
Mixes are rendered once, by tasks, and lie in the object store; at most
`TrainingConfig.validation_segments` of each track or version are taken, spread over it. Fewer
focus tracks than P2 asks for are accepted here (at least two), since only epochs are compared.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import ray
import torch

from csn.config import ExperimentConfig
from csn.distributed.bank import Bank, load_bank, mixes_of
from csn.distributed.cluster import RENDER_CPUS
from csn.errors import CorpusError, ProtocolError
from csn.evaluation import music_id, pseudo_mix_id
from csn.model.network import ConditionalNetwork
from csn.paths import Paths
from csn.triplets.evaluation_mixes import music_id_mixes, pseudo_mix_id_mixes
from csn.triplets.planning import candidates

log = logging.getLogger(__name__)

MIXES_PER_BLOCK = 96


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Mixes to embed, and references to their waveforms, block by block."""

    mixes: pa.Table
    waveforms: Sequence[ray.ObjectRef]


def _rendered(bank: Bank, mixes: pa.Table, duration_s: float) -> np.ndarray:
    return bank.render(mixes_of(mixes), duration_s)


_render = ray.remote(num_cpus=RENDER_CPUS, max_retries=3)(_rendered)


def validation_set(config: ExperimentConfig, tracks: pa.Table) -> ValidationSet | None:
    """Choose the mixes of validation and begin to render them; none without validation tracks."""
    training, audio = config.training, config.audio
    if not len(tracks):
        log.warning("no validation track: the last epoch will count as the best")
        return None
    duration_s, limit = training.validation_duration_s, training.validation_segments
    tables = [
        music_id_mixes(
            tracks, duration_s, audio=audio, config=config.evaluation, max_segments=limit
        )
    ]
    try:
        groups = candidates(tracks, audio, config.triplets).groups
    except CorpusError as error:
        log.warning("validation has no P2: %s", error)
    else:
        table, messages = pseudo_mix_id_mixes(
            tracks,
            groups,
            duration_s,
            conditions=config.network.conditions,
            seed=config.seed,
            audio=audio,
            config=config.evaluation,
            allow_fewer=True,
            max_segments=limit,
        )
        tables.append(table)
        for message in messages:
            log.warning("validation: %s", message)
    mixes = pa.concat_tables(tables).combine_chunks()
    used = {track for names in mixes["tracks"].to_pylist() for track in names}
    bank = load_bank(Paths(config), used)
    blocks = [mixes.slice(i, MIXES_PER_BLOCK) for i in range(0, len(mixes), MIXES_PER_BLOCK)]
    return ValidationSet(mixes, [_render.remote(bank, block, duration_s) for block in blocks])


class Validation:
    """Embeds the validation mixes and scores them."""

    def __init__(self, config: ExperimentConfig, chosen: ValidationSet | None) -> None:
        self._config = config
        self._chosen = chosen
        self._warned: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        return self._chosen is not None

    def metrics(self, network: ConditionalNetwork, device: torch.device) -> dict[str, float]:
        """Score `network`: ``val/music_id/<condition>`` and ``val/pseudo_mix_id/<condition>``."""
        if self._chosen is None:
            return {}
        embeddings = self._embeddings(network, device)
        mixes = self._chosen.mixes
        columns = {name: np.array(mixes[name].to_pylist()) for name in mixes.schema.names[:4]}
        found: dict[str, float] = {}
        for protocol in ("music_id", "pseudo_mix_id"):
            scores = []
            for condition in self._config.network.conditions:
                score = self._score(protocol, condition, embeddings[condition], columns)
                if score is not None:
                    found[f"val/{protocol}/{condition}"] = score
                    scores.append(score)
            if scores:
                found[f"val/{protocol}/mean"] = float(np.mean(scores))
        return found

    @torch.inference_mode()
    def _embeddings(
        self, network: ConditionalNetwork, device: torch.device
    ) -> dict[str, np.ndarray]:
        network.eval()
        assert self._chosen is not None
        blocks = [
            network(torch.from_numpy(ray.get(ref).copy()).to(device)).cpu()
            for ref in self._chosen.waveforms
        ]
        subspaces = network.subspaces(torch.cat(blocks))
        return {condition: vectors.numpy() for condition, vectors in subspaces.items()}

    def _score(
        self, protocol: str, condition: str, vectors: np.ndarray, columns: dict[str, np.ndarray]
    ) -> float | None:
        assert self._chosen is not None
        sounds = np.array(self._chosen.mixes[f"sounds_{condition}"].to_pylist())
        k = self._config.evaluation.k
        try:
            return self._accuracy(protocol, condition, vectors, sounds, columns, k)
        except ProtocolError as error:
            if (protocol, condition) not in self._warned:  # it will be so after every epoch
                self._warned.add((protocol, condition))
                log.warning("no validation %s of %s: %s", protocol, condition, error)
            return None

    @staticmethod
    def _accuracy(
        protocol: str,
        condition: str,
        vectors: np.ndarray,
        sounds: np.ndarray,
        columns: dict[str, np.ndarray],
        k: int,
    ) -> float:
        if protocol == "music_id":
            rows = (columns["source"] == "mix") & sounds
            labels = columns["track_id"][rows]
            return float(music_id.accuracy(vectors[rows], labels, k=k).mean())
        rows = (columns["source"] == "pseudo_mix") & (columns["focus"] == condition)
        focus, backing = columns["track_id"][rows], columns["backing_track_id"][rows]
        return float(pseudo_mix_id.accuracy(vectors[rows], focus, backing, k=k).mean())
