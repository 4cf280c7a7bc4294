"""Knobs of scoring an embedded catalogue at its whole size."""

from dataclasses import dataclass

from csn.config.checks import Strict, check, check_name, check_range


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogueScoreConfig(Strict):
    """P1 of an embedded catalogue: whether a segment's neighbours among all know its track."""

    catalogue: str
    """Name of the catalogue that `embed` has written below the root."""
    root: str = "csn-data"
    """Folder or s3:// URI under which everything lands."""
    model: str = ""
    """Digest of the network whose embeddings are scored; empty: the catalogue's current one."""
    conditions: tuple[str, ...] = ()
    """Conditions to score; empty: all."""
    num_queries: int | None = 10_000
    """Segments that are asked, drawn from all; none: every one. Each meets all others."""
    k: int = 5
    """Neighbours that vote."""
    num_resamples: int = 1000
    """Resamples of the track ids for the 95 % interval."""
    gate: bool = False
    """Leave out segments in which the network does not hear the condition."""
    seed: int = 0
    """Seed of the draw and of the resamples."""

    def __post_init__(self) -> None:
        check(bool(self.root), "root must be a folder or an s3:// URI, not empty")
        check_name("catalogue", self.catalogue)
        check_range("k", self.k, 1)
        check_range("seed", self.seed, 0)
        check_range("num_resamples", self.num_resamples, 1)
        if self.num_queries is not None:
            check_range("num_queries", self.num_queries, 1)
