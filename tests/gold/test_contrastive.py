"""The contrastive loss against numbers worked by hand, and against pytorch-metric-learning's."""

import math

import pytest
import torch
from pytorch_metric_learning.losses import SupConLoss

from csn.model.losses import contrastive_loss


def loss_of(vectors, tracks, starts_s=None, temperature=1.0, min_gap_s=1.0):
    """One subspace."""
    tracks = torch.tensor(tracks)[:, None]
    starts_s = torch.arange(len(tracks)) * 10.0 if starts_s is None else torch.tensor(starts_s)
    return contrastive_loss(
        torch.as_tensor(vectors)[:, None],
        tracks,
        starts_s[:, None],
        temperature=temperature,
        min_gap_s=min_gap_s,
    )


def test_two_alike_and_one_other_by_hand():
    # Cosines: a.p = 1, a.n = p.n = 0. Anchors a and p: -log(e / (e + 1)) each; n has no positive.
    result = loss_of([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], [0, 0, 1])
    assert result.loss.item() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)
    assert result.active.item() == 0


def test_temperature_divides_similarities():
    result = loss_of([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], [0, 0, 1], temperature=0.5)
    assert result.loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)


def test_positives_are_averaged_outside_the_logarithm():
    # a has positives at cosine 1 and 0, and a negative at -1:
    # log-sum = log(e + 1 + 1/e); mean of (log-sum - 1, log-sum - 0).
    vectors = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    total = math.log(math.e + 1 + 1 / math.e)
    of_a = (total - 1 + total) / 2
    of_b = of_a  # the same vector
    # c is at cosine 0 to all three: each positive costs log 3.
    expected = (of_a + of_b + math.log(3)) / 3
    assert loss_of(vectors, [0, 0, 0, 1]).loss.item() == pytest.approx(expected, rel=1e-6)


def test_windows_too_near_are_no_pair():
    vectors = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    # a and b are half a second apart: each has c alone for a positive, and n for a negative.
    # a: -log(e^0 / (e^0 + e^-1)); b the same; c has a, b (cosine 0) against n (cosine 0): log 3.
    result = loss_of(vectors, [0, 0, 0, 1], starts_s=[0.0, 0.5, 10.0, 20.0])
    expected = (2 * math.log(1 + math.exp(-1)) + math.log(3)) / 3
    assert result.loss.item() == pytest.approx(expected, rel=1e-6)


def test_silent_parts_take_no_part():
    with_silent = loss_of([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [1.0, 0.1]], [0, 0, 1, -1])
    without = loss_of([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], [0, 0, 1])
    assert with_silent.loss.item() == pytest.approx(without.loss.item(), rel=1e-6)
    nothing = loss_of([[1.0, 0.0], [0.0, 1.0]], [-1, -1])
    assert nothing.loss.item() == 0


def test_the_very_same_window_is_alike_whatever_sounds_with_it():
    vectors, tracks = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], [0, 0, 1]
    same = loss_of(vectors, tracks, starts_s=[2.0, 2.0, 2.0], min_gap_s=6.0)
    apart = loss_of(vectors, tracks, starts_s=[2.0, 9.0, 2.0], min_gap_s=6.0)
    assert same.loss.item() == apart.loss.item() > 0


def test_active_counts_anchors_with_a_wrong_neighbour():
    # a's nearest is n (cosine 0.8 against 0); p's is n too (0.6 against 0). n has no positive.
    assert loss_of([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]], [0, 0, 1]).active.item() == 1
    # Now p's nearest is a (0.6 against -0.6), and a's is still n.
    vectors = [[1.0, 0.0], [0.6, 0.8], [0.8, -0.6]]
    assert loss_of(vectors, [0, 0, 1]).active.item() == pytest.approx(0.5)


def test_subspaces_are_averaged_over_all_anchors():
    torch.manual_seed(0)
    subspaces = torch.randn(12, 3, 4)
    tracks = torch.randint(0, 3, (12, 3))
    starts_s = torch.arange(12.0)[:, None].expand(12, 3) * 10
    together = contrastive_loss(subspaces, tracks, starts_s, temperature=0.3, min_gap_s=1.0)
    total = count = 0.0
    for place in range(3):
        reference = SupConLoss(temperature=0.3)(subspaces[:, place], tracks[:, place])
        anchors = sum(int((tracks[:, place] == t).sum()) > 1 for t in tracks[:, place])
        total += reference.item() * anchors
        count += anchors
    assert together.loss.item() == pytest.approx(total / count, rel=1e-5)


def test_gradient_is_finite_where_nothing_can_be_compared():
    vectors = torch.randn(4, 1, 3, requires_grad=True)
    tracks, starts_s = torch.tensor([[0], [1], [2], [-1]]), torch.zeros(4, 1)
    contrastive_loss(vectors, tracks, starts_s, temperature=0.1, min_gap_s=1.0).loss.backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
