"""What freely mixed batches teach, and how much better than the papers' systems do.

Every system sees the same number of mixes with the same network on the composed corpus; those of
teachers and pre-training count. The demo is ours at three tenths of that. All of it takes hours
of two cores: each experiment lies under ``--root`` and is not trained again.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

DURATION_S = 10.0
"""Length of the segments of P2 in the papers."""
OURS, BASIC, WHOLE = "demo_free_mixing", "demo_hashizume2024_scratch", "demo_hashizume2024"
DEMO = "demo"
NUM_SEEDS = 3
"""[H22] has five: nine trainings of the systems take two hours of two cores already."""


Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def scores(ray_here: float, request: pytest.FixtureRequest) -> dict[str, list[Rows]]:
    """Rows of scores of our networks by system and seed."""
    from csn import recipes, storage
    from csn.distributed import experiment
    from csn.paths import Paths

    found: dict[str, list[Rows]] = {}
    for name in (DEMO, OURS, BASIC, WHOLE):
        for seed in range(NUM_SEEDS):
            config = replace(
                recipes.ALL[name](),
                name=f"{name}-seed{seed}",
                seed=seed,
                root=str(request.config.getoption("--root")),
            )
            experiment.train(config)
            rows = storage.read_table(Paths(config).experiment("scores.parquet")).to_pylist()
            ours = [row for row in rows if row["system"] == "csn"]
            found.setdefault(name, []).append(ours)
    return found


def mean_of(rows: Rows, protocol: str, duration_s: float) -> float:
    """Mean over the instruments."""
    from csn.evaluation.scores import means

    (found,) = [m for m in means(rows) if (m.protocol, m.duration_s) == (protocol, duration_s)]
    return found.accuracy


@pytest.mark.parametrize(
    ("name", "system", "goal"),
    [
        ("ours_vs_basic_p2", BASIC, 2.2),
        ("ours_vs_hashizume2024_p2", WHOLE, 1.3),
    ],
)
def test_free_mixing_against(
    scores: dict[str, list[Rows]], record: Any, name: str, system: str, goal: float
) -> None:
    def of(which: str, duration_s: float) -> np.ndarray:
        return np.array([mean_of(rows, "pseudo_mix_id", duration_s) for rows in scores[which]])

    def told(duration_s: float) -> str:
        ours, theirs = of(OURS, duration_s), of(system, duration_s)
        return (
            f"at {duration_s:g} s {100 * ours.mean():.1f} (sd {100 * ours.std(ddof=1):.1f}) "
            f"against {100 * theirs.mean():.1f} (sd {100 * theirs.std(ddof=1):.1f})"
        )

    ratio = of(OURS, DURATION_S).mean() / of(system, DURATION_S).mean()
    record(
        name,
        float(ratio),
        goal,
        f"P2 mean over instruments and {NUM_SEEDS} seeds, {told(DURATION_S)}, {told(3.0)}",
    )


@pytest.mark.parametrize(
    ("name", "protocol", "wanted"),
    [("demo_p1", "music_id", 0.85), ("demo_p2", "pseudo_mix_id", 0.55)],
)
def test_demo_reaches(
    scores: dict[str, list[Rows]], record: Any, name: str, protocol: str, wanted: float
) -> None:
    found = {d: [mean_of(rows, protocol, d) for rows in scores[DEMO]] for d in (3.0, DURATION_S)}
    told = ", ".join(
        f"{100 * np.mean(of):.1f} at {d:g} s (seeds {min(of):.3f} to {max(of):.3f})"
        for d, of in found.items()
    )
    record(name, float(np.mean(found[3.0])) / wanted, 1.0, f"{told}; {100 * wanted:.0f} wanted")


def test_each_subspace_knows_its_own_instrument_best(
    scores: dict[str, list[Rows]], record: Any
) -> None:
    best, asked = 0, 0
    for rows in scores[OURS]:
        of = [row for row in rows if row["protocol"] == "pseudo_mix_id"]
        for condition, duration_s in {(row["condition"], row["duration_s"]) for row in of}:
            leaks = {
                row["focus"]: row["accuracy"]
                for row in of
                if (row["condition"], row["duration_s"]) == (condition, duration_s)
            }
            best += max(leaks, key=leaks.__getitem__) == condition
            asked += 1
    told = f"{best} of {asked} rows of the leak matrices of {NUM_SEEDS} seeds"
    record("own_instrument_best", best / asked, 1.0, told)
