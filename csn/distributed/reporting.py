"""Gather what a report shows from the root, and write it."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from csn import storage
from csn.conditions import ALL, INSTRUMENTS, MIX
from csn.config import ExperimentConfig
from csn.distributed.bank import load_parts, mixes_of
from csn.distributed.embedding import MANIFEST, read_embeddings
from csn.distributed.ingest import read_rejects
from csn.distributed.progress import Stages
from csn.distributed.scoring import CRITERIA, SCORES, WARNINGS, distances_of
from csn.distributed.systems import system_digests
from csn.distributed.training import read_finished
from csn.model.losses import overlap_in_part
from csn.paths import Paths
from csn.records import ABSENT, OURS, ROLES, Mix
from csn.reports import model_card
from csn.reports.data import Clip, ReportData
from csn.reports.page import render_page
from csn.triplets.rendering import render

log = logging.getLogger(__name__)

NUM_TRIPLETS_TO_PLAY = 3


def write_report(config: ExperimentConfig, uris: Mapping[str, str], stages: Stages) -> str:
    """Write ``report.html`` of an experiment that is trained, embedded and scored."""
    paths = Paths(config)
    with stages.stage("report", 1, "pages") as counter:
        data = report_data(config, uris, stages)
        uri = paths.experiment("report.html")
        storage.write_bytes(uri, render_page(data).encode())
        if data.manifest["checkpoint_digest"] and not config.evaluation.checkpoint_uri:
            card = storage.join(paths.best_checkpoint, model_card.FILE)
            storage.write_bytes(card, model_card.card_text(data).encode())
        counter.advance()
    manifest = storage.Manifest.finished(
        storage.utc_now(),
        config_digest=_results_digest(config),
        corpus_digest=paths.corpus_digest,
    )
    storage.write_manifest(paths.experiment("manifest.json"), manifest)
    return uri


def is_reported(config: ExperimentConfig) -> bool:
    """Whether this very configuration is trained, embedded, scored and reported.

    More baselines than it asks for are no fault.
    """
    paths = Paths(config)
    manifest = paths.experiment("manifest.json")
    if not storage.exists(manifest):
        return False
    if storage.read_manifest(manifest).config_digest != _results_digest(config):
        return False
    made = [paths.experiment(name) for name in (SCORES, CRITERIA, "report.html")]
    if read_finished(paths) is None or not all(map(storage.exists, made)):
        return False
    systems = storage.read_table(paths.experiment(SCORES), ["system"])["system"]
    if not {OURS, *config.evaluation.baselines} <= set(systems.to_pylist()):
        return False
    embedded = map(paths.embeddings, system_digests(config, paths).values())
    return all(storage.exists(storage.join(uri, MANIFEST)) for uri in embedded)


def _results_digest(config: ExperimentConfig) -> str:
    """Names all that our system's scores depend on; other systems may stand beside them."""
    evaluation = asdict(config.evaluation)
    del evaluation["baselines"]
    for field in ("triplets_uri", "pseudo_mixes_uri"):  # at the same address may lie another file
        if evaluation[field] and storage.exists(evaluation[field]):
            evaluation[field] = storage.read_bytes(evaluation[field]).hex()
    return storage.digest([Paths(config).training_digest, evaluation])


def report_data(config: ExperimentConfig, uris: Mapping[str, str], stages: Stages) -> ReportData:
    """Read what the report shows."""
    paths = Paths(config)
    trained = read_finished(paths)
    tracks = storage.read_table(paths.tracks, ["track_id", "split"])
    counts = {
        f"{split} tracks": len(tracks.filter(pc.equal(tracks["split"], split)))
        for split in ("train", "validation", "test")
    }
    rejects = read_rejects(config)
    manifest = storage.Manifest.finished(storage.utc_now())
    # Of concepts the page shows triplets alone: no map of segments, and no distances.
    has_parts = not config.network.of_concepts
    ours = read_embeddings(uris[OURS], config.network.conditions) if has_parts else {}
    return ReportData(
        config=config,
        manifest=asdict(manifest)
        | {"checkpoint_digest": trained.digest if trained else "", "root": paths.root},
        counts=counts | {"rejected files": len(rejects)},
        scores=storage.read_table(paths.experiment(SCORES)),
        history=trained.history if trained else (),
        best_epoch=trained.best_epoch if trained else None,
        embeddings={c: _segments(table, config) for c, table in ours.items()},
        criteria=storage.read_table(paths.experiment(CRITERIA)),
        distances=distances_of(config, ours)[0],
        pseudo_mixes={c: _shortest(table, config, "pseudo_mix", c) for c, table in ours.items()},
        clips=_clips(config, paths),
        rejects=rejects,
        stages=stages.all(),
        warnings=storage.read_json(paths.experiment(WARNINGS)),
    )


def _segments(table: pa.Table, config: ExperimentConfig) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the shortest segments in which the condition's part sounds, and their tracks."""
    vectors, track_ids, _ = _shortest(table, config, "mix", "")
    return vectors, track_ids


def _shortest(
    table: pa.Table, config: ExperimentConfig, source: str, focus: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of the shortest sounding segments of one source, and the A and B of each."""
    duration_s = min(config.evaluation.durations_s)
    wanted = table["sounds"]
    for name, value in (("source", source), ("focus", focus), ("duration_s", duration_s)):
        wanted = pc.and_(wanted, pc.equal(table[name], value))
    kept = table.filter(pc.and_(wanted, pc.greater_equal(table["segment_index"], 0)))
    vectors = np.array(kept["vector"].to_pylist(), np.float32)
    return vectors, _texts(kept["focus_track_id"]), _texts(kept["backing_track_id"])


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    return np.array(column.to_pylist(), str)


def _clips(config: ExperimentConfig, paths: Paths) -> list[Clip]:
    """Render the first planned triplets of as many conditions, to listen to."""
    if not storage.exists(paths.plan):
        return []
    rows = storage.read_table(paths.plan, filters=pc.field("plan_index") == 0)
    examples = triplets_to_play(rows, config)
    num_samples = round(config.audio.segment_s * config.audio.sample_rate_hz)
    clips = []
    for condition, mixes in examples:
        title = _title(condition, mixes[0])
        for role, mix in zip(ROLES, mixes, strict=True):
            # No more of any track than this mix asks for: free mixes draw on many.
            end_s = max(mix.starts_s) + 2 * config.audio.segment_s
            names = set(mix.tracks) - {ABSENT}
            bank = {track: load_parts(paths.parts(track), end_s) for track in names}
            waveform = render([mix], bank, num_samples)[0]
            described = describe_mix(mix, condition)
            clips.append(
                Clip(title, role, described, waveform, config.audio.sample_rate_hz, condition)
            )
    return clips


Example = tuple[str, tuple[Mix, ...]]
"""A condition, and mixes in the order of `ROLES`."""


def _title(condition: str, anchor: Mix) -> str:
    if condition in INSTRUMENTS or condition == MIX:
        shared = anchor.track_of(condition) if condition != MIX else anchor.tracks[0]
        return f"{condition}: anchor and positive share the {condition} of {shared}"
    if condition == ALL:
        return "all concepts: anchor and positive are of one track"
    return f"{condition}: anchor and positive are alike in {condition}, the negative is not"


def triplets_to_play(rows: pa.Table, config: ExperimentConfig) -> list[Example]:
    """Choose from the first rows of a plan what is played: triplets, or what they are made of.

    Of free mixes a triplet is an anchor with one of its positives and one of its negatives.
    """
    return _triplets(rows, config) if config.loss.kind == "triplet" else _pairs(rows, config)


def _triplets(rows: pa.Table, config: ExperimentConfig) -> list[Example]:
    # Concepts take turns, row by row: each has one.
    num = len(config.network.conditions) if config.network.of_concepts else NUM_TRIPLETS_TO_PLAY
    rows = rows.slice(0, num)
    by_role = [mixes_of(rows, f"{role}_") for role in ROLES]
    return list(zip(rows["condition"].to_pylist(), zip(*by_role, strict=True), strict=True))


def _pairs(rows: pa.Table, config: ExperimentConfig) -> list[Example]:
    """Find triplets in a batch of free mixes: one of its positives, and one of its negatives."""
    mixes = mixes_of(rows.slice(0, config.training.batch_size))
    found: list[Example] = []
    for condition in config.network.conditions[:NUM_TRIPLETS_TO_PLAY]:
        for anchor, positive in combinations([m for m in mixes if m.track_of(condition)], 2):
            track = anchor.track_of(condition)
            apart_s = abs(anchor.start_of(condition) - positive.start_of(condition))
            others = [m for m in mixes if m.track_of(condition) not in (track, ABSENT)]
            if (
                positive.track_of(condition) == track
                and not overlap_in_part(apart_s, config.min_start_gap_s)
                and others
            ):
                found.append((condition, (anchor, positive, others[0])))
                break
    return found


def describe_mix(mix: Mix, condition: str) -> str:
    """Write a mix as [H24] does, with where it starts: ``A_B(drums), from 12.0 s``.

    A free mix has a backing of many tracks: ``A_B+C+D(drums)``. What no part is asked of is heard
    as it is: ``A, from 12.0 s``.
    """
    if condition not in INSTRUMENTS:
        return f"{mix.tracks[0]}, from {mix.starts_s[0]:.1f} s"
    focus = mix.track_of(condition)
    backing = list(dict.fromkeys(t for t in mix.tracks if t not in (focus, ABSENT))) or [focus]
    return f"{focus}_{'+'.join(backing)}({condition}), from {mix.start_of(condition):.1f} s"
