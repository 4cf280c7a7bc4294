"""From a corpus in its own layout to prepared parts: compose if need be, decode, sum, align.

Conventions
-----------
One Parquet file a track, written atomically by tasks of one track, or of some short clips; what a
track lost or why it was refused stands in a file of its own under ``rejects/``, written before. So
a killed run leaves whole files only, and the same command goes on with the tracks that are
missing. ``tracks.parquet``, the index without audio that planning reads, is written at the end,
and ``manifest.json`` last of all. A track whose audio is not there at all (a lost preview) is a
reject as well, but no fault: such are counted apart.
"""

import logging
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import pyarrow as pa
import ray.data

from csn import storage
from csn.audio.parts import PreparedTrack, prepare_track
from csn.conditions import INSTRUMENTS
from csn.config import CorpusConfig, ExperimentConfig
from csn.corpora import generated_msd, msd, slakh
from csn.corpora.msd import ClipLocation, MissingPreviewError
from csn.distributed import clips, cluster, composing, metrics
from csn.distributed.outcomes import OUTCOME_SCHEMA, check_outcomes, outcome
from csn.distributed.progress import Stages
from csn.errors import CorpusError
from csn.paths import Paths
from csn.records import PARTS_SCHEMA, REJECT_SCHEMA, TRACK_SCHEMA, Reject, TrackLocation

log = logging.getLogger(__name__)

TRACK_CPUS = 0.5
"""CPUs that a task reserves: while one of two waits for storage or for Ray, the other decodes."""
READING = {"CPU": 1.0}
"""What some node must have, so that tasks which read and write tracks can run."""
Location = TypeVar("Location", TrackLocation, ClipLocation)


def compose(config: ExperimentConfig, stages: Stages) -> None:
    """Compose and render the generated corpus, where it is asked for and not there yet."""
    corpus, corpus_uri = config.corpus, Paths(config).corpus
    if corpus.uri:
        return
    specs, there = composing.specs_of(corpus), composing.composed_ids(corpus, corpus_uri)
    missing = [spec for spec in specs if spec.track_id not in there]
    if not missing and composing.is_annotated(corpus, corpus_uri):
        log.info("compose: all %s tracks are in %s", len(specs), corpus_uri)
        return
    cluster.check_has(config.workers.wait_for_nodes_s, READING, "to compose tracks")
    rows = [asdict(spec) for spec in missing]
    with stages.stage("compose", len(missing), "tracks") as counter:
        made = _in_tasks(rows, composing.write_tracks, corpus=corpus, corpus_uri=corpus_uri)
        for _ in made:
            counter.advance()
        if corpus.layout == "msd":
            generated_msd.write_annotations(corpus.generated_msd, corpus_uri)
        length_s, counter.detail = composing.described(corpus)
        counter.audio_hours = len(missing) * length_s / 3600


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
        More than `CorpusConfig.max_reject_fraction` of the tracks were refused, or no track is
        there at all.
    """
    paths = Paths(config)
    started_at = storage.utc_now()
    locations = _listed(config)
    wanted = {location.track_id for location in locations}
    done = _prepared_ids(paths)
    rejected: dict[str, int] = {"rejected": 0}
    if wanted - done:
        outcomes = _prepare_missing(config, locations, done, stages)
        done = _prepared_ids(paths)
        rejected = check_outcomes(outcomes, len(wanted), len(wanted & done), config.corpus)
    else:
        log.info("prepare: all %s tracks are in %s", len(locations), paths.prepared)
    if not _is_indexed(paths, done):
        _write_index(paths)
        manifest = storage.Manifest.finished(
            started_at,
            corpus_digest=paths.corpus_digest,
            counts={"tracks": len(done), **rejected},
        )
        storage.write_manifest(storage.join(paths.prepared, "manifest.json"), manifest)
    index = storage.read_table(paths.tracks)
    is_wanted = pa.compute.is_in(index["track_id"], pa.array(sorted(wanted)))
    return index.filter(is_wanted).sort_by("track_id")


def _listed(config: ExperimentConfig) -> Sequence[TrackLocation] | Sequence[ClipLocation]:
    corpus_uri, corpus = Paths(config).corpus, config.corpus
    if corpus.layout == "msd":
        return wanted_tracks(msd.list_tracks(corpus_uri, corpus.msd), corpus)
    return wanted_tracks(slakh.list_tracks(corpus_uri), corpus)


def wanted_tracks(locations: Sequence[Location], config: CorpusConfig) -> list[Location]:
    """Keep the first tracks of each split, as many as `config` asks for; omitted ones never."""
    kept: list[Location] = []
    seen: Tally[str] = Tally()
    for location in locations:
        limit = config.num_tracks(location.split)
        if location.split != "omitted" and (limit is None or seen[location.split] < limit):
            kept.append(location)
            seen[location.split] += 1
    return kept


def _prepared_ids(paths: Paths) -> set[str]:
    return _names_of(storage.list_uris(paths.parts(), ".parquet"))


def _names_of(uris: Sequence[str]) -> set[str]:
    """Names of files, without what follows the last dot."""
    return {uri.rsplit("/", 1)[-1].rpartition(".")[0] for uri in uris}


def _prepare_missing(
    config: ExperimentConfig,
    locations: Sequence[TrackLocation] | Sequence[ClipLocation],
    done: set[str],
    stages: Stages,
) -> list[dict[str, Any]]:
    """Prepare those of `locations` that are not done; gives a row of `OUTCOME_SCHEMA` for each."""
    missing: Any = [location for location in locations if location.track_id not in done]
    rows, schema, per_task = [asdict(one) for one in missing], None, 1
    if config.corpus.layout == "msd":
        rows = clips.clip_rows(missing, config, is_first=len(missing) == len(locations))
        schema, per_task = clips.CLIP_SCHEMA, clips.CLIPS_PER_TASK
    cluster.check_has(config.workers.wait_for_nodes_s, READING, "to prepare tracks")
    outcomes: list[dict[str, Any]] = []
    refused = 0
    with stages.stage("prepare", len(missing), "tracks") as counter:
        tasks = _in_tasks(rows, _prepare_tracks, schema=schema, per_task=per_task, config=config)
        for row in tasks:
            outcomes.append(row)
            metrics.count(
                "tracks_rejected" if row["reason"] else "tracks_prepared", 1, config.name
            )
            if row["reason"] and not row["is_missing"]:
                refused += 1
                log.warning("rejected %s", row["reason"])
            counter.advance(note=f"{refused} rejected" if refused else "")
        counter.audio_hours = sum(row["audio_s"] for row in outcomes) / 3600
        counter.detail = f"{config.audio.sample_rate_hz} Hz"
    return outcomes


def _prepare_tracks(block: pa.Table, *, config: ExperimentConfig) -> pa.Table:
    outcomes = [prepare_one(row, config) for row in block.to_pylist()]
    return pa.Table.from_pylist(outcomes, schema=OUTCOME_SCHEMA)


def _in_tasks(
    rows: list[dict[str, Any]],
    function: Callable[..., pa.Table],
    *,
    schema: pa.Schema | None = None,
    per_task: int = 1,
    **arguments: object,
) -> Iterator[dict[str, Any]]:
    """Give what `function` makes of tables of `per_task` rows, row by row as they are done."""
    if not rows:
        return iter(())
    tables = [
        pa.Table.from_pylist(rows[first : first + per_task], schema=schema)
        for first in range(0, len(rows), per_task)
    ]
    dataset = ray.data.from_arrow(tables).map_batches(
        function,
        batch_size=None,
        batch_format="pyarrow",
        fn_kwargs=arguments,
        num_cpus=TRACK_CPUS,
    )
    return iter(dataset.iter_rows())


def prepare_one(row: Mapping[str, Any], config: ExperimentConfig) -> dict[str, object]:
    """Prepare one track and write its parts, or write why not.

    Parameters
    ----------
    row : mapping
        A `TrackLocation`'s fields, or a row of `clips.CLIP_SCHEMA`.

    Returns
    -------
    dict
        A row of `OUTCOME_SCHEMA`.
    """
    paths, track_id = Paths(config), row["track_id"]
    rejects: list[Reject] = []
    prepare_row = clips.prepared if config.corpus.layout == "msd" else _prepared_stems
    try:
        prepared, known = prepare_row(row, config, rejects)
    except CorpusError as error:
        is_missing = isinstance(error, MissingPreviewError)
        uri = str(error).partition(": ")[0]
        audio_uri = uri if "/" in uri else row.get("uri") or row["audio_uri"]
        stage = "read" if is_missing else "prepare"
        rejects.append(Reject(track_id, audio_uri, stage, str(error), "track"))
        _write_rejects(paths, track_id, rejects)
        return outcome(track_id, 0.0, str(error), is_missing=is_missing)
    _write_rejects(paths, track_id, rejects)
    storage.write_table(paths.parts(track_id), parts_table(prepared, known))
    seconds = prepared.parts.num_samples / prepared.parts.sample_rate_hz
    return outcome(track_id, seconds * len(prepared.track.stems), "", is_missing=False)


def _prepared_stems(
    row: Mapping[str, Any], config: ExperimentConfig, rejects: list[Reject]
) -> tuple[PreparedTrack, dict[str, object]]:
    """Read and prepare the stems of a track; what it goes on without is added to `rejects`."""
    track, lost = slakh.read_track(
        TrackLocation(**row),
        config.corpus.name,
        # The list goes by Slakh's track numbers, which a composed corpus has too.
        exclude_known_faults=config.corpus.exclude_known_faults and bool(config.corpus.uri),
    )
    rejects += lost
    return prepare_track(track, config.audio), {}


def _write_rejects(paths: Paths, track_id: str, rejects: Sequence[Reject]) -> None:
    uri = paths.rejects(track_id)
    if rejects:
        rows = [asdict(reject) for reject in rejects]
        storage.write_table(uri, pa.Table.from_pylist(rows, schema=REJECT_SCHEMA))
    elif storage.exists(uri):
        storage.remove(uri)


def parts_table(prepared: PreparedTrack, known: Mapping[str, object] | None = None) -> pa.Table:
    """Write a prepared track as the one row of a `PARTS_SCHEMA` table.

    Parameters
    ----------
    known : mapping of column to value, optional
        What is known of it that is not heard: key and tags.
    """
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
        **(known or {}),
    }
    for part in INSTRUMENTS:
        pcm = parts.pcm.get(part)
        row[f"level_db_{part}"] = prepared.levels_db.get(part)
        row[f"pcm_{part}"] = None if pcm is None else pcm.tobytes()
    return pa.Table.from_pylist([row], schema=PARTS_SCHEMA)


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
