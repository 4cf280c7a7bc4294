"""What rank 0 keeps of its epochs, without Ray."""

import math
from types import SimpleNamespace

import pytest
import torch

from csn import recipes
from csn.distributed.train_loop import Progress, Trainer
from csn.model.network import build_network
from csn.model.step_size import Plateau

P2 = "val/pseudo_mix_id/mean"


@pytest.fixture
def trainer():
    """A rank that has a network and validates, and is in no training."""
    made = object.__new__(Trainer)
    made.config = recipes.tiny()
    made.rank, made.num_ranks = 0, 1
    made.network = build_network(made.config)
    made.validation = SimpleNamespace(presence={})
    made.progress, made.best_weights = Progress(), {}
    return made


def poison(network):
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(math.nan)


def test_a_later_network_that_cannot_be_scored_does_not_replace_the_best(trainer):
    trainer._note({"epoch": 0, P2: 0.5}, validated=True)
    best = {name: weight.clone() for name, weight in trainer.best_weights.items()}
    poison(trainer.network)
    trainer._note({"epoch": 1}, validated=True)
    assert (trainer.progress.best_epoch, trainer.progress.stale) == (0, 1)
    assert trainer.progress.best_score == 0.5
    assert all(torch.equal(best[name], weight) for name, weight in trainer.best_weights.items())
    assert all(weight.isfinite().all() for weight in trainer.best_weights.values())


def test_step_size_stays_where_validation_asks_nothing(trainer):
    settings = recipes.ribecky2022().optimizer
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-5)
    trainer.plateau, trainer.device = Plateau([optimizer], settings), torch.device("cpu")
    for _ in range(30):
        trainer._lower_step_size({})
    assert optimizer.param_groups[0]["lr"] == 1e-5
    for _ in range(12):
        trainer._lower_step_size({"val/loss": 1.0})
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2e-6)
