"""A report's figures as the page shows them: an image, its caption, and the same in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csn.reports import plots, projection
from csn.reports.data import ReportData
from csn.reports.inline import figure_uri
from csn.reports.score_tables import is_number


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """An image to stand in the page."""

    uri: str
    alt: str
    caption: str
    condition: str = ""


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A track of the t-SNE panels with its mark."""

    track_id: str
    colour: str
    marker: str


def training_figures(data: ReportData) -> list[ShownFigure]:
    """Curves of training and validation, as far as the history has them."""
    shown = []
    losses = plots.loss_curves(data.history, data.best_epoch)
    if losses is not None:
        alt = "Line chart by epoch. " + _first_and_last(data.history, "train/")
        caption = "Training: the loss, and the share of triplets (or anchors) not yet in order."
        shown.append(ShownFigure(figure_uri(losses), alt, caption))
    validation = plots.validation_curves(data.history, data.best_epoch)
    if validation is not None:
        alt = "Line chart by epoch. " + _first_and_last(data.history, "val/")
        asked = "triplets" if data.config.network.of_concepts else "both protocols"
        caption = f"Validation: {asked} on tracks that are not trained on."
        shown.append(ShownFigure(figure_uri(validation), alt, caption))
    return shown


def _first_and_last(history: Sequence[Mapping[str, Any]], prefix: str) -> str:
    phrases = []
    for key in dict.fromkeys(key for row in history for key in row if key.startswith(prefix)):
        values = [row[key] for row in history if is_number(row.get(key))]
        if values:
            phrases.append(f"{key.removeprefix(prefix)} from {values[0]:.3g} to {values[-1]:.3g}")
    return "; ".join(phrases) + "."


def tsne_figures(data: ReportData) -> tuple[list[ShownFigure], list[LegendEntry]]:
    """Make a panel for each subspace with enough segments, and the legend that they share."""
    ids = {condition: track_ids for condition, (_, track_ids) in data.embeddings.items()}
    tracks = projection.choose_tracks(ids, data.config.seed)
    points = {
        condition: projection.project(vectors, track_ids, tracks, data.config.seed)
        for condition, (vectors, track_ids) in data.embeddings.items()
    }
    shown = []
    for condition, panel in plots.tsne_panels(points).items():
        here = points[condition].track_places
        alt = (
            f"t-SNE of the {condition} subspace: {len(here)} segments of "
            f"{len(set(here.tolist()))} tracks, coloured by track."
        )
        shown.append(ShownFigure(figure_uri(panel), alt, condition, condition))
    legend = [LegendEntry(track, *plots.track_mark(place)) for place, track in enumerate(tracks)]
    return shown, legend if shown else []
