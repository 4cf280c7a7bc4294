"""Jobs submitted to a running cluster, as one submits them; it begins with no node that works."""

import json
import re
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import own_ray
import pytest
from object_store import SECRET_KEY
from ray.job_submission import JobStatus, JobSubmissionClient

from csn import storage
from csn.paths import Paths

LIMIT_S = 600
NUM_CPUS = 2
MAX_UPLOAD = 5 * 2**20


@pytest.fixture(scope="module")
def head(tmp_path_factory, object_store) -> Iterator[own_ray.Head]:
    folder = tmp_path_factory.mktemp("head")
    with own_ray.autoscaling_head(folder, NUM_CPUS, secrets=object_store.env) as running:
        yield running


@pytest.fixture(scope="module")
def submitted(head, repository):
    """Give what submits a job and returns at once; what it prints is read when it has ended."""
    started = []

    def submit(job, *options, submission_id=None):
        submission_id = submission_id or f"{job}-{uuid.uuid4().hex[:8]}"
        process = subprocess.Popen(
            [
                *("ray", "job", "submit", "--address", head.address, "--working-dir", "."),
                *("--submission-id", submission_id),
                *("--", "python", f"jobs/{job}.py", *map(str, options)),
            ],
            cwd=repository,
            env=head.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield submit
    for process in started:
        process.kill()
        process.communicate()


def said(process, returncode=0):
    """What a job printed, once it has ended as it ought to."""
    output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == returncode, output
    return output


def one_line(output):
    # The client shows the end of a failed job's log a second time.
    (line,) = {line for line in output.splitlines() if line.startswith("error: ")}
    return line


@pytest.fixture(scope="module")
def refusals(submitted, tiny_options, tiny, finished):
    """What two jobs say that are refused. At once, since most of their time is start-up."""
    options = [*tiny_options, "--root", tiny.root]
    misspelt = submitted("train", *options, "--loss.margn", 0.5)
    too_large = submitted(
        *("train", *options, "--name", "too-large", "--workers.num_train_workers", 4),
        *("--workers.wait_for_nodes_s", 10),
    )
    return said(misspelt, returncode=1), said(too_large, returncode=1)


@pytest.mark.slow
def test_refused_job_ends_with_its_line(refusals, head):
    line = one_line(refusals[0])
    assert "--loss.margn" in line
    assert "Traceback" not in refusals[0]
    assert {job.driver_exit_code for job in _client(head).list_jobs()} == {2}


@pytest.mark.slow
def test_job_that_asks_for_more_than_there_can_be_ends_after_the_stated_wait(refusals):
    _, output = refusals
    # There is no node yet; one may have come in that time.
    assert "4 train workers x 1 CPUs + 1 to render = 5 CPUs, the cluster has 0 CPUs" in output
    assert "waiting for nodes, 10 s at most" in output
    line = one_line(output)
    assert re.search(r"= 5 CPUs, the cluster has [02] CPUs, 0 GPUs", line)
    assert "waited 10 s for nodes (--workers.wait_for_nodes_s)" in line


@pytest.mark.slow
def test_upload_holds_what_git_knows_and_no_more(refusals, head):
    packages = head.session / "runtime_resources" / "working_dir_files"
    package = next(path for path in packages.iterdir() if path.is_dir())
    held = {path.name for path in package.iterdir()}
    assert {"csn", "jobs", "tune_spaces", "pyproject.toml"} <= held
    assert not held & {".git", ".venv", "csn-data", ".pytest_cache", "uv.lock"}
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    assert size < MAX_UPLOAD


@pytest.mark.slow
def test_failed_run_says_what_failed(submitted, tiny_options, tiny, finished, head):
    job = submitted(
        *("train", *tiny_options, "--root", tiny.root, "--name", "failed"),
        *("--optimizer.learning_rate", 1e30, "--workers.wait_for_nodes_s", 120),
        submission_id="failed",
    )
    assert "the loss is not a number at step" in one_line(said(job, returncode=1))
    assert _client(head).get_job_info("failed").driver_exit_code == 1


@pytest.mark.slow
def test_stopped_job_goes_on_with_the_same_command(
    head, submitted, tiny_options, tiny, finished, losses, noted_history
):
    paths = Paths(replace(tiny, name="submitted"))
    command = ["train", *tiny_options, "--root", tiny.root, "--name", "submitted"]
    command += ["--workers.wait_for_nodes_s", "120"]
    job = submitted(*command, submission_id="stopped")
    deadline = time.monotonic() + LIMIT_S
    while not noted_history(paths.experiment()):
        assert job.poll() is None, job.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    subprocess.run(
        ["ray", "job", "stop", "--address", head.address, "stopped"],
        env=head.env,
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )
    assert _client(head).get_job_status("stopped") == JobStatus.STOPPED
    kept = noted_history(paths.experiment())
    assert 1 <= len(kept) < tiny.training.num_epochs
    assert not storage.exists(paths.experiment("training.json"))
    assert "4/7 train" in _client(head).get_job_logs("stopped")

    output = said(submitted(*command))
    assert f"wrote {paths.experiment('report.html')}" in output
    metrics = storage.read_table(paths.experiment("metrics.parquet")).sort_by("epoch").to_pylist()
    # Epochs that were noted were not trained again: even their times are the old ones.
    assert [row["seconds"] for row in metrics[: len(kept)]] == [row["seconds"] for row in kept]
    assert losses(paths) == losses(finished)
    scores = (storage.read_table(p.experiment("scores.parquet")) for p in (paths, finished))
    assert next(scores).equals(next(scores))
    per_epoch = 3 * tiny.triplets.num_rows
    # A process that ends need not have told of its last second.
    assert counted(head, "mixes_rendered", "submitted") >= per_epoch
    assert counted(head, "data_wait_seconds", "submitted") > 0


@pytest.mark.slow
def test_other_jobs_on_object_storage_and_nothing_tells_the_nodes_key(
    head, submitted, tiny_options, finished, bucket
):
    options = [*tiny_options, "--root", bucket, "--corpus.uri", finished.corpus]
    options += ["--workers.wait_for_nodes_s", "120"]
    trained = ["--evaluation.checkpoint_uri", finished.best_checkpoint]
    outputs = [
        said(submitted("prepare", *options)),
        said(submitted("embed", *options, *trained)),
        said(submitted("evaluate", *options, *trained)),
    ]
    written = [output.rpartition("wrote ")[2].split()[0] for output in outputs]
    assert [uri.rpartition("/")[2] for uri in written[1:]] == ["split=test", "report.html"]
    assert all(uri.startswith(bucket) and storage.exists(uri) for uri in written)

    assert counted(head, "tracks_prepared", "tiny") == 17
    assert counted(head, "segments_embedded", "tiny") > 100
    assert counted(head, "tracks_rejected", "tiny") == 0

    secret = SECRET_KEY.encode()
    told = [json.dumps([vars(job) for job in _client(head).list_jobs()], default=str).encode()]
    told += [output.encode() for output in outputs]
    told += [storage.read_bytes(uri) for uri in storage.list_uris(bucket)]
    told += [path.read_bytes() for path in (head.session / "logs").rglob("*") if path.is_file()]
    assert len(told) > 100
    assert not [text[:200] for text in told if secret in text]


@pytest.mark.slow
def test_sweep_submitted_to_a_cluster(submitted, tiny_options, tiny, finished, tmp_path):
    options = [*tiny_options, "--root", tiny.root, "--training.num_epochs", 1, "--name", "far"]
    job = submitted(
        *("tune", *options, "--num_samples", 1, "--final_seeds"),
        *("--workers.cpus_per_train_worker", 0.5, "--workers.wait_for_nodes_s", 120),
    )
    uri = storage.join(tiny.root, "sweeps", "far", "report.html")
    assert f"wrote {uri}" in said(job)
    trials = storage.read_table(storage.join(tiny.root, "sweeps", "far", "trials.parquet"))
    assert trials["status"].to_pylist() == ["finished"]


def counted(head, name, experiment):
    """How far one of our counters is, on all nodes together, as Prometheus reads it."""
    return sum(
        float(line.split()[-1])
        for line in own_ray.metrics(head.session).splitlines()
        if line.startswith(f"ray_csn_{name}_total{{") and f'experiment="{experiment}"' in line
    )


def _client(head):
    return JobSubmissionClient(head.address)
