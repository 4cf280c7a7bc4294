"""Targets and presence ([H24] Eqs. 5 and 6, [LAB]) and cosine triplets ([H22]), by hand."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from csn import recipes
from csn.config import LossConfig
from csn.distributed.objectives import TARGET_ROWS, TripletObjective, objective_of
from csn.model.losses import (
    masked_cosine_distance,
    masked_triplet_loss,
    presence_loss,
    target_loss,
    triplet_batch_loss,
)

NO_ONE = {"condition": torch.tensor([0]), "interchanged": torch.tensor([-1])}


def rows(*values):
    return [torch.tensor([value], dtype=torch.float32) for value in values]


@pytest.mark.equation("H22", 1)
def test_cosine_distance_of_h22_sees_directions_in_its_subspace_alone():
    x, first, last = rows([3, 4, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1])
    (y,) = rows([8, 6, 0, 7])
    # First dims: (24 + 24) / (5 * 10) = 0.96; last dims: at a right angle.
    assert masked_cosine_distance(x, y, first).item() == pytest.approx(0.04, abs=1e-6)
    assert masked_cosine_distance(x, y, last).item() == pytest.approx(1.0)
    assert masked_cosine_distance(x, -x, first).item() == pytest.approx(2.0)
    assert masked_cosine_distance(x, 9 * x, first).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.equation("H22", 1)
def test_cosine_triplets_of_h22_by_hand():
    anchor, positive, negative, mask = rows([3, 4], [8, 6], [4, -3], [1, 1])
    # Distances 0.04 and 1 (a right angle).
    found = [
        masked_triplet_loss(anchor, *pair, mask, 0.2, "cosine").item()
        for pair in ((positive, negative), (negative, positive))
    ]
    assert found == pytest.approx([0.0, 1 - 0.04 + 0.2])
    batch = triplet_batch_loss(
        anchor,
        positive,
        negative,
        mask=mask,
        interchanged_mask=mask,
        has_interchanged=torch.tensor([True]),
        margin=0.2,
        distance="cosine",
    )
    assert batch.loss.item() == pytest.approx((0 + 1.16) / 2)
    assert batch.active.item() == 0.5


@pytest.mark.equation("H24", 5)
def test_eq_5_of_h24_by_hand():
    embedding = torch.tensor([[0.6, 0.8], [4.0, 5.0], [7.0, 7.0]])
    target = torch.tensor([[6.0, 8.0], [2.0, 0.0], [0.0, 0.0]])
    # To y / ||y||: (0.6, 0.8) is 0 away, (1, 0) is ||(3, 5)|| away; the last has no target.
    found = target_loss(embedding[:2], target[:2]).item()
    assert found == pytest.approx(math.sqrt(34) / 2)
    assert target_loss(embedding, target).item() == pytest.approx(found)


@pytest.mark.equation("H24", 5)
def test_gradient_of_eq_5_is_finite_at_the_target_and_without_one():
    embedding = torch.tensor([[0.6, 0.8], [7.0, 7.0]], requires_grad=True)
    target_loss(embedding, torch.tensor([[6.0, 8.0], [0.0, 0.0]])).backward()
    assert embedding.grad is not None
    assert embedding.grad.isfinite().all()
    assert not embedding.grad[1].any()
    embedding.grad = None
    nothing = target_loss(embedding, torch.zeros(2, 2))
    nothing.backward()
    assert nothing.item() == 0
    assert not embedding.grad.any()


def test_presence_is_the_logarithm_of_the_length_by_hand():
    # Lengths 5 and 0.2 of a norm of 0.2: log-odds log 25 and 0, so odds of 25 to 1 and of 1 to 1.
    subspaces = torch.tensor([[[3.0, 4.0], [0.2, 0.0]]])
    for sounds, expected in (
        ([True, True], (math.log(26 / 25) + math.log(2)) / 2),
        ([False, False], (math.log(26) + math.log(2)) / 2),
    ):
        found = presence_loss(subspaces, torch.tensor([sounds]), 0.2)
        assert found.item() == pytest.approx(expected, rel=1e-5)


def test_gradient_of_presence_is_finite_where_a_subspace_is_empty():
    subspaces = torch.zeros(1, 2, 3, requires_grad=True)
    presence_loss(subspaces, torch.tensor([[True, False]]), 0.2).backward()
    assert subspaces.grad is not None
    assert subspaces.grad.isfinite().all()


def two_subspaces(**loss):
    """Make the objective of triplets in two subspaces of two dimensions."""
    config = recipes.tiny()
    network = replace(config.network, conditions=("drums", "bass"), subspace_dim=2)
    return objective_of(replace(config, network=network, loss=LossConfig(**loss)))


# d(a, p) = 5 and d(a, n) = 4 in the first two dimensions: the triplet costs 1.2.
EMBEDDINGS = torch.tensor([[0.0, 0.0, 0.6, 0.8], [3.0, 4.0, 0.1, 0.0], [0.0, 4.0, 0.0, 0.1]])


@pytest.mark.equation("H24", 6)
def test_eq_6_of_h24_adds_a_tenth_of_the_anchors_targets():
    objective = two_subspaces(target_weight=0.1)
    # The anchor is (0, 0, .6, .8), its target's direction (1, 0, 0, 0): sqrt(2) apart.
    labels = NO_ONE | {"targets": torch.tensor([[7.0, 0.0, 0.0, 0.0]])}
    found = objective.loss(EMBEDDINGS, labels)
    assert found.terms["target"].item() == pytest.approx(math.sqrt(2))
    assert found.loss.item() == pytest.approx(1.2 + 0.1 * math.sqrt(2))
    assert set(found.terms) == {"target"}
    # What positive and negative are does not move the target's share.
    moved = EMBEDDINGS * torch.tensor([[1.0], [2.0], [3.0]])
    assert objective.loss(moved, labels).terms["target"].item() == pytest.approx(math.sqrt(2))


@pytest.mark.equation("H24", 6)
def test_eq_6_of_h24_is_added_to_the_contrast_of_every_free_mix():
    objective = two_subspaces(kind="contrastive", temperature=1.0, target_weight=0.1)
    # One track's drums twice, at a right angle to another's; no bass.
    embeddings = torch.tensor([[1.0, 0, 0, 0], [1.0, 0, 0, 0], [0, 1.0, 0, 0]])
    labels = {
        "tracks": torch.tensor([[0, -1], [0, -1], [1, -1]]),
        "starts_s": torch.zeros(3, 2),
        # Every mix is its own anchor. Directions (0, 0, 1, 0) and (0, 1, 0, 0); one is silent.
        "targets": torch.tensor([[0, 0, 7.0, 0], [0, 0, 0, 0], [0, 3.0, 0, 0]]),
    }
    found = objective.loss(embeddings, labels)
    # Of two anchors: -log(e / (e + 1)). Targets: sqrt(2) and 0 apart.
    assert found.terms["target"].item() == pytest.approx(math.sqrt(2) / 2)
    contrast = math.log(1 + 1 / math.e)
    assert found.loss.item() == pytest.approx(contrast + 0.1 * math.sqrt(2) / 2)


def test_presence_is_added_with_its_weight_over_all_three_mixes():
    objective = two_subspaces(presence_weight=0.5, presence_norm=0.1)
    sounds = torch.tensor([[[False, True], [True, False], [True, False]]])
    found = objective.loss(EMBEDDINGS, NO_ONE | {"sounds": sounds})
    # Lengths 0 (kept at 1e-5), 1; 5, 0.1; 4, 0.1: odds 1e-4, 10; 50, 1; 40, 1 for the part.
    against = [math.log(1 + 1e-4), math.log(2), math.log(2)]
    for_it = [math.log(1 + 1 / 10), math.log(1 + 1 / 50), math.log(1 + 1 / 40)]
    expected = (sum(against) + sum(for_it)) / 6
    assert found.terms["presence"].item() == pytest.approx(expected, rel=1e-4)
    assert found.loss.item() == pytest.approx(1.2 + 0.5 * expected, rel=1e-4)


def test_without_weights_the_triplets_are_all_there_is():
    found = two_subspaces().loss(EMBEDDINGS, NO_ONE)
    assert found.loss.item() == pytest.approx(1.2)
    assert not found.terms


def triplet_rows(**columns):
    """Give two rows of a triplet plan, with what labels are made of."""
    return pa.table(
        {
            "condition": ["drums", "bass"],
            "interchanged_condition": [None, "drums"],
            **{
                f"{role}_sounds": [[True, False, True, True, True]] * 2
                for role in ("anchor", "positive", "negative")
            },
            **columns,
        }
    )


@pytest.mark.equation("H24", 5)
def test_target_is_the_teachers_vectors_side_by_side_and_zero_where_a_part_is_silent():
    objective = two_subspaces(target_weight=0.1)
    vectors = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    plan = triplet_rows(**{TARGET_ROWS: [[2, -1], [-1, -1]]})
    labels = objective.labels(plan, {}, vectors)
    np.testing.assert_array_equal(labels["targets"], [[5, 6, 0, 0], [0, 0, 0, 0]])
    assert labels["targets"].dtype == np.float32
    plan = triplet_rows(**{TARGET_ROWS: [[0, 1], [2, 0]]})
    labels = objective.labels(plan, {}, vectors)
    np.testing.assert_array_equal(labels["targets"], [[1, 2, 3, 4], [5, 6, 1, 2]])


def test_labels_say_of_each_mix_which_of_the_network_s_parts_sound():
    objective = two_subspaces(presence_weight=0.5)
    assert isinstance(objective, TripletObjective)
    labels = objective.labels(triplet_rows(), {})
    assert labels["sounds"].tolist() == [[[True, False]] * 3] * 2
    assert labels["condition"].tolist() == [0, 1]
    assert labels["interchanged"].tolist() == [-1, 0]
    assert "targets" not in labels
