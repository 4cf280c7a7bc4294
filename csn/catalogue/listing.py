"""Which tracks a catalogue has tonight: the audio in a folder, or the rows of a manifest.

Conventions
-----------
A track of a folder is called by its path below the folder, with the ending, so names are unique
and may be any: they are never part of a path that we write. `source_digest` changes whenever the
file does: the ETag on object storage, of size and time on a disk. No file is opened for it.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from csn import shared_storage, storage
from csn.catalogue.rows import OWN_COLUMNS
from csn.config.catalogue import SUFFIXES
from csn.errors import CorpusError, StorageError
from csn.shared_storage import StoredFile

UNDECODABLE = (".m4a", ".aac")
"""Endings of files that no library here decodes."""
MANIFESTS = (".parquet", ".csv")
NUM_LISTERS = 16
LISTING_SCHEMA = pa.schema(
    [
        pa.field("track_id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("source_digest", pa.string()),
        pa.field("fault", pa.string()),
    ]
)
"""`fault` says why a track cannot even be tried; empty for all others."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What tonight's catalogue holds."""

    tracks: pa.Table
    """`LISTING_SCHEMA`, and a manifest's other columns behind it; sorted by track_id."""
    ignored: Mapping[str, int]
    """Files in the folder that are no audio, counted by their endings."""

    @property
    def carried(self) -> list[str]:
        """Names of a manifest's other columns."""
        return self.tracks.column_names[len(LISTING_SCHEMA) :]


def listed(catalogue_uri: str) -> Listing:
    """List a folder, or look up the files of a manifest.

    Raises
    ------
    CorpusError
        The manifest lacks a column, names a track twice, or there is no audio at all.
    StorageError
        The folder or the manifest cannot be read.
    """
    is_manifest = catalogue_uri.endswith(MANIFESTS)
    found = _of_manifest(catalogue_uri) if is_manifest else _of_folder(catalogue_uri)
    if not len(found.tracks):
        others = ", ".join(f"{count} {end}" for end, count in found.ignored.items())
        raise CorpusError(
            f"{catalogue_uri}: no audio here ({others or 'nothing at all'}); expected files that "
            f"end with {', '.join(SUFFIXES)}; is the address right?"
        )
    return Listing(found.tracks.sort_by("track_id"), found.ignored)


def _of_folder(catalogue_uri: str) -> Listing:
    base = storage.join(storage.absolute(catalogue_uri), "")
    ignored: Counter[str] = Counter()
    ids, files = [], []
    for file in shared_storage.list_files(base):
        ending = os.path.splitext(file.uri)[1].lower()  # noqa: PTH122  a million times
        if ending in SUFFIXES:
            ids.append(_readable(file.uri.removeprefix(base)))
            files.append(file)
        elif not file.uri.endswith("/"):
            ignored[ending or "without ending"] += 1
    return Listing(_table(ids, files), dict(ignored.most_common(8)))


def _readable(name: str) -> str:
    """Write bytes of a name that are no UTF-8 as their numbers: Arrow holds nothing else."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _table(ids: list[str], files: Iterable[StoredFile]) -> pa.Table:
    files = list(files)
    uris = [file.uri for file in files]
    readable = [_readable(uri) for uri in uris]
    return pa.table(
        {
            "track_id": ids,
            "uri": readable,
            "size": [file.size for file in files],
            "source_digest": [file.digest for file in files],
            "fault": [
                _fault(uri, file.size) if same == uri else "its name is not UTF-8; rename it"
                for uri, same, file in zip(uris, readable, files, strict=True)
            ],
        },
        schema=LISTING_SCHEMA,
    )


def _fault(uri: str, size: int) -> str:
    if uri.lower().endswith(UNDECODABLE):
        return "AAC in MP4 cannot be decoded here; convert it to FLAC, OGG or MP3"
    return "" if size else "the file is empty (0 bytes); copy it again from the source"


def _of_manifest(uri: str) -> Listing:
    table = _read_manifest(uri)
    missing = [name for name in ("track_id", "uri") if name not in table.column_names]
    if missing:
        raise CorpusError(
            f"{uri}: no column {' and '.join(missing)}, found {', '.join(table.column_names)}; "
            "expected track_id, uri and any others to carry along"
        )
    for name in ("track_id", "uri"):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.string()))
        if table[name].null_count:
            raise CorpusError(f"{uri}: {table[name].null_count} rows without a {name}")
    ids = table["track_id"].combine_chunks()
    if (distinct := pc.count_distinct(ids).as_py()) < len(ids):
        (doubled, _), *_ = Counter(ids.to_pylist()).most_common(1)
        raise CorpusError(
            f"{uri}: {len(ids)} rows, but {distinct} different track_ids ({doubled!r} is there "
            "more than once); expected a row a track"
        )
    taken = sorted(set(table.column_names) & (OWN_COLUMNS - {"track_id", "uri"}))
    if taken:
        raise CorpusError(
            f"{uri}: the columns {', '.join(taken)} have names that the output uses itself; "
            "rename them"
        )
    own = _looked_up(table["track_id"].to_pylist(), table["uri"].to_pylist())
    for name in table.column_names:
        if name not in ("track_id", "uri"):
            own = own.append_column(table.schema.field(name), table[name])
    return Listing(own, {})


def _read_manifest(uri: str) -> pa.Table:
    data = storage.read_bytes(uri)
    with storage.explained(uri, "reading"):
        if uri.endswith(".csv"):
            ids: Any = pacsv.ConvertOptions(column_types={"track_id": pa.string()})
            return pacsv.read_csv(BytesIO(data), convert_options=ids)
        return pq.ParquetFile(BytesIO(data)).read()


def _looked_up(ids: list[str], uris: list[str]) -> pa.Table:
    """Find the files of a manifest by listing each folder that holds one of them."""
    addresses, wrong = _addresses(uris)
    folders = sorted(
        {
            f"{address.rpartition('/')[0]}/"
            for address, fault in zip(addresses, wrong, strict=True)
            if not fault
        }
    )
    found: dict[str, StoredFile] = {}
    wanted = set(addresses)
    with ThreadPoolExecutor(NUM_LISTERS) as pool:
        for files in pool.map(lambda folder: list(shared_storage.list_folder(folder)), folders):
            found |= {file.uri: file for file in files if file.uri in wanted}
    lost = StoredFile("", -1, "", 0.0)
    files = [found.get(address, lost) for address in addresses]
    table = _table(ids, files)
    said = table["fault"].to_pylist()
    fault = [
        no_address
        or (f"no such file ({address}); correct the manifest" if file is lost else other)
        for no_address, address, file, other in zip(wrong, addresses, files, said, strict=True)
    ]
    table = table.set_column(1, LISTING_SCHEMA.field("uri"), pa.array(addresses, pa.string()))
    return table.set_column(4, LISTING_SCHEMA.field("fault"), pa.array(fault, pa.string()))


def _addresses(uris: Iterable[str]) -> tuple[list[str], list[str]]:
    """Give each file's whole address, and why it is none; without a signature behind a ``?``."""
    addresses, faults = [], []
    for uri in uris:
        try:
            addresses.append(storage.absolute(uri))
            faults.append("")
        except StorageError as error:
            shown = uri.partition("?")[0]
            addresses.append(shown)
            faults.append(
                f"{str(error).replace(uri, shown) if uri else error}; correct the manifest"
            )
    return addresses, faults
