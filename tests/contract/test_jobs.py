"""Rules that hold for every job."""

import ast
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path
from pkgutil import resolve_name

import pytest

import csn.config
from csn import cli, recipes
from csn.config import CatalogueConfig, ExperimentConfig

REPOSITORY = Path(__file__).parents[2]
MAX_LINES_OF_CODE = 12
PROGRAMS = ("uv run", "ray job submit")

every_job = pytest.mark.parametrize(
    "job", sorted(REPOSITORY.glob("jobs/*.py")), ids=lambda path: path.stem
)


def commands(job: Path) -> list[str]:
    """Commands in a job's docstring; a line that ends with a backslash goes on in the next."""
    text = ast.get_docstring(ast.parse(job.read_text())) or ""
    lines = [" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith(PROGRAMS)]


@every_job
def test_job_says_in_a_sentence_what_it_does(job):
    text = ast.get_docstring(ast.parse(job.read_text()))
    assert text
    first, _, rest = text.partition("\n")
    assert first.endswith(".")
    assert rest.startswith("\n")


def own_kind(job: Path) -> type | None:
    """Class of what a job takes that no recipe stands for; none for those that take recipes."""
    found = re.search(r"partial\(cli\.options, (\w+)\)", job.read_text())
    return getattr(csn.config, found[1]) if found else None


def required_options(kind: type) -> set[str]:
    return {f"--{field.name}" for field in fields(kind) if field.default is MISSING}


@every_job
def test_first_command_has_no_option_that_is_not_needed(job):
    program, *options = shlex.split(commands(job)[0].replace("--extra onnx ", ""))[2:]
    assert program == f"jobs/{job.name}"
    kind = own_kind(job)
    needed = required_options(kind) if kind else set()
    named = {word for word in options if word.startswith("--")}
    assert named - {"--weights"} == needed  # a search without weights would not show what it is


@every_job
def test_commands_in_the_docstring_work_as_they_stand(job):
    script = f"jobs/{job.name}"
    found = commands(job)
    assert len(found) >= 2
    for command in found:
        words = shlex.split(command)
        assert words.count(script) == 1, f"more than one command in a line: {command}"
        arguments = words[words.index(script) + 1 :]
        if kind := own_kind(job):
            cli.options(kind, arguments)
            continue
        for config in configurations(job, arguments):
            assert config.name in recipes.ALL


def configurations(job: Path, arguments: list[str]) -> list[ExperimentConfig]:
    """What a job makes of `arguments`: an experiment, a sweep's, or the recipes it compares."""
    if "read=cli.sweep" in job.read_text():
        return [cli.sweep(arguments).config]
    if "read=cli.embedding" in job.read_text():
        config = cli.embedding(arguments)
        is_catalogue = isinstance(config, CatalogueConfig)
        return [cli.experiment([]) if is_catalogue else config]
    if "read=cli.comparison" not in job.read_text():
        return [cli.experiment(arguments)]
    compared = cli.comparison(arguments)
    return [replace(config, name=recipe) for recipe, config in compared.recipes.items()]


@every_job
def test_job_holds_no_logic(job):
    tree = ast.parse(job.read_text())
    code = "\n".join(ast.unparse(node) for node in tree.body if not is_text(node))
    assert len(code.splitlines()) <= MAX_LINES_OF_CODE
    loops = (ast.For, ast.While, ast.Try, ast.With, ast.ListComp, ast.ClassDef, ast.FunctionDef)
    branches = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    assert not [node for node in ast.walk(tree) if isinstance(node, loops)]
    assert [ast.unparse(node.test) for node in branches] == ["__name__ == '__main__'"]


@every_job
def test_job_calls_the_command_line_with_its_own_docstring(job):
    (main,) = [n for n in ast.parse(job.read_text()).body if isinstance(n, ast.If)]
    (call,) = main.body
    assert ast.unparse(call).startswith("cli.main(")
    assert "__doc__" in ast.unparse(call)
    assert callable(resolve_name(ast.literal_eval(call.value.args[0])))


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@every_job
def test_job_shows_its_help_and_does_nothing_else(job, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(job), "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(job), run_name="__main__")
    assert not left.value.code
    lines = capsys.readouterr().out.replace("\\\n", " ").splitlines()
    shown = [" ".join(line.split()) for line in lines]
    assert all(command in shown for command in commands(job))  # each on a line of its own
    kind = own_kind(job)
    assert (f"--{fields(kind)[-1].name}" if kind else "--loss.margin") in " ".join(shown)
    assert not list(tmp_path.iterdir())


SLOW_TO_IMPORT = ("ray", "torch", "sklearn", "scipy.signal", "matplotlib")
HELP = f"""
import contextlib, os, runpy, sys
for job in sys.argv[1:]:
    sys.argv = [job, "--help"]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        with contextlib.suppress(SystemExit):
            runpy.run_path(job, run_name="__main__")
print([name for name in {SLOW_TO_IMPORT} if name in sys.modules])
"""


def test_help_waits_for_nothing_that_is_slow_to_import():
    jobs = map(str, sorted(REPOSITORY.glob("jobs/*.py")))
    shown = subprocess.run(
        [sys.executable, "-c", HELP, *jobs], check=True, capture_output=True, text=True
    )
    assert shown.stdout.strip() == "[]"
