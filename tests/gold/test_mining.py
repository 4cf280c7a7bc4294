"""[R22] Eq. 1 and its semi-hard negatives, by hand and against pytorch-metric-learning's miner."""

import math

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.miners import TripletMarginMiner

from csn.model.mining import cosine_distances, semi_hard_loss, semi_hard_negatives


def relations(labels):
    """Same label: alike; other label: different."""
    same = labels[:, None] == labels[None, :]
    return same, ~same


def at_distance(*distances):
    """Vectors on the unit circle at these cosine distances from the first axis."""
    return torch.tensor([[1 - d, math.sqrt(1 - (1 - d) ** 2)] for d in distances])


@pytest.mark.equation("R22", 1)
def test_loss_by_hand():
    # From a (at 0): p at 0.20; negatives at 0.15 (too near), 0.26, 0.24 and 0.50 (too far).
    vectors = at_distance(0.0, 0.20, 0.15, 0.26, 0.24, 0.50)[:, None]
    positives, negatives = torch.zeros(2, 1, 6, 6, dtype=torch.bool)
    positives[0, 0, 1] = True
    negatives[0, 0, 2:] = True
    mined = semi_hard_negatives(cosine_distances(vectors), positives, negatives, 0.1)
    assert mined.found.nonzero().tolist() == [[0, 0, 1]]
    assert mined.negative[0, 0, 1] == 4  # at 0.24, the nearest beyond 0.20
    result = semi_hard_loss(vectors, positives, negatives, margin=0.1)
    assert result.loss.item() == pytest.approx(0.20 - 0.24 + 0.1, abs=1e-6)
    assert result.active.item() == 1


@pytest.mark.equation("R22", 1)
def test_a_condition_without_semi_hard_negatives_counts_as_zero():
    # The same vectors in both subspaces; the second condition knows no negative.
    vectors = at_distance(0.0, 0.20, 0.24)[:, None].expand(3, 2, 2)
    positives, negatives = torch.zeros(2, 2, 3, 3, dtype=torch.bool)
    positives[:, 0, 1] = True
    negatives[0, 0, 2] = True
    result = semi_hard_loss(vectors, positives, negatives, margin=0.1)
    assert result.loss.item() == pytest.approx(0.06 / 2, abs=1e-6)
    assert result.active.item() == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_each_pair_has_the_nearest_of_the_reference_miners_negatives(seed):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(24, 3, generator=generator)
    labels = torch.randint(0, 4, (24,), generator=generator)
    distances = cosine_distances(vectors[:, None])
    positives, negatives = (relation[None] for relation in relations(labels))
    positives = positives & ~torch.eye(24, dtype=torch.bool)

    mined = semi_hard_negatives(distances, positives, negatives, 0.1)

    # It gives all semi-hard triples, by cosine similarity; we take the nearest negative of a pair.
    miner = TripletMarginMiner(0.1, distance=CosineSimilarity(), type_of_triplets="semihard")
    nearest = {}
    for a, p, n in torch.stack(miner(vectors, labels), dim=1).tolist():
        best = nearest.get((a, p))
        if best is None or distances[0, a, n] < distances[0, a, best]:
            nearest[a, p] = n
    ours = {(a, p): int(mined.negative[0, a, p]) for _, a, p in mined.found.nonzero().tolist()}
    assert ours == nearest
    assert len(ours) > 10
