"""What stage a run is in, how far it is, and how long it will still take.

Conventions
-----------
On a terminal one line is rewritten; elsewhere (a job's log) a line is logged every
`LOG_INTERVAL_S` seconds. Every stage ends with a line of what it did and how long it took.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict

from csn import storage
from csn.errors import StorageError
from csn.reports.data import Stage

log = logging.getLogger(__name__)

LOG_INTERVAL_S = 5.0
TERMINAL_INTERVAL_S = 0.2
ORDER = ("compose", "prepare", "plan", "train", "embed", "evaluate", "report")
"""Stages of a whole run."""


class Counter:
    """Counts what a stage has done, and says so now and then."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        place = f"{ORDER.index(name) + 1}/{len(ORDER)} " if name in ORDER else ""
        self.title = f"{place}{name}"
        self.done = 0
        self.note = ""
        self.audio_hours: float | None = None
        self.detail = ""
        self.known_s = 0.0
        """What the work took by its own notes, where runs that were cut off did some of it."""
        self._started = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._terminal = sys.stderr.isatty()
        self._shown = self._started

    @property
    def is_seen(self) -> bool:
        """Whether anybody sees how far it is."""
        return self._terminal or log.isEnabledFor(logging.INFO)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Add `count` to what is done; `note` is shown behind it."""
        self.update(self.done + count, note)

    def update(self, done: int, note: str = "") -> None:
        """Set what is done."""
        now = time.monotonic()
        self.done, self.note = done, note
        # The rate counts from the first sign of life, so that a start-up does not spoil it.
        if self._first is None:
            self._first = (now, done)
        if now - self._shown >= (TERMINAL_INTERVAL_S if self._terminal else LOG_INTERVAL_S):
            self._shown = now
            self._show(now)

    def _left_s(self, now: float) -> float | None:
        if self._first is None or self.done <= self._first[1]:
            return None
        rate = (self.done - self._first[1]) / max(now - self._first[0], 1e-9)
        return (self.total - self.done) / rate

    def _show(self, now: float) -> None:
        left_s = self._left_s(now)
        share = self.done / max(self.total, 1)
        left = f", {clock(left_s)} left" if left_s is not None else ""
        note = f"  {self.note}" if self.note else ""
        line = f"{self.title}: {self.done}/{self.total} {self.unit} ({share:.0%}{left}){note}"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[2K{line[:150]}")
            sys.stderr.flush()
        else:
            log.info("%s", line)

    def finish(self) -> Stage:
        """End the stage: clear the line and log what was done."""
        if self._terminal:
            sys.stderr.write("\r\x1b[2K")
        seconds = max(time.monotonic() - self._started, self.known_s)
        log.info("%s: %s %s in %s", self.title, self.done, self.unit, clock(seconds))
        return Stage(self.name, seconds, self.audio_hours, self.detail)


def clock(seconds: float) -> str:
    """Write seconds as a clock does.

    Examples
    --------
    >>> clock(64.2)
    '1:04'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Stages:
    """The stages of one experiment and what each one cost, kept beside its results.

    A stage that a second run skips keeps the figures of the run that did it.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._before = ""
        try:
            self._stages = {row["name"]: Stage(**row) for row in storage.read_json(uri)}
        except StorageError:
            self._stages = {}

    def within(self, what: str) -> "Stages":
        """Give the same stages, to which those of `what` are added under its name."""
        part = copy(self)
        part._before = f"{what}: "
        return part

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Counter]:
        """Count and time what happens inside; it is recorded only if it did not fail."""
        name = f"{self._before}{name}"
        counter = Counter(name, total, unit)
        log.info("%s: %s %s", counter.title, total, unit)
        yield counter
        self._stages[name] = counter.finish()
        storage.write_json(self._uri, [asdict(stage) for stage in self._stages.values()])

    def all(self) -> list[Stage]:
        """Every stage so far, in the order in which they first ran."""
        return list(self._stages.values())


class Board:
    """Holds the latest word of a far worker, for whoever waits for it to read; an actor."""

    def __init__(self) -> None:
        self._latest: tuple[int, str] = (0, "")

    def post(self, done: int, note: str) -> None:
        """Replace the latest word."""
        self._latest = (done, note)

    def read(self) -> tuple[int, str]:
        """Give the latest word."""
        return self._latest
