"""One night on a catalogue: what is asked, what is there, and so what there is to do.

Conventions
-----------
All of this is known before Ray starts, so a night without anything to do does not start it.
"""

import json
import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from csn import shared_storage, storage
from csn.catalogue.commit_log import CommitLog
from csn.catalogue.difference import Difference, difference
from csn.catalogue.entries import ADD, State
from csn.catalogue.listing import Listing, listed
from csn.catalogue.reading import Cutting
from csn.catalogue.snapshot import ModelNote, log_uri, output_uri, read_note, write_note
from csn.config import CatalogueConfig, ExperimentConfig
from csn.distributed.catalogue_worker import Task
from csn.distributed.systems import metric_of
from csn.errors import ConfigError
from csn.manifests import code_version
from csn.model import checkpoint

log = logging.getLogger(__name__)

CPU_BATCH_S, GPU_BATCH_S = 48.0, 960.0
"""Audio in one forward pass, which bounds its memory."""


@dataclass(frozen=True, slots=True)
class Model:
    """The network of the night."""

    config: ExperimentConfig
    digest: str
    note: ModelNote
    cutting: Cutting

    @property
    def settings_digest(self) -> str:
        """Names all that rows depend on beside file and network."""
        note = self.note
        return storage.digest([dict(note.segments), dict(note.thresholds), note.vector])


@dataclass(frozen=True, slots=True)
class Night:
    """What is asked, and what is there."""

    config: CatalogueConfig
    run_id: str
    started_at: datetime
    output_uri: str
    model: Model
    log: CommitLog
    state: State
    listing: Listing
    difference: Difference

    @property
    def date(self) -> str:
        """Day of the night's commits, by the driver's clock (UTC); no more than a label."""
        return f"{self.started_at:%Y-%m-%d}"

    def task(self, *, num_threads: int, num_readers: int) -> Task:
        """Give what workers need to know."""
        config, model = self.config, self.model
        workers, layout = config.workers, model.config.network.layout
        batch_s = workers.batch_s or (GPU_BATCH_S if workers.use_gpu else CPU_BATCH_S)
        return Task(
            checkpoint_uri=storage.absolute(config.checkpoint_uri),
            model_digest=model.digest,
            output_uri=self.output_uri,
            date=self.date,
            cutting=model.cutting,
            dims={name: layout.dims(name) for name in layout.conditions},
            thresholds=model.note.thresholds,
            is_unit=model.config.network.unit_subspaces,
            vector=config.vector,
            carried=tuple(self.listing.tracks.schema.field(n) for n in self.listing.carried),
            code_version=code_version(),
            settings_digest=model.settings_digest,
            num_threads=num_threads,
            num_readers=num_readers,
            batch_s=batch_s,
            use_gpu=workers.use_gpu,
            bf16=workers.bf16,
            patience_s=workers.patience_s,
        )


def planned(config: CatalogueConfig) -> Night:
    """Look at network, catalogue and output, and find out what there is to do.

    Raises
    ------
    ConfigError
        The network does not fit a catalogue, or the output is another's or not to be touched.
    CorpusError, StorageError
        The catalogue cannot be listed, the output cannot be read or written.
    """
    started_at = datetime.now(UTC)
    model = _model(config)
    output = output_uri(config.root, config.label)
    patience_s = config.workers.patience_s
    patiently = partial(shared_storage.patiently, patience_s=patience_s)
    patiently(partial(shared_storage.check_creates, output))
    patiently(partial(_check_name, config, output))
    before = patiently(partial(read_note, output, model.digest))
    commits = CommitLog(log_uri(output, model.digest), patience_s)
    state = commits.read()
    if len(state.of(ADD)):
        _check_vector(config, output, before)
    begun = patiently(partial(_begun, config, output, model.digest, state.version))
    if config.on_existing == "error" and len(state.of(ADD)) and begun == state.version:
        raise ConfigError(
            f"{output}: {len(state.of(ADD))} tracks of model {model.digest} are embedded already; "
            "set --on_existing skip (embed what is new) or overwrite, or give another --name"
        )
    listing = patiently(partial(listed, config.catalogue_uri))
    if config.on_existing != "overwrite":
        check_carried(listing, state, output, patience_s)
    found = difference(
        listing,
        state,
        model.settings_digest,
        max_attempts=config.max_attempts,
        overwrite=begun if config.on_existing == "overwrite" else None,
        only=config.only,
    )
    _check_deleted(config, state, found)
    check_faulty(config, listing, found)
    patiently(partial(_claim, config, output))
    if before != model.note:
        patiently(partial(write_note, output, model.note))
    if config.on_existing != "skip" and config.only == "all":
        note = {"on_existing": config.on_existing, "version": begun}
        patiently(partial(storage.write_json, unfinished_uri(output, model.digest), note))
    told = ", ".join(f"{count} {kind}" for kind, count in found.counts.items() if count)
    log.info("catalogue %s, model %s: %s", config.label, model.digest, told)
    run_id = uuid.uuid4().hex
    return Night(config, run_id, started_at, output, model, commits, state, listing, found)


def _model(config: CatalogueConfig) -> Model:
    uri = storage.absolute(config.checkpoint_uri)
    loaded = shared_storage.patiently(partial(checkpoint.load, uri), config.workers.patience_s)
    network, rate_hz = loaded.config.network, loaded.config.audio.sample_rate_hz
    if network.individual:
        raise ConfigError(
            f"{uri}: its networks hear single parts (network.individual), a catalogue has mixes; "
            "use a network that hears mixes, such as that of the recipe hashizume2024"
        )
    asked = config.segments
    duration_s = asked.duration_s or loaded.config.audio.segment_s
    lengths = (duration_s, asked.hop_s or duration_s, asked.min_tail_s)
    cutting = Cutting(rate_hz, *(max(1, round(length * rate_hz)) for length in lengths))
    window = loaded.config.frontend.window
    for name, samples in (("duration_s", cutting.length), ("min_tail_s", cutting.min_tail)):
        if samples < window:
            raise ConfigError(
                f"segments.{name}: {samples} samples at {rate_hz} Hz are shorter than the "
                f"network's window of {window}; at least {window / rate_hz:.3f} s expected"
            )
    read_presence = partial(checkpoint.read_presence, uri, network.conditions)
    presence = shared_storage.patiently(read_presence, config.workers.patience_s)
    note = ModelNote(
        loaded.digest,
        uri,
        dict.fromkeys(network.conditions, network.subspace_dim),
        presence,
        config.vector,
        metric_of(loaded.config),
        dict(zip(("duration_s", "hop_s", "min_tail_s"), lengths, strict=True)),
    )
    return Model(loaded.config, loaded.digest, note, cutting)


def _check_name(config: CatalogueConfig, output: str) -> None:
    """Refuse a name that is another catalogue's: its tracks would seem deleted."""
    uri, ours = _name_uri(output), storage.absolute(config.catalogue_uri)
    if not storage.exists(uri):
        return
    theirs = storage.read_json(uri)["catalogue_uri"]
    manifests = all(one.endswith((".parquet", ".csv")) for one in (ours, theirs))
    if ours.rstrip("/") != theirs.rstrip("/") and not manifests:
        raise ConfigError(
            f"{output} holds the embeddings of {theirs}, not of {ours}; give another --name"
        )


def _claim(config: CatalogueConfig, output: str) -> None:
    """Make the name this catalogue's, now that it is known to be one."""
    ours = storage.absolute(config.catalogue_uri)
    shared_storage.create(_name_uri(output), json.dumps({"catalogue_uri": ours}).encode())
    _check_name(config, output)


def _name_uri(output: str) -> str:
    return storage.join(output, "catalogue.json")


def _check_vector(config: CatalogueConfig, output: str, before: ModelNote | None) -> None:
    """Refuse rows whose vectors would be of another kind than those that are there."""
    if before and before.vector != config.vector:
        raise ConfigError(
            f"{output} holds {before.vector} of model {before.model_digest}, "
            f"vector={config.vector} is asked for; keep to one kind, or give another --name"
        )


def unfinished_uri(output: str, model_digest: str) -> str:
    """Where a run that is not to skip what it finds says what it found, until it has ended."""
    return storage.join(log_uri(output, model_digest), "unfinished.json")


def _begun(config: CatalogueConfig, output: str, model_digest: str, version: int) -> int:
    """Look up behind which commit this run began, or one before it that did not end."""
    uri = unfinished_uri(output, model_digest)
    if config.on_existing == "skip" or not storage.exists(uri):
        return version
    note = storage.read_json(uri)
    return note["version"] if note["on_existing"] == config.on_existing else version


def check_carried(listing: Listing, state: State, output: str, patience_s: float = 0.0) -> None:
    """Refuse a manifest's other columns whose types no reader could put beside those committed.

    Raises
    ------
    ConfigError
        Such as text where numbers are; whole numbers and others go together.
    """
    if not state.shards or not listing.carried:
        return
    newest = [*state.shards.values()][-1].files[0]
    no_row = pc.field("track_id").isin(pa.array([], pa.string()))
    uri = storage.join(output, newest.path)
    read = partial(storage.read_table, uri, filters=no_row)
    known = shared_storage.patiently(read, patience_s).schema
    for name in set(listing.carried) & set(known.names):
        ours, theirs = listing.tracks.schema.field(name), known.field(name)
        schemas = [pa.schema([theirs]), pa.schema([ours])]
        try:
            pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException as error:
            raise ConfigError(
                f"the manifest's column {name} is {ours.type}, of what is embedded it is "
                f"{theirs.type}; write it as {theirs.type}, or give it another name"
            ) from error


def _check_deleted(config: CatalogueConfig, state: State, found: Difference) -> None:
    """Refuse to take a lost folder for tracks that were deleted."""
    gone, known = found.counts["deleted"], len(state.of(ADD))
    if config.only == "all" and gone > max(config.min_failed, config.max_deleted_share * known):
        raise ConfigError(
            f"{config.catalogue_uri}: {gone} of {known} embedded tracks are gone, at most "
            f"{config.max_deleted_share:.0%} expected; is it the right folder, and whole? If they "
            "are meant to be gone, set --max_deleted_share 1"
        )


def check_faulty(config: CatalogueConfig, listing: Listing, found: Difference) -> None:
    """Refuse a catalogue of which too much cannot even be tried, and that is not yet told of."""
    num, num_listed = len(found.faulty), len(listing.tracks)
    if num > max(config.min_failed, config.max_failed_share * num_listed):
        example = found.faulty["fault"][0].as_py()
        raise ConfigError(
            f"{config.catalogue_uri}: {num} of {num_listed} tracks cannot be tried, at most "
            f"{config.max_failed_share:.0%} expected; the first: {example}. Is it the right "
            "catalogue? If so, raise --max_failed_share"
        )


def deletions(night: Night) -> list[dict[str, object]]:
    """Make the entries of tracks that are gone."""
    at = night.started_at.isoformat(timespec="seconds")
    return [
        {"track_id": track, "action": "delete", "at": at}
        for track in night.difference.deleted["track_id"].to_pylist()
    ]
