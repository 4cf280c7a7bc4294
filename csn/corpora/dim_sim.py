"""Triplets of songs that people judged: the files of Dim-sim.

Conventions
-----------
A row names an anchor and two songs by their Million Song Dataset ids, and how many people found
which of the two more like the anchor. ``raw-dim-sim`` has the counts of all votes,
``clean-dim-sim`` the rows on which people agree, with 1 for the song that was chosen. Both are a
CSV file or the same rows as JSON: a list of them, or an object of them by ``triplet_id``. Other
columns (where the excerpts start, their rates) are passed over: a track is heard whole.

Source
------
Dim-sim, published with Lee et al. (2020), "Disentangled multidimensional metric learning for music
similarity".
"""

import json
from collections.abc import Mapping
from typing import Any

from csn.corpora.csv_tables import read_rows, read_text
from csn.errors import CorpusError
from csn.records import Judgement

COLUMNS = ("triplet_id", "anchor_id", "song1_id", "song2_id", "song1_vote", "song2_vote")
"""What is read of a row."""


def read_judgements(uri: str) -> list[Judgement]:
    """Read all rows of a CSV or JSON file of Dim-sim, raw or clean, in their order.

    Raises
    ------
    CorpusError
        The file cannot be understood, has no rows, lacks a column, or holds votes that are no
        counts; or a song is compared with itself.
    """
    is_json = uri.endswith(".json")
    rows = _json_rows(uri) if is_json else [row for _, row in read_rows(uri, COLUMNS)]
    if not rows:
        raise CorpusError(f"{uri}: no rows; expected triplets with {', '.join(COLUMNS)}")
    if missing := [name for name in COLUMNS if name not in rows[0]]:
        raise CorpusError(
            f"{uri}: no column {', '.join(missing)}; expected {', '.join(COLUMNS)}, found "
            f"{', '.join(map(str, rows[0]))}; is this a file of Dim-sim?"
        )
    return [_judgement(uri, number, row) for number, row in enumerate(rows, 1)]


def _judgement(uri: str, number: int, row: Mapping[str, Any]) -> Judgement:
    where = f"{uri}: row {number} (triplet {row.get('triplet_id')})"
    ids = [str(row.get(name) or "").strip() for name in COLUMNS[:4]]
    if not all(ids) or len(set(ids[1:])) < 3:
        raise CorpusError(
            f"{where}: anchor {ids[1]!r}, songs {ids[2]!r} and {ids[3]!r}; expected three "
            "different songs"
        )
    first, second = (_votes(where, name, row.get(name)) for name in COLUMNS[4:])
    return Judgement(ids[0], ids[1], (ids[2], ids[3]), (first, second))


def _votes(where: str, name: str, value: Any) -> int:
    try:
        votes = float(value)
    except (TypeError, ValueError):
        votes = -1.0
    if not (votes >= 0 and votes.is_integer()):
        raise CorpusError(f"{where}: {name}={value!r}; expected a count of votes, 0 or more")
    return int(votes)


def _json_rows(uri: str) -> list[dict[str, Any]]:
    expected = "expected a list of triplets, or an object of them by triplet_id"
    try:
        found = json.loads(read_text(uri))
    except ValueError as error:
        raise CorpusError(f"{uri}: not a JSON file ({error}); {expected}") from error
    if isinstance(found, dict):
        rows = [
            {"triplet_id": name, **row} if isinstance(row, dict) else row
            for name, row in found.items()
        ]
    else:
        rows = found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CorpusError(f"{uri}: neither a list nor an object of triplets; {expected}")
    return rows
