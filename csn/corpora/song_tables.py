"""A track's HDF5 file of the Million Song Dataset: its three tables named songs.

Conventions
-----------
``/metadata/songs``, ``/analysis/songs`` and ``/musicbrainz/songs`` have one row each, with all
fields of the real files, in their order (alphabetical, as PyTables sorts them). Keys are 0..11
from C, modes 1 for major and 0 for minor, lengths in seconds, tempo in BPM, year 0 where it is not
known.

Choices
-------
What nothing is known of has the value that the real files give it then: 0, NaN, -1 or no text.
The real files' arrays beside the tables (segments, bars, beats, artist terms) are left out. Of
files that others made, tables and fields may be lacking: what is there is read.
"""

import io
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

_INDEX = "<i4"
_TEXT = "S1024"
_METADATA = {
    "analyzer_version": "S32",
    "artist_7digitalid": _INDEX,
    "artist_familiarity": "<f8",
    "artist_hotttnesss": "<f8",
    "artist_id": "S32",
    "artist_latitude": "<f8",
    "artist_location": _TEXT,
    "artist_longitude": "<f8",
    "artist_mbid": "S40",
    "artist_name": _TEXT,
    "artist_playmeid": _INDEX,
    "genre": _TEXT,
    "idx_artist_terms": _INDEX,
    "idx_similar_artists": _INDEX,
    "release": _TEXT,
    "release_7digitalid": _INDEX,
    "song_hotttnesss": "<f8",
    "song_id": "S32",
    "title": _TEXT,
    "track_7digitalid": _INDEX,
}
_ARRAYS = (
    *("bars_confidence", "bars_start", "beats_confidence", "beats_start"),
    *("sections_confidence", "sections_start", "segments_confidence"),
    *("segments_loudness_max", "segments_loudness_max_time", "segments_loudness_start"),
    *("segments_pitches", "segments_start", "segments_timbre"),
    *("tatums_confidence", "tatums_start"),
)
_ANALYSIS = {
    "analysis_sample_rate": _INDEX,
    "audio_md5": "S32",
    "danceability": "<f8",
    "duration": "<f8",
    "end_of_fade_in": "<f8",
    "energy": "<f8",
    **{f"idx_{name}": _INDEX for name in _ARRAYS},
    "key": _INDEX,
    "key_confidence": "<f8",
    "loudness": "<f8",
    "mode": _INDEX,
    "mode_confidence": "<f8",
    "start_of_fade_out": "<f8",
    "tempo": "<f8",
    "time_signature": _INDEX,
    "time_signature_confidence": "<f8",
    "track_id": "S32",
}
_MUSICBRAINZ = {"idx_artist_mbtags": _INDEX, "year": _INDEX}
_NOT_KNOWN = {
    "artist_7digitalid": -1,
    "artist_latitude": np.nan,
    "artist_longitude": np.nan,
    "artist_playmeid": -1,
    "release_7digitalid": -1,
    "song_hotttnesss": np.nan,
}
TABLES = {
    "metadata/songs": _METADATA,
    "analysis/songs": _ANALYSIS,
    "musicbrainz/songs": _MUSICBRAINZ,
}
"""Fields of each table, with their types."""


def song_file(values: Mapping[str, object]) -> bytes:
    """Write a track's HDF5 file; the same values give the same bytes.

    Parameters
    ----------
    values
        By field, of whichever table has it; fields without a value are not known.

    Raises
    ------
    KeyError
        No table has a field of that name.
    """
    fields = {name for table in TABLES.values() for name in table}
    if unknown := sorted(values.keys() - fields):
        raise KeyError(f"no table has a field {', '.join(unknown)}; see song_tables.TABLES")
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        for path, types in TABLES.items():
            row = np.zeros(1, list(types.items()))
            for name in types:
                if name in values or name in _NOT_KNOWN:
                    row[name] = values.get(name, _NOT_KNOWN.get(name))
            h5.create_dataset(path, data=row, maxshape=(None,), chunks=(1,), compression="gzip")
    return file.getvalue()


def song_fields(data: bytes) -> dict[str, Any]:
    """Read the fields of a track's HDF5 file by name; text without its type, numbers as numbers.

    Raises
    ------
    ValueError
        Not an HDF5 file, or none of the tables is in it.
    """
    fields: dict[str, Any] = {}
    try:
        with h5py.File(io.BytesIO(data), "r") as h5:
            for path in TABLES:
                table: Any = h5.get(path)
                is_table = isinstance(table, h5py.Dataset) and bool(table.dtype.names)
                if is_table and table.ndim == 1 and len(table):
                    row = table[0]
                    fields |= {name: np.asarray(row[name]).item() for name in table.dtype.names}
    except Exception as error:  # what h5py makes of a damaged file is any kind of exception
        told = " ".join(str(error).split())
        raise ValueError(f"not a whole HDF5 file: {type(error).__name__}: {told}") from error
    if not fields:
        raise ValueError(f"none of the tables {', '.join(TABLES)} is in it")
    return {
        k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in fields.items()
    }
