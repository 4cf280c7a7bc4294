"""What a report shows: plain records that the floor above fills and the page draws.

Conventions
-----------
Accuracies are shares in 0..1; waveforms are mono float32 in -1..1. Every part but the
configuration may be empty: the page then says what is missing and shows the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from csn.config import ExperimentConfig
from csn.evaluation.criteria import Distances
from csn.records import CRITERIA_SCHEMA, REJECT_SCHEMA, SCORE_SCHEMA


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound to play. Clips that follow each other with one `title` are shown as one triplet."""

    title: str
    """What the triplet shows: ``drums: anchor and positive share the drums of Track00012``."""
    role: str
    """``anchor``, ``positive`` or ``negative``."""
    description: str
    """What is heard: ``Track00012_Track00044(drums), from 12.0 s``."""
    waveform: np.ndarray
    sample_rate_hz: int
    condition: str = ""
    """The instrument or concept asked about, which gives the clip its colour."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the run and what it cost."""

    name: str
    seconds: float
    audio_hours: float | None = None
    """Hours of audio that went through it; none where that means nothing."""
    detail: str = ""

    @property
    def audio_hours_per_second(self) -> float | None:
        """Throughput; none without audio or without time."""
        if self.audio_hours is None or not self.seconds > 0:
            return None
        return self.audio_hours / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """All that one report shows."""

    config: ExperimentConfig
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """Versions, git commit, digests, ``finished_at`` in ISO 8601; mappings in it are flattened."""
    counts: Mapping[str, int | float] = field(default_factory=dict)
    """Sizes worth a glance, by their plural: ``{"train tracks": 72}``."""
    scores: pa.Table = field(default_factory=SCORE_SCHEMA.empty_table)
    history: Sequence[Mapping[str, Any]] = ()
    """A row an epoch: ``epoch``, ``seconds``, ``train/loss/triplet``, ``train/active``,
    ``val/music_id/<condition or mean>``, ``val/pseudo_mix_id/<condition or mean>``; of concepts
    ``val/concept_triplets/<condition or mean>``, ``val/loss``."""
    best_epoch: int | None = None
    embeddings: Mapping[str, tuple[np.ndarray, np.ndarray | Sequence[str]]] = field(
        default_factory=dict
    )
    """By condition: vectors [n, D] of segments and the track of each."""
    criteria: pa.Table = field(default_factory=CRITERIA_SCHEMA.empty_table)
    distances: Mapping[str, Distances] = field(default_factory=dict)
    """Between the centroids of tracks, by criterion; the mix's comes last."""
    pseudo_mixes: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = field(
        default_factory=dict
    )
    """By focus: vectors [n, D] of segments of A_B in its own subspace, the A and the B of each."""
    clips: Sequence[Clip] = ()
    rejects: pa.Table = field(default_factory=REJECT_SCHEMA.empty_table)
    stages: Sequence[Stage] = ()
    warnings: Sequence[str] = ()
