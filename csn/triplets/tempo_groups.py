"""Tempo groups: which tracks may meet in a mix.

Conventions
-----------
A group is named by its centre, as in ``120 bpm``. Only tracks of one group meet, because parts of
different tempo do not fit together ([H24] 3.1.1).

Choices
-------
[H24] does not define its groups. Ours are bins of `TripletConfig.tempo_group_bpm` centred on its
multiples, so that even tempi, which are the common ones, lie in the middle of a bin. The tracks of
a bin with fewer than `min_group_tracks` join the nearest bin whose centre is within
`max_merge_bpm` of their own bin's, or are left out: however bins are merged, no track is farther
from its group's centre than half a bin and `max_merge_bpm`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from csn.config import TripletConfig


@dataclass(frozen=True, slots=True)
class TempoGroup:
    """Tracks of about one tempo, ordered by id."""

    tempo_bpm: float
    track_ids: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the group, after its tempo."""
        return f"{self.tempo_bpm:g} bpm"


def tempo_groups(
    tempi_bpm: Mapping[str, float], config: TripletConfig
) -> tuple[list[TempoGroup], list[str]]:
    """Group tracks by tempo.

    Parameters
    ----------
    tempi_bpm : mapping of track id to tempo
        Tracks of unknown tempo (NaN) are left out.

    Returns
    -------
    list of TempoGroup, list of str
        Groups by rising tempo, each of at least `config.min_group_tracks`; tracks in no group.
    """
    own = {
        track: round(tempo / config.tempo_group_bpm)
        for track, tempo in tempi_bpm.items()
        if math.isfinite(tempo)
    }
    left_out = [track for track in tempi_bpm if track not in own]
    bins: dict[int, list[str]] = {}
    for track, key in own.items():
        bins.setdefault(key, []).append(track)
    while small := [key for key, tracks in bins.items() if len(tracks) < config.min_group_tracks]:
        key = min(small, key=lambda k: (len(bins[k]), k))
        tracks, keys = bins.pop(key), list(bins)
        for track in tracks:
            nearest = _nearest(own[track], keys, config.max_merge_bpm / config.tempo_group_bpm)
            (left_out if nearest is None else bins[nearest]).append(track)
    groups = [
        TempoGroup(key * config.tempo_group_bpm, tuple(sorted(bins[key]))) for key in sorted(bins)
    ]
    return groups, sorted(left_out)


def _nearest(key: int, others: Sequence[int], limit: float) -> int | None:
    near = [other for other in others if abs(other - key) <= limit + 1e-9]
    return min(near, key=lambda other: (abs(other - key), other)) if near else None
