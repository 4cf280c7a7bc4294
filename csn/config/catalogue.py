"""Knobs of the nightly embedding of a whole catalogue."""

import re
from dataclasses import dataclass
from typing import Literal

from csn.config.checks import Strict, check, check_name, check_range

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".m4a", ".aac")
"""What counts as audio in a folder. Of these, .m4a and .aac cannot be decoded, and are told of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentConfig(Strict):
    """Where a track's segments lie; a change embeds every track anew."""

    duration_s: float | None = None
    """Length of a segment; none: that on which the network was trained."""
    hop_s: float | None = None
    """From start to start; none: the duration, so that segments do not overlap."""
    min_tail_s: float = 1.0
    """What is left after the last whole segment gets one more, which ends with the track, if it
    is as long as this. A shorter rest is dropped, and a shorter track is a reject."""

    def __post_init__(self) -> None:
        if self.duration_s is not None:
            check_range("segments.duration_s", self.duration_s, 0.1, 3600)
        if self.hop_s is not None:
            check_range("segments.hop_s", self.hop_s, 0.01, 3600)
        check_range("segments.min_tail_s", self.min_tail_s, 0.05)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedderConfig(Strict):
    """What the cluster gives to the workers that decode and embed, and how they share the work."""

    num_workers: int | None = None
    """Worker processes; none: one a GPU with use_gpu, else one a CPU."""
    use_gpu: bool = False
    """Give each worker a GPU."""
    cpus_per_worker: float | None = None
    """CPUs that a worker reserves; none: one, and with use_gpu what its node has for each GPU."""
    wait_for_nodes_s: float = 0.0
    """How long to wait for the first node, on a cluster that starts nodes when they are asked for;
    there `num_workers` says how many workers to ask for."""
    readers: int | None = None
    """Threads of a worker that read and decode; none: one a CPU that it reserves."""
    bf16: bool = True
    """On a GPU, run the network in bfloat16."""
    batch_s: float | None = None
    """Audio in one forward pass; none: 48 s on a CPU, 960 s on a GPU."""
    shard_tracks: int = 256
    """Tracks that are committed together, at most."""
    shard_mb: float = 256.0
    """Megabytes of audio files that are committed together, at most; a larger file goes alone."""
    max_deaths: int = 3
    """How often a worker may die over one track before the track is a reject."""
    patience_s: float = 120.0
    """How long a failing store is asked again before the run gives up, to go on another time."""

    def __post_init__(self) -> None:
        for name in ("num_workers", "readers"):
            if getattr(self, name) is not None:
                check_range(f"workers.{name}", getattr(self, name), 1)
        for name in ("cpus_per_worker", "batch_s"):
            if getattr(self, name) is not None:
                check_range(f"workers.{name}", getattr(self, name), 0.01)
        for name in ("shard_tracks", "max_deaths"):
            check_range(f"workers.{name}", getattr(self, name), 1)
        check_range("workers.shard_mb", self.shard_mb, 0.001)
        check_range("workers.patience_s", self.patience_s, 0)
        check_range("workers.wait_for_nodes_s", self.wait_for_nodes_s, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceConfig(Strict):
    """What the machines cost; from it the report works out what a night did."""

    currency: str = "USD"
    """How prices are written."""
    cpu_hour: float = 0.04
    """One CPU for an hour."""
    gpu_hour: float = 1.0
    """One GPU for an hour, beside the CPUs of its machine."""
    gb_month: float = 0.023
    """A gigabyte (10^9 bytes) of storage for a month."""

    def __post_init__(self) -> None:
        for name in ("cpu_hour", "gpu_hour", "gb_month"):
            check_range(f"prices.{name}", getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogueConfig(Strict):
    """Embed a whole catalogue, night by night."""

    checkpoint_uri: str
    """Folder of the trained network."""
    catalogue_uri: str
    """Folder or s3:// address whose audio is embedded, or a manifest: a .parquet or .csv file of
    track_id, uri and any columns to carry along."""
    root: str = "csn-data"
    """Folder or s3:// URI under which everything lands, in catalogues/<name>/."""
    name: str = ""
    """Name of the catalogue, and of its folder; empty: the last name in catalogue_uri."""
    on_existing: Literal["error", "skip", "overwrite"] = "skip"
    """Tracks that are embedded already: refuse to run, leave them, or embed them again."""
    only: Literal["all", "rejects"] = "all"
    """``rejects``: try those that failed again, however often they have, and nothing else."""
    vector: Literal["float32", "float16"] = "float32"
    """Numbers of the vectors; one kind for all of a catalogue's tracks and one model."""
    make_current: bool = True
    """Point readers to this model when all is embedded."""
    max_attempts: int = 3
    """Nights on which a track is tried before it is given up until its file changes."""
    max_failed_share: float = 0.5
    """A run stops when more than this share of its tracks fail that did not fail before."""
    min_failed: int = 20
    """... but not before so many have failed."""
    max_deleted_share: float = 0.5
    """A run is refused that finds more than this share of the embedded tracks gone."""
    compact_mb: float = 128.0
    """Files smaller than half of this are joined to files of about this size; 0: none are."""
    keep_hours: float = 24.0
    """How long replaced files are kept for who reads them. At 0 a run that ends takes away what
    another has written and not committed yet."""
    segments: SegmentConfig = SegmentConfig()
    workers: EmbedderConfig = EmbedderConfig()
    prices: PriceConfig = PriceConfig()

    def __post_init__(self) -> None:
        for field in ("checkpoint_uri", "catalogue_uri", "root"):
            check(
                bool(getattr(self, field)), f"{field} must be a folder or an s3:// URI, not empty"
            )
        check_name("name (of the catalogue; give --name)", self.label)
        check_range("max_attempts", self.max_attempts, 1)
        check_range("min_failed", self.min_failed, 0)
        for share in ("max_failed_share", "max_deleted_share"):
            check_range(share, getattr(self, share), 0, 1)
        check_range("compact_mb", self.compact_mb, 0)
        check_range("keep_hours", self.keep_hours, 0)
        check(
            not (self.only == "rejects" and self.on_existing == "overwrite"),
            "only=rejects tries what is not embedded; it does not go with on_existing=overwrite",
        )

    @property
    def label(self) -> str:
        """Name of the catalogue: the one given, or the last name in its address."""
        if self.name:
            return self.name
        last = self.catalogue_uri.rstrip("/").rpartition("/")[2]
        return re.sub(r"\.(parquet|csv)$", "", last)
