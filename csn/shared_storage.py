"""What several writers of one folder need of it: to create, to list with digests, to wait.

Conventions
-----------
`create` is the one operation on which two processes can agree: of all that create one file, one
succeeds. Locally that is a hard link, on object storage a conditional write (``If-None-Match``).
"""

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from csn import object_storage, storage
from csn.errors import StorageError

T = TypeVar("T")
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as a listing tells of it."""

    uri: str
    size: int
    digest: str
    """Changes with the content: the store's ETag, or of size and time of a local file."""
    modified_s: float
    """Seconds since 1970 by the store's own clock."""


def create(uri: str, data: bytes) -> bool:
    """Write a file atomically unless one is there; whether it was written."""
    with storage.explained(uri, "writing"):
        if storage.is_on_s3(uri):
            return object_storage.create(uri.removeprefix("s3://"), data)
        path = Path(uri).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.parent / f".{uuid.uuid4().hex}.partial"
        try:
            partial.write_bytes(data)
            os.link(partial, path)
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True


def check_creates(folder_uri: str) -> None:
    """Raise StorageError unless `create` below the folder lets only the first writer pass."""
    probe = storage.join(folder_uri, f"probe-{uuid.uuid4().hex}")
    # The first may find its own: when an answer is lost, the client asks again.
    create(probe, b"")
    is_twice = create(probe, b"")
    storage.remove(probe)
    if is_twice:
        raise StorageError(
            f"{folder_uri}: this store writes over a file although it was asked not to "
            "(If-None-Match); two runs at once could undo each other's work. Use a store with "
            "conditional writes (AWS S3, Swift, MinIO and R2 have them)"
        )


def list_files(folder_uri: str, after: str = "") -> Iterator[StoredFile]:
    """Every file below a folder, at any depth, those of object storage sorted.

    Parameters
    ----------
    after : str
        Only files of names (relative to the folder) that are sorted behind this one.
    """
    with storage.explained(folder_uri, "listing"):
        if storage.is_on_s3(folder_uri):
            bucket, _, prefix = folder_uri.removeprefix("s3://").partition("/")
            prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
            behind = prefix + after if after else ""
            for item in object_storage.list_objects(bucket, prefix, behind):
                yield _of_object(bucket, item)
            return
        base = Path(folder_uri).expanduser().absolute()
        for folder, _, names in os.walk(base, onerror=_unless_missing):
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118  Path is slow, a million times
                if not name.endswith(".partial") and (not after or path > str(base / after)):
                    yield from _of_local(path)


def list_folder(folder_uri: str) -> Iterator[StoredFile]:
    """Every file directly in a folder; `folder_uri` ends where its files' names begin."""
    with storage.explained(folder_uri, "listing"):
        if storage.is_on_s3(folder_uri):
            bucket, _, prefix = folder_uri.removeprefix("s3://").partition("/")
            for item in object_storage.list_objects(bucket, prefix, delimiter="/"):
                yield _of_object(bucket, item)
            return
        try:
            entries = sorted(os.scandir(folder_uri), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.is_file():
                yield from _of_local(entry.path)


def _of_object(bucket: str, item: dict) -> StoredFile:
    return StoredFile(
        f"s3://{bucket}/{item['Key']}",
        int(item["Size"]),
        str(item["ETag"]).strip('"'),
        item["LastModified"].timestamp(),
    )


def _of_local(path: str) -> Iterator[StoredFile]:
    try:
        found = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:  # removed while it was listed, or a link that leads nowhere
        return
    digest = hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode()).hexdigest()[:16]
    yield StoredFile(path, found.st_size, digest, found.st_mtime)


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def is_passing(error: BaseException) -> bool:
    """Whether the store may answer later what it failed to answer now."""
    cause = error.__cause__ if isinstance(error, StorageError) else error
    return cause is not None and object_storage.is_passing(cause)


def concerns_all(error: BaseException) -> bool:
    """Whether a refusal has to do with us (credentials, clock, bucket), not with one file."""
    cause = error.__cause__ if isinstance(error, StorageError) else error
    return cause is not None and object_storage.concerns_all(cause)


def patiently(function: Callable[[], T], patience_s: float) -> T:
    """Call `function`, again and again for `patience_s` while the store fails in passing.

    Patience begins with the first failure, however long a call went well before it.
    """
    deadline, pause_s = 0.0, FIRST_PAUSE_S
    while True:
        try:
            return function()
        except StorageError as error:
            deadline = deadline or time.monotonic() + patience_s
            if not is_passing(error) or time.monotonic() + pause_s > deadline:
                raise
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
