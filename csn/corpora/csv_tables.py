"""Tables that people keep as CSV files: their rows by column, each with its line.

Choices
-------
Quotes are read strictly: one that is never closed would swallow all rows after it. So are rows:
one of another number of cells than the first line has is refused, wherever the file comes from.
"""

import csv
import io
from collections.abc import Sequence

from csn import storage
from csn.errors import CorpusError, StorageError


def read_text(uri: str) -> str:
    """Text of a file, without the mark that some programs begin it with.

    Raises
    ------
    CorpusError
        The file is not there, or not text.
    """
    try:
        return storage.read_bytes(uri).decode("utf-8-sig")
    except (StorageError, UnicodeDecodeError) as error:
        raise CorpusError(f"{uri}: cannot be read as text ({error})") from error


def read_rows(uri: str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Line and cells of every row of a CSV file.

    Raises
    ------
    CorpusError
        The file is not a table, or lacks one of `columns`; a row has not as many cells as columns.
    """
    reader = csv.DictReader(io.StringIO(read_text(uri), newline=""), strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        names = reader.fieldnames or ()
        if missing := [name for name in columns if name not in names]:
            raise CorpusError(
                f"{uri}: no column {', '.join(missing)}; expected {', '.join(columns)}, found "
                f"{', '.join(names) or 'none'}"
            )
        for row in reader:
            if None in row or None in row.values():
                raise CorpusError(
                    f"{uri}: line {reader.line_num}: another number of values than columns; is "
                    "the file whole?"
                )
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise CorpusError(
            f"{uri}: line {reader.line_num}: not a row of a CSV file ({error}); look for a "
            "quotation mark that is not closed"
        ) from error
    return rows
