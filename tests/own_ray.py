"""A Ray of a test's own: apart from every other on this machine, and gone when the test ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import object_store as store
import yaml

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
OBJECT_STORE = 300 * 2**20
LIMIT_S = 240


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """Give an environment for a Ray of its own, all of whose processes end with the block."""
    folder = tempfile.mkdtemp(prefix="csn-", dir="/tmp")  # paths of sockets must be short
    Path(folder, "ray").mkdir()
    try:
        yield store.clean_environment() | {
            "RAY_TMPDIR": folder,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
    finally:
        end_processes_of(folder)
        shutil.rmtree(folder, ignore_errors=True)


def end_processes_of(folder: str) -> None:
    """End every process that has `folder` as its RAY_TMPDIR; it came from this test's own."""
    mark = f"RAY_TMPDIR={folder}".encode()
    for _ in range(100):
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile, or is another user's
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    raise RuntimeError(f"processes {found} of {folder} do not end")


@dataclass(frozen=True)
class Head:
    """A running ``ray start --head``."""

    address: str
    """Where jobs are submitted."""
    session: Path
    """Ray's folder of logs and packages."""
    env: dict[str, str]
    """What whoever submits a job has in its environment."""


@contextmanager
def autoscaling_head(folder: Path, num_cpus: int, secrets: dict[str, str]) -> Iterator[Head]:
    """Run a head that holds nothing, and starts one node of `num_cpus` when that is asked for.

    Ray's own autoscaler does it, by its provider of nodes that are processes of this machine.
    `secrets` is in the environment of the nodes, and of no one who submits a job.
    """
    from ray.util import get_node_ip_address  # Ray reads the environment while it is imported

    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    config = folder / "autoscaling.yaml"
    config.write_text(
        yaml.safe_dump(_autoscaling(f"{get_node_ip_address()}:{ports['port']}", num_cpus))
    )
    log = folder / "head.log"
    with environment() as env, log.open("wb") as out:
        head = subprocess.Popen(
            [
                *("ray", "start", "--head", "--block", "--num-cpus=0", "--include-dashboard=true"),
                *("--dashboard-host=127.0.0.1", f"--object-store-memory={OBJECT_STORE}"),
                f"--temp-dir={env['RAY_TMPDIR']}/ray",
                f"--autoscaling-config={config}",
                *(f"--{name}={port}" for name, port in ports.items()),
            ],
            env=env
            | secrets
            | {
                "RAY_FAKE_CLUSTER": "1",
                "AUTOSCALER_UPDATE_INTERVAL_S": "1",
                "RAY_metrics_report_interval_ms": "1000",
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
        try:
            address = f"http://127.0.0.1:{ports['dashboard-port']}"
            _wait(address, head, log)
            session = Path(env["RAY_TMPDIR"], "ray", "session_latest")
            yield Head(address, session, env)
        finally:
            head.kill()  # what it started ends with the environment
            head.wait()


class Nodes:
    """A running cluster whose head does no work; its nodes see nothing of object storage."""

    def __init__(self, server: "subprocess.Popen[str]", env: dict[str, str]) -> None:
        self._server = server
        self.raylets: list[int] = []
        """Process of each node that is there."""
        self.env = env | {"RAY_ADDRESS": self._answer()}
        """What a driver has in its environment."""

    def add(self, num_cpus: int) -> int:
        """Add a node, and name it by its raylet's process."""
        raylet = int(self._asked(f"add {num_cpus}"))
        self.raylets.append(raylet)
        return raylet

    def lose(self, raylet: int) -> None:
        """Kill a node with all that runs there."""
        self.raylets.remove(raylet)
        self._asked(f"lose {raylet}")

    def _asked(self, line: str) -> str:
        assert self._server.stdin is not None
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            if line.startswith("= "):
                return line.removeprefix("= ").strip()
        raise RuntimeError(f"the cluster's process ended (status {self._server.wait()})")


@contextmanager
def several_nodes() -> Iterator[Nodes]:
    """Run a cluster to which nodes are added, and which loses them."""
    with environment() as env:
        server = subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).with_name("nodes_server.py"))),
                *(f"{env['RAY_TMPDIR']}/ray", str(free_ports(1)[0]), str(OBJECT_STORE)),
            ],
            # A lost node is missed after 5 s.
            env=env | {"RAY_health_check_period_ms": "1000"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with server:
            try:
                yield Nodes(server, env)
            finally:
                server.kill()  # its nodes end with the environment


def _autoscaling(gcs_address: str, num_cpus: int) -> dict[str, object]:
    """Say what nodes there may be, in the words of ``ray up``."""
    commands = (
        *("initialization_commands", "setup_commands"),
        *("head_setup_commands", "worker_setup_commands"),
        *("head_start_ray_commands", "worker_start_ray_commands"),
    )
    lists = ("cluster_synced_files", "rsync_exclude", "rsync_filter", *commands)
    worker = {"CPU": num_cpus, "object_store_memory": OBJECT_STORE}
    return {
        "cluster_name": "own",
        "provider": {
            "type": "fake_multinode",
            "gcs_address": gcs_address,
            "disable_node_updaters": True,
        },
        "max_workers": 1,
        "upscaling_speed": 1,
        "idle_timeout_minutes": 10,
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "cpu": {"resources": worker, "node_config": {}, "min_workers": 0, "max_workers": 1},
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in lists},
    }


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [server.getsockname()[1] for server in sockets]


def _wait(address: str, head: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until jobs can be submitted."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        with suppress(OSError), urllib.request.urlopen(f"{address}/api/jobs/", timeout=5):
            return
        if head.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the head did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.2)


def metrics(session: Path) -> str:
    """Read what every node tells Prometheus, from the addresses that Ray lists for it."""
    listed = session.parent / "prom_metrics_service_discovery.json"
    found = []
    for entry in json.loads(listed.read_text()):
        for target in entry["targets"]:
            # Of the head's own two ports, which are fixed, another Ray may have had the use.
            with suppress(OSError), urllib.request.urlopen(f"http://{target}/metrics") as page:
                found.append(page.read().decode())
    return "\n".join(found)
