"""What a night has done and what it cost: gathered, and written as a page and as one line.

Conventions
-----------
``<catalogue>/reports/<time>-<run>.html`` and ``.json``, a pair a night, never written over.
"""

import json
import resource
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow.compute as pc

from csn import shared_storage, storage
from csn.catalogue.entries import ADD, REJECT, State
from csn.distributed.night import Night
from csn.distributed.shards import Done, Fleet
from csn.manifests import code_version
from csn.reports.night import render_night
from csn.reports.night_data import NightData, night_line
from csn.reports.page import MAX_REJECTS, flattened

NO_FLEET = Fleet(0, 0.0, 0.0)


@dataclass(slots=True)
class Spent:
    """Wall seconds of a night, and what it did beside embedding."""

    plan_s: float = 0.0
    ray_s: float = 0.0
    startup_s: float = 0.0
    embed_s: float = 0.0
    compact_s: float = 0.0
    all_s: float = 0.0
    fleet: Fleet = NO_FLEET
    joined: int = 0
    removed: int = 0


def write_report(night: Night, state: State, done: Done, spent: Spent) -> tuple[str, dict]:
    """Write the night's page and line; gives the page's address and the line."""
    data = _gathered(night, state, done, spent)
    line = night_line(data)
    name = f"{night.started_at:%Y-%m-%dT%H%M%S}-{night.run_id[:8]}"
    uri = storage.join(night.output_uri, "reports", f"{name}.html")
    patience_s = night.config.workers.patience_s
    texts = {uri: render_night(data), f"{uri[:-5]}.json": json.dumps(line) + "\n"}
    for address, text in texts.items():
        write = partial(storage.write_bytes, address, text.encode())
        shared_storage.patiently(write, patience_s)
    return uri, line


def _gathered(night: Night, state: State, done: Done, spent: Spent) -> NightData:
    fleet, added, rejected = spent.fleet, state.of(ADD), state.of(REJECT)
    latest = rejected.sort_by([("at", "descending")]).slice(0, MAX_REJECTS).to_pylist()
    stages = ("plan", "ray", "startup", "embed", "compact", "all")
    settings: Any = flattened(asdict(night.config))
    return NightData(
        name=night.config.label,
        catalogue_uri=storage.absolute(night.config.catalogue_uri),
        model_digest=night.model.digest,
        code_version=code_version(),
        started_at=night.started_at.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        counts=night.difference.counts,
        rejected={f"{stage}/{error}": count for (stage, error), count in done.rejects.items()},
        ignored=night.listing.ignored,
        tracks_done=done.tracks,
        segments_done=done.segments,
        audio_s_done=done.audio_s,
        audio_s_worked=done.worked_s,
        left_to_others=done.left_to_others,
        deaths=done.deaths,
        bytes_done=done.num_bytes,
        tracks=len(added),
        audio_s=pc.sum(added["audio_s"]).as_py() or 0.0,
        open_rejects=len(rejected),
        workers=fleet.num_workers,
        cpus=fleet.num_workers * fleet.cpus,
        gpus=fleet.num_workers * fleet.gpus,
        stages={name: getattr(spent, f"{name}_s") for name in stages},
        worker_seconds=dict(done.seconds),
        peak_mb=done.peak_mb,
        driver_peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        joined_shards=spent.joined,
        removed_files=spent.removed,
        prices=night.config.prices,
        rejects=latest,
        settings=settings,
    )
