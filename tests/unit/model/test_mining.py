import pytest
import torch

from csn.model.mining import cosine_distances, semi_hard_loss, semi_hard_negatives


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    subspaces = torch.randn(16, 3, 4, generator=generator)
    labels = torch.randint(0, 3, (3, 16), generator=generator)
    same = labels[:, :, None] == labels[:, None, :]
    return subspaces, same, ~same


def test_loss_is_the_mean_over_conditions(batch):
    subspaces, positives, negatives = batch
    alone = [
        semi_hard_loss(subspaces[:, [c]], positives[[c]], negatives[[c]], margin=0.1).loss
        for c in range(3)
    ]
    together = semi_hard_loss(subspaces, positives, negatives, margin=0.1)
    assert together.loss.item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)
    assert 0 < together.active.item() < 1


def test_mined_negatives_are_different_and_lie_in_the_margin(batch):
    subspaces, positives, negatives = batch
    distances = cosine_distances(subspaces)
    mined = semi_hard_negatives(distances, positives, negatives, 0.1)
    beyond = (distances.gather(-1, mined.negative) - distances)[mined.found]
    assert beyond.min() > 0
    assert beyond.max() < 0.1
    assert negatives.gather(-1, mined.negative)[mined.found].all()
    assert positives[mined.found].all()


def test_pairs_that_are_neither_alike_nor_different_take_no_part(batch):
    subspaces, positives, negatives = batch
    unknown = torch.zeros(16, dtype=torch.bool)
    unknown[:4] = True
    known = ~(unknown[:, None] | unknown[None, :])
    without = semi_hard_loss(subspaces[4:], positives[:, 4:, 4:], negatives[:, 4:, 4:], margin=0.1)
    masked = semi_hard_loss(subspaces, positives & known, negatives & known, margin=0.1)
    assert masked.loss.item() == pytest.approx(without.loss.item(), rel=1e-5)


def test_anchors_may_meet_more_candidates_than_there_are_anchors(batch):
    subspaces, positives, negatives = batch
    distances = cosine_distances(subspaces)
    whole = semi_hard_negatives(distances, positives, negatives, 0.1)
    part = semi_hard_negatives(distances[:, :5], positives[:, :5], negatives[:, :5], 0.1)
    assert torch.equal(part.found, whole.found[:, :5])


def test_one_is_no_positive_of_oneself(batch):
    subspaces, _, negatives = batch
    itself = torch.eye(16, dtype=torch.bool).expand(3, 16, 16)
    result = semi_hard_loss(subspaces, itself, negatives, margin=2.0)
    assert (result.loss.item(), result.active.item()) == (0, 0)


def test_gradient_descent_moves_negatives_beyond_the_margin(batch):
    subspaces, positives, negatives = batch
    vectors = subspaces.clone().requires_grad_()
    loss = semi_hard_loss(vectors, positives, negatives, margin=0.1).loss
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert gradient.isfinite().all()
    choice = semi_hard_negatives(cosine_distances(subspaces), positives, negatives, 0.1)

    def of_choice(moved):
        distances = cosine_distances(moved)
        beyond = distances.gather(-1, choice.negative) - distances
        return beyond[choice.found].sum()

    assert of_choice(subspaces - 0.01 * gradient) > of_choice(subspaces)


def test_nothing_to_compare_is_no_loss_and_a_finite_gradient():
    vectors = torch.zeros(4, 2, 3, requires_grad=True)
    relation = torch.zeros(2, 4, 4, dtype=torch.bool)
    result = semi_hard_loss(vectors, relation, relation, margin=0.1)
    result.loss.backward()
    assert result.loss.item() == result.active.item() == 0
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
