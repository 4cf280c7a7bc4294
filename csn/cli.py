"""The command line of the jobs: a recipe's name, options that override it, exit codes.

Conventions
-----------
Exit codes: 0 done; 1 the run failed; 2 the input or the configuration is wrong, with one line on
stderr and no traceback.
"""

import contextlib
import io
import logging
import re
import sys
from collections.abc import Callable, Sequence

import tyro

from csn import recipes
from csn.config import ExperimentConfig
from csn.errors import ConfigError, CsnError, TrainingError

log = logging.getLogger("csn")

DEFAULT_RECIPE = "demo"


def main(job: Callable[[ExperimentConfig], str], description: str) -> None:
    """Run `job` on the experiment that the command line names, and leave with its exit code.

    Parameters
    ----------
    job : callable
        Does the work and returns the address of what it made.
    description : str
        Shown by ``--help``.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    try:
        config = experiment(sys.argv[1:], description)
        written = job(config)
    except TrainingError as error:
        _fail(1, error)
    except CsnError as error:
        _fail(2, error)
    else:
        log.info("wrote %s", written)


def _fail(code: int, error: CsnError) -> None:
    line = " ".join(str(error).split())
    sys.stderr.write(f"error: {line}\n")
    sys.exit(code)


def experiment(arguments: Sequence[str], description: str = "") -> ExperimentConfig:
    """Read ``[RECIPE] [--field value ...]``; without a recipe it is `demo`.

    Raises
    ------
    ConfigError
        Unknown recipe or option, or a value that does not fit.
    """
    rest = list(arguments)
    name = rest.pop(0) if rest and not rest[0].startswith("-") else DEFAULT_RECIPE
    if name not in recipes.ALL:
        raise ConfigError(f"unknown recipe {name!r}; there are {', '.join(recipes.ALL)}")
    if {"-h", "--help"} & set(rest):
        known = "\n".join(f"  {n}: {r.__doc__}" for n, r in recipes.ALL.items())
        description = f"{description}\n\nRecipes (the first word; {name} is shown):\n{known}"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return tyro.cli(
                ExperimentConfig,
                default=recipes.ALL[name](),
                args=rest,
                description=description,
                config=(tyro.conf.FlagConversionOff,),
            )
    except SystemExit as error:
        if not error.code:
            sys.stdout.write(said.getvalue())
            raise
        raise ConfigError(_one_line(said.getvalue(), name)) from error


def _one_line(message: str, recipe: str) -> str:
    """Fold tyro's framed message into a line."""
    text = re.sub(r"\x1b\[[0-9;]*m|[╭╮╰╯│─]|-{5,}", " ", message)
    return f"{' '.join(text.split())} (recipe {recipe}; see --help)"
