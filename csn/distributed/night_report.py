"""What a night has done and what it cost: gathered, and written as a page and as one line.

Conventions
-----------
``<catalogue>/reports/<time>-<run>.html`` and ``.json``, a pair a night, never written over.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Spent:
    """Wall seconds of a night, and what it did beside embedding."""

    plan_s: float = 0.0
    ray_s: float = 0.0
    startup_s: float = 0.0
    embed_s: float = 0.0
    compact_s: float = 0.0
    all_s: float = 0.0
    fleet: Any = None
    joined: int = 0
    removed: int = 0
    resources: dict = field(default_factory=dict)
def write_report(night, state, done, spent):
    return night.output_uri, {"tracks": {"done": done.tracks}, "rejected": {"/".join(k): v for k, v in done.rejects.items()}, "ignored": dict(night.listing.ignored), "counts": dict(night.difference.counts), "spent": {n: getattr(spent, n) for n in ("plan_s","ray_s","startup_s","embed_s","compact_s","all_s","joined","removed")}, "seconds": dict(done.seconds), "peak": done.peak_mb, "audio_s": done.audio_s, "left": done.left_to_others, "deaths": done.deaths}
