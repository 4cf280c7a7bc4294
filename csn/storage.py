"""Folders and object storage behind one kind of address; nothing else knows which of them it is.

Conventions
-----------
An address (URI) is a ``str``: a local path, or ``s3://bucket/key``. Writes are atomic: a reader
sees the old content or the new one, never a part of it. Listings are sorted and never cached,
since other processes write too. A folder is what lies below it: one that is not there is empty.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from io import BufferedReader
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from csn import object_storage
from csn.errors import StorageError
from csn.manifests import Manifest, digest, from_json, utc_now

__all__ = [
    "Manifest",
    "absolute",
    "check_writable",
    "digest",
    "exists",
    "explained",
    "is_on_s3",
    "join",
    "list_folders",
    "list_uris",
    "open_read",
    "read_bytes",
    "read_json",
    "read_manifest",
    "read_table",
    "remove",
    "utc_now",
    "write_bytes",
    "write_json",
    "write_manifest",
    "write_table",
]

_S3 = "s3://"
_PARTIAL = ".partial"
"""End of the hidden name under which a local file is written before it is renamed."""


def absolute(uri: str) -> str:
    """`uri` as any process on any node understands it: a local path made absolute.

    Examples
    --------
    >>> absolute("s3://bucket/experiments")
    's3://bucket/experiments'
    """
    return uri if is_on_s3(uri) else str(_path(uri))


def join(uri: str, *names: str) -> str:
    """`uri` with `names` below it.

    Examples
    --------
    >>> join("s3://bucket/", "experiments", "demo")
    's3://bucket/experiments/demo'
    """
    return "/".join([uri.rstrip("/"), *names])


def exists(uri: str) -> bool:
    """Whether a file, or anything below a folder, is there; a missing bucket is a StorageError."""
    with explained(uri, "looking"):
        if not is_on_s3(uri):
            return _path(uri).exists()
        try:
            object_storage.client().info(_key(uri))
        except FileNotFoundError as error:
            if object_storage.code(error) == "NoSuchBucket":
                raise
            return False
        return True


def read_bytes(uri: str) -> bytes:
    """Whole content of one file."""
    with explained(uri, "reading"):
        if is_on_s3(uri):
            return object_storage.read(_key(uri))
        return _path(uri).read_bytes()


@contextmanager
def open_read(uri: str) -> Iterator[BufferedReader]:
    """Open one file to read pieces of it; what goes wrong inside is told as in `read_bytes`."""
    with explained(uri, "reading"):
        file = object_storage.open_read(_key(uri)) if is_on_s3(uri) else _path(uri).open("rb")
        with file:
            yield file


def write_bytes(uri: str, data: bytes | pa.Buffer) -> None:
    """Write one file atomically, over what was there; missing folders are made."""
    with explained(uri, "writing"):
        _write(uri, data)


def read_json(uri: str) -> Any:
    """Content of a JSON file."""
    try:
        return json.loads(read_bytes(uri))
    except ValueError as error:
        raise StorageError(f"{uri}: not a JSON file ({error}); was it edited by hand?") from error


def write_json(uri: str, value: Any) -> None:
    """Write `value` as JSON, atomically."""
    write_bytes(uri, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_table(uri: str, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
    """Read one Parquet file, or all ``*.parquet`` below a folder in the order of their names.

    Parameters
    ----------
    uri : str
        File or folder. Folders called ``name=value`` below it become columns of strings.
    columns : sequence of str, optional
        Read these alone.
    filters : expression or list of tuples, optional
        Rows to keep, as in `pyarrow.parquet.read_table`.
    """
    one_file = uri.endswith(".parquet")
    files = [absolute(uri)] if one_file else list_uris(uri, ".parquet")
    if not files:
        raise StorageError(
            f"{uri}: no *.parquet below it; expected the output of an earlier stage "
            "(has it finished, and is the root right?)"
        )
    base = files[0].rpartition("/")[0] if one_file else absolute(uri).rstrip("/")
    folders = files[0].removeprefix(base).split("/")[:-1]
    partitions = [folder.partition("=")[0] for folder in folders if "=" in folder]
    keep = pq.filters_to_expression(filters) if isinstance(filters, list) else filters
    with explained(uri, "reading"):
        dataset = ds.dataset(
            [_key(file) for file in files],
            format="parquet",
            filesystem=_arrow_filesystem(uri),
            partitioning=ds.partitioning(
                pa.schema([(name, pa.string()) for name in partitions]), flavor="hive"
            ),
            partition_base_dir=_key(base),
        )
        return dataset.to_table(columns=None if columns is None else list(columns), filter=keep)


def write_table(uri: str, table: pa.Table, row_group_size: int | None = None) -> None:
    """Write one Parquet file atomically, in groups of `row_group_size` rows."""
    # Of audio, neither a dictionary nor the least and greatest value is of use: half the time.
    # Parquet names lists by their leaves, so the columns are listed only where there is audio.
    names = [field.name for field in table.schema if not pa.types.is_large_binary(field.type)]
    plain = names if len(names) < len(table.schema) else True
    sink = pa.BufferOutputStream()
    options: Any = {"use_dictionary": plain, "write_statistics": plain}
    pq.write_table(table, sink, row_group_size=row_group_size, **options)
    write_bytes(uri, sink.getvalue())


def list_uris(uri: str, suffix: str = "") -> list[str]:
    """All files below a folder, at any depth, whose names end with `suffix`, sorted."""
    with explained(uri, "listing"):
        if is_on_s3(uri):
            below = _key(uri).rstrip("/") + "/"
            found = object_storage.client().find(below)
            # A key that ends with / marks a folder; a file is found where one of that name is.
            names = [_S3 + name for name in found if name.startswith(below) and name[-1] != "/"]
        else:
            names = [
                str(Path(folder, name))
                for folder, _, names in os.walk(_path(uri), onerror=_unless_missing)
                for name in names
                if not name.endswith(_PARTIAL)
            ]
    return sorted(name for name in names if name.endswith(suffix))


def list_folders(uri: str) -> list[str]:
    """Folders directly below `uri`, sorted."""
    with explained(uri, "listing"):
        try:
            if is_on_s3(uri):
                found = object_storage.client().ls(_key(uri), detail=True)
                return sorted(_S3 + item["name"] for item in found if item["type"] == "directory")
            return sorted(str(item) for item in _path(uri).iterdir() if item.is_dir())
        except FileNotFoundError as error:
            if object_storage.code(error) == "NoSuchBucket":
                raise
            return []


def remove(uri: str) -> None:
    """Remove a file, or a folder and all below it; what is not there is no fault."""
    with explained(uri, "removing"):
        if is_on_s3(uri):
            bucket, _, key = _key(uri).rstrip("/").partition("/")
            if not key:
                raise StorageError(f"{uri}: a whole bucket; name what is to be removed in it")
            if left := object_storage.remove(bucket, key):
                raise StorageError(
                    f"{uri}: {len(left)} objects cannot be removed ({left[0]}); "
                    "may this key delete there?"
                )
            return
        path = _path(uri)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def check_writable(uri: str) -> None:
    """Raise StorageError unless a file can be written below `uri`; to be asked before any work."""
    with explained(uri, "writing"):
        probe = join(uri, f".{uuid.uuid4().hex}{_PARTIAL}")
        _write(probe, b"")
    remove(probe)


def write_manifest(uri: str, manifest: Manifest) -> None:
    """Write `manifest`; the last write of a result."""
    write_json(uri, asdict(manifest))


def read_manifest(uri: str) -> Manifest:
    """Read what `write_manifest` wrote, strictly."""
    text = read_bytes(uri)
    try:
        return from_json(text)
    except ValueError as error:
        raise StorageError(
            f"{uri}: not a manifest of this version ({error}); was it written by another?"
        ) from error


def is_on_s3(uri: str) -> bool:
    """Whether an address is one of object storage; StorageError where it is no address."""
    scheme, colon, rest = uri.partition(":")
    if not uri or (colon and "/" not in scheme and rest.startswith("/") and scheme != "s3"):
        raise StorageError(f"{uri!r}: expected a local path or s3://bucket/key")
    if scheme == "s3" and colon:
        if not uri.startswith(_S3) or not uri.removeprefix(_S3).split("/")[0]:
            raise StorageError(f"{uri!r}: expected s3://bucket/key")
        return True
    return False


def _path(uri: str) -> Path:
    return Path(uri).expanduser().absolute()


def _key(uri: str) -> str:
    """Bucket and key, as s3fs and Arrow name an object; a local path stays as it is."""
    return uri.removeprefix(_S3)


def _write(uri: str, data: bytes | pa.Buffer) -> None:
    if is_on_s3(uri):
        object_storage.client().pipe_file(_key(uri), bytes(data))
        return
    path = _path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{uuid.uuid4().hex}{_PARTIAL}"
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _arrow_filesystem(uri: str) -> pafs.FileSystem:
    if is_on_s3(uri):
        return pafs.PyFileSystem(pafs.FSSpecHandler(object_storage.client()))
    return pafs.LocalFileSystem()


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def explained(uri: str, doing: str) -> Iterator[None]:
    """Turn what goes wrong inside into a StorageError that says what to try."""
    try:
        yield
    except pa.ArrowException as error:
        raise StorageError(
            f"{uri}: not a table as expected ({str(error).splitlines()[0]}); "
            "was it written by another version?"
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and not is_on_s3(uri):
            raise StorageError(f"{uri}: {_explanation(doing, error)}") from error
        if is_on_s3(uri) and isinstance(error, object_storage.faults()):
            bucket = _key(uri).partition("/")[0]
            reason = object_storage.explanation(bucket, doing, error)
            raise StorageError(f"{uri}: {reason}") from error
        raise


def _explanation(doing: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and doing == "reading":
        return "no such file (reading); is the stage that writes it finished, and the root right?"
    why = error.strerror or str(error)
    if doing == "writing":
        return f"the folder cannot be written ({why}); choose another, or correct its permissions"
    return f"{doing} failed ({why}); are its permissions right?"
