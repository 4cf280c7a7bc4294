"""Semi-hard negatives found in the batch, in each subspace by itself, and the loss over them.

Conventions
-----------
Relations are matrices ``[conditions, anchors, candidates]``: which candidates are alike to an
anchor under a condition, and which are different; a pair may be neither (a tag is unknown).
Distances are cosine distances ``1 - cos`` within one subspace.

Source
------
[R22] Section 3 (semi-hard negatives within the margin 0.1, cosine distance) and Eq. 1: L_MD is the
mean of the conditions' losses.

Choices
-------
Each pair of anchor and positive gets one negative: of those farther than the positive by less than
the margin, strictly on both sides, the nearest, which teaches most; of equally far ones the first
in the batch. A pair without any such negative is left out of its condition's mean; a condition
without any such pair counts as zero, and L_MD is still divided by all conditions: so a condition
weighs the same in every batch. Nobody is a positive or a negative of oneself.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from csn.model.losses import BatchLoss, triplet_loss


class MinedNegatives(NamedTuple):
    """A negative for each pair of anchor and positive, as far as there is one."""

    negative: Int[Tensor, "conditions anchors candidates"]
    """Candidate that is the pair's negative; meaningless where there is none."""
    found: Bool[Tensor, "conditions anchors candidates"]
    """Pairs of an anchor and a positive that have one."""


def cosine_distances(
    subspaces: Float[Tensor, "batch conditions subspace"],
) -> Float[Tensor, "conditions batch batch"]:
    """``1 - cos`` between all embeddings of a batch in each subspace, in float32."""
    with torch.autocast(subspaces.device.type, enabled=False):  # bf16 is as coarse as the margin
        unit = torch.nn.functional.normalize(subspaces.float().transpose(0, 1), dim=-1)
        return 1 - unit @ unit.transpose(1, 2)


def semi_hard_negatives(
    distances: Float[Tensor, "conditions anchors candidates"],
    positives: Bool[Tensor, "conditions anchors candidates"],
    negatives: Bool[Tensor, "conditions anchors candidates"],
    margin: float,
) -> MinedNegatives:
    """Nearest negative beyond each positive, but less than `margin` beyond ([R22] 3).

    Each anchor's negatives are sorted once and the positives looked up among them, so no array is
    larger than the relations.

    Parameters
    ----------
    distances : Tensor
        Of each anchor to each candidate; no gradient flows through the choice.
    positives, negatives : Tensor
        Candidates that are alike to the anchor, and that are different.
    margin : float > 0
        A negative farther away than this beyond the positive teaches nothing.
    """
    distances = distances.detach().contiguous()
    reach, order = distances.masked_fill(~negatives, torch.inf).sort(dim=-1, stable=True)
    # The first negative strictly farther than the candidate; past the end where there is none.
    place = torch.searchsorted(reach, distances, right=True).clamp(max=reach.shape[-1] - 1)
    beyond = reach.gather(-1, place) - distances
    found = positives & (beyond > 0) & (beyond < margin)
    return MinedNegatives(order.gather(-1, place), found)


def semi_hard_loss(
    subspaces: Float[Tensor, "batch conditions subspace"],
    positives: Bool[Tensor, "conditions batch batch"],
    negatives: Bool[Tensor, "conditions batch batch"],
    *,
    margin: float,
) -> BatchLoss:
    """``L_MD``, the mean over conditions of ``mean(d(a, p) - d(a, n) + margin)`` ([R22] Eq. 1).

    Parameters
    ----------
    subspaces : Tensor
        Embeddings, each condition's dimensions apart.
    positives, negatives : Tensor
        Relations between the mixes of the batch; what they say of the diagonal is not looked at.
    margin : float > 0
        [R22]: 0.1.

    Returns
    -------
    BatchLoss
        `active` is the share of the pairs of anchor and positive, in all conditions, that have a
        semi-hard negative.
    """
    others = ~torch.eye(len(subspaces), dtype=torch.bool, device=subspaces.device)
    positives, negatives = positives & others, negatives & others
    distances = cosine_distances(subspaces)
    mined = semi_hard_negatives(distances, positives, negatives, margin)
    losses = triplet_loss(distances, distances.gather(-1, mined.negative), margin)
    num_pairs = mined.found.sum(dim=(1, 2))
    by_condition = torch.where(mined.found, losses, 0.0).sum(dim=(1, 2)) / num_pairs.clamp(min=1)
    return BatchLoss(
        loss=by_condition.mean(), active=num_pairs.sum() / positives.sum().clamp(min=1)
    )
