"""The optimizer of a training: Adam, or Muon for weights that are matrices and Adam for the rest.

Source
------
[LAB] for Adam without weight decay; Muon: Jordan et al. (2024), as torch has it.

Choices
-------
A convolution is a matrix of its output channels by all that one of them sees. torch's Muon takes
matrices alone, so it is given copies, which are brought up to date before each step and copied
back after it: a small part of a step's time, and no memory is shared behind anybody's back.

torch's Muon makes its steps orthogonal in bfloat16. A CPU without units for that is 5 to 25 times
as fast in float32, and a whole step of a small network three times; so on any CPU it is done in
float32.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from csn.config import OptimizerConfig


class WeightsOptimizer:
    """Steps the parameters of a network as `config` says.

    Parameters
    ----------
    parameters : iterable of Parameter
        All that is to be learnt.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> None:
        self._matrices: list[tuple[nn.Parameter, nn.Parameter]] = []
        rest = list(parameters)
        self.parts: list[torch.optim.Optimizer] = []
        if config.kind == "muon":
            matrices, rest = [p for p in rest if p.ndim > 1], [p for p in rest if p.ndim < 2]
            self._matrices = [(p, nn.Parameter(_flat(p).clone())) for p in matrices]
            copies = [copy for _, copy in self._matrices]
            rate = config.muon_learning_rate
            self.parts.append(torch.optim.Muon(copies, lr=rate, weight_decay=0.0))
        if rest:
            self.parts.append(torch.optim.Adam(rest, lr=config.learning_rate))
        self._rates = [part.param_groups[0]["lr"] for part in self.parts]

    @property
    def learning_rate(self) -> float:
        """Step size of the last part, which is Adam's."""
        return self.parts[-1].param_groups[0]["lr"]

    def scale(self, factor: float) -> None:
        """Set every step size to `factor` times what the configuration says."""
        for part, rate in zip(self.parts, self._rates, strict=True):
            for group in part.param_groups:
                group["lr"] = factor * rate

    def step(self, loss: Tensor) -> None:
        """Go one step down from `loss`."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)
        for weights, _ in self._matrices:
            weights.grad = None
        loss.backward()
        for weights, copy in self._matrices:
            copy.data.copy_(_flat(weights))
            copy.grad = None if weights.grad is None else _flat(weights.grad)
        for part in self.parts:
            with nullcontext() if loss.is_cuda else _InFloat32():
                part.step()
        for weights, copy in self._matrices:
            weights.data.copy_(copy.data.view(weights.shape))

    def state_dict(self) -> list[dict[str, Any]]:
        """All that a checkpoint needs to go on."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on from what `state_dict` gave."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


class _InFloat32(TorchFunctionMode):
    """Whatever asks for bfloat16 gets float32."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is Tensor.bfloat16:
            # A copy, as it would be of another type: it is divided in place.
            return args[0].to(torch.float32, copy=True)
        return func(*args, **(kwargs or {}))


def _flat(weights: Tensor) -> Tensor:
    return weights.detach().reshape(len(weights), -1)
