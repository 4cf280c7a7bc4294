"""The two passes of a step, which a GPU is given before it is asked for a number.

Whatever would make a GPU end its work first, to count what a mask leaves or to choose a branch by
what was computed, is an operation that torch marks as one whose result depends on the numbers.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from csn import curriculum, recipes
from csn.distributed.objectives import objective_of
from csn.model.network import build_network

NUM_ROWS = 6
PRETRAINING = "pretraining of "
STEPS = (
    "tiny_free_mixing",
    "tiny_hashizume2024",
    f"{PRETRAINING}tiny_hashizume2024",
    "tiny_random_subsets",
    "tiny_ribecky2022_mel",
)
WAITING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


class NoNumberAsked(TorchDispatchMode):
    """Within it, an operation that would wait for a GPU fails."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        waits = not WAITING.isdisjoint(func.tags)
        # By places the shape is known, by a mask it is not.
        if func is torch.ops.aten.index.Tensor:
            waits = any(x is not None and x.dtype == torch.bool for x in args[1])
        assert not waits, f"{func} waits"
        return func(*args, **(kwargs or {}))


def configuration(name):
    config = recipes.ALL[name.removeprefix(PRETRAINING)]()
    return curriculum.pretraining_of(config) if name.startswith(PRETRAINING) else config


def batch_of(config, mixes_per_row):
    """Labels as the rows of any plan have them, of noise."""
    conditions = len(config.network.conditions)
    num_samples = round(config.audio.segment_s * config.audio.sample_rate_hz)
    shared = mixes_per_row if config.loss.mining != "none" else conditions
    return {
        "waveforms": 0.1 * torch.randn(NUM_ROWS, mixes_per_row, num_samples),
        "condition": torch.arange(NUM_ROWS) % conditions,
        "interchanged": torch.arange(NUM_ROWS) % conditions - 1,
        "tracks": torch.randint(-1, 3, (NUM_ROWS, shared)),
        "starts_s": torch.zeros(NUM_ROWS, conditions),
        "targets": torch.randn(NUM_ROWS, config.network.layout.embedding_dim).relu(),
        "sounds": torch.rand(NUM_ROWS, mixes_per_row, conditions) > 0.5,
        "facts": torch.randint(1, 4, (NUM_ROWS, mixes_per_row, conditions)).double(),
    }


@pytest.mark.parametrize("name", STEPS)
def test_passes_wait_for_no_number(name):
    config = configuration(name)
    torch.manual_seed(0)
    network, objective = build_network(config), objective_of(config)
    batch = batch_of(config, objective.mixes_per_row)
    with NoNumberAsked():
        embeddings = network(batch["waveforms"].flatten(0, 1))
        loss = objective.loss(embeddings.float(), batch).loss
        loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_what_would_wait_is_found():
    numbers = torch.arange(3.0)
    for asks in (
        lambda: numbers[numbers > 1],
        lambda: numbers.nonzero(),
        lambda: numbers.sum().item(),
        lambda: numbers.sum() > 2 or None,
    ):
        with NoNumberAsked(), pytest.raises(AssertionError, match="waits"):
            asks()
