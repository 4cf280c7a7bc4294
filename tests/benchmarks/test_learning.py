"""How much better freely mixed batches teach than the papers' systems, for the same compute.

Every system sees the same number of mixes with the same network on the composed corpus; those of
teachers and pre-training count. It takes hours of two cores: each experiment lies under ``--root``
and is not trained again.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

SEEDS = (0, 1, 2)
DURATION_S = 10.0
"""Length of the segments of P2 in the papers."""
OURS = "demo_free_mixing"


@pytest.fixture(scope="module")
def means(ray_here: float, request: pytest.FixtureRequest) -> dict[str, list[dict[float, float]]]:
    """P2's mean over the instruments by system, seed and duration."""
    from csn import recipes, storage
    from csn.distributed import experiment
    from csn.evaluation.scores import means as means_of
    from csn.paths import Paths

    found: dict[str, list[dict[float, float]]] = {}
    for name in (OURS, "demo_hashizume2024_scratch", "demo_hashizume2024"):
        for seed in SEEDS:
            config = replace(
                recipes.ALL[name](),
                name=f"{name}-seed{seed}",
                seed=seed,
                root=str(request.config.getoption("--root")),
            )
            experiment.train(config)
            rows = storage.read_table(Paths(config).experiment("scores.parquet")).to_pylist()
            scores: Any = means_of(rows)
            p2 = [s for s in scores if (s.protocol, s.system) == ("pseudo_mix_id", "csn")]
            found.setdefault(name, []).append({s.duration_s: s.accuracy for s in p2})
    return found


@pytest.mark.parametrize(
    ("name", "system", "goal"),
    [
        ("ours_vs_basic_p2", "demo_hashizume2024_scratch", 2.2),
        ("ours_vs_hashizume2024_p2", "demo_hashizume2024", 1.3),
    ],
)
def test_free_mixing_against(
    means: dict[str, list[dict[float, float]]], record: Any, name: str, system: str, goal: float
) -> None:
    def of(which: str, duration_s: float) -> np.ndarray:
        return np.array([seed[duration_s] for seed in means[which]])

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
        f"P2 mean over instruments and {len(SEEDS)} seeds, {told(DURATION_S)}, {told(3.0)}",
    )
