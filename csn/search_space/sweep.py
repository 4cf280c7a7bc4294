"""A sweep: which recipe is varied in what, and how its values are searched."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from csn.config import ExperimentConfig
from csn.config.checks import check_name
from csn.errors import ConfigError
from csn.search_space.space import Search, SearchSpace

Scheduler = Literal["asha", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One sweep: a configuration, what of it is varied, and how."""

    name: str
    recipe: str
    config: ExperimentConfig
    space: SearchSpace
    """Of `config`: `SearchSpace.of`."""
    num_samples: int
    search: Search = "optuna"
    scheduler: Scheduler = "asha"
    max_concurrent: int | None = None
    """Trials at a time; none: as many as the cluster holds."""
    final_seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds from which the best configuration and the recipe are trained at the end."""

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if self.num_samples < 1:
            raise ConfigError(f"num_samples={self.num_samples} must be at least 1")
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise ConfigError(f"max_concurrent={self.max_concurrent} must be at least 1")
        for option, value, known in (
            ("search", self.search, get_args(Search)),
            ("scheduler", self.scheduler, get_args(Scheduler)),
        ):
            if value not in known:
                raise ConfigError(f"{option}={value}: there are {', '.join(known)}")
        if self.search == "grid":
            self.space.grid(self.config)

    def listed(self) -> list[dict[str, Any]]:
        """Values of all trials, where they do not depend on how earlier trials end."""
        if self.search == "random":
            return self.space.random(self.config, self.num_samples, self.config.seed)
        points = self.space.grid(self.config)
        if self.num_samples >= len(points):
            return points
        order = np.random.default_rng(self.config.seed).permutation(len(points))
        return [points[place] for place in sorted(order[: self.num_samples].tolist())]
