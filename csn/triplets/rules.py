"""When two recordings are alike under a concept, and when they are different. Pure.

Conventions
-----------
What is known of recordings are arrays of one entry each, by concept: of tags a set of bits (0:
none is known), of the tempo BPM (NaN: not known), of the key ``2 * tonic + is_major`` with the
tonic 0..11 from C (-1: not known). Arrays are of numpy or of torch, of any shapes that broadcast
against each other; relations are booleans of the common shape. Two recordings of which one is not
known are neither alike nor different.

Source
------
[R22] Section 3.3: the same tag; tempo within 5 BPM or any octave of it; the same or the parallel
key.

Choices
-------
One tag in common suffices. An octave of a tempo is its double, its half, and so on up to three
octaves, which is more than music spans; the 5 BPM are measured at the faster of the two tempi
brought together. "Parallel" keys share the tonic (C major, C minor);
`SimilarityConfig.relative_keys` adds those that share their notes, in case the paper means these.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from csn.conditions import CONCEPTS, Concept
from csn.config import SimilarityConfig
from csn.corpora.tag_groups import bits_of

Facts = dict[str, Any]
"""By concept, the array of what is known."""
Relation = tuple[Any, Any]
"""Who is alike, and who is different."""

OCTAVES = (1, 2, 4, 8)


def facts_of(tracks: pa.Table, config: SimilarityConfig) -> Facts:
    """Read what is known of prepared `tracks` (`TRACK_SCHEMA`), in their order."""
    facts: Facts = {str(name): [] for name in Concept}
    columns = ["tags", "tag_strengths", "tempo_bpm", "key", "is_major"]
    for row in tracks.select(columns).to_pylist():
        strengths = dict(zip(row["tags"] or (), row["tag_strengths"] or (), strict=True))
        kept = [tag for tag, strength in strengths.items() if strength > config.min_tag_strength]
        for group, bits in bits_of(kept).items():
            facts[group].append(bits)
        tempo_bpm = row["tempo_bpm"]
        facts["tempo"].append(np.nan if not tempo_bpm or tempo_bpm <= 0 else tempo_bpm)
        known = row["key"] is not None and row["is_major"] is not None
        facts["key"].append(2 * row["key"] + row["is_major"] if known else -1)
    types = {"tempo": np.float64}
    return {name: np.array(facts[name], types.get(name, np.int64)) for name in CONCEPTS}


def related(concept: str, one: Any, other: Any, config: SimilarityConfig) -> Relation:
    """Tell who of `one` and `other` are alike under `concept`, and who are different.

    Parameters
    ----------
    one, other : array of numpy or torch
        What is known of recordings under that concept, of shapes that broadcast.
    """
    rules: dict[str, Callable[[Any, Any, SimilarityConfig], Relation]] = {
        "tempo": _by_tempo,
        "key": _by_key,
    }
    return rules.get(concept, _by_tags)(one, other, config)


def _by_tags(one: Any, other: Any, config: SimilarityConfig) -> Relation:
    alike = (one & other) != 0
    return alike, (one != 0) & (other != 0) & ~alike


def _by_tempo(one: Any, other: Any, config: SimilarityConfig) -> Relation:
    known = (one == one) & (other == other)  # NaN is not equal to itself
    within = config.tempo_within_bpm
    alike = abs(one - other) <= within
    for octave in OCTAVES[1:]:
        alike = alike | (abs(one * octave - other) <= within)
        alike = alike | (abs(one - other * octave) <= within)
    return alike, known & ~alike


def _by_key(one: Any, other: Any, config: SimilarityConfig) -> Relation:
    known = (one >= 0) & (other >= 0)
    alike = known & (one // 2 == other // 2)
    if config.relative_keys:
        # The relative minor's tonic lies 9 semitones above the major's.
        alike = alike | (known & (_notes(one) == _notes(other)))
    return alike, known & ~alike


def _notes(key: Any) -> Any:
    """Tonic of the major key with the same notes."""
    return (key // 2 + 3 * (1 - key % 2)) % 12
