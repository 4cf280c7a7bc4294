"""Plan rows rendered by tasks beside a training, streamed to it batch by batch.

Choices
-------
Plain tasks, a few blocks ahead, and no data set: the executor of a data set runs in the process
that reads it, and while the readers are slower than the renderers it spins there. On two cores it
took two thirds of the training's speed. Tasks also keep the order of the rows and start at once.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import torch
from torch import Tensor

from csn.config import ExperimentConfig
from csn.distributed import cluster
from csn.distributed.bank import Bank, mixes_of
from csn.records import ROLES

MIXES_PER_BLOCK = 384
"""About 0.1 s of rendering and 70 MB of 3 s at 16 kHz: small enough to start soon."""

BLOCKS_AHEAD = 4
"""As many tasks render beside a training; they outrun a network on a CPU many times."""


def render_rows(rows: pa.Table, bank: Bank, config: ExperimentConfig) -> dict[str, np.ndarray]:
    """Render plan rows: the three mixes of each, and its conditions as places in the layout.

    Returns
    -------
    dict
        ``waveforms`` [rows, 3, samples], ``condition`` [rows] and ``interchanged`` [rows] (-1:
        none).
    """
    layout = config.network.layout
    mixes = [mixes_of(rows, f"{role}_") for role in ROLES]
    flat = [mix for triplet in zip(*mixes, strict=True) for mix in triplet]
    waveforms = bank.render(flat, config.audio.segment_s)
    places = {condition: layout.index(condition) for condition in layout.conditions}
    return {
        "waveforms": waveforms.reshape(len(rows), len(ROLES), -1),
        "condition": np.array([places[c] for c in rows["condition"].to_pylist()]),
        "interchanged": np.array(
            [places.get(c, -1) for c in rows["interchanged_condition"].to_pylist()]
        ),
    }


_render: Any = ray.remote(num_cpus=cluster.RENDER_CPUS, max_retries=3)(render_rows)


def rendered(
    tables: Iterable[pa.Table],
    bank: Bank,
    config: ExperimentConfig,
    batch_size: int,
    device: torch.device,
) -> Iterator[dict[str, Tensor]]:
    """Give the rendered batches of plan rows in order, made by tasks that run ahead.

    Rows of a table that fill no whole batch are left out.
    """
    per_block = max(1, round(MIXES_PER_BLOCK / len(ROLES) / batch_size)) * batch_size
    submit = partial(_render.remote, bank=bank, config=ray.put(config))
    blocks = (
        submit(rows.slice(i, per_block)) for rows in tables for i in range(0, len(rows), per_block)
    )
    ahead = deque(islice(blocks, BLOCKS_AHEAD))
    while ahead:
        block: Any = ray.get(ahead.popleft())
        ahead.extend(islice(blocks, 1))
        num_rows = len(block["condition"])
        for start in range(0, num_rows - batch_size + 1, batch_size):
            batch = {name: values[start : start + batch_size] for name, values in block.items()}
            # A copy: Ray's memory is read-only, and this batch may outlive its block.
            yield {name: torch.tensor(values).to(device) for name, values in batch.items()}
