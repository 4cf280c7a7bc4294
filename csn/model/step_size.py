"""How large a training's steps are: falling over the last of them, or where nothing gets better.

Source
------
[R22] Section 4.1 for the second: a fifth after 10 epochs without a lower validation loss.
"""

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from csn.config import OptimizerConfig


def learning_rate_factor(step: int, num_steps: int, config: OptimizerConfig) -> float:
    """Share of the learning rate at `step`: 1, then falling linearly over the last steps."""
    decay_steps = config.decay_fraction * num_steps
    left = num_steps - step
    if decay_steps == 0 or left >= decay_steps:
        return 1.0
    return config.final_ratio + (1 - config.final_ratio) * left / decay_steps


def plateau_of(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig
) -> ReduceLROnPlateau | None:
    """Rule that lowers the step size where validation no longer gets better, if there is one."""
    if config.plateau_patience is None:
        return None
    return ReduceLROnPlateau(
        optimizer,
        factor=config.plateau_factor,
        patience=config.plateau_patience,
        min_lr=config.plateau_floor,
    )
