"""stub to be replaced"""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Spent:
    """Wall seconds."""

    plan_s: float = 0.0
    ray_s: float = 0.0
    startup_s: float = 0.0
    embed_s: float = 0.0
    compact_s: float = 0.0
    all_s: float = 0.0
    fleet: Any = None
    joined: int = 0
    removed: int = 0


def write_report(night, state, done, spent):
    return night.output_uri, {
        "done": done.tracks,
        "rejects": {"/".join(k): v for k, v in done.rejects.items()},
        "counts": dict(night.difference.counts),
        "spent": {
            n: getattr(spent, n)
            for n in (
                "plan_s",
                "ray_s",
                "startup_s",
                "embed_s",
                "compact_s",
                "all_s",
                "joined",
                "removed",
            )
        },
        "seconds": dict(done.seconds),
        "peak": done.peak_mb,
        "audio_s": done.audio_s,
        "left": done.left_to_others,
        "deaths": done.deaths,
    }
