"""What a run has done, as counters beside Ray's own on each node's Prometheus endpoint.

Conventions
-----------
Prometheus knows a counter as ``ray_csn_<name>_total``, with the experiment's name as its label
``experiment``. Whoever sees the work done counts it, each piece once: the driver what tasks and
actors hand back, each rank of a training what it trains on. Values reach the endpoint some seconds
later (``RAY_metrics_report_interval_ms``, 10 s), so a process that ends at once may keep its last.
"""

from functools import cache
from typing import Literal

from ray.util.metrics import Counter

Counted = Literal[
    "tracks_prepared",
    "tracks_rejected",
    "mixes_rendered",
    "segments_embedded",
    "data_wait_seconds",
]
DESCRIPTIONS: dict[Counted, str] = {
    "tracks_prepared": "Tracks whose parts were written.",
    "tracks_rejected": "Tracks that were refused, or whose audio is missing.",
    "mixes_rendered": "Mixes that training has seen.",
    "segments_embedded": "Segments embedded, by all systems at once.",
    "data_wait_seconds": "Seconds that ranks of a training have waited for rendered mixes.",
}


@cache
def _counter(name: Counted) -> Counter:
    return Counter(f"csn_{name}", DESCRIPTIONS[name], tag_keys=("experiment",))


def count(name: Counted, amount: float, experiment: str) -> None:
    """Add `amount` to what an experiment has done."""
    if amount > 0:
        _counter(name).inc(amount, tags={"experiment": experiment})
