"""P1 and P2, or triplets of concepts, on some of the validation split, after an epoch.

Choices
-------
Mixes are rendered once, by tasks, and lie in the object store; at most
`TrainingConfig.validation_segments` of each track or version are taken, spread over it. Fewer
focus tracks than P2 asks for are accepted here (at least two), since only epochs are compared.
Concepts are asked as [R22] 4 asks people: by the distances of tracks, each the mean of its
segments. Their loss is that of the same triplets, so that it can be compared between epochs.
P1 and P2 rank neighbours by the distance that is learnt, as the evaluation does; all else is asked
as the papers ask, so that one training keeps one epoch, whatever its scores are asked for.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
import torch
from jaxtyping import Int

from csn.conditions import MIX
from csn.config import EvaluationConfig, ExperimentConfig
from csn.distributed.bank import Bank, load_bank, mixes_of
from csn.distributed.cluster import RENDER_CPUS
from csn.distributed.systems import metric_of
from csn.errors import CorpusError, ProtocolError
from csn.evaluation import music_id, presence, pseudo_mix_id
from csn.evaluation.criteria import centroids
from csn.evaluation.neighbours import compared
from csn.model.losses import masked_distance, masked_triplet_loss
from csn.model.network import Network
from csn.paths import Paths
from csn.triplets.concept_triplets import draw_threes, recordings
from csn.triplets.evaluation_mixes import music_id_mixes, pseudo_mix_id_mixes
from csn.triplets.planning import candidates

log = logging.getLogger(__name__)

MIXES_PER_BLOCK = 96
NUM_THREES = 1_000
"""Triplets of each concept: their score then moves by 1.6 points by chance, in one draw."""
ASKED = EvaluationConfig()
"""How P1 and P2 are asked here; nothing of `ExperimentConfig.evaluation` counts."""


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Mixes to embed, and references to their waveforms, block by block."""

    mixes: pa.Table
    waveforms: Sequence[tuple[str, Sequence[ray.ObjectRef]]]
    """What is heard (``mix``, or one part's condition), and its blocks."""
    threes: Mapping[str, Int[np.ndarray, "triplets 3"]] = field(default_factory=dict)
    """Triplets of each concept: places of their tracks in the order of the tracks' ids."""


def _rendered(bank: Bank, mixes: pa.Table, heard: str, duration_s: float) -> np.ndarray:
    return bank.render([mix.only(heard) for mix in mixes_of(mixes)], duration_s)


_render = ray.remote(num_cpus=RENDER_CPUS, max_retries=3)(_rendered)


def validation_set(config: ExperimentConfig, tracks: pa.Table) -> ValidationSet | None:
    """Choose the mixes of validation and begin to render them; none without validation tracks."""
    training, audio = config.training, config.audio
    if not len(tracks):
        log.warning("no validation track: the last epoch will count as the best")
        return None
    duration_s, limit = training.validation_duration_s, training.validation_segments
    tables = [music_id_mixes(tracks, duration_s, audio=audio, config=ASKED, max_segments=limit)]
    threes = {}
    if config.network.of_concepts:
        threes = _threes(config, tracks, tables[0])
    elif not config.network.individual:  # a part alone is the same before every background
        tables += _pseudo_mixes(config, tracks, duration_s, limit)
    mixes = pa.concat_tables(tables).combine_chunks()
    used = {track for names in mixes["tracks"].to_pylist() for track in names}
    bank = load_bank(Paths(config), used)
    blocks = [mixes.slice(i, MIXES_PER_BLOCK) for i in range(0, len(mixes), MIXES_PER_BLOCK)]
    heard = config.network.conditions if config.network.individual else (MIX,)
    waveforms = [
        (what, [_render.remote(bank, block, what, duration_s) for block in blocks])
        for what in heard
    ]
    return ValidationSet(mixes, waveforms, threes)


def _threes(
    config: ExperimentConfig, tracks: pa.Table, mixes: pa.Table
) -> dict[str, Int[np.ndarray, "triplets 3"]]:
    """Draw triplets of each concept that the tracks which are embedded allow; warn of others."""
    embedded = tracks.filter(pc.is_in(tracks["track_id"], pc.unique(mixes["track_id"])))
    threes = {}
    for concept in config.network.conditions:
        try:
            found = recordings(embedded.sort_by("track_id"), config.audio, config.similarity)
            drawn = draw_threes(
                found, concept, NUM_THREES, seed=config.seed, config=config.similarity
            )
        except CorpusError as error:
            log.warning("no validation of %s: %s", concept, error)
            continue
        threes[concept] = np.array(drawn)
    return threes


def _pseudo_mixes(
    config: ExperimentConfig, tracks: pa.Table, duration_s: float, limit: int
) -> list[pa.Table]:
    try:
        groups = candidates(tracks, config.audio, config.triplets).groups
    except CorpusError as error:
        log.warning("validation has no P2: %s", error)
        return []
    table, messages = pseudo_mix_id_mixes(
        tracks,
        groups,
        duration_s,
        conditions=config.network.conditions,
        seed=config.seed,
        audio=config.audio,
        config=ASKED,
        allow_fewer=True,
        max_segments=limit,
    )
    for message in messages:
        log.warning("validation: %s", message)
    return [table]


class Validation:
    """Embeds the validation mixes and scores them."""

    def __init__(self, config: ExperimentConfig, chosen: ValidationSet | None) -> None:
        self._config = config
        self._chosen = chosen
        self._warned: set[tuple[str, str]] = set()
        self.presence: dict[str, float] = {}
        """Thresholds of the last validation, for the conditions that have one."""

    def __bool__(self) -> bool:
        return self._chosen is not None

    def metrics(self, network: Network, device: torch.device) -> dict[str, float]:
        """Score `network`: ``val/music_id/<condition>`` and ``val/pseudo_mix_id/<condition>``."""
        if self._chosen is None:
            return {}
        embeddings = self._embeddings(network, device)
        if self._config.network.of_concepts:
            return self._of_concepts(embeddings)
        self.presence = self._thresholds(embeddings)
        mixes = self._chosen.mixes
        columns = {name: np.array(mixes[name].to_pylist()) for name in mixes.schema.names[:4]}
        found: dict[str, float] = {}
        individual = self._config.network.individual
        for protocol in ("music_id",) if individual else ("music_id", "pseudo_mix_id"):
            scores = {}
            for condition in self._config.network.conditions:
                score = self._score(protocol, condition, embeddings[condition], columns)
                if score is not None:
                    found[f"val/{protocol}/{condition}"] = score
                    scores[condition] = score
            # The mix's own network is no part of a mean, unless it is all there is.
            counted = [scores[name] for name in scores if name != MIX] or [*scores.values()]
            if counted:
                found[f"val/{protocol}/mean"] = float(np.mean(counted))
        return found

    def _of_concepts(self, embeddings: dict[str, np.ndarray]) -> dict[str, float]:
        """``val/concept_triplets/<condition>``, their mean, and the mean loss ``val/loss``."""
        assert self._chosen is not None
        ids, loss = np.array(self._chosen.mixes["track_id"].to_pylist()), self._config.loss
        found, losses = {}, []
        for concept, threes in self._chosen.threes.items():
            means = torch.from_numpy(centroids(embeddings[concept], ids)[1]).float()
            one, near, far = means[torch.tensor(threes)].unbind(1)  # a copy: these are Ray's
            every = torch.ones_like(one)
            right = masked_distance(one, near, every) < masked_distance(one, far, every)
            found[f"val/concept_triplets/{concept}"] = right.float().mean().item()
            of_each = masked_triplet_loss(one, near, far, every, loss.margin, loss.distance)
            losses.append(of_each.mean().item())
        if losses:
            found["val/concept_triplets/mean"] = float(np.mean(list(found.values())))
            found["val/loss"] = float(np.mean(losses))
        return found

    @torch.inference_mode()
    def _embeddings(self, network: Network, device: torch.device) -> dict[str, np.ndarray]:
        network.eval()
        assert self._chosen is not None
        total = 0
        for place, (_, blocks) in enumerate(self._chosen.waveforms):
            embedded = []
            for ref in blocks:
                waveforms = torch.from_numpy(ray.get(ref).copy()).to(device)
                own = torch.full((len(waveforms),), place, device=device)
                heard = [own] if self._config.network.individual else []
                embedded.append(network(waveforms, *heard).cpu())
            # Individual networks fill their own dimensions and leave the others zero.
            total = total + torch.cat(embedded)
        return {name: x.numpy() for name, x in network.layout.split(total).items()}

    def _thresholds(self, embeddings: dict[str, np.ndarray]) -> dict[str, float]:
        """Length of each subspace that tells best whether its part sounds, if any tells it."""
        assert self._chosen is not None
        if self._config.network.unit_subspaces:
            return {}
        found = {}
        for condition, vectors in embeddings.items():
            sounds = np.array(self._chosen.mixes[f"sounds_{condition}"].to_pylist())
            with suppress(ProtocolError):  # it sounds in all of them, or in none
                norms = np.linalg.norm(vectors, axis=1)
                found[condition] = presence.fit_threshold(norms, sounds)
        return found

    def _score(
        self, protocol: str, condition: str, vectors: np.ndarray, columns: dict[str, np.ndarray]
    ) -> float | None:
        assert self._chosen is not None
        sounds = np.array(self._chosen.mixes[f"sounds_{condition}"].to_pylist())
        try:
            return self._accuracy(protocol, condition, vectors, sounds, columns)
        except ProtocolError as error:
            if (protocol, condition) not in self._warned:  # it will be so after every epoch
                self._warned.add((protocol, condition))
                log.warning("no validation %s of %s: %s", protocol, condition, error)
            return None

    def _accuracy(
        self,
        protocol: str,
        condition: str,
        vectors: np.ndarray,
        sounds: np.ndarray,
        columns: dict[str, np.ndarray],
    ) -> float:
        k, metric = ASKED.k, metric_of(self._config)
        if protocol == "music_id":
            rows = (columns["source"] == "mix") & sounds
            labels = columns["track_id"][rows]
            return float(music_id.accuracy(compared(vectors[rows], metric), labels, k=k).mean())
        rows = (columns["source"] == "pseudo_mix") & (columns["focus"] == condition)
        focus, backing = columns["track_id"][rows], columns["backing_track_id"][rows]
        asked = compared(vectors[rows], metric)
        return float(pseudo_mix_id.accuracy(asked, focus, backing, k=k).mean())
