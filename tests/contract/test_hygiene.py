"""Rules of the house that no other tool holds."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FOLDERS = ("csn", "jobs", "tests", "tune_spaces", ".ci", ".kuberay")
MAX_LINES = 330
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}


def sources(*folders: str) -> list[Path]:
    """Text files of the project's own below `folders`."""
    return sorted(
        path
        for folder in folders
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


@pytest.mark.parametrize("folder", ["csn", "jobs"])
def test_files_are_short_enough_to_read(folder):
    lengths = {path: len(path.read_text().splitlines()) for path in sources(folder)}
    long = [f"{path.name}: {n}" for path, n in lengths.items() if n > MAX_LINES]
    assert not long, f"more than {MAX_LINES} lines: {', '.join(long)}"


def test_files_are_named_after_what_they_hold():
    empty = [path.name for path in sources("csn", "jobs", "tests") if path.stem in EMPTY_NAMES]
    assert not empty


def test_no_file_names_a_path_of_this_machine():
    here = re.compile(rf"(?<![\w.]){re.escape(str(REPOSITORY))}\b")
    top = [path for path in REPOSITORY.iterdir() if path.is_file() and path.name != "uv.lock"]
    naming = [
        path.relative_to(REPOSITORY).as_posix()
        for path in [*top, *sources(*FOLDERS)]
        if here.search(path.read_text(errors="ignore"))
    ]
    assert not naming
