"""The Million Song Dataset in its own layout: which tracks there are, where their pieces lie.

Conventions
-----------
A preview lies at ``<d0>/<d1>/<7digital id>.clip.mp3`` below the corpus (d0, d1: the first digits
of the id), a track's h5 file at ``<id[2]>/<id[3]>/<id[4]>/<id>.h5``. Which tracks are wanted, and
in which split, stands in text files of an MSD id a line, or in one CSV file with `COLUMNS`; that
may also have ``audio_relpath`` and ``h5_relpath``, where the two files lie, and ``tags``,
separated by ``|``. The 7digital id of a track stands in the CSV file, or else in the h5 file.

Choices
-------
Pieces of the dataset are spread by hand and get lost: a track without its preview is left out and
counted, one without its h5 file goes on, if it can be found at all, without tempo and key. A clip
has one tempo, which holds from end to end. Tracks are ordered by split and id.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from csn import storage
from csn.config import MsdConfig
from csn.corpora.annotations import Annotation, of_song
from csn.corpora.csv_tables import read_rows, read_text
from csn.corpora.song_tables import song_fields
from csn.errors import CorpusError, StorageError
from csn.records import SPLITS, Reject

COLUMNS = ("split", "msd_id", "sevendigital_id")
"""What a CSV file of tracks has at least."""
SPLIT_NAMES = {**{split: split for split in SPLITS}, "valid": "validation"}
SHORTEST_ID = 10
"""Smaller 7digital ids name no folder; 0 and -1 stand for none."""
_TRACK_ID = re.compile(r"TR[A-Z0-9]{16}")


class MissingPreviewError(CorpusError):
    """The preview of a track is not where it belongs."""


@dataclass(frozen=True, slots=True)
class ClipLocation:
    """Where a track's files should lie; all that listing a corpus tells."""

    track_id: str
    split: str
    song_uri: str
    """Its h5 file."""
    audio_uri: str
    """Its preview; empty where only the h5 file tells the 7digital id."""
    tags: tuple[str, ...] | None = None
    """What the list of tracks says of its tags, if it has tags."""


def clip_path(sevendigital_id: int) -> str:
    """Where a preview lies below the corpus.

    Examples
    --------
    >>> clip_path(7666448)
    '7/6/7666448.clip.mp3'
    """
    digits = str(sevendigital_id)
    return f"{digits[0]}/{digits[1]}/{digits}.clip.mp3"


def song_path(track_id: str) -> str:
    """Where a track's h5 file lies below the corpus.

    Examples
    --------
    >>> song_path("TRYLVMC12903CF5FDA")
    'Y/L/V/TRYLVMC12903CF5FDA.h5'
    """
    return f"{'/'.join(track_id[2:5])}/{track_id}.h5"


def list_tracks(corpus_uri: str, config: MsdConfig) -> list[ClipLocation]:
    """List every track that the split lists name, ordered by split and id; looks for no file.

    Raises
    ------
    CorpusError
        There is no list, it cannot be understood, or a track is in two splits.
    """
    splits_uri = config.splits_uri or storage.join(corpus_uri, "splits")
    songs_uri = storage.absolute(config.songs_uri) if config.songs_uri else corpus_uri
    is_table = splits_uri.endswith(".csv")
    rows = _table_rows(splits_uri) if is_table else _list_rows(splits_uri)
    found: dict[str, ClipLocation] = {}
    for where, row in rows:
        location = _location(where, row, corpus_uri, songs_uri)
        other = found.setdefault(location.track_id, location)
        if other.split != location.split:
            raise CorpusError(
                f"{where}: {location.track_id} is in split {other.split} too; expected each track "
                "in one split; remove one of the two"
            )
    if not found:
        raise CorpusError(f"{splits_uri}: no track is listed; expected an MSD id a line")
    order = {split: place for place, split in enumerate(SPLITS)}
    return sorted(found.values(), key=lambda one: (order[one.split], one.track_id))


def _list_rows(folder_uri: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give place and content of every line of the text files of a folder."""
    files: dict[str, str] = {}
    for uri in storage.list_uris(folder_uri, ".txt"):
        name = uri.rsplit("/", 1)[-1].removesuffix(".txt")
        if name not in SPLIT_NAMES:
            continue
        other = files.setdefault(SPLIT_NAMES[name], uri)
        if other != uri:
            raise CorpusError(
                f"{folder_uri}: {other} and {uri} both list the split {SPLIT_NAMES[name]}; "
                "expected one list a split; remove one, or name the folder of the right ones with "
                "--corpus.msd.splits_uri"
            )
    if not files:
        raise CorpusError(
            f"{folder_uri}: no list of tracks; expected train.txt, validation.txt or test.txt of "
            "an MSD id a line; name their folder, or a CSV file, with --corpus.msd.splits_uri"
        )
    for split, uri in files.items():
        for number, line in enumerate(read_text(uri).splitlines(), 1):
            if line.strip():
                yield f"{uri}: line {number}", {"split": split, "msd_id": line.strip()}


def _table_rows(uri: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give place and content of every row of a CSV file."""
    for number, row in read_rows(uri, COLUMNS):
        yield f"{uri}: line {number}", row


def _location(where: str, row: dict[str, str], corpus_uri: str, songs_uri: str) -> ClipLocation:
    track_id, split, number = row["msd_id"], row["split"], row.get("sevendigital_id", "")
    if not _TRACK_ID.fullmatch(track_id) or split not in SPLIT_NAMES:
        raise CorpusError(
            f"{where}: track {track_id!r} of split {split!r}; expected an id as "
            f"TRYLVMC12903CF5FDA and one of {', '.join(SPLIT_NAMES)}"
        )
    if number and not (number.isascii() and number.isdigit()):
        raise CorpusError(f"{where}: sevendigital_id={number!r}; expected digits, or nothing")
    is_known = bool(number) and int(number) >= SHORTEST_ID
    audio_path = row.get("audio_relpath") or (clip_path(int(number)) if is_known else "")
    song = row.get("h5_relpath") or song_path(track_id)
    words = row.get("tags")
    return ClipLocation(
        track_id,
        SPLIT_NAMES[split],
        storage.join(songs_uri, song),
        storage.join(corpus_uri, audio_path) if audio_path else "",
        None if words is None else tuple(word for word in words.split("|") if word),
    )


def find_clip(
    location: ClipLocation, corpus_uri: str, *, reads_song: bool
) -> tuple[str, Annotation, list[Reject]]:
    """Find a track's preview, and read what its h5 file says of tempo and key.

    Parameters
    ----------
    reads_song : bool
        Whether tempo and key are wanted of the h5 file; without, it is read only where nothing
        else tells which preview is the track's.

    Returns
    -------
    str, Annotation, list of Reject
        Address of the preview; what the h5 file says; what the track goes on without.

    Raises
    ------
    MissingPreviewError
        The preview is not where it belongs.
    CorpusError
        The h5 file cannot be read, and nothing else tells which preview is the track's.
    """
    audio_uri, said = location.audio_uri, Annotation()
    rejects: list[Reject] = []
    if reads_song or not audio_uri:
        try:
            fields = read_song(location.song_uri)
        except CorpusError as error:
            if not audio_uri:
                raise CorpusError(
                    f"{error}; without it the track's preview cannot be found; list the tracks in "
                    "a CSV file with sevendigital_id, named by --corpus.msd.splits_uri"
                ) from error
            rejects.append(_without_tempo(location, f"{error}; the track goes on without it"))
        else:
            said = of_song(fields)
            audio_uri = audio_uri or _preview_of(location, fields, corpus_uri)
            if math.isnan(said.tempo_bpm) and reads_song:
                tempo = fields.get("tempo", "none")
                reason = f"no tempo in it ({tempo} found); the track goes on without it"
                rejects.append(_without_tempo(location, f"{location.song_uri}: {reason}"))
    try:
        is_there = storage.exists(audio_uri)
    except StorageError as error:
        raise CorpusError(str(error)) from error
    if not is_there:
        raise MissingPreviewError(f"{audio_uri}: no preview of {location.track_id} is there")
    return audio_uri, said if reads_song else Annotation(), rejects


def _preview_of(location: ClipLocation, fields: dict[str, Any], corpus_uri: str) -> str:
    number = fields.get("track_7digitalid")
    if not isinstance(number, int) or number < SHORTEST_ID:
        raise MissingPreviewError(
            f"{location.song_uri}: track_7digitalid={number} names no preview; expected the "
            f"number that {corpus_uri}/<d0>/<d1>/<number>.clip.mp3 has"
        )
    return storage.join(corpus_uri, clip_path(number))


def _without_tempo(location: ClipLocation, reason: str) -> Reject:
    return Reject(location.track_id, location.song_uri, "read", reason, "tempo")


def read_song(uri: str) -> dict[str, Any]:
    """Fields of a track's h5 file by name.

    Raises
    ------
    CorpusError
        The file is not there, or not a whole HDF5 file with the dataset's tables.
    """
    try:
        return song_fields(storage.read_bytes(uri))
    except StorageError as error:
        raise CorpusError(str(error)) from error
    except ValueError as error:
        raise CorpusError(f"{uri}: cannot be understood ({error})") from error
