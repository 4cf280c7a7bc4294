"""A night on a catalogue as one HTML file that asks for nothing else.

Conventions
-----------
Those of `csn.reports.page`.
"""

from typing import Any

from csn.reports.figures import ShownFigure
from csn.reports.inline import figure_uri
from csn.reports.night_data import ESTIMATED_TRACKS, NightData, estimate
from csn.reports.night_plots import share_bar
from csn.reports.page import MAX_REJECTS, as_percent, as_significant, dated, filled

KINDS = {
    "new": "new",
    "changed": "changed",
    "retried": "tried again",
    "again": "made again, as asked",
    "unchanged": "unchanged",
    "given_up": "given up",
    "faulty": "no audio to try",
    "deleted": "deleted",
}
"""What the night had to do with a track, as the page says it."""
STAGES = {
    "plan": "list the catalogue, read the commits, compare",
    "ray": "start or join Ray",
    "startup": "start the workers, which load the network",
    "embed": "read, decode, embed, write, commit",
    "compact": "join small files",
}


def render_night(data: NightData) -> str:
    """Render `data` as one self-contained HTML page."""
    filters = {"percent": as_percent, "significant": as_significant}
    return filled("night.html.j2", _contents(data), filters)


def _contents(data: NightData) -> dict[str, Any]:
    return {
        "data": data,
        "finished": dated(data.finished_at),
        "sentence": _sentence(data),
        "kinds": [(KINDS[name], count) for name, count in data.counts.items() if count],
        "stages": [
            (name, seconds, STAGES[name])
            for name, seconds in data.stages.items()
            if name in STAGES and seconds
        ],
        "inside": _inside(data),
        "figure": _figure(data),
        "steps": estimate(data),
        "num_estimated": ESTIMATED_TRACKS,
        "rejects": list(data.rejects)[:MAX_REJECTS],
        "settings": data.settings or {},
    }


def _sentence(data: NightData) -> str:
    """Say in one sentence what the night came to."""
    if not data.tracks_done and not data.rejected:
        return f"Nothing to do: all {data.tracks:,} tracks stand as they are."
    failed = sum(data.rejected.values())
    told = f"{data.tracks_done:,} tracks, {data.hours_done:,.2f} hours of audio, embedded"
    return f"{told}; {failed:,} could not be." if failed else f"{told}."


def _inside(data: NightData) -> list[tuple[str, float, float | None, float | None, str]]:
    """Rows on the workers' time: name, seconds, share of their time, audio hours a second."""
    told = {
        "network": "front end and network",
        "wait": "the network waits for decoded audio",
        "write": "write the shards' files",
        "read": "fetch files, in threads beside the network",
        "decode": "decode and resample, in the same threads",
        "blocked": "these threads wait for the network",
    }
    rows = []
    for name, what in told.items():
        seconds = data.worker_seconds.get(name, 0.0)
        is_thread = name in ("read", "decode", "blocked")
        share = None if is_thread else data.share(name)
        works = seconds > 0 and name not in ("wait", "blocked")
        rows.append((name, seconds, share, data.hours_worked / seconds if works else None, what))
    return rows if data.worker_seconds else []


def _figure(data: NightData) -> ShownFigure | None:
    """Draw what the workers' time went into."""
    names = {"network": "network", "wait": "wait for audio", "write": "write"}
    shares = {told: data.share(name) or 0.0 for name, told in names.items()}
    if not data.worker_seconds:
        return None
    shares["other"] = max(0.0, 1 - sum(shares.values()))
    said = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return ShownFigure(
        figure_uri(share_bar(shares)),
        f"Bar: {said}.",
        "What the time of the workers went into.",
    )
