"""Knobs of a search in an embedded catalogue."""

import math
from dataclasses import dataclass
from typing import Literal

from csn.config.checks import Strict, check, check_name, check_range


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig(Strict):
    """One search: what is like this track, by these instruments."""

    query: str
    """A track id of the catalogue, or an audio file (local or s3://, any rate and channels)."""
    catalogue: str
    """Name of the catalogue that `embed` has written below the root."""
    root: str = "csn-data"
    """Folder or s3:// URI under which everything lands."""
    weights: str = ""
    """How much each condition counts, as ``drums=1,bass=0.2``; those not named do not. Empty: all
    alike."""
    top_k: int = 10
    """Tracks to find."""
    where: str = ""
    """Tracks to search in, by carried columns: ``genre == 'rock' and year >= 1990``."""
    gate: bool = False
    """Find only tracks in which the network hears every instrument that counts."""
    model: str = ""
    """Digest of the network whose embeddings are searched; empty: the catalogue's current one."""
    method: Literal["exact", "index"] = "exact"
    """Compare with every track; or ask an approximate index, built where there is none."""
    compare: bool = True
    """With an index, compare with every track as well, and say how much of that it found."""

    def __post_init__(self) -> None:
        check(bool(self.query), "query must be a track id or an audio file, not empty")
        check(bool(self.root), "root must be a folder or an s3:// URI, not empty")
        check_name("catalogue", self.catalogue)
        check_range("top_k", self.top_k, 1, 10_000)
        parsed_weights(self.weights)


def parsed_weights(text: str) -> dict[str, float]:
    """Read ``drums=1,bass=0.2``; empty text is an empty mapping.

    Examples
    --------
    >>> parsed_weights("drums=1, bass=0.2")
    {'drums': 1.0, 'bass': 0.2}

    Raises
    ------
    ConfigError
        The text is of another form, a weight is negative or no number, or none is positive.
    """
    weights: dict[str, float] = {}
    for item in text.split(",") if text else []:
        name, equals, number = (piece.strip() for piece in item.partition("="))
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        check(
            bool(name and equals) and math.isfinite(weight) and weight >= 0,
            f"weights={text!r}: {item.strip()!r} is not a condition, '=' and a number of at least "
            "0; write them as drums=1,bass=0.2",
        )
        check(name not in weights, f"weights={text!r} names {name} twice; name it once")
        weights[name] = weight
    check(not weights or any(weights.values()), f"weights={text!r} are all 0; nothing would count")
    return weights
