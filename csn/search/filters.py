"""Which tracks are searched, by columns that the catalogue carries along.

Conventions
-----------
A filter is comparisons of a column with a value (``==  !=  <  <=  >  >=``) or with several
(``in``, ``not in``), joined by ``and``, ``or``, ``not`` and parentheses:
``genre in ('rock', 'pop') and year >= 1990``. It is read as an expression of that form and of no
other; nothing in it is ever run. A missing value fulfils no comparison.
"""

import ast
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from csn.errors import ConfigError

MAX_LENGTH = 2_000
_ROW = "number of the row"
"""No name in a filter can be this."""
_COMPARED = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}


def matching(table: pa.Table, where: str) -> pa.Array:
    """Numbers of the rows of `table` that `where` lets through; all, where it is empty.

    Of a column that is not there all values are missing: tracks that were embedded before a
    manifest had it. `check_columns` tells of a column that no track has.

    Raises
    ------
    ConfigError
        It is no filter, or compares a column with a value of another type.
    """
    numbers = pa.array(np.arange(len(table)))
    if not where:
        return numbers
    tree = _parsed(where)
    columns = {}
    for name in sorted(columns_of(where)):
        missing = pa.nulls(len(table), _type_asked(tree, name, where))
        columns[name] = table[name] if name in table.column_names else missing
    try:
        kept = pa.table({**columns, _ROW: numbers}).filter(_expression(tree, where))
    except pa.ArrowException as error:
        types = ", ".join(f"{name} ({columns[name].type})" for name in columns)
        raise ConfigError(
            f"where={where!r} does not fit its columns {types}: {str(error).splitlines()[0]}; "
            "write text in quotes and numbers without"
        ) from error
    return kept[_ROW].combine_chunks()


def columns_of(where: str) -> set[str]:
    """Names of the columns that a filter looks at.

    Examples
    --------
    >>> sorted(columns_of("genre == 'rock' and year >= 1990"))
    ['genre', 'year']
    """
    if not where:
        return set()
    return {node.id for node in ast.walk(_parsed(where)) if isinstance(node, ast.Name)}


def check_columns(where: str, carried: Collection[str]) -> None:
    """Raise ConfigError if `where` names a column that is none of those that tracks carry."""
    if unknown := sorted(columns_of(where) - set(carried)):
        raise ConfigError(
            f"where={where!r} names {', '.join(unknown)}; the catalogue carries "
            f"{', '.join(carried)}"
        )


def check_filter(where: str) -> None:
    """Raise ConfigError unless `where` has the form of a filter, whatever its columns are."""
    if where:
        _expression(_parsed(where), where)


def _parsed(where: str) -> ast.expr:
    if len(where) > MAX_LENGTH:
        raise _no_filter(f"{where[:40]}...", f"{len(where)} characters, at most {MAX_LENGTH} read")
    try:
        return ast.parse(where.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _no_filter(where, str(error).partition("(")[0].strip()) from error


def _expression(node: ast.expr, where: str) -> pc.Expression:
    match node:
        case ast.BoolOp(op=op, values=values):
            joined = _expression(values[0], where)
            for value in values[1:]:
                other = _expression(value, where)
                joined = joined & other if isinstance(op, ast.And) else joined | other
            return joined
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_expression(operand, where)
        case ast.Compare(
            left=ast.Name(id=name), ops=[ast.In() | ast.NotIn() as op], comparators=[right]
        ):
            among = pc.field(name).isin(_values(right, where))
            # Of a missing value nothing is known, so it is not "not in" either.
            return among if isinstance(op, ast.In) else ~among & pc.field(name).is_valid()
        case ast.Compare(left=ast.Name(id=name), ops=[op], comparators=[right]) if (
            type(op) in _COMPARED
        ):
            return _COMPARED[type(op)](pc.field(name), pc.scalar(_value(right, where)))
        case _:
            raise _no_filter(where, f"{ast.unparse(node)!r} is no comparison of a column")


def _type_asked(tree: ast.expr, name: str, where: str) -> pa.DataType:
    """Type of the first value with which a column is compared."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and getattr(node.left, "id", "") == name:
            right = node.comparators[0]
            several = isinstance(node.ops[0], ast.In | ast.NotIn)
            value = _values(right, where)[0] if several else _value(right, where)
            return pa.scalar(value).type
    return pa.null()


def _values(node: ast.expr, where: str) -> Sequence[Any]:
    if isinstance(node, ast.Tuple | ast.List) and node.elts:
        return [_value(item, where) for item in node.elts]
    raise _no_filter(where, f"{ast.unparse(node)!r} is no list of values")


def _value(node: ast.expr, where: str) -> str | float | int | bool:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        value = None
    if not isinstance(value, str | int | float):
        raise _no_filter(where, f"{ast.unparse(node)!r} is no text, number, True or False")
    return value


def _no_filter(where: str, why: str) -> ConfigError:
    return ConfigError(
        f"where={where!r}: {why}; expected comparisons joined by and, or, not, as in "
        "genre == 'rock' and year >= 1990"
    )
