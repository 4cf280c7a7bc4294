"""Names of results, and the note beside each one that says what it was made from.

Conventions
-----------
A digest is twelve hexadecimal digits. A manifest is written last, so that its presence says that a
result is complete. Both are re-exported by `csn.storage`, which writes and reads them.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError


def digest(value: Any) -> str:
    """Short name of a value: equal values have equal digests, on any machine.

    Parameters
    ----------
    value : dataclass, mapping, sequence, str, number, bool or None
        These may be nested.

    Examples
    --------
    >>> digest({"margin": 0.2, "dim": 128}) == digest({"dim": 128.0, "margin": 0.2})
    True
    """
    text = json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a result was made from, with what and when."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    git_commit: str
    """Of the source folder, with ``-dirty`` where files differ; empty outside a checkout."""
    versions: dict[str, str]
    """Of Python and of the packages that results depend on."""
    started_at: str
    """UTC, ISO 8601."""
    finished_at: str
    config_digest: str = ""
    corpus_digest: str = ""
    plan_digest: str = ""
    checkpoint_digest: str = ""
    counts: dict[str, float] = field(default_factory=dict[str, float])
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def finished(cls, started_at: str, **made_from: Any) -> "Manifest":
        """Manifest of a result finished now; `made_from` are the fields that have a default."""
        return cls(
            git_commit=_git_commit(),
            versions=_versions(),
            started_at=started_at,
            finished_at=utc_now(),
            **made_from,
        )


def code_version() -> str:
    """Name the code that runs: its commit, or outside a checkout the version of the package."""
    return _git_commit() or _versions()["csn"]


def utc_now() -> str:
    """Now, in UTC, as ISO 8601 in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _canonical(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _canonical(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {name: _canonical(item) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in cast("list[Any]", value)]
    # Equal numbers, one text: 60 from a recipe and 60.0 read back from JSON name one result.
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def _git_commit() -> str:
    source = Path(__file__).parent.parent
    # Git would find any repository further up, such as one that a virtual environment lies in.
    if not (source / ".git").exists() or shutil.which("git") is None:
        return ""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(describe, cwd=source, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


@cache
def _versions() -> dict[str, str]:
    versions = {"python": python_version()}
    for package in ("csn", "ray", "torch", "numpy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = ""
    return versions


def from_json(text: str | bytes) -> Manifest:
    """Read a manifest, strictly; ValueError names every field that does not fit."""
    try:
        return _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'manifest'}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        )
        raise ValueError("; ".join(faults)) from error


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)
