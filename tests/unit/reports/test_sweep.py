import re
from dataclasses import replace

import pyarrow as pa
import pytest

from csn import recipes
from csn.evaluation.comparison import COMPARED_SCHEMA
from csn.reports.importance import MIN_TRIALS, importance_of
from csn.reports.sweep import render_sweep, shown, trials_table, trials_text
from csn.reports.sweep_data import SweepData, SweptTrial
from csn.reports.sweep_tables import TO, final_tables
from csn.reports.text_tables import MISSING
from csn.search_space import Sweep, read_search_space

METRIC = "val/pseudo_mix_id/mean"
SPACE = f"""# How far, and how <large>?
metric = "{METRIC}"
num_samples = 8
[space]
"loss.margin" = {{ uniform = [0.1, 0.5] }}
"network.subspace_dim" = {{ grid = [4, 8, 16] }}
"network.pooling" = {{ choice = ["mean", "mean_std"] }}
"""


@pytest.fixture
def data():
    """Trials whose value is their margin; one is stopped, one failed."""
    config = recipes.tiny()
    space = read_search_space("sizes", SPACE).of(config)
    sweep = Sweep(name="tiny-sizes", recipe="tiny", config=config, space=space, num_samples=8)
    trials = []
    for place, values in enumerate(space.random(config, 8, seed=0)):
        status = {2: "stopped", 5: "failed"}.get(place, "finished")
        curve = [(epoch, values["loss.margin"] - 0.01 * abs(epoch - 1)) for epoch in range(3)]
        failed = status == "failed"
        trials.append(
            SweptTrial(
                trial_id=f"a1b2_{place:05d}",
                number=place + 1,
                values=values,
                status=status,
                curve=[] if failed else curve,
                best=None if failed else values["loss.margin"],
                failures=["the <loss> is not a number"] * 2 if failed else [],
                seconds=30.0,
            )
        )
    return SweepData(sweep=sweep, metric=METRIC, trials=trials)


def score(recipe, condition, accuracy, seed):
    return {
        "recipe": recipe,
        "protocol": "pseudo_mix_id",
        "system": "csn",
        "condition": condition,
        "focus": condition,
        "duration_s": 3.0,
        "accuracy": accuracy,
        "low": accuracy - 0.1,
        "high": accuracy + 0.1,
        "seed": seed,
    }


def scores(seeds=(0, 1)):
    rows = [
        score(recipe, condition, level + 0.02 * seed, seed)
        for recipe, level in (("u", 0.5), ("b", 0.6))
        for condition in ("drums", "bass")
        for seed in seeds
    ]
    return pa.Table.from_pylist(rows, schema=COMPARED_SCHEMA)


def test_best_is_the_greatest_of_those_that_did_not_fail(data):
    margins = [trial.values["loss.margin"] for trial in data.trials if trial.status != "failed"]
    assert data.best.best == max(margins)
    assert data.best.best_epoch == 1
    assert data.ranked[-1].status == "failed"
    least = replace(data, sweep=replace(data.sweep, space=replace(data.sweep.space, mode="min")))
    assert least.best.best == min(margins)


def test_table_has_a_column_for_each_field(data):
    table = trials_table(data)
    assert table["config/network.subspace_dim"].type == pa.int64()
    assert table["config/network.pooling"].type == pa.string()
    margins = [trial.values["loss.margin"] for trial in data.trials]
    assert table["config/loss.margin"].to_pylist() == margins
    assert table["failures"].to_pylist()[5] == ["the <loss> is not a number"] * 2
    assert table["epochs"].to_pylist()[5] == 0


def test_terminal_shows_the_best_first(data):
    lines = trials_text(data).splitlines()
    assert lines[2].startswith(str(data.best.number))
    assert lines[-1].endswith("failed")


def test_importance_finds_the_field_that_matters(data):
    found = importance_of(data.sweep, data.trials)
    assert next(iter(found.shares)) == "loss.margin"
    assert sum(found.shares.values()) == pytest.approx(1)
    assert "functional ANOVA" in found.notice


def test_few_trials_have_no_importance(data):
    found = importance_of(data.sweep, data.trials[: MIN_TRIALS - 2])
    assert not found.shares
    assert "too few" in found.notice


def test_page_is_whole_and_escapes_what_it_is_given(data):
    final = {"final_scores": scores(), "final_labels": {"u": "untuned", "b": "best"}}
    for page in (render_sweep(data), render_sweep(replace(data, **final))):
        assert "<large>" not in page
        assert "the <loss>" not in page
        assert not re.findall(r"(?:src|href)=\"https?:", page)
        assert page.count("<img") == 3
        assert "is optimistic" in page
    assert "best of" not in page
    assert "difference" in page


def test_page_of_a_sweep_without_a_value_says_so(data):
    failed = [trial for trial in data.trials if trial.status == "failed"]
    page = render_sweep(replace(data, trials=failed))
    assert "No trial has a value" in page
    assert "<img" not in page


def test_final_table_pairs_the_seeds():
    (table,) = final_tables(scores(), ("drums", "bass"), {"u": "untuned", "b": "best"})
    assert table.columns == ("drums", "bass", "mean")
    cells = [[cell.replace(TO, " to ") for cell in row.cells] for row in table.rows]
    # Two seeds, 50 and 52: 1.414 / sqrt(2) x 12.706 on each side.
    assert cells[0] == ["51.0 [41.0 to 61.0]", "51.0 [41.0 to 61.0]", "51.0 [38.3 to 63.7]"]
    assert cells[1][0] == "61.0 [51.0 to 71.0]"
    assert cells[2] == ["+10.0 [+10.0 to +10.0]"] * 3


def test_one_seed_has_no_interval_over_seeds():
    (table,) = final_tables(scores([0]), ("drums", "bass"), {"u": "untuned", "b": "best"})
    assert [row.cells[-1] for row in table.rows] == ["50.0", "60.0", "+10.0"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, MISSING), (["mel", "cens"], "mel + cens"), (1e-5, "1e-05"), (8, "8")],
)
def test_values_are_shown_as_one_reads_them(value, text):
    assert shown(value) == text
