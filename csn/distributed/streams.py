"""The batches of a training: plan rows rendered by tasks beside it, or on its own device.

Conventions
-----------
A batch is ``waveforms`` [rows, mixes, samples] and the objective's labels of the same rows. Both
placements give the same batches in the same order.

Choices
-------
Plain tasks, a few blocks ahead, and no data set: the executor of a data set runs in the process
that reads it, and while the readers are slower than the renderers it spins there. On two cores it
took two thirds of the training's speed. Tasks also keep the order of the rows and start at once.
The next batch is copied, or rendered, while this one is learnt from, and by another thread: that
which trains is busy with giving a GPU its work.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import torch
from torch import Tensor

from csn.audio.parts import Parts
from csn.config import ExperimentConfig
from csn.distributed import cluster
from csn.distributed.bank import Bank
from csn.distributed.objectives import objective_of
from csn.model.device_bank import DeviceBank, copied
from csn.records import Mix

MIXES_PER_BLOCK = 384
"""About 0.1 s of rendering and 70 MB of 3 s at 16 kHz: small enough to start soon."""

BLOCKS_AHEAD = 4
"""As many tasks render beside a training; they outrun a network on a CPU many times."""


class Batches:
    """Batches in order; a thread makes the next one while the device is at work on this one."""

    def __init__(self, batches: Iterable[dict[str, Tensor]]) -> None:
        self._batches = iter(batches)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._next: Future[dict[str, Tensor]] | None = None
        self.waited_s = 0.0
        """How long batches were waited for, with nothing to do for the device. Copying one to it
        is work of the device's own, and not in this."""

    def take(self) -> dict[str, Tensor]:
        """Give the next batch, which is waited for if it is not made yet.

        Raises
        ------
        StopIteration
            There is none.
        """
        asked = time.monotonic()
        self.fetch()
        assert self._next is not None
        batch, self._next = self._next.result(), None
        self.waited_s += time.monotonic() - asked
        return batch

    def fetch(self) -> None:
        """Have the next batch made; what is wrong with it is said when it is taken."""
        if self._next is None:
            self._next = self._thread.submit(next, self._batches)

    def close(self) -> None:
        """Have no more made; the thread ends with the batch that it is at."""
        self._thread.shutdown(wait=False)


def batches_of(
    tables: Iterable[pa.Table],
    bank: Bank,
    config: ExperimentConfig,
    batch_size: int,
    device: torch.device,
) -> Iterator[dict[str, Tensor]]:
    """Give the rendered batches of plan rows in order, wherever the configuration places that.

    Rows of a table that fill no whole batch are left out.
    """
    make = {"workers": rendered, "device": rendered_on_device}[config.workers.placement]
    return make(tables, bank, config, batch_size, device)


def render_rows(rows: pa.Table, bank: Bank, config: ExperimentConfig) -> dict[str, np.ndarray]:
    """Render plan rows, and label them.

    Returns
    -------
    dict
        ``waveforms`` [rows, mixes, samples], and the objective's labels.
    """
    objective = objective_of(config)
    waveforms = bank.render(objective.mixes(rows), config.audio.segment_s)
    shaped = waveforms.reshape(len(rows), objective.mixes_per_row, -1)
    return {"waveforms": shaped} | objective.labels(rows, bank.numbers, bank.targets)


_render: Any = ray.remote(num_cpus=cluster.RENDER_CPUS, max_retries=3)(render_rows)


def rendered(
    tables: Iterable[pa.Table],
    bank: Bank,
    config: ExperimentConfig,
    batch_size: int,
    device: torch.device,
) -> Iterator[dict[str, Tensor]]:
    """Give the batches that tasks render ahead of the training."""
    per_row = objective_of(config).mixes_per_row
    per_block = max(1, round(MIXES_PER_BLOCK / per_row / batch_size)) * batch_size
    submit = partial(_render.remote, bank=ray.put(bank), config=ray.put(config))
    blocks = (
        submit(rows.slice(i, per_block)) for rows in tables for i in range(0, len(rows), per_block)
    )
    ahead = deque(islice(blocks, BLOCKS_AHEAD))
    while ahead:
        block = cluster.fetched(ahead.popleft(), "rendered")
        ahead.extend(islice(blocks, 1))
        if ahead:  # blocks of other nodes travel here while this one is trained on
            ray.wait(list(ahead), num_returns=len(ahead), timeout=0, fetch_local=True)
        num_rows = len(block["waveforms"])
        for start in range(0, num_rows - batch_size + 1, batch_size):
            batch = {name: values[start : start + batch_size] for name, values in block.items()}
            # Ray's memory is read-only, and this batch may outlive its block.
            yield {name: copied(values, device) for name, values in batch.items()}


def rendered_on_device(
    tables: Iterable[pa.Table],
    bank: Bank,
    config: ExperimentConfig,
    batch_size: int,
    device: torch.device,
) -> Iterator[dict[str, Tensor]]:
    """Give the batches rendered where the training runs, from a bank in its memory.

    Raises
    ------
    ConfigError
        The bank does not fit there.
    """
    objective = objective_of(config)
    render, targets = _renderer(bank, config, device), bank.targets
    for rows in tables:
        for start in range(0, len(rows) - batch_size + 1, batch_size):
            batch = rows.slice(start, batch_size)
            waveforms = render(objective.mixes(batch))
            labels = objective.labels(batch, bank.numbers, targets)
            on_device = {name: copied(values, device) for name, values in labels.items()}
            yield {"waveforms": waveforms.unflatten(0, (batch_size, -1))} | on_device


def _renderer(
    bank: Bank, config: ExperimentConfig, device: torch.device
) -> Callable[[Sequence[Mix]], Tensor]:
    segment_s = config.audio.segment_s
    if device.type == "cpu":
        # The object store is in this device's memory already.
        return lambda mixes: torch.from_numpy(bank.render(mixes, segment_s))
    return DeviceBank(_Fetched(bank), segment_s, bank.sample_rate_hz, device).render


class _Fetched(Mapping[str, Parts]):
    """A bank's tracks, each fetched when it is asked for: reads are zero-copy."""

    def __init__(self, bank: Bank) -> None:
        self._refs = bank.refs

    def __getitem__(self, track_id: str) -> Parts:
        return ray.get(self._refs[track_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)
