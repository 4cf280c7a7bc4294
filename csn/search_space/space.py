"""A search space, and the values that a configuration lets it take.

Conventions
-----------
Values are as JSON has them: lists stand for tuples.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np

from csn.config import ExperimentConfig
from csn.config.overrides import value_of, with_overrides
from csn.errors import ConfigError

Kind = Literal["uniform", "loguniform", "integer", "grid", "choice"]
Search = Literal["optuna", "random", "grid"]
MAX_CORNERS = 2_048
"""Combinations of extreme values that are tried before a sweep; ten ranges have 1024."""


@dataclass(frozen=True, slots=True)
class Varied:
    """One field, and what it may be."""

    name: str
    kind: Kind
    values: tuple[Any, ...]
    """Bounds (and the step) of a range, or all values."""
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """Other fields, and the values with which this one is varied."""

    @property
    def is_finite(self) -> bool:
        """Whether its values can be counted."""
        return self.kind not in ("uniform", "loguniform")

    @property
    def all_values(self) -> tuple[Any, ...]:
        """Every value of a finite field; the bounds of any other."""
        if self.kind != "integer":
            return self.values
        low, high, step = self.values
        return tuple(range(low, high + 1, step))

    @property
    def corners(self) -> tuple[Any, ...]:
        """Values to check: a configuration that takes these takes those between them."""
        return self.values[:2] if self._is_range else self.values

    @property
    def _is_range(self) -> bool:
        return self.kind in ("uniform", "loguniform", "integer")

    def drawn(self, rng: np.random.Generator) -> Any:
        """Draw one value."""
        if self.is_finite:
            return self.all_values[int(rng.integers(len(self.all_values)))]
        low, high = self.values
        if self.kind == "uniform":
            return float(rng.uniform(low, high))
        return float(math.exp(rng.uniform(math.log(low), math.log(high))))


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """What a sweep varies, and by which metric it judges."""

    name: str
    question: str
    """The comment at the top of its file."""
    metrics: tuple[str, ...]
    mode: Literal["max", "min"]
    num_samples: int
    fields: tuple[Varied, ...]
    search: Search = "optuna"
    """How values are found, unless a sweep says otherwise."""
    keep_start: bool = False

    def draw(self, config: ExperimentConfig, choose: Callable[[Varied], Any]) -> dict[str, Any]:
        """Give values to the fields that are varied with `config`, each as `choose` says."""
        values: dict[str, Any] = {}
        for field in self.fields:
            if _is_active(field, config, values):
                values[field.name] = choose(field)
        return values

    def points(
        self, config: ExperimentConfig, values_of: Callable[[Varied], Sequence[Any]]
    ) -> Iterator[dict[str, Any]]:
        """Every combination of the values that `values_of` gives, in the order of the fields."""

        def walk(rest: Sequence[Varied], values: dict[str, Any]) -> Iterator[dict[str, Any]]:
            if not rest:
                yield values
                return
            field, *others = rest
            if not _is_active(field, config, values):
                yield from walk(others, values)
                return
            for value in values_of(field):
                yield from walk(others, {**values, field.name: value})

        return walk(self.fields, {})

    def example(self, config: ExperimentConfig) -> dict[str, Any]:
        """Give the first value of each field: the lowest, or the first that is named."""
        return self.draw(config, lambda field: field.values[0])

    def grid(self, config: ExperimentConfig) -> list[dict[str, Any]]:
        """Every combination; ConfigError where a field's values cannot be counted."""
        if endless := [field.name for field in self.fields if not field.is_finite]:
            raise ConfigError(
                f"{self.name}: a grid has no end with {', '.join(endless)}; give a grid of values "
                "there, or choose --search optuna or random"
            )
        return list(self.points(config, lambda field: field.all_values))

    def random(self, config: ExperimentConfig, num: int, seed: int) -> list[dict[str, Any]]:
        """Draw `num` different combinations, or as many as there are."""
        rng = np.random.default_rng([seed, 0x5EED])
        found: dict[str, dict[str, Any]] = {}
        for _ in range(100 * num):
            values = self.draw(config, lambda field: field.drawn(rng))
            found.setdefault(repr(values), values)
            if len(found) == num:
                break
        return list(found.values())

    def decoded(self, drawn: Mapping[str, Any], listed: str) -> dict[str, Any]:
        """Values of a trial from what a search gave: places of values, or `listed` as JSON."""
        if listed in drawn:
            return json.loads(drawn[listed])
        return {
            field.name: field.values[drawn[field.name]]
            if field.kind in ("grid", "choice")
            else drawn[field.name]
            for field in self.fields
            if field.name in drawn
        }

    def of(self, config: ExperimentConfig) -> "SearchSpace":
        """Keep the fields that can be varied with `config`, all of whose values it must take.

        Raises
        ------
        ConfigError
            There is no such field, a value is refused, or nothing is left to vary.
        """
        for field in self.fields:
            for name in (field.name, *(other for other, _ in field.when)):
                try:
                    value_of(config, name)
                except ConfigError as error:
                    raise ConfigError(f"{self.name}: {error}") from error
        used: dict[str, None] = {}
        for values in islice(self.points(config, lambda field: field.corners), MAX_CORNERS):
            try:
                with_overrides(config, values)
            except ConfigError as error:
                raise ConfigError(f"{self.name}: {error}") from error
            used |= dict.fromkeys(values)
        if not used:
            told = "; ".join(f"{f.name} only with {_told(f.when)}" for f in self.fields)
            raise ConfigError(f"{self.name} varies nothing of this configuration: {told}")
        return replace(self, fields=tuple(f for f in self.fields if f.name in used))


def _is_active(field: Varied, config: ExperimentConfig, values: Mapping[str, Any]) -> bool:
    for other, allowed in field.when:
        value = values[other] if other in values else _own(config, other)
        if not any(value == one and type(value) is type(one) for one in allowed):
            return False
    return True


def _own(config: ExperimentConfig, name: str) -> Any:
    """Give a field's value the form that TOML has for it."""
    value = value_of(config, name)
    if isinstance(value, tuple):
        return list(value)
    return "none" if value is None else value


def _told(when: Sequence[tuple[str, tuple[Any, ...]]]) -> str:
    return " and ".join(f"{name}={' or '.join(map(str, allowed))}" for name, allowed in when)
