"""Conditions, and the part of the embedding each one owns.

Conventions
-----------
Conditions are ordered. The c-th owns dimensions ``c * D <= d < (c + 1) * D`` of the embedding,
where ``D`` is `SubspaceLayout.subspace_dim`.

Source
------
[H24] Section 3.1.2, Eq. 4. (The text's slice ends at ``(c+1)D - 1``; Eq. 4 governs.) [R22] for the
six concepts, whose subspaces are laid out in the same way.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from jaxtyping import Float

from csn.errors import ConfigError


class Instrument(StrEnum):
    """The five instruments of [H24], in the paper's order c = 0..4."""

    DRUMS = "drums"
    BASS = "bass"
    PIANO = "piano"
    GUITAR = "guitar"
    OTHERS = "others"


class Concept(StrEnum):
    """What two recordings may have in common: the six conditions of [R22]."""

    GENRE = "genre"
    MOOD = "mood"
    INSTRUMENT = "instrument"
    ERA = "era"
    TEMPO = "tempo"
    KEY = "key"


INSTRUMENTS: tuple[str, ...] = tuple(str(instrument) for instrument in Instrument)
CONCEPTS: tuple[str, ...] = tuple(str(concept) for concept in Concept)
MIX = "mix"
"""The condition of a network that hears all parts together ([H22])."""
ALL = "all"
"""Stands for all conditions together: the whole embedding."""


def part_of(condition: str) -> str:
    """Part that has to sound for `condition` to mean something: the instrument's, or any.

    Examples
    --------
    >>> part_of("drums"), part_of("genre")
    ('drums', 'mix')
    """
    return condition if condition in INSTRUMENTS else MIX


@dataclass(frozen=True, slots=True)
class SubspaceLayout:
    """Which dimensions of an embedding belong to which condition.

    Examples
    --------
    >>> layout = SubspaceLayout(("drums", "bass"), subspace_dim=2)
    >>> layout.dims("bass")
    slice(2, 4, None)
    >>> layout.masks().tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """

    conditions: tuple[str, ...]
    subspace_dim: int

    def __post_init__(self) -> None:
        if not self.conditions or len(set(self.conditions)) != len(self.conditions):
            raise ConfigError(f"conditions={self.conditions} must be one or more different names")
        if self.subspace_dim < 1:
            raise ConfigError(f"subspace_dim={self.subspace_dim} must be at least 1")

    @property
    def embedding_dim(self) -> int:
        """Dimensions of the whole embedding."""
        return len(self.conditions) * self.subspace_dim

    def index(self, condition: str) -> int:
        """Place of `condition` in the order; raises ConfigError for an unknown one."""
        if condition not in self.conditions:
            known = ", ".join(self.conditions)
            raise ConfigError(f"unknown condition {condition!r}; this layout has {known}")
        return self.conditions.index(condition)

    def dims(self, condition: str) -> slice:
        """Dimensions owned by `condition`."""
        c = self.index(condition)
        return slice(c * self.subspace_dim, (c + 1) * self.subspace_dim)

    def masks(self) -> Float[np.ndarray, "conditions embedding"]:
        """Masks m_c of [H24] Eq. 4, one per row; together they partition the dimensions."""
        return np.kron(np.eye(len(self.conditions)), np.ones(self.subspace_dim))

    def split(self, embedding: Any) -> dict[str, Any]:
        """Each condition's own dimensions of ``[batch, embedding]``, an array or a tensor."""
        return {name: embedding[:, self.dims(name)] for name in self.conditions}
