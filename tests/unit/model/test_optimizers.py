import copy

import pytest
import torch
from torch import nn

from csn.config import OptimizerConfig
from csn.errors import ConfigError
from csn.model.optimizers import WeightsOptimizer

MUON = OptimizerConfig(kind="muon", learning_rate=0.01, muon_learning_rate=0.05)


def network():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 3))
    return layers.to(memory_format=torch.channels_last)


def loss_of(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return model(torch.randn(8, 2, 5, 5, generator=generator)).square().mean()


def trained(model, optimizer, steps):
    for step in steps:
        optimizer.step(loss_of(model, step))
    return model


def test_adam_is_torch_s():
    ours, theirs = network(), network()
    config = OptimizerConfig(learning_rate=0.01)
    trained(ours, WeightsOptimizer(ours.parameters(), config), range(3))
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for step in range(3):
        adam.zero_grad()
        loss_of(theirs, step).backward()
        adam.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)


def orthogonal(gradient):
    """Newton and Schulz's iteration by Muon's coefficients, in twice the precision."""
    found = gradient.double() / gradient.double().norm()
    for _ in range(5):
        gram = found @ found.T
        found = 3.4445 * found + (-4.7750 * gram + 2.0315 * gram @ gram) @ found
    return found


def test_muon_steps_a_linear_layer_as_torch_s_does_and_as_exactly_as_weights_are():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(6, 4, bias=False), nn.Linear(6, 4, bias=False)
    theirs.load_state_dict(ours.state_dict())
    expected, momentum = ours.weight.detach().double(), torch.zeros(4, 6)
    x = torch.randn(5, 6)
    optimizer = WeightsOptimizer(ours.parameters(), MUON)
    muon = torch.optim.Muon(theirs.parameters(), lr=0.05, weight_decay=0.0)
    for _ in range(3):
        optimizer.step(ours(x).square().mean())
        gradient = ours.weight.grad
        momentum = momentum.lerp(gradient, 0.05)
        expected = expected - 0.05 * orthogonal(gradient.lerp(momentum, 0.95))
        muon.zero_grad()
        theirs(x).square().mean().backward()
        muon.step()
    torch.testing.assert_close(ours.weight.double(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=6e-3)
    assert not torch.allclose(ours.weight, theirs.weight, rtol=0, atol=1e-6)


def test_muon_moves_convolutions_in_all_directions_alike():
    model = network()
    before = copy.deepcopy(model)
    trained(model, WeightsOptimizer(model.parameters(), MUON), range(1))
    moved = (model[0].weight - before[0].weight).detach().flatten(1)
    strengths = torch.linalg.svdvals(moved)
    assert strengths.max() / strengths.min() < 3  # the gradient's are far apart
    assert not torch.equal(model[1].weight, before[1].weight)  # Adam's share moves too


def test_going_on_from_a_state_is_as_never_having_stopped():
    whole = network()
    trained(whole, WeightsOptimizer(whole.parameters(), MUON), range(6))
    halted = network()
    first = WeightsOptimizer(halted.parameters(), MUON)
    trained(halted, first, range(3))
    resumed = network()
    resumed.load_state_dict(halted.state_dict())
    second = WeightsOptimizer(resumed.parameters(), MUON)
    second.load_state_dict(first.state_dict())
    trained(resumed, second, range(3, 6))
    for mine, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_both_step_sizes_are_scaled():
    optimizer = WeightsOptimizer(network().parameters(), MUON)
    optimizer.scale(0.5)
    optimizer.scale(0.1)
    rates = [part.param_groups[0]["lr"] for part in optimizer.parts]
    assert rates == pytest.approx([0.005, 0.001])


def test_step_size_of_muon_is_positive():
    with pytest.raises(ConfigError, match=r"optimizer\.muon_learning_rate=0"):
        OptimizerConfig(muon_learning_rate=0)
