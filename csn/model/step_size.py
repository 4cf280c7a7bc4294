"""How large a training's steps are: falling over the last of them, or where nothing gets better.

Source
------
[R22] Section 4.1 for the second: a fifth after 10 epochs without a lower validation loss.
"""

from collections.abc import Iterable
from typing import Any

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


class Plateau:
    """Lowers step sizes where validation no longer gets better; false where that is not asked."""

    def __init__(
        self, optimizers: Iterable[torch.optim.Optimizer], config: OptimizerConfig
    ) -> None:
        patience = config.plateau_patience
        self._rules = [
            ReduceLROnPlateau(
                optimizer,
                factor=config.plateau_factor,
                patience=patience or 0,
                min_lr=config.plateau_floor,
                eps=0.0,  # or torch leaves out steps below 1e-8, and [R22]'s floor is never met
            )
            for optimizer in (() if patience is None else optimizers)
        ]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def step(self, loss: float) -> None:
        """Take in the loss of a validation."""
        for rule in self._rules:
            rule.step(loss)

    def state_dict(self) -> list[dict[str, Any]]:
        """All that a checkpoint needs to go on."""
        return [rule.state_dict() for rule in self._rules]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on from what `state_dict` gave."""
        for rule, state in zip(self._rules, states, strict=True):
            rule.load_state_dict(state)
