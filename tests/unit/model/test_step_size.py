from dataclasses import replace

import pytest
import torch

from csn import recipes
from csn.config import OptimizerConfig
from csn.errors import ConfigError
from csn.model.step_size import Plateau, learning_rate_factor


def test_step_size_falls_linearly_over_the_last_steps():
    config = OptimizerConfig(decay_fraction=0.5, final_ratio=0.2)
    factors = [learning_rate_factor(step, 8, config) for step in range(9)]
    assert factors == pytest.approx([1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


@pytest.mark.equation("R22", "4.1")
def test_step_size_is_a_fifth_after_ten_validations_without_a_lower_loss():
    config = OptimizerConfig(learning_rate=1e-5, plateau_patience=10)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    plateau = Plateau([optimizer], config)
    rates = []
    for loss in (1.0, 0.5, *[0.6] * 22):
        plateau.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    # The eleventh without a better one is one too many.
    assert rates[:12] == pytest.approx([1e-5] * 12)
    assert rates[12:23] == pytest.approx([2e-6] * 11)
    assert rates[23] == pytest.approx(4e-7)


def test_step_size_has_a_floor():
    config = OptimizerConfig(learning_rate=1e-3, plateau_patience=0, plateau_floor=1e-4)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    plateau = Plateau([optimizer], config)
    for _ in range(5):
        plateau.step(1.0)
    assert optimizer.param_groups[0]["lr"] == 1e-4


def test_there_is_no_plateau_unless_asked_for():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    assert not Plateau([optimizer], OptimizerConfig())


def test_both_rules_at_once_are_refused():
    with pytest.raises(ConfigError, match=r"patience=3 and .* exclude each other"):
        replace(OptimizerConfig(plateau_patience=3), decay_fraction=0.3)


@pytest.mark.equation("R22", "4.1")
def test_step_size_of_the_paper_comes_to_the_floor_of_the_paper():
    config = recipes.ribecky2022().optimizer
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    plateau = Plateau([optimizer], config)
    for _ in range(200):
        plateau.step(1.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-10)


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_step_size_that_would_not_fall_is_refused(factor):
    with pytest.raises(ConfigError, match=r"plateau_factor=.* must lie between 0 and 1"):
        OptimizerConfig(plateau_factor=factor)
