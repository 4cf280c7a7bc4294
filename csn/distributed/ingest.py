"""From a corpus in its own layout to prepared parts: compose if need be, decode, sum, align.

Conventions
-----------
One task a track, one Parquet file a track, written atomically; what a track lost or why it was
refused stands in a file of its own under ``rejects/``, written before. So a killed run leaves
whole files only, and the same command goes on with the tracks that are missing.
``tracks.parquet``, the index without audio that planning reads, is written at the end, and
``manifest.json`` last of all.
"""

import logging
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import ray.data

from csn import storage
from csn.audio.parts import PreparedTrack, prepare_track
from csn.conditions import INSTRUMENTS
from csn.config import CorpusConfig, ExperimentConfig, GeneratedConfig
from csn.corpora import generated, slakh
from csn.distributed.progress import Stages
from csn.errors import CorpusError
from csn.paths import Paths
from csn.records import PARTS_SCHEMA, REJECT_SCHEMA, TRACK_SCHEMA, Reject, TrackLocation

log = logging.getLogger(__name__)

TRACK_CPUS = 0.5
"""CPUs that a task reserves: while one of two waits for storage or for Ray, the other decodes."""
OUTCOME_SCHEMA = pa.schema(
    [("track_id", pa.string()), ("audio_s", pa.float64()), ("reason", pa.string())]
)


def compose(config: ExperimentConfig, stages: Stages) -> None:
    """Compose and render the generated corpus, where it is asked for and not there yet."""
    if config.corpus.uri:
        return
    corpus_uri = Paths(config).corpus
    there = {uri.rsplit("/", 2)[-2] for uri in storage.list_uris(corpus_uri, "metadata.yaml")}
    pieces = generated.pieces(config.corpus.generated)
    missing = [piece for piece in pieces if piece.track_id not in there]
    if not missing:
        log.info("compose: all %s tracks are in %s", len(pieces), corpus_uri)
        return
    settings = config.corpus.generated
    rows = [asdict(piece) for piece in missing]
    with stages.stage("compose", len(missing), "tracks") as counter:
        for _ in _one_task_a_row(rows, _write_tracks, settings=settings, corpus_uri=corpus_uri):
            counter.advance()
        counter.audio_hours = len(missing) * settings.duration_s / 3600
        counter.detail = f"{settings.sample_rate_hz} Hz, seed {settings.seed}"


def _write_tracks(block: pa.Table, *, settings: GeneratedConfig, corpus_uri: str) -> pa.Table:
    for row in block.to_pylist():
        generated.write_track(generated.PieceSpec(**row), settings, corpus_uri)
    return block


def prepare(config: ExperimentConfig, stages: Stages) -> pa.Table:
    """Prepare every track of the corpus that is not prepared yet.

    Returns
    -------
    pyarrow.Table
        The index of prepared tracks (`TRACK_SCHEMA`), of the splits' first tracks where the
        configuration limits them.

    Raises
    ------
    CorpusError
        More than `CorpusConfig.max_reject_fraction` of the tracks were refused.
    """
    paths = Paths(config)
    started_at = storage.utc_now()
    locations = wanted_tracks(slakh.list_tracks(paths.corpus), config.corpus)
    done = _prepared_ids(paths)
    missing = [location for location in locations if location.track_id not in done]
    refused: dict[str, str] = {}
    if missing:
        refused = _prepare_missing(config, paths, missing, stages)
        _check_refused(refused, locations, config.corpus)
        done = _prepared_ids(paths)
    else:
        log.info("prepare: all %s tracks are in %s", len(locations), paths.prepared)
    if not _is_indexed(paths, done):
        _write_index(paths)
        manifest = storage.Manifest.finished(
            started_at,
            corpus_digest=paths.corpus_digest,
            counts={"tracks": len(done), "rejected": len(refused)},
        )
        storage.write_manifest(storage.join(paths.prepared, "manifest.json"), manifest)
    index = storage.read_table(paths.tracks)
    wanted = pa.array([location.track_id for location in locations])
    return index.filter(pa.compute.is_in(index["track_id"], wanted)).sort_by("track_id")


def wanted_tracks(locations: Sequence[TrackLocation], config: CorpusConfig) -> list[TrackLocation]:
    """Keep the first tracks of each split, as many as `config` asks for; omitted ones never."""
    kept: list[TrackLocation] = []
    seen: Tally[str] = Tally()
    for location in locations:
        limit = config.num_tracks(location.split)
        if location.split != "omitted" and (limit is None or seen[location.split] < limit):
            kept.append(location)
            seen[location.split] += 1
    return kept


def _prepared_ids(paths: Paths) -> set[str]:
    names = (uri.rsplit("/", 1)[-1] for uri in storage.list_uris(paths.parts(), ".parquet"))
    return {name.removesuffix(".parquet") for name in names}


def _prepare_missing(
    config: ExperimentConfig, paths: Paths, missing: Sequence[TrackLocation], stages: Stages
) -> dict[str, str]:
    refused: dict[str, str] = {}
    audio_s = 0.0
    rows = [asdict(location) for location in missing]
    with stages.stage("prepare", len(missing), "tracks") as counter:
        for outcome in _one_task_a_row(rows, _prepare_tracks, config=config):
            audio_s += outcome["audio_s"]
            if outcome["reason"]:
                refused[outcome["track_id"]] = outcome["reason"]
                log.warning("rejected %s", outcome["reason"])
            counter.advance(note=f"{len(refused)} rejected" if refused else "")
        counter.audio_hours = audio_s / 3600
        counter.detail = f"{config.audio.sample_rate_hz} Hz"
    return refused


def _prepare_tracks(block: pa.Table, *, config: ExperimentConfig) -> pa.Table:
    outcomes = [prepare_one(TrackLocation(**row), config) for row in block.to_pylist()]
    return pa.Table.from_pylist(outcomes, schema=OUTCOME_SCHEMA)


def _one_task_a_row(
    rows: list[dict[str, Any]], function: Callable[..., pa.Table], **arguments: object
) -> Iterator[dict[str, Any]]:
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        function,
        batch_size=1,
        batch_format="pyarrow",
        fn_kwargs=arguments,
        num_cpus=TRACK_CPUS,
    )
    return iter(dataset.iter_rows())


def prepare_one(location: TrackLocation, config: ExperimentConfig) -> dict[str, object]:
    """Prepare one track and write its parts, or write why not.

    Returns
    -------
    dict
        A row of `OUTCOME_SCHEMA`; `reason` is empty where the track was prepared.
    """
    paths = Paths(config)
    rejects: list[Reject] = []
    try:
        track, rejects = slakh.read_track(
            location,
            config.corpus.name,
            # The list goes by Slakh's track numbers, which a composed corpus has too.
            exclude_known_faults=config.corpus.exclude_known_faults and bool(config.corpus.uri),
        )
        prepared = prepare_track(track, config.audio)
    except CorpusError as error:
        uri = str(error).partition(": ")[0]
        audio_uri = uri if "/" in uri else location.uri
        rejects.append(Reject(location.track_id, audio_uri, "prepare", str(error), "track"))
        _write_rejects(paths, location.track_id, rejects)
        return {"track_id": location.track_id, "audio_s": 0.0, "reason": str(error)}
    _write_rejects(paths, location.track_id, rejects)
    storage.write_table(paths.parts(track.track_id), parts_table(prepared))
    num_stems = len(track.stems)
    seconds = prepared.parts.num_samples / prepared.parts.sample_rate_hz * num_stems
    return {"track_id": track.track_id, "audio_s": seconds, "reason": ""}


def _write_rejects(paths: Paths, track_id: str, rejects: Sequence[Reject]) -> None:
    uri = paths.rejects(track_id)
    if rejects:
        rows = [asdict(reject) for reject in rejects]
        storage.write_table(uri, pa.Table.from_pylist(rows, schema=REJECT_SCHEMA))
    elif storage.exists(uri):
        storage.remove(uri)


def parts_table(prepared: PreparedTrack) -> pa.Table:
    """Write a prepared track as the one row of a `PARTS_SCHEMA` table."""
    track, parts = prepared.track, prepared.parts
    row: dict[str, object] = {
        "track_id": track.track_id,
        "corpus": track.corpus,
        "split": track.split,
        "sample_rate_hz": parts.sample_rate_hz,
        "num_samples": parts.num_samples,
        "tempo_bpm": track.tempo_bpm,
        "tempo_stability": track.tempo_stability,
        "onset_s": prepared.onset_s,
        "pcm_scale": parts.pcm_scale,
        "warnings": prepared.warnings,
    }
    for part in INSTRUMENTS:
        pcm = parts.pcm.get(part)
        row[f"level_db_{part}"] = prepared.levels_db.get(part)
        row[f"pcm_{part}"] = None if pcm is None else pcm.tobytes()
    return pa.Table.from_pylist([row], schema=PARTS_SCHEMA)


def _check_refused(
    refused: dict[str, str], locations: Sequence[TrackLocation], config: CorpusConfig
) -> None:
    if len(refused) > config.max_reject_fraction * len(locations):
        first = next(iter(refused.values()))
        raise CorpusError(
            f"{len(refused)} of {len(locations)} tracks were rejected, at most "
            f"{config.max_reject_fraction:.1%} expected; the first: {first} (all are in rejects/; "
            "mend them, or raise --corpus.max_reject_fraction, and run the same command again)"
        )


def _is_indexed(paths: Paths, done: set[str]) -> bool:
    """Whether the index names just the tracks prepared; a killed run leaves an old one."""
    manifest = storage.join(paths.prepared, "manifest.json")
    if not storage.exists(paths.tracks) or not storage.exists(manifest):
        return False
    return set(storage.read_table(paths.tracks, ["track_id"])["track_id"].to_pylist()) == done


def _write_index(paths: Paths) -> None:
    storage.write_table(paths.tracks, storage.read_table(paths.parts(), TRACK_SCHEMA.names))


def read_rejects(config: ExperimentConfig) -> pa.Table:
    """All rejects of the prepared corpus (`REJECT_SCHEMA`)."""
    uri = Paths(config).rejects()
    if not storage.list_uris(uri, ".parquet"):
        return REJECT_SCHEMA.empty_table()
    return storage.read_table(uri).cast(REJECT_SCHEMA)
