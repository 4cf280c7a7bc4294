"""What readers of a catalogue's output see: whole commits, of the model that is current.

Conventions
-----------
The output lies in ``<root>/catalogues/<name>/``. Files count only if a snapshot names them; rows
of a file's `dead_track_ids` count no longer. A snapshot stays readable for the hours that the
catalogue keeps replaced files (`CatalogueConfig.keep_hours`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from csn import storage
from csn.catalogue.commit_log import CommitLog
from csn.errors import StorageError


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of embeddings."""

    uri: str
    """Absolute address."""
    level: str
    """``track`` or ``segment``."""
    condition: str
    num_rows: int
    dead_track_ids: tuple[str, ...] = ()
    """Rows of these tracks in this file were replaced or deleted since."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One model's committed output, at one moment."""

    catalogue: str
    model_digest: str
    checkpoint_uri: str
    dims: Mapping[str, int]
    """Condition to dimensions of its vectors."""
    thresholds: Mapping[str, float]
    """Condition to the norm from which on it sounds; empty where the network has no presence."""
    metric: Literal["cosine", "euclidean"]
    """How its network learnt to compare vectors."""
    files: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class ModelNote:
    """What readers need to know of a model; stands in its log as ``model.json``."""

    model_digest: str
    checkpoint_uri: str
    dims: Mapping[str, int]
    thresholds: Mapping[str, float]
    vector: str
    """``float32`` or ``float16``."""
    metric: Literal["cosine", "euclidean"]
    """How its network learnt to compare vectors."""
    segments: Mapping[str, float] = field(default_factory=dict)
    """Duration, hop and least tail of its segments, in seconds."""


def output_uri(root: str, name: str) -> str:
    """Folder of a catalogue's output."""
    return storage.join(storage.absolute(root), "catalogues", name)


def log_uri(catalogue_uri: str, model_digest: str) -> str:
    """Folder of the log of one model's commits."""
    return storage.join(catalogue_uri, "log", f"model={model_digest}")


def read_note(catalogue_uri: str, model_digest: str) -> ModelNote | None:
    """Read a model's note; none where the catalogue does not have the model."""
    uri = storage.join(log_uri(catalogue_uri, model_digest), "model.json")
    if not storage.exists(uri):
        return None
    try:
        return ModelNote(**storage.read_json(uri))
    except TypeError as error:
        raise StorageError(
            f"{uri}: not a model's note ({error}); was it written by another version?"
        ) from error


def write_note(catalogue_uri: str, note: ModelNote) -> None:
    """Write a model's note, over what was there."""
    uri = storage.join(log_uri(catalogue_uri, note.model_digest), "model.json")
    storage.write_json(uri, asdict(note))


def current_model(catalogue_uri: str) -> str | None:
    """Digest of the model that readers are pointed to; none before the first whole night."""
    uri = storage.join(catalogue_uri, "current.json")
    return storage.read_json(uri)["model_digest"] if storage.exists(uri) else None


def make_current(catalogue_uri: str, model_digest: str) -> None:
    """Point readers to a model, by one atomic write."""
    uri = storage.join(catalogue_uri, "current.json")
    storage.write_json(uri, {"model_digest": model_digest})


def read_snapshot(catalogue_uri_of_output: str, model_digest: str | None = None) -> Snapshot:
    """Read what is committed of a model, by default of the current one.

    Raises
    ------
    StorageError
        Nothing is there, or not of this model.
    """
    catalogue_uri = storage.absolute(catalogue_uri_of_output).rstrip("/")
    digest = model_digest or current_model(catalogue_uri)
    note = read_note(catalogue_uri, digest) if digest else None
    if digest is None or note is None:
        raise StorageError(
            f"{catalogue_uri}: no embeddings of {digest or 'a current model'} here; expected the "
            "output of jobs/embed.py --catalogue_uri (has it finished, and are root, name and "
            "model right?)"
        )
    state = CommitLog(log_uri(catalogue_uri, digest)).read()
    dead = state.dead_ids()
    files = [
        DataFile(
            storage.join(catalogue_uri, file.path),
            file.level,
            file.condition,
            file.num_rows,
            dead.get(shard.shard_id, ()),
        )
        for shard in state.shards.values()
        for file in shard.files
    ]
    return Snapshot(
        catalogue=catalogue_uri.rpartition("/")[2],
        model_digest=digest,
        checkpoint_uri=note.checkpoint_uri,
        dims=note.dims,
        thresholds=note.thresholds,
        metric=note.metric,
        files=tuple(sorted(files, key=lambda file: file.uri)),
    )


def read_rows(snapshot: Snapshot, level: str, condition: str, filters: Any = None) -> pa.Table:
    """Read the living rows of one level and condition, sorted by track and segment."""
    tables = []
    for file in snapshot.files:
        if (file.level, file.condition) == (level, condition):
            table = storage.read_table(file.uri, filters=filters)
            is_dead = pc.is_in(table["track_id"], pa.array(file.dead_track_ids, pa.string()))
            tables.append(table.filter(pc.invert(is_dead)))
    if not tables:
        raise StorageError(
            f"{snapshot.catalogue}: no {level} rows of {condition} are committed; there are "
            f"{', '.join(snapshot.dims)}"
        )
    return together(tables).sort_by([("track_id", "ascending"), ("segment_index", "ascending")])


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """Put rows of several files under each other, whatever a manifest's columns were each night.

    Whole numbers and others go together as numbers; what does not, such as numbers and text,
    becomes text.
    """
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        pass
    kinds: dict[str, set[pa.DataType]] = {}
    for column in (column for table in tables for column in table.schema):
        kinds.setdefault(column.name, set()).add(column.type)
    alike = []
    for table in tables:
        columns = [
            column.with_type(pa.string()) if not _go_together(kinds[column.name]) else column
            for column in table.schema
        ]
        alike.append(table.cast(pa.schema(columns)))
    return pa.concat_tables(alike, promote_options="permissive")


def _go_together(kinds: Iterable[pa.DataType]) -> bool:
    try:
        fields = [pa.schema([pa.field("column", kind)]) for kind in kinds]
        pa.unify_schemas(fields, promote_options="permissive")
    except pa.ArrowException:
        return False
    return True
