"""What is learnt from a plan's rows: which mixes they stand for, their labels, and the loss.

Conventions
-----------
A row of a triplet plan is three mixes, a row of a plan of free mixes is one. Labels are arrays of
one entry a row, made where the row is rendered and used where the loss is.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from csn.conditions import INSTRUMENTS
from csn.config import ExperimentConfig
from csn.distributed.bank import mixes_of
from csn.model.losses import BatchLoss, contrastive_loss, triplet_batch_loss
from csn.records import ROLES, Mix


class TripletObjective:
    """Basic and interchanged triplets ([H24] 3.1)."""

    mixes_per_row = len(ROLES)

    def __init__(self, config: ExperimentConfig) -> None:
        self._margin = config.loss.margin
        self._layout = config.network.layout
        self._masks = torch.from_numpy(self._layout.masks()).float()

    def mixes(self, rows: pa.Table) -> list[Mix]:
        """Anchor, positive and negative of each row."""
        by_role = [mixes_of(rows, f"{role}_") for role in ROLES]
        return [mix for triplet in zip(*by_role, strict=True) for mix in triplet]

    def labels(self, rows: pa.Table, numbers: Mapping[str, int]) -> dict[str, np.ndarray]:
        """``condition`` and ``interchanged`` as places in the layout (-1: none)."""
        places = {name: self._layout.index(name) for name in self._layout.conditions}
        interchanged = rows["interchanged_condition"].to_pylist()
        return {
            "condition": np.array([places[name] for name in rows["condition"].to_pylist()]),
            "interchanged": np.array([places.get(name, -1) for name in interchanged]),
        }

    def loss(self, embeddings: Tensor, labels: Mapping[str, Tensor]) -> BatchLoss:
        """[H24] Eq. 3 over both kinds; each mix is embedded once and both read it from here."""
        anchor, positive, negative = embeddings.unflatten(0, (-1, len(ROLES))).unbind(1)
        masks = self._masks.to(embeddings.device)
        interchanged = labels["interchanged"]
        return triplet_batch_loss(
            anchor,
            positive,
            negative,
            mask=masks[labels["condition"]],
            interchanged_mask=masks[interchanged.clamp(min=0)],
            has_interchanged=interchanged >= 0,
            margin=self._margin,
        )


class ContrastiveObjective:
    """All subspaces of freely mixed batches at once; every rank sees the whole batch."""

    mixes_per_row = 1

    def __init__(self, config: ExperimentConfig) -> None:
        self._conditions = config.network.conditions
        self._temperature = config.loss.temperature
        self._min_gap_s = config.min_start_gap_s

    def mixes(self, rows: pa.Table) -> list[Mix]:
        """One mix a row."""
        return mixes_of(rows)

    def labels(self, rows: pa.Table, numbers: Mapping[str, int]) -> dict[str, np.ndarray]:
        """``tracks`` (-1: silent) and ``starts_s`` of each condition's part."""
        places = [INSTRUMENTS.index(name) for name in self._conditions]
        mixes = self.mixes(rows)
        tracks = [[numbers.get(mix.tracks[place], -1) for place in places] for mix in mixes]
        starts_s = [[mix.starts_s[place] for place in places] for mix in mixes]
        return {"tracks": np.array(tracks), "starts_s": np.array(starts_s, np.float32)}

    def loss(self, embeddings: Tensor, labels: Mapping[str, Tensor]) -> BatchLoss:
        """Contrast every mix with all others, those of other ranks as well."""
        return contrastive_loss(
            _gathered(embeddings).unflatten(1, (len(self._conditions), -1)),
            _gathered(labels["tracks"]),
            _gathered(labels["starts_s"]),
            temperature=self._temperature,
            min_gap_s=self._min_gap_s,
        )


def _gathered(tensor: Tensor) -> Tensor:
    """Put all ranks' rows together; gradients flow back to the rank that each came from."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return tensor
    from torch.distributed.nn.functional import all_gather

    return torch.cat(list(all_gather(tensor)))


Objective = TripletObjective | ContrastiveObjective
"""Both have the mixes, labels and loss of a plan's rows, and how many mixes a row stands for."""


def objective_of(config: ExperimentConfig) -> Objective:
    """Objective that the configuration's loss names."""
    if config.loss.kind == "triplet":
        return TripletObjective(config)
    return ContrastiveObjective(config)
