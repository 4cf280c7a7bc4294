"""The parts of many tracks in Ray's object store, and rendering from them.

Conventions
-----------
One object a track, made by a task that reads the track's file: the cluster shares it, reads are
zero-copy, and where a node is lost Ray runs the task again. A task that renders fetches the tracks
of its own rows and no others, so the memory of a node does not grow with the corpus.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from jaxtyping import Float

from csn import storage
from csn.audio.parts import Parts
from csn.conditions import INSTRUMENTS
from csn.distributed import cluster
from csn.distributed.cluster import RENDER_CPUS
from csn.paths import Paths
from csn.records import ABSENT, Mix
from csn.triplets.rendering import render


@dataclass(frozen=True, slots=True)
class Bank:
    """References to the parts of tracks."""

    refs: Mapping[str, ray.ObjectRef]
    sample_rate_hz: int
    targets_ref: ray.ObjectRef | None = None
    """What teachers make of parts of these tracks: `csn.distributed.targets`."""

    @property
    def numbers(self) -> dict[str, int]:
        """A number for each track, the same wherever the bank is."""
        return {track: number for number, track in enumerate(self.refs)}

    @property
    def targets(self) -> np.ndarray | None:
        """Vectors that the column `TARGET_ROWS` of a plan refers to, [keys, subspace]."""
        return None if self.targets_ref is None else ray.get(self.targets_ref)

    def parts_of(self, mixes: Iterable[Mix]) -> dict[str, Parts]:
        """Fetch the tracks that `mixes` draw on."""
        tracks = sorted({track for mix in mixes for track in mix.tracks} - {ABSENT})
        parts = cluster.fetched([self.refs[track] for track in tracks], "read")
        return dict(zip(tracks, parts, strict=True))

    def render(
        self, mixes: Sequence[Mix], duration_s: float
    ) -> Float[np.ndarray, "mixes samples"]:
        """Fetch what `mixes` need, and render them."""
        return render(mixes, self.parts_of(mixes), round(duration_s * self.sample_rate_hz))


def load_parts(uri: str, horizon_s: float | None = None) -> Parts:
    """Read a prepared track's parts, up to `horizon_s` seconds."""
    columns = ["sample_rate_hz", "pcm_scale", *(f"pcm_{part}" for part in INSTRUMENTS)]
    table = storage.read_table(uri, columns)
    rate = table["sample_rate_hz"][0].as_py()
    end = None if horizon_s is None else round(horizon_s * rate)
    pcm = {}
    for part in INSTRUMENTS:
        cell = table[f"pcm_{part}"][0]
        if cell.is_valid:
            # A copy, so that the object holds the samples up to the end and not the file.
            pcm[part] = np.frombuffer(cell.as_buffer(), "<i2")[:end].copy()
    return Parts(pcm, table["pcm_scale"][0].as_py(), rate)


_load: Any = ray.remote(num_cpus=RENDER_CPUS, max_retries=3)(load_parts)


def load_bank(
    paths: Paths, track_ids: Iterable[str], horizons_s: Mapping[str, float] | None = None
) -> Bank:
    """Begin to load `track_ids`; returns at once.

    Parameters
    ----------
    horizons_s : mapping of track id to seconds, optional
        How much of each track will be asked for: training needs only a track's first windows.
    """
    horizons_s = horizons_s or {}
    refs = {
        track: _load.remote(paths.parts(track), horizons_s.get(track))
        for track in sorted(set(track_ids))
    }
    return Bank(refs, paths.config.audio.sample_rate_hz)


def mixes_of(table: pa.Table, prefix: str = "") -> list[Mix]:
    """Read the mixes of a plan's columns ``<prefix>tracks`` and ``<prefix>starts_s``."""
    tracks = table[f"{prefix}tracks"].to_pylist()
    starts_s = table[f"{prefix}starts_s"].to_pylist()
    return [Mix(tuple(t), tuple(s)) for t, s in zip(tracks, starts_s, strict=True)]
