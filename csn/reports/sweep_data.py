"""What the page of a sweep shows: plain records that the floor above fills.

Conventions
-----------
Values of the metric are as training reports them: shares in 0..1, or whatever a space names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from csn.search_space import Sweep

Status = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptTrial:
    """One trial, and what became of it."""

    trial_id: str
    number: int
    """Its place in the order in which trials began, from 1."""
    values: Mapping[str, Any]
    status: Status
    curve: Sequence[tuple[int, float]] = ()
    """Epoch and value of the metric, of every validation."""
    best: float | None = None
    """Best value of the metric."""
    failures: Sequence[str] = ()
    """Why each of its tries failed."""
    seconds: float = 0.0

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the best value, the first where several are as good."""
        return next((epoch for epoch, value in self.curve if value == self.best), None)

    @property
    def num_epochs(self) -> int:
        """Epochs until its last validation."""
        return self.curve[-1][0] + 1 if self.curve else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepData:
    """All that the page of a sweep shows."""

    sweep: Sweep
    metric: str
    trials: Sequence[SweptTrial]
    """In the order in which they began."""
    final_scores: pa.Table | None = None
    """`csn.evaluation.comparison.COMPARED_SCHEMA` of the best configuration and the recipe."""
    final_labels: Mapping[str, str] = field(default_factory=dict)
    """How the page names the recipes of `final_scores`."""
    final_href: str = ""
    """Page of that comparison, relative to the sweep's folder."""
    warnings: Sequence[str] = ()
    kept_start: bool = False
    finished_at: str = ""

    @property
    def ranked(self) -> list[SweptTrial]:
        """Trials by their value, the best first; those that failed or have none at the end."""
        sign = -1 if self.sweep.space.mode == "max" else 1

        def place(trial: SweptTrial) -> tuple[bool, float]:
            is_last = trial.status == "failed" or trial.best is None
            return is_last, sign * (trial.best or 0.0)

        return sorted(self.trials, key=place)

    @property
    def best(self) -> SweptTrial | None:
        """The best trial; none where none has a value."""
        first = self.ranked[0] if self.trials else None
        return first if first and first.status != "failed" and first.best is not None else None
