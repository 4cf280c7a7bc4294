"""A driver that is killed, twice, and started again with the same command."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

LIMIT_S = 600


def wait_for(happened, process, log):
    """Wait until something is seen in the files of the run, which must not have ended by then."""
    deadline = time.monotonic() + LIMIT_S
    while not happened():
        assert process.poll() is None, f"ended before it could be killed:\n{log.read_text()}"
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_driver_goes_on_and_does_nothing_twice(
    finished,
    tiny_options,
    tiny,
    losses,
    snapshot,
    noted_history,
    alone,
    end_orphans,
    repository,
    tmp_path,
):
    root = tmp_path / "root"
    prepared = root / "prepared"
    experiment = root / "experiments" / "tiny"
    options = [*tiny_options, "--root", str(root), "--corpus.uri", finished.corpus]
    log = tmp_path / "log"

    def start():
        with log.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "jobs/train.py", *options],
                cwd=repository,
                env=alone,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def kill(process):
        process.send_signal(signal.SIGKILL)
        process.wait()
        end_orphans()

    def parts():
        return {
            path: times
            for path, times in snapshot(str(prepared)).items()
            if "/parts/" in path and path.endswith(".parquet")
        }

    # Once in the middle of preparing ...
    process = start()
    wait_for(lambda: len(list(prepared.glob("*/parts/Track*.parquet"))) >= 3, process, log)
    kill(process)
    first_parts = parts()
    assert 3 <= len(first_parts) < 17
    assert not list(prepared.glob("*/tracks.parquet"))
    assert not list(prepared.glob("*/manifest.json"))

    # ... and once in the middle of training, when Ray Train has noted an epoch.
    process = start()
    wait_for(lambda: noted_history(experiment), process, log)
    kill(process)
    all_parts = parts()
    assert {path: all_parts[path] for path in first_parts} == first_parts
    assert len(all_parts) == 17
    assert not (experiment / "training.json").exists()
    plan = snapshot(str(experiment))[str(experiment / "triplets.parquet")]
    kept = noted_history(experiment)
    assert 1 <= len(kept) < tiny.training.num_epochs

    # The same command goes on to the end, as if nothing had happened.
    process = start()
    assert process.wait(LIMIT_S) == 0, log.read_text()
    assert parts() == all_parts
    assert snapshot(str(experiment))[str(experiment / "triplets.parquet")] == plan
    metrics = pq.read_table(experiment / "metrics.parquet").sort_by("epoch").to_pylist()
    assert [row["epoch"] for row in metrics] == list(range(tiny.training.num_epochs))
    # Epochs that were noted were not trained again: even their times are the old ones.
    assert [row["seconds"] for row in metrics[: len(kept)]] == [row["seconds"] for row in kept]
    assert [row["train/loss/triplet"] for row in metrics] == losses(finished)
    # And what training is said to have cost counts them in.
    (trained,) = [
        stage
        for stage in json.loads((experiment / "stages.json").read_text())
        if stage["name"] == "train"
    ]
    assert trained["seconds"] >= sum(row["seconds"] for row in metrics)
    scores = pq.read_table(experiment / "scores.parquet")
    assert scores.equals(pq.read_table(finished.experiment("scores.parquet")))
    assert (experiment / "report.html").exists()
    folders = list((root / "embeddings").glob("model=*/corpus=*/split=*/condition=*"))
    assert len(folders) == 3 * 5  # ours and two baselines, for each instrument
    for folder in folders:
        (file,) = folder.iterdir()
        model, _, split, condition = file.parts[-5:-1]
        (undisturbed,) = Path(finished.root, "embeddings", model).glob(
            f"corpus=*/{split}/{condition}/*.parquet"
        )
        assert pq.ParquetFile(file).read().equals(pq.ParquetFile(undisturbed).read())
