"""The check of annotations that ``--jaxtyping-packages`` puts around every function of `csn`."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintNonpepException

# As in PEP 484, and for pyright, an int will do where a float is asked for.
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let beartype check calls of `function`, where it can read the annotations.

    It refuses pydantic's ``TypeAdapter[X]``, which pyright needs.
    """
    try:
        return _check(function)
    except BeartypeDecorHintNonpepException:
        return function
