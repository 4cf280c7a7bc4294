"""The papers' losses, one function for each equation.

Conventions
-----------
Embeddings are ``[batch, embedding]``, raw. A mask is 1 in the dimensions of a triplet's condition
and 0 elsewhere (a row of `SubspaceLayout.masks`); each row of a batch has its own. Distances are
Euclidean, as [H24] has them ([H22] takes cosine distances).

Source
------
[H22] Eq. 1 (which is [H24] Eq. 1); [H24] Eqs. 2 and 3; Section 3.1.2 for interchanged triplets.

Choices
-------
A batch's loss is the mean over all its triplets, satisfied ones (whose loss is 0) counted, as
[LAB] has it; libraries differ here.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def triplet_loss(
    positive_distance: Float[Tensor, " batch"],
    negative_distance: Float[Tensor, " batch"],
    margin: float,
) -> Float[Tensor, " batch"]:
    """Loss of each triplet: ``max(0, d(a, p) - d(a, n) + margin)`` ([H22] Eq. 1, [H24] Eq. 1)."""
    return torch.relu(positive_distance - negative_distance + margin)


def masked_distance(
    x: Float[Tensor, "batch embedding"],
    y: Float[Tensor, "batch embedding"],
    mask: Float[Tensor, "batch embedding"],
) -> Float[Tensor, " batch"]:
    """Distance seen through one subspace: ``D(x, y; m) = || f(x) m - f(y) m ||_2`` ([H24] Eq. 2).

    Between equal embeddings the gradient is zero (torch's choice of a subgradient).
    """
    return torch.linalg.vector_norm((x - y) * mask, dim=-1)


def masked_triplet_loss(
    anchor: Float[Tensor, "batch embedding"],
    positive: Float[Tensor, "batch embedding"],
    negative: Float[Tensor, "batch embedding"],
    mask: Float[Tensor, "batch embedding"],
    margin: float,
) -> Float[Tensor, " batch"]:
    """Loss of each triplet under its condition ([H24] Eq. 3)."""
    return triplet_loss(
        masked_distance(anchor, positive, mask), masked_distance(anchor, negative, mask), margin
    )


@dataclass(frozen=True, slots=True)
class TripletLoss:
    """Loss of a batch, and how much of the batch it came from."""

    loss: Float[Tensor, ""]
    """Mean over basic and interchanged triplets together, zeros included."""
    active: Float[Tensor, ""]
    """Share of the triplets whose loss is not zero; detached."""


def triplet_batch_loss(
    anchor: Float[Tensor, "batch embedding"],
    positive: Float[Tensor, "batch embedding"],
    negative: Float[Tensor, "batch embedding"],
    *,
    mask: Float[Tensor, "batch embedding"],
    interchanged_mask: Float[Tensor, "batch embedding"],
    has_interchanged: Bool[Tensor, " batch"],
    margin: float,
) -> TripletLoss:
    """Loss of basic and interchanged triplets, from one embedding of each mix ([H24] 3.1.2).

    A row's interchanged triplet is the same three mixes with positive and negative swapped, under
    another condition.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        Embeddings in the roles of the basic triplets.
    mask, interchanged_mask : Tensor
        Masks of the basic condition and of the interchanged one.
    has_interchanged : Tensor
        Rows that have an interchanged triplet; elsewhere `interchanged_mask` is not looked at.
    margin : float > 0
        The papers' delta.
    """
    basic = masked_triplet_loss(anchor, positive, negative, mask, margin)
    swapped = masked_triplet_loss(anchor, negative, positive, interchanged_mask, margin)
    interchanged = torch.where(has_interchanged, swapped, 0.0)
    num_triplets = len(basic) + has_interchanged.sum()
    num_active = (basic > 0).sum() + (interchanged > 0).sum()
    return TripletLoss(
        loss=(basic.sum() + interchanged.sum()) / num_triplets,
        active=num_active / num_triplets,
    )
