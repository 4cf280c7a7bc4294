"""Plan rows rendered by tasks beside a training, streamed to it batch by batch."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import ray.data
import torch
from torch import Tensor

from csn.config import ExperimentConfig
from csn.distributed import cluster
from csn.distributed.bank import Bank, mixes_of
from csn.records import ROLES

MIXES_PER_BLOCK = 384
"""About 0.1 s of rendering and 70 MB of 3 s at 16 kHz: small enough to start soon."""


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


def rendered(
    rows: pa.Table, bank: Bank, config: ExperimentConfig, batch_size: int, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Stream the rendered batches of `rows`, made by tasks beside the training."""
    per_block = max(1, round(MIXES_PER_BLOCK / len(ROLES) / batch_size)) * batch_size
    blocks = [rows.slice(i, per_block) for i in range(0, len(rows), per_block)]
    # Tasks, not actors: an actor pool beside a trainer on few CPUs never gets one.
    dataset = ray.data.from_arrow(blocks).map_batches(
        partial(render_rows, bank=bank, config=config),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=cluster.RENDER_CPUS,
    )
    return iter(
        dataset.iter_torch_batches(batch_size=batch_size, prefetch_batches=2, device=device)
    )
