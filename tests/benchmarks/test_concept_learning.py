"""What the demo of concepts learns on the composed clips, from three inputs and from one.

Each network takes minutes of two cores; it lies under ``--root`` and is not trained again.
"""

from dataclasses import replace
from typing import Any

import pytest

from csn.conditions import ALL, CONCEPTS

THREE_INPUTS, ONE_INPUT = "demo_ribecky2022", "demo_ribecky2022_mel"

Scores = dict[tuple[str, str], dict[str, Any]]
"""Rows of our network by condition and what was asked: ``human``, or a concept by its rule."""


@pytest.fixture(scope="module")
def scores(ray_here: float, request: pytest.FixtureRequest) -> dict[str, Scores]:
    """Scores of both networks."""
    from csn import recipes, storage
    from csn.distributed import experiment
    from csn.paths import Paths

    found: dict[str, Scores] = {}
    for name in (THREE_INPUTS, ONE_INPUT):
        root = str(request.config.getoption("--root"))
        config = replace(recipes.ALL[name](), name=f"{name}-seed0", root=root)
        experiment.train(config)
        rows = storage.read_table(Paths(config).experiment("scores.parquet")).to_pylist()
        of = {(r["condition"], r["focus"]): r for r in rows if r["system"] == "csn"}
        found[name] = of
    return found


def told(rows: list[dict[str, Any]]) -> str:
    """Condition and accuracy with its interval, of each row."""
    return ", ".join(
        f"{row['condition']} {100 * row['accuracy']:.1f} "
        f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        for row in rows
    )


def test_every_concept_is_above_chance(scores: dict[str, Scores], record: Any) -> None:
    rows = [scores[THREE_INPUTS][concept, "human"] for concept in CONCEPTS]
    above = sum(row["low"] > 0.5 for row in rows)
    record("concepts_above_chance", above / len(rows), 1.0, f"human triplets: {told(rows)}")


def test_all_concepts_together_are_better_than_any_alone(
    scores: dict[str, Scores], record: Any
) -> None:
    of = scores[THREE_INPUTS]
    together = of[ALL, "human"]
    best = max((of[c, "human"] for c in CONCEPTS), key=lambda row: row["accuracy"])
    ratio = together["accuracy"] / best["accuracy"]
    record("concepts_together", ratio, 1.0, f"human triplets: {told([together, best])}")


@pytest.mark.parametrize("concept", ["tempo", "key"])
@pytest.mark.parametrize("asked", ["human", "rule"])
def test_three_inputs_are_better_than_one(
    scores: dict[str, Scores], record: Any, concept: str, asked: str
) -> None:
    focus = "human" if asked == "human" else concept
    three, one = (scores[name][concept, focus] for name in (THREE_INPUTS, ONE_INPUT))
    detail = f"triplets by {asked}: three inputs {told([three])}, mel {told([one])}"
    ratio = three["accuracy"] / one["accuracy"]
    record(f"inputs_{concept}_{asked}", ratio, 1.0, detail)
