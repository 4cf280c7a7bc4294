"""The papers' losses, one function for each equation.

Conventions
-----------
Embeddings are ``[batch, embedding]``, raw. A mask is 1 in the dimensions of a triplet's condition
and 0 elsewhere (a row of `SubspaceLayout.masks`); each row of a batch has its own. Distances are
Euclidean as in [H24], or cosine as in [H22].

Source
------
[H22] Eq. 1 (which is [H24] Eq. 1); [H24] Eqs. 2, 3, 5 and 6; Section 3.1.2 for interchanged
triplets. The presence loss is [LAB]'s.
The contrastive loss is ours: the supervised contrastive loss of Khosla et al. (2020, Eq. 2), in
each subspace by itself.

Choices
-------
A batch's loss is the mean over all its triplets, satisfied ones (whose loss is 0) counted, as
[LAB] has it; libraries differ here. In the contrastive loss two mixes that have a part from one
track, from windows that overlap or are too near each other, are no pair at all, neither alike nor
different; from the very same window they are alike, whatever sounds with it. It sees
directions alone: scores by Euclidean distance want `NetworkConfig.unit_subspaces`. Mixes without
a target (nothing sounds) are left out of the target loss.
What takes no part is masked and never picked out: how many are left is a question for which a GPU
would have to end all its work first.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def triplet_loss(
    positive_distance: Float[Tensor, "*batch"],
    negative_distance: Float[Tensor, "*batch"],
    margin: float,
) -> Float[Tensor, "*batch"]:
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


def masked_cosine_distance(
    x: Float[Tensor, "batch embedding"],
    y: Float[Tensor, "batch embedding"],
    mask: Float[Tensor, "batch embedding"],
) -> Float[Tensor, " batch"]:
    """``1 - cos`` of the angle between x and y in one subspace ([H22] 4.1)."""
    return 1 - torch.nn.functional.cosine_similarity(x * mask, y * mask, dim=-1)


Distance = Literal["euclid", "cosine"]
_DISTANCES = {"euclid": masked_distance, "cosine": masked_cosine_distance}


def masked_triplet_loss(
    anchor: Float[Tensor, "batch embedding"],
    positive: Float[Tensor, "batch embedding"],
    negative: Float[Tensor, "batch embedding"],
    mask: Float[Tensor, "batch embedding"],
    margin: float,
    distance: Distance = "euclid",
) -> Float[Tensor, " batch"]:
    """Loss of each triplet under its condition ([H24] Eq. 3)."""
    between = _DISTANCES[distance]
    return triplet_loss(between(anchor, positive, mask), between(anchor, negative, mask), margin)


def target_loss(
    embedding: Float[Tensor, "batch embedding"], target: Float[Tensor, "batch embedding"]
) -> Float[Tensor, ""]:
    """``L_M = || f(x) - y / ||y||_2 ||_2``, mean over the batch ([H24] Eq. 5).

    Parameters
    ----------
    target : Tensor
        What the teachers make of each mix's parts, a block a condition; zero where it is silent.
        Mixes whose target is zero are left out; without any other the loss is 0.
    """
    length = torch.linalg.vector_norm(target, dim=-1)
    has_target = length > 0
    unit = target / torch.where(has_target, length, 1.0).unsqueeze(-1)
    distances = torch.linalg.vector_norm(embedding - unit, dim=-1)
    return torch.where(has_target, distances, 0.0).sum() / has_target.sum().clamp(min=1)


def presence_loss(
    subspaces: Float[Tensor, "batch conditions subspace"],
    sounds: Bool[Tensor, "batch conditions"],
    norm: float,
) -> Float[Tensor, ""]:
    """Cross-entropy between "this part sounds" and what the subspace's length says of it [LAB].

    The log-odds are ``log(||z|| / norm)``; the mean is over mixes and conditions.

    Parameters
    ----------
    norm : float > 0
        Length that says as much for the part as against it.
    """
    # The floor keeps the logarithm's slope finite where a subspace is empty.
    lengths = torch.linalg.vector_norm(subspaces, dim=-1).clamp(min=1e-4 * norm)
    return torch.nn.functional.binary_cross_entropy_with_logits(
        (lengths / norm).log(), sounds.float()
    )


@dataclass(frozen=True, slots=True)
class BatchLoss:
    """Loss of a batch, and how much of the batch is not in order yet."""

    loss: Float[Tensor, ""]
    """Mean over basic and interchanged triplets together, zeros included; or over anchors."""
    active: Float[Tensor, ""]
    """Share of the triplets whose loss is not zero, of anchors with a wrong neighbour, or of pairs
    with a semi-hard negative."""
    terms: dict[str, Tensor] = field(default_factory=dict)
    """Each loss that was added to `loss`, before its weight."""


def triplet_batch_loss(
    anchor: Float[Tensor, "batch embedding"],
    positive: Float[Tensor, "batch embedding"],
    negative: Float[Tensor, "batch embedding"],
    *,
    mask: Float[Tensor, "batch embedding"],
    interchanged_mask: Float[Tensor, "batch embedding"],
    has_interchanged: Bool[Tensor, " batch"],
    margin: float,
    distance: Distance = "euclid",
) -> BatchLoss:
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
    basic = masked_triplet_loss(anchor, positive, negative, mask, margin, distance)
    swapped = masked_triplet_loss(anchor, negative, positive, interchanged_mask, margin, distance)
    interchanged = torch.where(has_interchanged, swapped, 0.0)
    num_triplets = len(basic) + has_interchanged.sum()
    num_active = (basic > 0).sum() + (interchanged > 0).sum()
    return BatchLoss(
        loss=(basic.sum() + interchanged.sum()) / num_triplets,
        active=num_active / num_triplets,
    )


def overlap_in_part(apart_s: float | Tensor, min_gap_s: float) -> bool | Tensor:
    """Whether two windows of one track, so far from start to start, are no pair.

    The very same window is one: then all that differs is what sounds with it.
    """
    return (apart_s > 0) & (apart_s < min_gap_s)


def contrastive_loss(
    subspaces: Float[Tensor, "batch conditions subspace"],
    tracks: Int[Tensor, "batch conditions"],
    starts_s: Float[Tensor, "batch conditions"],
    *,
    temperature: float,
    min_gap_s: float,
) -> BatchLoss:
    """Loss of freely mixed batches: each subspace tells its own part's track from the others'.

    For an anchor i with positives P(i) among the mixes V(i) that it can be compared with,
    ``-mean over p of log(exp(s_ip / t) / sum over v of exp(s_iv / t))``, s the cosine similarity
    in one subspace; the mean is over all anchors with a positive, in all subspaces.

    Parameters
    ----------
    tracks : Tensor
        Number of the track that each condition's part comes from; negative where it is silent,
        and then the mix takes no part in that condition.
    starts_s : Tensor
        Where its window starts in that track, in seconds.
    temperature : float > 0
        Similarities are divided by it.
    min_gap_s : float
        Windows of one track whose starts are nearer than this are no pair, unless they are the
        very same (`overlap_in_part`).

    Returns
    -------
    BatchLoss
        `active` is the share of the anchors to which another track's part is nearest.
    """
    unit = torch.nn.functional.normalize(subspaces.transpose(0, 1), dim=-1)
    similarity = unit @ unit.transpose(1, 2) / temperature  # [conditions, batch, batch]
    track, start_s = tracks.T.contiguous(), starts_s.T.contiguous()
    sounds = track >= 0
    alike = track[:, :, None] == track[:, None, :]
    apart_s = (start_s[:, :, None] - start_s[:, None, :]).abs()
    near = overlap_in_part(apart_s, min_gap_s)
    itself = torch.eye(len(subspaces), dtype=torch.bool, device=subspaces.device)
    both_sound = sounds[:, :, None] & sounds[:, None, :]
    pairs = both_sound & ~(alike & near) & ~itself
    positives = pairs & alike
    num_positives = positives.sum(dim=-1)
    anchors = num_positives > 0
    # Whoever is no anchor keeps its numbers: nothing is asked of them, and all of them are finite.
    similarity = similarity.masked_fill(~pairs & anchors.unsqueeze(-1), -torch.inf)
    log_share = similarity - similarity.logsumexp(dim=-1, keepdim=True)
    losses = -torch.where(positives, log_share, 0.0).sum(dim=-1) / num_positives.clamp(min=1)
    nearest = similarity.argmax(dim=-1, keepdim=True)
    wrong = anchors & ~positives.gather(-1, nearest).squeeze(-1)
    num_anchors = anchors.sum().clamp(min=1)
    return BatchLoss(loss=losses.sum() / num_anchors, active=wrong.sum() / num_anchors)
