"""What integration tests share: one Ray, one composed corpus, one finished experiment."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import own_ray
import pytest

REPOSITORY = Path(__file__).parents[2]
NUM_EPOCHS = 20
"""Some seconds of training: enough to be stopped in the middle."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Configure the experiment that everything is compared with; its root is the session's."""
    from csn import recipes

    config = recipes.tiny()
    return replace(
        config,
        root=str(tmp_path_factory.mktemp("root")),
        training=replace(config.training, num_epochs=NUM_EPOCHS),
        evaluation=replace(config.evaluation, durations_s=(3.0,)),
    )


@pytest.fixture(scope="session")
def tiny_options() -> list[str]:
    """Give the command line that means the same as `tiny`, but for its root."""
    options = f"tiny --training.num_epochs {NUM_EPOCHS} --evaluation.durations_s 3"
    return options.split()


@pytest.fixture(scope="session")
def tracks(tiny: Any, local_ray: None) -> Any:
    """Compose and prepare the session's corpus; gives the index of its tracks."""
    from csn import storage
    from csn.distributed import experiment
    from csn.paths import Paths

    experiment.prepare(tiny)
    return storage.read_table(Paths(tiny).tracks)


@pytest.fixture(scope="session")
def finished(tiny: Any, tracks: Any) -> Any:
    """Go the whole way, undisturbed; gives the paths of the results, which nobody may change."""
    from csn.distributed import experiment
    from csn.paths import Paths

    experiment.train(tiny)
    return Paths(tiny)


@pytest.fixture(scope="session")
def losses() -> Callable[[Any], list[float]]:
    """Give what reads the losses of an experiment's epochs from its paths."""
    from csn import storage

    def read(paths: Any) -> list[float]:
        table = storage.read_table(paths.experiment("metrics.parquet"))
        return table.sort_by("epoch")["train/loss/triplet"].to_pylist()

    return read


@pytest.fixture(scope="session")
def snapshot() -> Callable[[str], dict[str, tuple[int, int]]]:
    """Give what tells whether files were written again: each one's time and number."""

    def taken(folder: str) -> dict[str, tuple[int, int]]:
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        return {str(f): (f.stat().st_mtime_ns, f.stat().st_ino) for f in files}

    return taken


@pytest.fixture(scope="session")
def noted_history() -> Callable[[Any], list[dict[str, float]]]:
    """Give what reads the epochs of the last checkpoint that Ray Train has noted, if any."""

    def read(experiment: Any) -> list[dict[str, float]]:
        for notes in Path(experiment).glob("checkpoints/run-*/checkpoint_manager_snapshot.json"):
            with suppress(ValueError, OSError):  # it is being written, or replaced
                latest = json.loads(notes.read_text())["latest_checkpoint_result"]
                folder = notes.with_name(latest["checkpoint_dir_name"])
                return json.loads((folder / "progress.json").read_text())["history"]
        return []

    return read


@pytest.fixture(scope="session")
def descendants() -> Callable[[int], dict[int, str]]:
    """Give what lists the processes below one: number and command line of each."""

    def below(pid: int) -> dict[int, str]:
        if not Path("/proc/self/stat").exists():
            pytest.skip("this system has no /proc to find processes in")
        parents, commands = {}, {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                # The name, in brackets, may hold spaces; state and parent come after it.
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                parents[int(folder.name)] = parent
                commands[int(folder.name)] = command.decode(errors="replace")
        found = {pid}
        while more := {p for p, parent in parents.items() if parent in found} - found:
            found |= more
        return {p: commands[p] for p in sorted(found - {pid})}

    return below


@pytest.fixture(scope="session")
def repository() -> Path:
    """Folder from which jobs are run."""
    return REPOSITORY


@pytest.fixture
def alone() -> Iterator[dict[str, str]]:
    """Give an environment for a Ray of its own, all of whose processes end with the test."""
    with own_ray.environment() as environment:
        yield environment


RAY_HOST = """
import sys, ray
address = ray.init(num_cpus=2, object_store_memory=200 * 2**20, logging_level="ERROR")
print(address.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@contextmanager
def ray_for_drivers(more: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run a Ray for drivers that come and go; gives the environment in which they join it.

    Parameters
    ----------
    more : dict
        What its workers have in their environment beside this process's own.
    """
    with own_ray.environment() as environment:
        environment |= more | {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
        host = subprocess.Popen(
            [sys.executable, "-c", RAY_HOST],
            env=environment,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert host.stdout
        assert host.stdin
        yield environment | {"RAY_ADDRESS": host.stdout.readline().strip()}
        host.kill()
        host.wait()
        host.stdin.close()
        host.stdout.close()


@pytest.fixture(scope="session")
def joinable_ray() -> Any:
    """Give what runs a Ray for drivers that come and go."""
    return ray_for_drivers


@pytest.fixture
def end_orphans(alone: dict[str, str]) -> Callable[[], None]:
    """Give what ends all processes of the test's own Ray, whoever started them."""
    return lambda: own_ray.end_processes_of(alone["RAY_TMPDIR"])
