"""The README's tree and the files agree.

The tree is the first fenced block below ``## The tree``: one name a line, two spaces deeper than
the folder it lies in, folders with a slash at their end, then two spaces or more and a comment.
What a listed folder holds is listed too, or none of it is.
"""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def tree() -> list[str]:
    """Paths that the README lists, in its order; folders end with a slash."""
    _, heading, rest = (REPOSITORY / "README.md").read_text().partition("\n## The tree\n")
    assert heading, "README.md has no heading '## The tree'"
    block = rest.split("```")[1].split("\n")[1:]
    paths: list[str] = []
    open_folders: list[str] = []
    for line in block:
        if not line.strip():
            continue
        depth, odd = divmod(len(line) - len(line.lstrip()), 2)
        assert not odd, f"{line!r} is not indented by steps of two spaces"
        assert depth <= len(open_folders), f"{line!r} lies in no folder"
        name, _, comment = line.strip().partition("  ")
        assert comment.strip(), f"{line!r} has no comment"
        path = "".join([*open_folders[:depth], name])
        paths.append(path)
        open_folders = (
            [*open_folders[:depth], name] if name.endswith("/") else open_folders[:depth]
        )
    return paths


def files(folder: str) -> list[str]:
    """Files of `folder` that say something: no caches, no package markers."""
    return sorted(
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "__init__.py"
    )


def test_every_file_of_the_tree_exists():
    for path in tree():
        found = REPOSITORY / path
        assert found.is_dir() if path.endswith("/") else found.is_file(), f"there is no {path}"


def test_no_file_is_listed_twice():
    assert len(tree()) == len(set(tree()))


@pytest.mark.parametrize("folder", ["csn", "jobs", "tune_spaces"])
def test_every_file_is_in_the_tree(folder):
    listed = tree()
    parents = {path.rstrip("/").rpartition("/")[0] + "/" for path in listed}
    whole = tuple(path for path in listed if path.endswith("/") and path not in parents)
    missing = [path for path in files(folder) if path not in listed and not path.startswith(whole)]
    assert not missing, f"README.md's tree lacks {', '.join(missing)}"
