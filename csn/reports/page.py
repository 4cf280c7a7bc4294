"""The report of an experiment as one HTML file that asks for nothing else.

Conventions
-----------
Figures and sounds are inside the file, and its content security policy forbids all requests. What
a user supplies is escaped by the template engine. Sounds beyond a budget are left out, and the
page says so, which keeps it under about 6 MB.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import jinja2

from csn.conditions import ALL, MIX
from csn.config import ExperimentConfig
from csn.records import OURS
from csn.reports import figures, plots
from csn.reports.concept_section import concept_section
from csn.reports.criteria_plots import criteria_section
from csn.reports.data import Clip, ReportData
from csn.reports.headlines import score_headlines
from csn.reports.inline import audio_uri, waveform_path
from csn.reports.leak_plots import leak_figure
from csn.reports.presence_tables import presence_tables
from csn.reports.pseudo_mix_plots import pseudo_mix_figures
from csn.reports.published import CITATIONS, DERIVED, NOTICE, PublishedRow, published_rows
from csn.reports.published_r22 import CITATION
from csn.reports.score_tables import (
    PROTOCOLS,
    ScoreTable,
    leak_matrices,
    score_tables,
)

MAX_AUDIO_CHARS = 4_500_000
"""Budget of all sounds together, in characters of base64."""
MAX_REJECTS = 50
MISSING = "\N{EN DASH}"
SYSTEM_NAMES = {
    OURS: "CSN, this run",
    "untrained": "the network, untrained",
    "mean_mel": "mean mel spectrum",
    "presence": "presence: does it sound?",
    "librosa_features": "hand-made features",
}


@dataclass(frozen=True, slots=True)
class ScoreSection:
    """One score table, and the papers' rows for the same question."""

    table: ScoreTable
    published: Sequence[PublishedRow]


@dataclass(frozen=True, slots=True)
class PlayableClip:
    """A clip made ready for the page."""

    clip: Clip
    uri: str
    outline: str
    colour: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A knob's name and value, and whether the value is not the papers'."""

    name: str
    value: str
    is_changed: bool


def render_page(data: ReportData) -> str:
    """Render `data` as one self-contained HTML page."""
    filters = {"percent": as_percent, "significant": as_significant}
    return filled("report.html.j2", _contents(data), filters)


def filled(
    template: str, contents: Mapping[str, Any], filters: Mapping[str, Callable[..., str]]
) -> str:
    """Fill one of our templates; what it names must be there, and all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("csn.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(contents)


def _contents(data: ReportData) -> dict[str, Any]:
    conditions = data.config.network.conditions
    instruments = [condition for condition in conditions if condition != MIX]
    tables = score_tables(data.scores, conditions)
    panels, legend = figures.tsne_figures(data)
    triplets, num_left_out = _playable(data.clips)
    concepts = concept_section(data, SYSTEM_NAMES) if data.config.network.of_concepts else None
    headlines = score_headlines(tables, len(instruments))
    return {
        "data": data,
        "sentence": _sentence(data),
        "finished": dated(data.manifest.get("finished_at")),
        "headlines": concepts.headlines if concepts else headlines,
        "concepts": concepts,
        "sections": [
            ScoreSection(table, published_rows(table.protocol, table.duration_s))
            for table in tables
        ],
        "notice": f"{NOTICE}; {DERIVED}",
        "has_whole": any(ALL in table.columns for table in tables),
        "has_mix": any(MIX in table.columns for table in tables),
        "by_presence": [ScoreSection(table, ()) for table in presence_tables(data.scores)],
        "leaks": [leak_figure(m) for m in leak_matrices(data.scores, instruments)],
        "criteria": criteria_section(data.criteria, data.distances),
        "training": figures.training_figures(data),
        "panels": panels,
        "pseudo_mix_panels": pseudo_mix_figures(data),
        "legend": legend,
        "triplets": triplets,
        "num_left_out": num_left_out,
        "rejects": data.rejects.slice(0, MAX_REJECTS).to_pylist(),
        "settings": _settings(data.config),
        "origins": flattened(data.manifest),
        "protocols": PROTOCOLS,
        "system_names": SYSTEM_NAMES,
        "colours": plots.COLOURS,
        "citations": {"R22": CITATION} if concepts else CITATIONS,
        "total_seconds": sum(stage.seconds for stage in data.stages),
    }


def _sentence(data: ReportData) -> str:
    """Say in one sentence what was run."""
    network, num_epochs = data.config.network, len(data.history)
    deeds = []
    if num_epochs:
        deeds.append(f"trained for {num_epochs} epoch{'s' if num_epochs > 1 else ''}")
    if num_epochs and data.best_epoch is not None:
        deeds.append(f"epoch {data.best_epoch} kept")
    if data.scores.num_rows:
        deeds.append(f"scored on the {data.config.evaluation.split} split")
    *first, last = network.conditions
    parts = f"each of {', '.join(first)} and {last}" if first else last
    kind = "A conditional similarity network with a subspace"
    if network.individual:
        kind = "A network of its own, with an embedding"
    return (
        f"{kind} of {network.subspace_dim} dimensions for {parts}, on "
        f"{data.config.corpus.name}{': ' if deeds else ''}{', '.join(deeds)}."
    )


def dated(moment: object) -> str:
    """Write day and time of an ISO 8601 text or a datetime; empty for anything else."""
    try:
        when = datetime.fromisoformat(str(moment))
    except ValueError:
        return ""
    return f"{when.day} {when:%B %Y, %H:%M %Z}".strip()


def _playable(clips: Sequence[Clip]) -> tuple[list[tuple[str, list[PlayableClip]]], int]:
    """Encode clips, whole triplets only, until the budget is spent; also count those left out."""
    triplets: list[tuple[str, list[PlayableClip]]] = []
    num_left_out = spent = 0
    for title, group in groupby(clips, key=lambda clip: clip.title):
        playable = [
            PlayableClip(
                clip,
                audio_uri(clip.waveform, clip.sample_rate_hz),
                waveform_path(clip.waveform),
                plots.condition_colour(clip.condition),
            )
            for clip in group
        ]
        size = sum(len(clip.uri) for clip in playable)
        if spent + size > MAX_AUDIO_CHARS:
            num_left_out += len(playable)
        else:
            spent += size
            triplets.append((title, playable))
    return triplets, num_left_out


def _settings(config: ExperimentConfig) -> list[tuple[str, list[Setting]]]:
    """Every knob by section, those of the experiment itself first."""
    defaults = flattened(dataclasses.asdict(ExperimentConfig(name=config.name)))
    sections: dict[str, list[Setting]] = {"experiment": []}
    for name, value in flattened(dataclasses.asdict(config)).items():
        section, _, knob = name.partition(".")
        if not knob:
            section, knob = "experiment", name
        changed = defaults.get(name) != value
        sections.setdefault(section, []).append(Setting(knob, value, changed))
    return list(sections.items())


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Write nested mappings as ``outer.inner`` and text."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            flat[f"{prefix}{key}"] = ", ".join(str(entry) for entry in value)
        else:
            flat[f"{prefix}{key}"] = "none" if value is None else str(value) or MISSING
    return flat


def as_percent(share: float | None) -> str:
    """Write a share as per cent, with one decimal."""
    return MISSING if share is None or math.isnan(share) else f"{100 * share:.1f}"


def as_significant(number: float | None) -> str:
    """Write three significant digits, without an exponent, thousands set apart."""
    if number is None or not math.isfinite(number):
        return MISSING
    if number == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:,.{decimals}f}"
