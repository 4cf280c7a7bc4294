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
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from csn import recipes
from csn.config import ExperimentConfig
from csn.errors import ConfigError, CsnError, TrainingError

log = logging.getLogger("csn")

DEFAULT_RECIPE = "demo"

_registry = ConstructorRegistry()


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
                use_underscores=True,
                registry=_registry,
            )
    except SystemExit as error:
        if not error.code:
            sys.stdout.write(said.getvalue())
            raise
        message = _own_message(error) or _one_line(said.getvalue())
        raise ConfigError(f"{message} (recipe {name}; see --help)") from error


@_registry.primitive_rule
def _none_in_lower_case(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[None] | None:
    """Let ``none`` stand for None, as the help texts write it."""
    if info.type is not type(None):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="none",
        choices=("none", "None"),
        instance_from_str=lambda _: None,
        is_instance=lambda value: value is None,
        str_from_instance=lambda _: ["none"],
    )


def _own_message(error: BaseException) -> str:
    """Message of the check of our own that refused the values, if one did."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ConfigError):
        seen = seen.__cause__ or seen.__context__
    return "" if seen is None else str(seen)


def _one_line(message: str) -> str:
    """Say in a line what tyro says in a box: title, fault and hints, with rules between them."""
    _, fault, *hints = re.split(r"\n *-{5,} *\n", f"{message}\n----- \n")
    fault = " ".join(fault.partition("Got errors:")[0].split())
    fault = fault.removeprefix("Error parsing ").rstrip(". ")
    alike = [
        option
        for hint in hints
        if hint.split()[:1] in (["Perhaps"], ["Arguments"])
        for option in re.findall(r"^ +(--[\w.]+)", hint, re.MULTILINE)
    ]
    return f"{fault}; did you mean {' or '.join(alike[:3])}?" if alike else fault
