"""What readers of an embedded catalogue see: its committed files."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DataFile:
    """One committed Parquet file."""

    uri: str
    level: str
    """``track`` or ``segment``."""
    condition: str
    num_rows: int
    dead_track_ids: tuple[str, ...] = ()
    """Rows of these tracks in this file were replaced or deleted since."""


@dataclass(frozen=True)
class Snapshot:
    """A catalogue at one moment, embedded by one network."""

    catalogue: str
    model_digest: str
    checkpoint_uri: str
    dims: Mapping[str, int]
    """Dimensions of each condition."""
    thresholds: Mapping[str, float]
    """Norm from which on a condition is said to sound; empty where the network has none."""
    files: tuple[DataFile, ...]
