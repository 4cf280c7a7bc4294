"""The papers' loss equations: by hand, and against two libraries."""

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.reducers import MeanReducer

from csn.conditions import INSTRUMENTS, SubspaceLayout
from csn.model.losses import (
    masked_distance,
    masked_triplet_loss,
    triplet_batch_loss,
    triplet_loss,
)

LAYOUT = SubspaceLayout(INSTRUMENTS, subspace_dim=8)


def rows(*values):
    return [torch.tensor([value], dtype=torch.float32) for value in values]


def random_batch(seed, batch=40):
    """Embeddings near enough to each other that some triplets are satisfied and some are not."""
    rng = np.random.default_rng(seed)
    embeddings = torch.tensor(rng.normal(0, 0.3, (3, batch, LAYOUT.embedding_dim)))
    condition = rng.integers(5, size=batch)
    other = (condition + rng.integers(1, 5, size=batch)) % 5
    masks = torch.tensor(LAYOUT.masks())
    return *embeddings, masks[condition], masks[other]


@pytest.mark.equation("H22", 1)
def test_eq_1_of_h22_by_hand():
    # Well apart, not quite apart, and the wrong way round, with a margin of 0.2.
    loss = triplet_loss(torch.tensor([1.0, 1.0, 2.0]), torch.tensor([1.5, 1.1, 1.0]), margin=0.2)
    torch.testing.assert_close(loss, torch.tensor([0.0, 0.1, 1.2]))


@pytest.mark.equation("H24", 2)
def test_eq_2_of_h24_by_hand():
    x, y, first, last, both = rows(
        [1, 2, 3, 4], [4, 6, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]
    )
    assert masked_distance(x, y, first).item() == 5.0  # 3, 4
    assert masked_distance(x, y, last).item() == 5.0  # 3, 4
    assert masked_distance(x, y, both).item() == pytest.approx(50**0.5)


@pytest.mark.equation("H24", 3)
def test_eq_3_of_h24_sees_only_its_subspace():
    anchor, positive, negative = rows([1, 2, 3, 4], [1, 0, 3, 9], [4, 6, 0, 0])
    # First two dims: d(a, p) = 2, d(a, n) = 5: satisfied. Last two: 5 and 5: the margin itself.
    first, last = rows([1, 1, 0, 0], [0, 0, 1, 1])
    assert masked_triplet_loss(anchor, positive, negative, first, margin=0.2).item() == 0.0
    assert masked_triplet_loss(
        anchor, positive, negative, last, margin=0.2
    ).item() == pytest.approx(0.2)


def test_interchanged_triplet_swaps_positive_and_negative_by_hand():
    # First dims: d(a, p) = 2, d(a, n) = 5. Last dims: d(a, p) = 6, d(a, n) = 5.
    anchor, positive, negative = rows([1, 2, 3, 4], [1, 0, 3, 10], [4, 6, 0, 0])
    first, last = rows([1, 1, 0, 0], [0, 0, 1, 1])
    result = triplet_batch_loss(
        anchor,
        positive,
        negative,
        mask=last,
        interchanged_mask=first,
        has_interchanged=torch.tensor([True]),
        margin=0.2,
    )
    # Basic, seen through the last dims: 6 - 5 + 0.2; interchanged, through the first: 5 - 2 + 0.2.
    assert result.loss.item() == pytest.approx((1.2 + 3.2) / 2)
    assert result.active.item() == 1.0


def test_batch_loss_is_the_mean_over_all_triplets_zeros_included():
    anchor, positive, negative = (
        torch.cat([row, row, row]) for row in rows([1, 2, 3, 4], [1, 0, 3, 9], [4, 6, 0, 0])
    )
    first, last = rows([1, 1, 0, 0], [0, 0, 1, 1])
    result = triplet_batch_loss(
        anchor,
        positive,
        negative,
        mask=torch.cat([first, first, last]),  # 0, 0, 0.2
        interchanged_mask=torch.cat([last, first, last]),  # 0.2; none; none
        has_interchanged=torch.tensor([True, False, False]),
        margin=0.2,
    )
    assert result.loss.item() == pytest.approx((0 + 0 + 0.2 + 0.2) / 4)
    assert result.active.item() == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_masked_triplet_loss_agrees_with_torch(seed):
    anchor, positive, negative, mask, _ = random_batch(seed)
    expected = torch.nn.functional.triplet_margin_loss(
        anchor * mask, positive * mask, negative * mask, margin=0.2, reduction="none"
    )
    found = masked_triplet_loss(anchor, positive, negative, mask, margin=0.2)
    assert 0 < (found == 0).sum() < len(found)
    # torch adds 1e-6 to every difference before it takes the norm.
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_batch_loss_agrees_with_pytorch_metric_learning(seed):
    anchor, positive, negative, mask, other = random_batch(seed)
    result = triplet_batch_loss(
        anchor,
        positive,
        negative,
        mask=mask,
        interchanged_mask=other,
        has_interchanged=torch.ones(len(mask), dtype=torch.bool),
        margin=0.2,
    )
    library = TripletMarginLoss(
        margin=0.2, distance=LpDistance(normalize_embeddings=False), reducer=MeanReducer()
    )
    seen = torch.cat(
        [
            torch.cat([anchor, positive, negative]) * mask.repeat(3, 1),
            torch.cat([anchor, negative, positive]) * other.repeat(3, 1),
        ]
    )
    batch = len(mask)
    places = torch.arange(2 * 3 * batch).reshape(2, 3, batch)
    triplets = tuple(places[:, role].flatten() for role in range(3))
    expected = library(seen, torch.arange(len(seen)), indices_tuple=triplets)
    assert 0 < result.active < 1
    # The library's distance goes through a matrix product.
    torch.testing.assert_close(result.loss, expected, rtol=1e-6, atol=1e-6)
