"""How a configuration checks itself and refuses what it does not know."""

import math
import re

from pydantic import ConfigDict

from csn.errors import ConfigError


class Strict:
    """Makes pydantic refuse unknown keys; a dataclass can only be told through its class."""

    __slots__ = ()
    __pydantic_config__ = ConfigDict(extra="forbid")


def check(holds: bool, message: str) -> None:
    """Raise ConfigError with `message` unless `holds`."""
    if not holds:
        raise ConfigError(message)


def check_name(field: str, name: str) -> None:
    """Refuse what is no name of one folder."""
    check(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None,
        f"{field}={name!r} must be letters, digits, '.', '_' and '-', and begin with no mark",
    )


def check_range(field: str, value: float, low: float, high: float = math.inf) -> None:
    """Refuse what is no number from `low` to `high`, both allowed."""
    upto = f" and at most {high:g}" if high < math.inf else ""
    check(
        math.isfinite(value) and low <= value <= high,
        f"{field}={value} must be a number of at least {low:g}{upto}",
    )
