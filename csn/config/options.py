"""Configurations from the words of a command line, as tyro reads them."""

import contextlib
import io
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from csn.errors import ConfigError

Kind = TypeVar("Kind")
_registry = ConstructorRegistry()
_COMMANDS = re.compile(r"^uv run .+(?:\n.+)*", re.MULTILINE)
"""A paragraph of commands, which tyro would join to one line unless it is indented."""


def read_options(
    kind: type[Kind], base: Kind | None, options: Sequence[str], description: str
) -> Kind:
    """Read ``--field value ...`` over `base`, or all of a `kind` that has no base.

    Prints the help and leaves where that is asked.

    Raises
    ------
    ConfigError
        Unknown or missing option, or a value that does not fit.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return tyro.cli(
                kind,
                default=tyro.MISSING_NONPROP if base is None else base,
                args=list(options),
                description=_COMMANDS.sub(_indented, description),
                config=(tyro.conf.FlagConversionOff,),
                use_underscores=True,
                registry=_registry,
            )
    except SystemExit as error:
        if not error.code:
            sys.stdout.write(said.getvalue())
            raise
        raise ConfigError(_own_message(error) or _one_line(said.getvalue())) from error


def _indented(commands: re.Match[str]) -> str:
    return textwrap.indent(commands[0], "    ")


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
