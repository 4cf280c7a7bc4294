"""Numbers printed in [R22], to stand beside ours.

Conventions
-----------
Shares in [0, 1] of 426 human triplets that are ordered rightly, with four decimals as printed.
They were measured on previews of the Million Song Dataset, so they say what to expect, not who is
better.

Source
------
[R22] Tables 1 and 2. No interval is printed; each share is that of a whole number of the 426.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from csn.conditions import CONCEPTS

NUM_TRIPLETS = 426
"""Triplets of Dim-sim on which at least 90 % of the answers agree."""
CITATION = (
    "S. Ribecky, J. Abeßer, H. Lukashevich: Multi-input architecture and disentangled "
    "representation learning for multi-dimensional modeling of music similarity."
)


@dataclass(frozen=True, slots=True)
class PublishedNetwork:
    """One row of [R22] Table 1."""

    label: str
    num_conditions: int | None
    """None where nothing was trained on conditions."""
    is_multi_input: bool
    embedding_dim: int
    score: float

    @property
    def num_correct(self) -> int:
        """Triplets ordered rightly, which the printed share tells."""
        return round(self.score * NUM_TRIPLETS)


NETWORKS: tuple[PublishedNetwork, ...] = (
    PublishedNetwork("baseline", 4, False, 256, 0.8192),
    PublishedNetwork("OpenL3", None, False, 512, 0.7958),
    PublishedNetwork("proposed", 4, True, 256, 0.8286),
    PublishedNetwork("proposed", 6, False, 258, 0.7934),
    PublishedNetwork("proposed", 6, False, 384, 0.8169),
    PublishedNetwork("proposed", 6, True, 384, 0.8380),
)
"""[R22] Table 1."""


def _without(*left_out: str) -> tuple[str, ...]:
    return tuple(name for name in CONCEPTS if name not in left_out)


BEST_SUBSETS: dict[tuple[str, ...], float] = {
    CONCEPTS: 0.8380,
    _without("tempo"): 0.8286,
    _without("mood", "key"): 0.8286,
    _without("key"): 0.8263,
    _without("instrument"): 0.8263,
    _without("tempo", "key"): 0.8263,
}
"""[R22] Table 2: the best six subsets of the conditions of its last network."""
SINGLES: dict[tuple[str, ...], float] = {
    ("genre",): 0.7535,
    ("mood",): 0.7535,
    ("instrument",): 0.6901,
    ("era",): 0.7559,
    ("tempo",): 0.5798,
    ("key",): 0.6362,
}
"""[R22] Table 2: each condition alone."""


def in_words(conditions: Sequence[str], layout: Sequence[str] = CONCEPTS) -> str:
    """Name a subset of the conditions as [R22] does: ``all``, ``without tempo``, ``genre + era``.

    Examples
    --------
    >>> in_words(("genre", "mood", "instrument", "era", "key"))
    'without tempo'
    >>> in_words(("genre", "era"))
    'genre + era'
    """
    left_out = [name for name in layout if name not in conditions]
    if not left_out:
        return "all"
    if len(left_out) == 1 and len(conditions) > 1:
        return f"without {left_out[0]}"
    return " + ".join(conditions)
