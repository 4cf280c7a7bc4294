"""Tags of Last.FM for tracks of the Million Song Dataset, from its sqlite file or its JSON files.

Conventions
-----------
The sqlite file has the tables ``tids`` and ``tags``, whose rows' numbers ``tid_tag`` joins, with a
strength ``val`` of 0..100. A JSON file is named after its track, at any depth of its folder, and
has ``tags``: pairs of a tag and its strength as text. Of the tags, those of
`csn.corpora.tag_groups` are kept, in the spelling there; where two differ by case alone, the
greater strength counts.

Choices
-------
The sqlite file (half a gigabyte) is opened where it lies; from an object store, which cannot be
asked for single rows, it is first copied to a temporary file. A track that is not in it, or has no
JSON file, has no tags: Last.FM knows about half of the dataset.
"""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from csn import storage
from csn.corpora.tag_groups import GROUPS, canonical
from csn.errors import CorpusError, StorageError

TAG_DATABASE, TAG_FOLDER = "lastfm_tags.db", "lastfm"
"""Where tags lie in a corpus that has them."""
DATABASE_ENDINGS = (".db", ".sqlite", ".sqlite3")
_TABLES = {"tids": ("tid",), "tags": ("tag",), "tid_tag": ("tid", "tag", "val")}
_READERS = 16
"""JSON files that are read at a time: from an object store each takes some 50 ms of waiting."""
_COPIED_BYTES = 4 * 2**20


@dataclass(slots=True)
class Tags:
    """What is said of tracks."""

    strengths: dict[str, dict[str, float]] = field(default_factory=dict)
    """By track, the strength of each tag that is kept; a track without any is not in it."""
    faults: dict[str, str] = field(default_factory=dict)
    """By track, why nothing is known of it; it may have tags."""
    examples: tuple[str, ...] = ()
    """Some tags as they stand there, kept or not."""


def find(corpus_uri: str, tags_uri: str) -> str:
    """Address of the tags: the one that is named, or the corpus' own; empty where it has none."""
    if tags_uri:
        return tags_uri
    own = (storage.join(corpus_uri, name) for name in (TAG_DATABASE, TAG_FOLDER))
    return next((uri for uri in own if storage.exists(uri)), "")


def read_tags(uri: str, track_ids: Sequence[str]) -> Tags:
    """Read the tags of `track_ids` from an sqlite file or a folder of JSON files.

    Raises
    ------
    CorpusError
        The sqlite file is damaged or another, or there is no JSON file.
    """
    if uri.endswith(DATABASE_ENDINGS):
        with _local(uri) as path:
            return _from_database(uri, path, track_ids)
    return _from_folder(uri, track_ids)


def check_vocabulary(uri: str, tags: Tags, num_tracks: int) -> None:
    """Refuse tags none of which is kept, of any of `num_tracks` tracks.

    Raises
    ------
    CorpusError
        Says what was found, and what to try.
    """
    if tags.strengths or tags.faults or not num_tracks:
        return
    found = ", ".join(tags.examples) or "no tag at all"
    known = ", ".join(group[0] for group in GROUPS.values())
    raise CorpusError(
        f"{uri}: tags of another vocabulary, or of other tracks: found {found}, and for none of "
        f"{num_tracks} tracks one of the {sum(map(len, GROUPS.values()))} that stand for genre, "
        f"mood, instrument and era ({known} ...); expected Last.FM's tags by MSD id; name another "
        "file with --corpus.msd.tags_uri"
    )


def _kept(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    kept: dict[str, float] = {}
    for tag, strength in pairs:
        if name := canonical(tag):
            kept[name] = max(kept.get(name, 0.0), float(strength))
    return kept


@contextmanager
def _local(uri: str) -> Iterator[str]:
    """Give a path of this machine at which the file lies, until the end."""
    if not storage.absolute(uri).startswith("s3://"):
        yield storage.absolute(uri)
        return
    with tempfile.NamedTemporaryFile(suffix=".db") as file:
        try:
            with storage.open_read(uri) as source:
                shutil.copyfileobj(source, file, _COPIED_BYTES)
        except StorageError as error:
            raise CorpusError(str(error)) from error
        file.flush()
        yield file.name


def _from_database(uri: str, path: str, track_ids: Sequence[str]) -> Tags:
    expected = "; expected Last.FM's sqlite file with the tables tids, tags and tid_tag"
    if not Path(path).is_file():
        raise CorpusError(f"{uri}: no such file{expected}")
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as database:
            for table, columns in _TABLES.items():
                there = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
                if lacking := [column for column in columns if column not in there]:
                    what = f"no column {', '.join(lacking)} in table {table}"
                    what = what if there else f"no table {table}"
                    raise CorpusError(f"{uri}: {what}{expected}")
            return _selected(uri, database, track_ids)
    except sqlite3.Error as error:
        raise CorpusError(f"{uri}: cannot be read ({error}){expected}") from error


def _selected(uri: str, database: sqlite3.Connection, track_ids: Sequence[str]) -> Tags:
    """Ask for all rows of wanted tracks and kept tags at once, by their numbers."""
    wanted = set(track_ids)
    tracks = {
        n: tid for n, tid in database.execute("SELECT rowid, tid FROM tids") if tid in wanted
    }
    words: dict[int, str] = {}
    examples: list[str] = []
    for number, tag in database.execute("SELECT rowid, tag FROM tags"):
        if len(examples) < 3:
            examples.append(str(tag))
        if canonical(str(tag)):
            words[number] = str(tag)
    # The file may have no indices, so it is gone through once and not once a track.
    database.execute("PRAGMA temp_store = MEMORY")
    for table, numbers in (("wanted", tracks), ("kept", words)):
        database.execute(f"CREATE TEMP TABLE {table} (number INTEGER PRIMARY KEY)")
        database.executemany(f"INSERT INTO {table} VALUES (?)", ((n,) for n in numbers))
    found: dict[str, list[tuple[str, float]]] = {}
    rows = database.execute(
        "SELECT tid, tag, val FROM tid_tag WHERE tag IN (SELECT number FROM kept)"
        " AND tid IN (SELECT number FROM wanted)"
    )
    for track, tag, strength in rows:
        found.setdefault(tracks[track], []).append((words[tag], strength))
    tags = Tags(examples=tuple(examples))
    for tid, pairs in found.items():
        try:
            tags.strengths[tid] = _kept(pairs)
        except (TypeError, ValueError) as error:
            tags.faults[tid] = (
                f"{uri}: a strength of {tid} is no number ({error}); expected 0..100 in column "
                "val of table tid_tag"
            )
    return tags


def _from_folder(uri: str, track_ids: Sequence[str]) -> Tags:
    files = {one.rsplit("/", 1)[-1].removesuffix(".json"): one for one in _json_files(uri)}
    wanted = [track_id for track_id in track_ids if track_id in files]
    with ThreadPoolExecutor(_READERS) as pool:
        read = list(pool.map(lambda track_id: _pairs(files[track_id]), wanted))
    tags = Tags()
    examples: list[str] = []
    for track_id, pairs in zip(wanted, read, strict=True):
        if isinstance(pairs, str):
            tags.faults[track_id] = pairs
            continue
        examples += [tag for tag, _ in pairs[: 3 - len(examples)]]
        if kept := _kept(pairs):
            tags.strengths[track_id] = kept
    tags.examples = tuple(examples)
    return tags


def _json_files(uri: str) -> list[str]:
    try:
        files = storage.list_uris(uri, ".json")
    except StorageError as error:
        raise CorpusError(str(error)) from error
    if not files:
        raise CorpusError(
            f"{uri}: no tags; expected Last.FM's sqlite file ({', '.join(DATABASE_ENDINGS)}), "
            "or a folder of its JSON files, one a track"
        )
    return files


def _pairs(uri: str) -> list[tuple[str, float]] | str:
    """Tags of one JSON file with their strengths, or what is wrong with it."""
    try:
        found = json.loads(storage.read_bytes(uri))
        return [(str(tag), float(strength)) for tag, strength in found["tags"]]
    except StorageError as error:
        return str(error)
    except (ValueError, TypeError, KeyError) as error:
        return (
            f"{uri}: cannot be understood ({type(error).__name__}: {error}); expected Last.FM's "
            'JSON with "tags": [["rock", "100"], ...]'
        )
