"""What benchmarks share: where they write, a Ray whose start-up is counted apart, one corpus."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

Record = Callable[[str, float, float | None, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the caller say where results go."""
    parser.addoption("--root", default="csn-data", help="folder for benchmarks.json and data")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what the benchmarks find."""
    config.stash[ROWS] = []


ROWS = pytest.StashKey[list[dict[str, Any]]]()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Note a figure: its name, the ratio (greater is better), the goal, and how it came about."""

    def note(name: str, ratio: float, goal: float | None, detail: str) -> None:
        rows = request.config.stash[ROWS]
        rows.append({"name": name, "ratio": round(ratio, 4), "goal": goal, "detail": detail})

    return note


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the figures and write them to ``<root>/benchmarks.json``."""
    rows = config.stash[ROWS]
    if not rows:
        return
    terminalreporter.section("benchmarks")
    for row in rows:
        goal = "no goal" if row["goal"] is None else f"goal {row['goal']:g}"
        reached = row["goal"] is None or row["ratio"] >= row["goal"]
        mark = "" if reached else "  NOT REACHED"
        terminalreporter.write_line(f"{row['name']:24} {row['ratio']:9.3f}  {goal}{mark}")
        terminalreporter.write_line(f"{'':24} {row['detail']}")
    path = Path(config.getoption("--root")) / "benchmarks.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=2) + "\n")
    terminalreporter.write_line(f"wrote {path}")


@pytest.fixture(scope="session")
def ray_here(request: pytest.FixtureRequest) -> Iterator[float]:
    """Start Ray with its workers warm; gives the seconds that this took."""
    os.environ.pop("RAY_ADDRESS", None)
    from csn.distributed import cluster

    started = time.monotonic()
    with cluster.joined():
        import ray

        # The first task of a worker process imports the library: that belongs to the start-up.
        @ray.remote(num_cpus=0.5)
        def warm() -> int:
            import csn.distributed.embedding
            import csn.distributed.ingest  # noqa: F401

            time.sleep(0.5)
            return os.getpid()

        ray.get([warm.remote() for _ in range(4)])
        yield time.monotonic() - started


@pytest.fixture(scope="session")
def experiment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Configuration of the benchmarks' corpus: 28 pieces of 120 s at 44.1 kHz, prepared at 16."""
    from csn import recipes
    from csn.config import CorpusConfig, GeneratedConfig

    base = recipes.demo_sized(recipes.hashizume2024_scratch())
    settings = GeneratedConfig(
        num_train_tracks=16,
        num_validation_tracks=4,
        num_test_tracks=8,
        duration_s=120.0,
        sample_rate_hz=44_100,
    )
    return replace(
        base,
        name="benchmarks",
        root=str(tmp_path_factory.mktemp("benchmarks")),
        corpus=CorpusConfig(name="generated-benchmarks", generated=settings),
        triplets=replace(base.triplets, num_triplets=2_048, num_plans=4),
        training=replace(base.training, num_epochs=12, validate_every=12),
        evaluation=replace(
            base.evaluation,
            split="train",  # the most to embed: starting the actors is counted apart
            num_focus_tracks=12,
            durations_s=(3.0, 6.0, 10.0),
            baselines=(),
        ),
    )


@pytest.fixture(scope="session")
def composed(experiment: Any, ray_here: float) -> Any:
    """Compose the corpus; gives its configuration."""
    from csn.distributed import ingest
    from csn.distributed.progress import Stages
    from csn.paths import Paths

    ingest.compose(experiment, Stages(Paths(experiment).experiment("stages.json")))
    return experiment
