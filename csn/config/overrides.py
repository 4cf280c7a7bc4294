"""A configuration with some fields changed, which are named as on the command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from csn.config.experiment import ExperimentConfig
from csn.errors import ConfigError


def with_overrides(config: ExperimentConfig, values: Mapping[str, Any]) -> ExperimentConfig:
    """Give `config` other values in the fields that `values` names, all of them at once.

    Parameters
    ----------
    values : mapping of dotted name to value
        Values are what JSON has: lists stand for tuples.

    Raises
    ------
    ConfigError
        An unknown field, a value of another type, or one that the configuration refuses.

    Examples
    --------
    >>> config = with_overrides(ExperimentConfig(name="a"), {"loss.margin": 0.3})
    >>> config.loss.margin
    0.3
    """
    nested: dict[str, Any] = {}
    for name, value in values.items():
        _checked_owner(config, name)
        *sections, last = name.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = (name, value)
    try:
        return _replaced(config, nested)
    except ConfigError as error:
        told = ", ".join(f"{name}={json.dumps(value)}" for name, value in values.items())
        raise ConfigError(f"{error} (with {told})") from error


def value_of(config: ExperimentConfig, name: str) -> Any:
    """Value of the field with a dotted `name`; ConfigError where there is no such field."""
    owner = _checked_owner(config, name)
    return getattr(owner, name.rpartition(".")[2])


def _checked_owner(config: ExperimentConfig, name: str) -> Any:
    """Section of `config` that has the field `name`, which is no section itself."""
    owner: Any = config
    parts = name.split(".")
    for place, part in enumerate(parts):
        known = [field.name for field in fields(owner)]
        if part not in known:
            raise ConfigError(
                f"{name}: {type(owner).__name__} has no field {part!r}; it has {', '.join(known)}"
            )
        value = getattr(owner, part)
        is_last = place == len(parts) - 1
        if is_last and is_dataclass(value):
            inner = ", ".join(f"{name}.{field.name}" for field in fields(value))
            raise ConfigError(f"{name} is a section; name one of its fields: {inner}")
        if not is_last and not is_dataclass(value):
            raise ConfigError(f"{name}: {'.'.join(parts[: place + 1])} is a field, and has none")
        owner = owner if is_last else value
    return owner


def _replaced(owner: Any, nested: Mapping[str, Any]) -> Any:
    changes = {
        field: _replaced(getattr(owner, field), value)
        if isinstance(value, dict)
        else _typed(type(owner), field, *value)
        for field, value in nested.items()
    }
    return replace(owner, **changes)


def _typed(owner: type, field: str, name: str, value: Any) -> Any:
    """`value` as the field's type has it; no conversions but those that JSON needs."""
    try:
        return _adapter(owner, field).validate_json(json.dumps(_plain(value)), strict=True)
    except ValidationError as error:
        faults: Sequence[Any] = error.errors(include_url=False)
        told = "; ".join(dict.fromkeys(str(fault["msg"]) for fault in faults))
        raise ConfigError(f"{name}={value!r}: {told}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}={value!r} is no value of a configuration") from error


def _plain(value: Any) -> Any:
    """Numbers of NumPy and their like as Python's own."""
    return value.item() if hasattr(value, "item") else value


@cache
def _adapter(owner: type, field: str) -> Any:
    return TypeAdapter(get_type_hints(owner)[field])
