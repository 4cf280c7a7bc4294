"""What tests share: an object store, a Ray, and real data where it is at hand.

Nothing here imports `csn` while pytest starts: the type checks of ``--jaxtyping-packages`` are put
into modules that are imported later.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import object_store as store
import pytest
from botocore.session import get_session

REPOSITORY = Path(__file__).parent.parent


def pytest_configure() -> None:
    """Set what Ray reads when it is imported."""
    os.environ.pop("RAY_ADDRESS", None)  # no test may find its way to a real cluster
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"  # or `uv run` makes workers build a venv
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[store.ObjectStore]:
    """Run a real S3 store, which this process and its children use from here on, and no other."""
    folder = tmp_path_factory.mktemp("object-store")
    if not store.allows_attributes(folder):
        # Some temporary file systems cannot; the checkout lies on a disk.
        cache = REPOSITORY / ".pytest_cache"
        cache.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="object-store-", dir=cache))
    with store.running(folder) as running, pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        for name, value in running.env.items():
            environment.setenv(name, value)
        yield running
    shutil.rmtree(folder / "devices")


@pytest.fixture(scope="session")
def s3_client(object_store: store.ObjectStore) -> Any:
    """Make a client that is not the one `csn` uses."""
    return get_session().create_client("s3")


@pytest.fixture
def bucket(s3_client: Any) -> str:
    """Make an empty bucket, and give its address."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3_client.create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture(scope="session")
def local_ray(object_store: store.ObjectStore) -> Iterator[None]:
    """Run a Ray of this machine's own, with two CPUs; its workers see the object store."""
    import ray

    import csn.distributed  # sets what Ray reads  # noqa: F401

    # Unix sockets lie far below this folder, and their paths may have about 100 characters.
    base = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="csn-", dir=base if len(base) <= 20 else "/tmp"))
    with pytest.MonkeyPatch.context() as environment:
        # Nobody reads its workers' logs, of which there come to be hundreds: the monitor that
        # looks at each of them ten times a second would take a sixth of two cores.
        environment.setenv("RAY_LOG_MONITOR_MANY_FILES_THRESHOLD", "0")
        environment.setenv("LOG_NAME_UPDATE_INTERVAL_S", "1e9")
        ray.init(
            num_cpus=2,
            object_store_memory=512 * 2**20,
            include_dashboard=True,  # without it, Train and Tune do not clean up
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=str(folder),
        )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_fixtures() -> Path:
    """Folder of real data (one cut Slakh track, rows of MSD and Dim-sim)."""
    folder = REPOSITORY.parent / "shared" / "fixtures"
    if not folder.is_dir():
        pytest.skip("the shared fixtures are not beside this checkout")
    return folder
