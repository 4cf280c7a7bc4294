"""Search spaces from their files, and what in a file is wrong."""

import math
import tomllib
from pathlib import Path
from typing import Any, get_args

from csn.errors import ConfigError
from csn.search_space.space import Kind, Search, SearchSpace, Varied

_KEYS = ("metric", "mode", "num_samples", "search", "keep_start", "space")


def load_search_space(path: str | Path) -> SearchSpace:
    """Read a space from its file; ConfigError says what in it is wrong."""
    path = Path(path)
    try:
        text = path.read_text()
    except OSError as error:
        beside = sorted(str(other) for other in path.parent.glob("*.toml"))
        known = f"; there are {', '.join(beside)}" if beside else ""
        raise ConfigError(f"{path}: {error.strerror}{known}") from error
    try:
        return read_search_space(path.stem, text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_search_space(name: str, text: str) -> SearchSpace:
    """Read a space from the text of its file."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from error
    if unknown := [key for key in table if key not in _KEYS]:
        raise ConfigError(f"unknown {', '.join(unknown)}; there are {', '.join(_KEYS)}")
    metric, mode = table.get("metric"), table.get("mode", "max")
    metrics = [metric] if isinstance(metric, str) else metric
    if not isinstance(metrics, list) or not metrics or not all(map(_is_text, metrics)):
        raise ConfigError(f"metric={metric!r} must be the name of a metric, or a list of names")
    if mode not in ("max", "min"):
        raise ConfigError(f"mode={mode!r} must be max or min")
    search: Any = table.get("search", "optuna")
    if search not in get_args(Search):
        raise ConfigError(f"search={search!r}: there are {', '.join(get_args(Search))}")
    num_samples: Any = table.get("num_samples")
    keep_start = table.get("keep_start", False)
    if not _is_int(num_samples) or num_samples < 1:
        raise ConfigError(f"num_samples={num_samples!r} must be a whole number of at least 1")
    if not isinstance(keep_start, bool):
        raise ConfigError(f"keep_start={keep_start!r} must be true or false")
    space = table.get("space")
    if not isinstance(space, dict) or not space:
        raise ConfigError("[space] must name one field or more")
    return SearchSpace(
        name=name,
        question=_leading_comment(text),
        metrics=tuple(metrics),
        mode=mode,
        num_samples=num_samples,
        search=search,
        keep_start=keep_start,
        fields=tuple(_varied(field, entry) for field, entry in space.items()),
    )


def _varied(name: str, entry: Any) -> Varied:
    kinds = get_args(Kind)
    if (
        not isinstance(entry, dict)
        or len(set(entry) & set(kinds)) != 1
        or set(entry)
        - {
            *kinds,
            "when",
        }
    ):
        raise ConfigError(
            f"{name} must be a table of one of {', '.join(kinds)}, and perhaps when; "
            "a name with dots stands in quotes"
        )
    ((kind, values),) = ((k, v) for k, v in entry.items() if k != "when")
    when = entry.get("when", {})
    if not isinstance(when, dict):
        raise ConfigError(f"{name}: when={when!r} must be a table of fields and values")
    conditions = tuple(
        (other, tuple(allowed) if isinstance(allowed, list) else (allowed,))
        for other, allowed in when.items()
    )
    return Varied(name, kind, _checked_values(name, kind, values), conditions)


def _checked_values(name: str, kind: Kind, values: Any) -> tuple[Any, ...]:
    told = f"{name}: {kind}={values!r} must be"
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{told} a list of values")
    if kind == "choice":
        return tuple(values)
    if not all(_is_number(value) for value in values):
        raise ConfigError(f"{told} numbers")
    if kind == "grid":
        if sorted(set(values)) != values:
            raise ConfigError(f"{told} different numbers in rising order")
        return tuple(values)
    if kind == "integer":
        low, high, step = (*values, 1)[:3] if len(values) in (2, 3) else (0, 0, 0)
        if not all(map(_is_int, values)) or not (low < high and step >= 1):
            raise ConfigError(f"{told} two whole numbers, the lower first, and perhaps a step")
        return low, high, step
    if len(values) != 2 or not values[0] < values[1]:
        raise ConfigError(f"{told} two numbers, the lower first")
    if kind == "loguniform" and values[0] <= 0:
        raise ConfigError(f"{told} greater than 0")
    return tuple(map(float, values))


def _leading_comment(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return " ".join(lines)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))
