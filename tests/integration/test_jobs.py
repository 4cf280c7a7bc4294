"""Jobs submitted to a running cluster, as one submits them."""

import json
import socket
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from csn import storage
from csn.paths import Paths

PORTS = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "ray-client-server-port",
    "node-manager-port",
    "object-manager-port",
    "runtime-env-agent-port",
)
LIMIT_S = 240


def free_ports(count):
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [server.getsockname()[1] for server in sockets]


@pytest.fixture
def cluster(alone, tmp_path):
    """Run a cluster of one node; gives the address to which jobs are submitted."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    log = tmp_path / "head.log"
    with log.open("wb") as out:
        head = subprocess.Popen(
            [
                "ray",
                "start",
                "--head",
                "--block",
                "--num-cpus=2",
                "--dashboard-host=127.0.0.1",
                f"--object-store-memory={512 * 2**20}",
                f"--temp-dir={alone['RAY_TMPDIR']}/ray",
                *(f"--{name}={port}" for name, port in ports.items()),
            ],
            env=alone,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    deadline = time.monotonic() + LIMIT_S
    try:
        while not answers(f"{address}/api/jobs/"):
            assert head.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        head.kill()  # what it started ends with the environment
        head.wait()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return json.load(reply) is not None
    except (OSError, ValueError):
        return False


@pytest.mark.slow
def test_submitted_job_succeeds_and_one_with_a_bad_option_fails_with_its_line(
    cluster, alone, repository, tiny_options, tiny, finished, losses
):
    def submit(*options):
        return subprocess.run(
            [
                *("ray", "job", "submit", "--address", cluster, "--working-dir", "."),
                *("--", "python", "jobs/train.py", *options),
            ],
            cwd=repository,
            env=alone,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    refused = submit(*tiny_options, "--root", tiny.root, "--loss.margn", "0.5")
    assert refused.returncode != 0
    assert "failed with exit code 2" in refused.stdout
    # The client shows the end of a failed job's log a second time.
    (line,) = {line for line in refused.stdout.splitlines() if line.startswith("error: ")}
    assert "--loss.margn" in line
    assert "Traceback" not in refused.stdout

    done = submit(*tiny_options, "--root", tiny.root, "--name", "submitted")
    assert done.returncode == 0, done.stdout + done.stderr
    paths = Paths(replace(tiny, name="submitted"))
    assert f"wrote {paths.experiment('report.html')}" in done.stdout
    assert losses(paths) == losses(finished)
    scores = (storage.read_table(p.experiment("scores.parquet")) for p in (paths, finished))
    assert next(scores).equals(next(scores))
    assert Path(paths.experiment("report.html")).exists()
