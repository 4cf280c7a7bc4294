"""What is learnt from a plan's rows: which mixes they stand for, their labels, and the loss.

Conventions
-----------
A row of a triplet plan is three mixes, a row of any other plan is one. Labels are arrays of one
entry a row, made where the row is rendered and used where the loss is. What is common to all
objectives, the targets' and the presence loss, is added here to each one's own loss.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from csn.conditions import ALL, INSTRUMENTS
from csn.config import ExperimentConfig
from csn.distributed.bank import mixes_of
from csn.model.losses import (
    BatchLoss,
    contrastive_loss,
    presence_loss,
    target_loss,
    triplet_batch_loss,
)
from csn.model.mining import semi_hard_loss
from csn.records import ABSENT, ROLES, Mix
from csn.triplets.concept_triplets import Recordings
from csn.triplets.rules import related

TARGET_ROWS = "target_rows"
"""Column of a plan: for each condition, the row of the anchor's part among the targets' vectors
(-1: silent). The anchor of a row that is one mix is that mix."""
FACTS = "facts"
"""Column of a plan: role by role, what is known of the mix's track under each condition
(`csn.triplets.rules`), as numbers."""


class Objective(ABC):
    """The mixes, labels and loss of a plan's rows; each kind of plan has its own."""

    roles: ClassVar[tuple[str, ...]] = ("",)
    """Prefixes of the columns of a row's mixes, the anchor first."""

    def __init__(self, config: ExperimentConfig) -> None:
        self._config = config
        self._layout = config.network.layout

    @property
    def mixes_per_row(self) -> int:
        """Mixes that a row stands for."""
        return len(self.roles)

    def mixes(self, rows: pa.Table) -> list[Mix]:
        """Give the mixes of each row, row by row."""
        by_role = [mixes_of(rows, role) for role in self.roles]
        return [mix for row in zip(*by_role, strict=True) for mix in row]

    def sounding(self, rows: pa.Table, role: str) -> np.ndarray:
        """[rows, parts] whether each part sounds in the mix of `role`."""
        return np.array([[t != ABSENT for t in mix.tracks] for mix in mixes_of(rows, role)])

    def labels(
        self, rows: pa.Table, numbers: Mapping[str, int], targets: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Give what the loss asks of each row.

        Parameters
        ----------
        numbers : mapping of track id to int
            The same wherever rows of the plan are labelled.
        targets : ndarray [keys, subspace], optional
            What teachers make of single parts; `TARGET_ROWS` of the plan refers to it.
        """
        found = self._own_labels(rows, numbers)
        if self._config.loss.presence_weight > 0:
            places = [INSTRUMENTS.index(name) for name in self._layout.conditions]
            by_role = [self.sounding(rows, role)[:, places] for role in self.roles]
            found["sounds"] = np.stack(by_role, axis=1)
        if targets is not None:
            found["targets"] = _targets(rows, targets)
        return found

    def loss(self, embeddings: Tensor, labels: Mapping[str, Tensor]) -> BatchLoss:
        """Loss of a batch: the objective's own, and what is added to it ([H24] Eq. 6).

        Parameters
        ----------
        embeddings : Tensor [rows * mixes_per_row, embedding]
            Of the rows' mixes, row by row.
        """
        own, settings = self._own_loss(embeddings, labels), self._config.loss
        total, terms = own.loss, dict(own.terms)
        if settings.target_weight > 0:
            anchors = embeddings[:: self.mixes_per_row]
            terms["target"] = target_loss(anchors, labels["targets"])
            total = total + settings.target_weight * terms["target"]
        if settings.presence_weight > 0:
            subspaces = embeddings.unflatten(1, (len(self._layout.conditions), -1))
            sounds = labels["sounds"].flatten(0, 1)
            terms["presence"] = presence_loss(subspaces, sounds, settings.presence_norm)
            total = total + settings.presence_weight * terms["presence"]
        return BatchLoss(total, own.active, terms)

    @abstractmethod
    def _own_labels(self, rows: pa.Table, numbers: Mapping[str, int]) -> dict[str, np.ndarray]:
        """Give what the kind's own loss asks of each row."""

    @abstractmethod
    def _own_loss(self, embeddings: Tensor, labels: Mapping[str, Tensor]) -> BatchLoss:
        """Loss of a batch by what the kind of plan teaches."""


class TripletObjective(Objective):
    """Basic and interchanged triplets ([H24] 3.1), or triplets of single parts ([H22] 3)."""

    roles = tuple(f"{role}_" for role in ROLES)

    def __init__(self, config: ExperimentConfig) -> None:
        super().__init__(config)
        # Behind the conditions' masks that of all of them together, for triplets of tracks.
        masks = np.vstack([self._layout.masks(), np.ones(self._layout.embedding_dim)])
        self._masks = torch.from_numpy(masks).float()

    def sounding(self, rows: pa.Table, role: str) -> np.ndarray:
        """[rows, parts] whether each part sounds in the mix of `role`."""
        return np.array(rows[f"{role}sounds"].to_pylist())

    def _own_labels(self, rows: pa.Table, numbers: Mapping[str, int]) -> dict[str, np.ndarray]:
        """``condition`` and ``interchanged`` as places in the layout (-1: none)."""
        places = {name: place for place, name in enumerate((*self._layout.conditions, ALL))}
        interchanged = rows["interchanged_condition"].to_pylist()
        return {
            "condition": np.array([places[name] for name in rows["condition"].to_pylist()]),
            "interchanged": np.array([places.get(name, -1) for name in interchanged]),
        }

    def _own_loss(self, embeddings: Tensor, labels: Mapping[str, Tensor]) -> BatchLoss:
        """[H24] Eq. 3 over both kinds; each mix is embedded once and both read it from here."""
        anchor, positive, negative = embeddings.unflatten(0, (-1, len(ROLES))).unbind(1)
        masks = self._masks = self._masks.to(embeddings.device)  # a copy waits: once is enough
        interchanged = labels["interchanged"]
        return triplet_batch_loss(
            anchor,
            positive,
            negative,
            mask=masks[labels["condition"]],
            interchanged_mask=masks[interchanged.clamp(min=0)],
            has_interchanged=interchanged >= 0,
            margin=self._config.loss.margin,
            distance=self._config.loss.distance,
        )


class MinedObjective(TripletObjective):
    """Semi-hard negatives, found in the batch for every pair that is alike ([R22] 3, Eq. 1)."""

    def _own_labels(self, rows: pa.Table, numbers: Mapping[str, int]) -> dict[str, np.ndarray]:
        """``facts`` of each mix by condition, as `with_facts` gives them, and its ``tracks``."""
        facts = np.array(rows[FACTS].to_pylist(), np.float64)
        tracks = [[numbers[mixes.tracks[0]] for mixes in mixes_of(rows, r)] for r in self.roles]
        return {
            "facts": facts.reshape(len(rows), len(self.roles), -1),
            "tracks": np.array(tracks).T,
        }

    def _own_loss(self, embeddings: Tensor, labels: Mapping[str, Tensor]) -> BatchLoss:
        """L_MD over the conditions; and over tracks under all of them, if there are such rows."""
        mine_all = _gathered if self._config.loss.mine_across_ranks else _own
        embeddings = mine_all(embeddings)
        facts = mine_all(labels["facts"]).flatten(0, 1)
        tracks = mine_all(labels["tracks"]).flatten()
        alike, different = self._relations(facts, tracks)
        subspaces = embeddings.unflatten(1, (len(self._layout.conditions), -1))
        margin = self._config.loss.margin
        found = semi_hard_loss(subspaces, alike, different, margin=margin)
        if self._config.triplets.track_share == 0:
            return found
        same = (tracks[:, None] == tracks)[None]
        whole = semi_hard_loss(embeddings[:, None], same, ~same, margin=margin)
        num = len(self._layout.conditions)
        loss = (num * found.loss + whole.loss) / (num + 1)
        return BatchLoss(loss, (num * found.active + whole.active) / (num + 1))

    def _relations(self, facts: Tensor, tracks: Tensor) -> tuple[Tensor, Tensor]:
        """[conditions, mixes, mixes] who is alike and who different; of one track, neither."""
        others = tracks[:, None] != tracks
        alike, different = [], []
        for condition, of in zip(self._layout.conditions, facts.T, strict=True):
            known = of if condition == "tempo" else of.long()
            a, d = related(condition, known[:, None], known, self._config.similarity)
            alike.append(a & others)
            different.append(d & others)
        return torch.stack(alike), torch.stack(different)


class ContrastiveObjective(Objective):
    """All subspaces of freely mixed batches at once; every rank sees the whole batch."""

    def _own_labels(self, rows: pa.Table, numbers: Mapping[str, int]) -> dict[str, np.ndarray]:
        """``tracks`` (-1: silent) and ``starts_s`` of each condition's part."""
        places = [INSTRUMENTS.index(name) for name in self._layout.conditions]
        mixes = self.mixes(rows)
        tracks = [[numbers.get(mix.tracks[place], -1) for place in places] for mix in mixes]
        starts_s = [[mix.starts_s[place] for place in places] for mix in mixes]
        return {"tracks": np.array(tracks), "starts_s": np.array(starts_s, np.float32)}

    def _own_loss(self, embeddings: Tensor, labels: Mapping[str, Tensor]) -> BatchLoss:
        """Contrast every mix with all others, those of other ranks as well."""
        return contrastive_loss(
            _gathered(embeddings).unflatten(1, (len(self._layout.conditions), -1)),
            _gathered(labels["tracks"]),
            _gathered(labels["starts_s"]),
            temperature=self._config.loss.temperature,
            min_gap_s=self._config.min_start_gap_s,
        )


class TargetObjective(Objective):
    """What the teachers make of each mix's parts ([H24] Eq. 5)."""

    def _own_labels(self, rows: pa.Table, numbers: Mapping[str, int]) -> dict[str, np.ndarray]:
        return {}

    def _own_loss(self, embeddings: Tensor, labels: Mapping[str, Tensor]) -> BatchLoss:
        targets = labels["targets"]
        has_target = targets.any(dim=-1).float().mean()
        return BatchLoss(target_loss(embeddings, targets), active=has_target)


def with_facts(rows: pa.Table, found: Recordings, conditions: Sequence[str]) -> pa.Table:
    """Add to a plan's rows what is known of each mix's track, which `MinedObjective` asks for."""
    place_of = {track: place for place, track in enumerate(found.track_ids)}
    facts = np.stack([found.facts[name].astype(np.float64) for name in conditions], axis=1)
    tracks = [[mix.tracks[0] for mix in mixes_of(rows, f"{role}_")] for role in ROLES]
    places = [[place_of[track] for track in row] for row in zip(*tracks, strict=True)]
    flat = facts[np.array(places)].reshape(len(rows), -1)
    return rows.append_column(FACTS, pa.array(list(flat), pa.list_(pa.float64())))


def _targets(rows: pa.Table, vectors: np.ndarray) -> np.ndarray:
    """[rows, embedding]: the blocks that each row's `TARGET_ROWS` names, zero where silent."""
    places = np.array(rows[TARGET_ROWS].to_pylist())
    blocks = np.where((places >= 0)[..., None], vectors[places], np.float32(0))
    return blocks.reshape(len(rows), -1)


def _own(tensor: Tensor) -> Tensor:
    """Keep to this rank's rows."""
    return tensor


def _gathered(tensor: Tensor) -> Tensor:
    """Put all ranks' rows together; gradients flow back to the rank that each came from."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return tensor
    from torch.distributed.nn.functional import all_gather

    return torch.cat(list(all_gather(tensor)))


_OBJECTIVES: dict[str, type[Objective]] = {
    "triplet": TripletObjective,
    "contrastive": ContrastiveObjective,
    "target": TargetObjective,
}


def objective_of(config: ExperimentConfig) -> Objective:
    """Objective that the configuration's loss names."""
    if config.loss.mining != "none":
        return MinedObjective(config)
    return _OBJECTIVES[config.loss.kind](config)
