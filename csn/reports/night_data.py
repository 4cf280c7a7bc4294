"""What a night has done, and what follows from it: rates, costs, an estimate. Pure.

Conventions
-----------
Seconds are wall seconds; those of workers are summed over all of them, and those of reading and
decoding over their threads. An estimate is a list of steps, each with its arithmetic in words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csn.config.catalogue import PriceConfig

ESTIMATED_TRACKS = 100_000_000
NODE_CPUS = 16
DAYS = 7
KEYS_A_REQUEST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NightData:
    """All that one night's report shows."""

    name: str
    catalogue_uri: str
    model_digest: str
    code_version: str
    started_at: str
    finished_at: str
    counts: Mapping[str, int]
    """Tracks by what the night had to do with them: new, changed, unchanged ..."""
    rejected: Mapping[str, int]
    """Rejects of the night by ``stage/class``."""
    ignored: Mapping[str, int]
    """Files that are no audio, by their endings."""
    tracks_done: int
    segments_done: int
    audio_s_done: float
    audio_s_worked: float
    """The same with what another run had committed first; rates are of it."""
    left_to_others: int
    """Tracks that another run had committed first."""
    deaths: int
    """Workers that died, and whose work was done again."""
    bytes_done: int
    tracks: int
    """All that are embedded now."""
    audio_s: float
    open_rejects: int
    workers: int
    cpus: float
    """CPUs of all workers together."""
    gpus: float
    stages: Mapping[str, float]
    """Seconds of plan, ray, startup, embed, compact, all."""
    worker_seconds: Mapping[str, float]
    """Seconds of read, decode, blocked (threads), wait, network, write, all, cpu."""
    peak_mb: float
    """Largest memory of a worker."""
    driver_peak_mb: float
    joined_shards: int
    removed_files: int
    prices: PriceConfig
    rejects: Sequence[Mapping[str, Any]] = ()
    """The latest open rejects."""
    settings: Mapping[str, Any] | None = None

    @property
    def hours_done(self) -> float:
        """Hours of audio that were embedded."""
        return self.audio_s_done / 3600

    @property
    def hours_worked(self) -> float:
        """Hours of audio that were embedded, what did not count too."""
        return self.audio_s_worked / 3600

    @property
    def speed(self) -> float | None:
        """Hours of audio an hour of embedding, of all workers together; none without any."""
        embed_s = self.stages.get("embed", 0.0)
        return self.audio_s_worked / embed_s if embed_s > 0 and self.audio_s_worked else None

    def share(self, name: str) -> float | None:
        """Share of the workers' time that went into a stage of theirs."""
        whole = self.worker_seconds.get("all", 0.0)
        return self.worker_seconds.get(name, 0.0) / whole if whole else None

    @property
    def cpu_use(self) -> float | None:
        """Share of the workers' CPUs that was busy while they worked."""
        whole = self.worker_seconds.get("all", 0.0)
        if not whole or not self.workers:
            return None
        return self.worker_seconds["cpu"] / (whole * self.cpus / self.workers)

    @property
    def limit(self) -> str | None:
        """What a worker waits for most of the time."""
        if not self.worker_seconds:
            return None
        waits_for = "reading and decoding" if self._reads_more else "decoding"
        shares = {"the network": self.share("network"), waits_for: self.share("wait")}
        shares["writing"] = self.share("write")
        return max(shares, key=lambda name: shares[name] or 0.0)

    @property
    def _reads_more(self) -> bool:
        seconds = self.worker_seconds
        return seconds.get("read", 0.0) > 0.2 * seconds.get("decode", 0.0)

    @property
    def cost_per_1000_hours(self) -> float | None:
        """What 1,000 hours of audio cost at the night's rate, the workers' start-up included."""
        if not self.hours_worked:
            return None
        hours = (self.stages["embed"] + self.stages["startup"]) / 3600
        price = self.cpus * self.prices.cpu_hour + self.gpus * self.prices.gpu_hour
        return price * hours / self.hours_worked * 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an estimate."""

    name: str
    arithmetic: str
    value: float
    unit: str


def estimate(data: NightData, num_tracks: int = ESTIMATED_TRACKS) -> list[Step]:
    """Work out what `num_tracks` would take by the night's rates; empty where it has none."""
    if data.speed is None or not data.tracks_done:
        return []
    mean_s = data.audio_s_done / data.tracks_done
    hours = num_tracks * mean_s / 3600
    units, unit = (data.gpus, "GPU") if data.gpus else (data.cpus, "CPU")
    per_unit = data.speed / units
    unit_hours = hours / per_unit
    a_node = 1.0 if data.gpus else float(NODE_CPUS)
    node = "one GPU" if data.gpus else f"{NODE_CPUS} CPUs"
    nodes = unit_hours / a_node / (24 * DAYS)
    cpus_a_gpu = data.cpus / data.gpus if data.gpus else 0.0
    price = data.prices.gpu_hour + cpus_a_gpu * data.prices.cpu_hour
    price = price if data.gpus else data.prices.cpu_hour
    bytes_a_track = data.bytes_done / data.tracks_done
    stored_gb = num_tracks * bytes_a_track / 1e9
    money = data.prices.currency
    listing_s = num_tracks / KEYS_A_REQUEST * 0.1
    spent = f"{data.stages['embed']:,.1f} s / {units:g} {unit}s"
    rate = f"{data.audio_s_worked:,.0f} s of audio / {spent}"
    return [
        Step(
            "audio",
            f"{num_tracks:,} tracks x {mean_s:,.1f} s (tonight's mean) / 3600",
            hours,
            "hours",
        ),
        Step(f"rate of one {unit}", rate, per_unit, "hours of audio an hour"),
        Step(
            f"{unit} hours",
            f"{hours:,.0f} hours of audio / {per_unit:,.1f}",
            unit_hours,
            f"{unit} hours",
        ),
        Step(
            f"nodes of {node}, for {DAYS} days",
            f"{unit_hours:,.0f} / ({a_node:g} x 24 x {DAYS})",
            nodes,
            "nodes",
        ),
        Step("cost", f"{unit_hours:,.0f} x {price:g} {money}", unit_hours * price, money),
        Step(
            "storage",
            f"{num_tracks:,} x {bytes_a_track:,.0f} bytes a track (tonight's) / 10⁹",
            stored_gb,
            "GB",
        ),
        Step(
            "storage, a month",
            f"{stored_gb:,.0f} GB x {data.prices.gb_month:g} {money}",
            stored_gb * data.prices.gb_month,
            money,
        ),
        Step(
            "listing a night",
            f"{num_tracks:,} / {KEYS_A_REQUEST} keys a request x 0.1 s (assumed)",
            listing_s,
            "s",
        ),
    ]


def night_line(data: NightData) -> dict[str, Any]:
    """Say all of it in one JSON object."""
    seconds = {name: round(value, 3) for name, value in data.stages.items()}
    workers = {name: round(value, 3) for name, value in data.worker_seconds.items()}
    return {
        "catalogue": data.name,
        "model_digest": data.model_digest,
        "code_version": data.code_version,
        "started_at": data.started_at,
        "finished_at": data.finished_at,
        "counts": dict(data.counts),
        "ignored": dict(data.ignored),
        "tracks": {
            "done": data.tracks_done,
            "skipped": data.counts.get("unchanged", 0) + data.counts.get("given_up", 0),
            "left_to_others": data.left_to_others,
            "embedded": data.tracks,
        },
        "segments": data.segments_done,
        "audio_hours": {
            "done": round(data.hours_done, 4),
            "embedded": round(data.audio_s / 3600, 4),
        },
        "rejected": dict(data.rejected),
        "open_rejects": data.open_rejects,
        "workers": {"number": data.workers, "cpus": data.cpus, "gpus": data.gpus},
        "seconds": seconds,
        "worker_seconds": workers,
        "audio_hours_an_hour": _rounded(data.speed),
        "shares": {
            **{name: _rounded(data.share(name)) for name in ("network", "wait", "write")},
            "cpu": _rounded(data.cpu_use),
        },
        "limit": data.limit,
        "deaths": data.deaths,
        "peak_mb": {"worker": round(data.peak_mb), "driver": round(data.driver_peak_mb)},
        "joined_shards": data.joined_shards,
        "removed_files": data.removed_files,
        "cost_per_1000_hours": _rounded(data.cost_per_1000_hours),
        "currency": data.prices.currency,
        f"estimate_{ESTIMATED_TRACKS}_tracks": {
            step.name: {"value": _rounded(step.value), "unit": step.unit, "how": step.arithmetic}
            for step in estimate(data)
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
