"""Tables whose cells are text, so that the page and the terminal say the same.

Conventions
-----------
Rows that are printed in a paper follow ours and are marked: they are of other audio.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MAX_WIDTH = 109
MISSING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One row, its cells as text."""

    label: str
    cells: tuple[str, ...]
    kind: Literal["ours", "chance", "printed"] = "ours"


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """One table, as a paper has it, with ours in it."""

    title: str
    unit: str
    columns: tuple[str, ...]
    rows: tuple[ComparedRow, ...]
    notice: str = ""
    """What to bear in mind of the printed rows."""


def compared_text(tables: Sequence[ComparedTable], notes: Sequence[str] = ()) -> str:
    """Write `tables` as text for a terminal; a star marks what is printed in the papers.

    Each of `notes` is a line at the end, of what to bear in mind of our own rows.
    """
    text = "\n\n".join(_table_text(table) for table in tables) or "no scores"
    return "\n".join([text, "", *notes]) if notes else text


def _table_text(table: ComparedTable) -> str:
    lines = [["", *table.columns]]
    lines += [
        [f"{'* ' if row.kind == 'printed' else ''}{row.label}", *row.cells] for row in table.rows
    ]
    text = f"{table.title}, {table.unit}\n{aligned(lines)}"
    printed = any(row.kind == "printed" for row in table.rows)
    notice = table.notice.replace("; ", "\n  ")
    return f"{text}\n* {notice}" if printed else text


def aligned(lines: list[list[str]]) -> str:
    """Pad columns to their widest entry: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= MAX_WIDTH else " "
    padded = (
        [
            entry.ljust(width) if place == 0 else entry.rjust(width)
            for place, (entry, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    )
    return "\n".join(gap.join(entries).rstrip() for entries in padded)
