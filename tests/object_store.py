"""Starts the object store that tests use, in its own process, with keys that open no other."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER = Path(__file__).with_name("swift_server.py")
ACCESS_KEY = "test:tester"
SECRET_KEY = "secret-of-the-tests"
START_LIMIT_S = 60.0


@dataclass(frozen=True)
class ObjectStore:
    """A running store."""

    endpoint: str
    log: Path

    @property
    def env(self) -> dict[str, str]:
        """What a process must have in its environment to use this store, and no other."""
        nothing = str(self.log.with_name("no-such-file"))
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": nothing,
            "AWS_SHARED_CREDENTIALS_FILE": nothing,
        }


def clean_environment() -> dict[str, str]:
    """Environment of this process without anything of object storage, a cluster, or training."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "RAY_TRAIN_")) and name != "RAY_ADDRESS"
    }


@contextmanager
def running(folder: Path) -> Iterator[ObjectStore]:
    """Run a store that keeps everything in `folder`, an empty one that allows extended attributes.

    The store's log stays in the folder; its last lines are part of the error where it does not
    start.
    """
    log = folder / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SERVER), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=clean_environment(),
        )
    try:
        yield ObjectStore(_endpoint(server, folder), log)
    finally:
        server.kill()  # it holds nothing worth a farewell
        server.wait()


def _endpoint(server: "subprocess.Popen[bytes]", folder: Path) -> str:
    ready = folder / "endpoint"
    deadline = time.monotonic() + START_LIMIT_S
    while not ready.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            last = (folder / "log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the object store did not start (status {server.poll()}):\n{last}")
        time.sleep(0.05)
    return ready.read_text()


def allows_attributes(folder: Path) -> bool:
    """Whether Swift can keep an object's metadata beside it in `folder`."""
    probe = folder / "attribute-probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.swift.probe", b"1")
    except OSError:
        return False
    finally:
        probe.unlink()
    return True
