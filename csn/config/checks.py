"""How a configuration checks itself and refuses what it does not know."""

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
