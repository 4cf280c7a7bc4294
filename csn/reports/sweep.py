"""A sweep as one HTML file that asks for nothing else.

Conventions
-----------
Those of `csn.reports.page`. Values of a metric are shown as they are (shares in 0..1, not per
cent), since a space may name any metric.
"""

import json
import math
from typing import Any

import pyarrow as pa

from csn.config.overrides import value_of
from csn.records import OURS
from csn.reports.figures import ShownFigure
from csn.reports.importance import Importance, importance_of
from csn.reports.inline import figure_uri
from csn.reports.page import filled
from csn.reports.plots import COLOURS
from csn.reports.sweep_data import SweepData
from csn.reports.sweep_plots import importance_bars, learning_curves, parallel_coordinates
from csn.reports.sweep_tables import final_tables
from csn.reports.text_tables import MISSING, ComparedTable, aligned, compared_text


def trials_table(data: SweepData) -> pa.Table:
    """Every trial as a row; a varied field is the column ``config/<field>``, lists are JSON."""
    schema = pa.schema(
        [
            ("trial_id", pa.string()),
            ("status", pa.string()),
            (data.metric, pa.float64()),
            ("best_epoch", pa.int64()),
            ("epochs", pa.int64()),
            ("seconds", pa.float64()),
            ("failures", pa.list_(pa.string())),
            *((f"config/{one.name}", _arrow_type(one)) for one in data.sweep.space.fields),
        ]
    )
    rows = [
        {
            "trial_id": trial.trial_id,
            "status": trial.status,
            data.metric: trial.best,
            "best_epoch": trial.best_epoch,
            "epochs": trial.num_epochs,
            "seconds": trial.seconds,
            "failures": list(trial.failures),
            **{f"config/{name}": _cell(value) for name, value in trial.values.items()},
        }
        for trial in data.trials
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _arrow_type(varied: Any) -> pa.DataType:
    kinds = {type(value) for value in varied.values}
    if kinds == {int}:
        return pa.int64()
    if kinds <= {int, float}:
        return pa.float64()
    return pa.bool_() if kinds == {bool} else pa.string()


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def trials_text(data: SweepData) -> str:
    """Trials as a table for the terminal, the best first, and below it the final scores."""
    names = [one.name for one in data.sweep.space.fields]
    lines = [["trial", *names, data.metric, "epoch", "epochs", "time", ""]]
    lines += [
        [
            str(trial.number),
            *(shown(trial.values.get(name)) for name in names),
            MISSING if trial.best is None else f"{trial.best:.4f}",
            MISSING if trial.best_epoch is None else str(trial.best_epoch),
            str(trial.num_epochs),
            f"{trial.seconds:.0f} s",
            trial.status,
        ]
        for trial in data.ranked
    ]
    told = f"Trials of sweep {data.sweep.name}, the best first\n{aligned(lines)}"
    tables = _final(data)
    return f"{told}\n\n{compared_text(tables)}" if tables else told


def shown(value: Any) -> str:
    """Write a value of a field as one reads it: ``mel + cens``, ``0.183``."""
    if value is None:
        return MISSING
    if isinstance(value, list):
        return " + ".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def render_sweep(data: SweepData) -> str:
    """Render `data` as one self-contained HTML page."""
    rated = importance_of(data.sweep, data.trials)
    return filled("sweep.html.j2", _contents(data, rated), {"shown": shown})


def _contents(data: SweepData, rated: Importance) -> dict[str, Any]:
    best = data.best
    fields = data.sweep.space.fields
    return {
        "data": data,
        "sweep": data.sweep,
        "space": data.sweep.space,
        "fields": fields,
        "best": best,
        "counts": {
            status: sum(trial.status == status for trial in data.trials)
            for status in ("finished", "stopped", "failed")
        },
        "own_values": {one.name: _own_value(data, one.name) for one in fields},
        "rated": rated,
        "figures": _figures(data, rated),
        "tables": _final(data),
        "minutes": sum(trial.seconds for trial in data.trials) / 60,
        "colours": COLOURS,
        "system": OURS,
    }


def _own_value(data: SweepData, name: str) -> Any:
    value = value_of(data.sweep.config, name)
    return list(value) if isinstance(value, tuple) else value


def _final(data: SweepData) -> list[ComparedTable]:
    if data.final_scores is None:
        return []
    conditions = data.sweep.config.network.conditions
    return final_tables(data.final_scores, conditions, data.final_labels)


def _figures(data: SweepData, rated: Importance) -> dict[str, ShownFigure]:
    """Figures by their names; one that has nothing to show is left out."""
    scored = [t for t in data.trials if t.best is not None and math.isfinite(t.best)]
    best = data.best.trial_id if data.best else ""
    found: dict[str, ShownFigure] = {}
    if rated.shares:
        said = ", ".join(f"{name} {share:.0%}" for name, share in rated.shares.items())
        found["importance"] = ShownFigure(
            figure_uri(importance_bars(rated.shares)), f"Bar chart: {said}.", rated.notice
        )
    if scored:
        told = f"Line chart, a line for each of {len(scored)} trials"
        space, metric = data.sweep.space, data.metric
        found["parallel"] = ShownFigure(
            figure_uri(parallel_coordinates(space, metric, scored, best)),
            f"{told}: its values of {', '.join(f.name for f in space.fields)}, and {metric}.",
            "A line is a trial, the darker the better; the best is orange. Where a field is not "
            "varied in a trial its line runs below the axis.",
        )
        found["curves"] = ShownFigure(
            figure_uri(learning_curves(metric, scored, best)),
            f"{told}: {metric} by epoch.",
            "Validation of each trial. Orange: the best; a cross: stopped, for it fell behind.",
        )
    return found
