"""A sweep with a trial that fails, whose driver is killed and started again; and refusals."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from csn import cli
from csn.config import from_json
from csn.distributed import tuning
from csn.errors import ConfigError, StorageError

LIMIT_S = 600
SPACE = """# Does a trial that fails spoil the others?
metric = "val/pseudo_mix_id/mean"
num_samples = 2

[space]
"optimizer.learning_rate" = { grid = [2e-3, 1e30] }
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "rate.toml"
    path.write_text(SPACE)
    return str(path)


def notes_of(sweep: Path) -> list[dict]:
    """What is known of each trial; one that is being written is left out."""
    found = []
    for path in sorted(sweep.glob("trials/*.json")):
        with suppress(ValueError, OSError):
            found.append(json.loads(path.read_text()))
    return found


@pytest.mark.slow
def test_killed_sweep_goes_on_and_runs_no_finished_trial_again(
    finished, alone, end_orphans, repository, snapshot, space, tmp_path
):
    root = tmp_path / "root"
    sweep = root / "sweeps" / "tiny-rate"
    log = tmp_path / "log"
    words = f"tiny --space {space} --search grid --final_seeds --root {root} --corpus.uri"

    def start():
        with log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "jobs/tune.py", *words.split(), finished.corpus],
                cwd=repository,
                env=alone,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    process = start()
    deadline = time.monotonic() + LIMIT_S
    # The first trial is finished, and the second has begun.
    while len(notes := notes_of(sweep)) < 2 or not notes[0]["is_finished"]:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    time.sleep(6)  # Tune writes its state every 5 s
    process.send_signal(signal.SIGKILL)
    process.wait()
    end_orphans()
    first, second = (note["trial_id"] for note in notes_of(sweep))
    trained = snapshot(str(root / "experiments" / f"tiny-rate-{first}"))
    assert not (sweep / "report.html").exists()

    process = start()
    assert process.wait(LIMIT_S) == 0, log.read_text()
    told = log.read_text()
    # No trial is lost, none is new, and nothing of the finished one is written again.
    assert [note["trial_id"] for note in notes_of(sweep)] == [first, second]
    assert snapshot(str(root / "experiments" / f"tiny-rate-{first}")) == trained
    assert told.count(f"trial {first} (") == 1
    # The other was tried again, and is reported.
    failures = notes_of(sweep)[1]["failures"]
    assert len(failures) == 2
    assert all("the loss is not a number" in failure for failure in failures)
    rows = pq.read_table(sweep / "trials.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["finished", "failed"]
    assert [row["config/optimizer.learning_rate"] for row in rows] == [2e-3, 1e30]
    assert (
        "trial 2 failed 2 times: the loss is not a number" in (sweep / "report.html").read_text()
    )
    best = from_json((sweep / "best.json").read_text())
    assert (best.name, best.optimizer.learning_rate) == ("tiny-rate-best", 2e-3)
    assert cli.experiment(["--config", str(sweep / "best.json"), "--seed", "3"]) == replace(
        best, seed=3
    )
    # The network that the trial kept is there, from the plan that all trials share.
    experiment = root / "experiments" / f"tiny-rate-{first}"
    assert (experiment / "checkpoints" / "best").exists()
    (plan,) = root.glob("experiments/plan-*/triplets.parquet")
    assert (experiment / "triplets.parquet").read_bytes() == plan.read_bytes()

    # Of a sweep that is complete nothing is done again.
    whole = snapshot(str(root))
    again = cli.sweep([*words.split(), finished.corpus])
    assert tuning.tune_recipe(again) == str(sweep / "report.html")
    assert snapshot(str(root)) == whole
    with pytest.raises(StorageError, match=r"is of another sweep .*num_samples was 2, now 1"):
        tuning.tune_recipe(replace(again, num_samples=1))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--workers.use_gpu True", r"needs 1 GPUs, the cluster has 2 CPUs, 0 GPUs"),
        ("--max_concurrent 2 --search random", r"2 trials at a time x 1 x 1 CPUs .* = 3 CPUs"),
    ],
)
def test_more_than_the_cluster_has_is_refused(options, told, tracks, tiny, space, tmp_path):
    sweep = cli.sweep(
        ["tiny", "--space", space, "--root", str(tmp_path / "root"), *options.split()]
    )
    with pytest.raises(ConfigError, match=told):
        tuning.tune_recipe(sweep)
    assert not list(tmp_path.glob("root/experiments/*"))


def test_metric_that_is_never_reported_is_refused_before_anything(space, tmp_path):
    path = Path(space)
    path.write_text(SPACE.replace("pseudo_mix_id", "concept_triplets"))
    sweep = cli.sweep(["tiny", "--space", space, "--root", str(tmp_path / "root")])
    with pytest.raises(ConfigError, match=r"never reports val/concept_triplets/mean; it reports"):
        tuning.tune_recipe(sweep)
    assert not (tmp_path / "root" / "sweeps").exists()
