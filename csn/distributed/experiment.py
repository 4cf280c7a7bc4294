"""The whole way of one experiment, and its parts as the jobs call them.

Conventions
-----------
Every stage finds out by itself what is done already, so any job can be run again with the same
command: after a crash it goes on, and after the end it changes nothing.
"""

import logging

import pyarrow as pa

from csn import storage
from csn.config import ExperimentConfig, from_json, to_json
from csn.distributed import cluster, ingest
from csn.distributed.asked_split import AskedSplit, asked_split
from csn.distributed.compatibility import (
    check_kept,
    check_separator,
    check_start,
    started_from,
)
from csn.distributed.embedding import MANIFEST, embed
from csn.distributed.progress import Stages
from csn.distributed.reporting import is_reported, write_report
from csn.distributed.scoring import score, triplet_questions
from csn.distributed.shared_root import check_shared
from csn.distributed.systems import system_digests
from csn.distributed.training import fit, read_finished
from csn.errors import ConfigError, StorageError
from csn.paths import Paths
from csn.records import OURS

log = logging.getLogger(__name__)

STARTED_FROM = "started_from.json"
"""Digests of what a training was told to learn from: networks, a list of triplets."""


def prepare(config: ExperimentConfig) -> str:
    """Compose the corpus if need be and prepare it; returns the prepared folder."""
    paths = Paths(config)
    storage.check_writable(paths.root)
    check_separator(config)
    if config.on_existing == "overwrite":
        storage.remove(paths.prepared)
    _refuse_existing(config, storage.join(paths.prepared, "manifest.json"))
    with cluster.joined():
        _prepared(config, Stages(storage.join(paths.prepared, "stages.json")))
    return paths.prepared


def train(config: ExperimentConfig) -> str:
    """Go the whole way, from the corpus to the report; returns the report's address."""
    storage.check_writable(Paths(config).root)
    if config.on_existing != "overwrite" and is_reported(config):
        paths = _claimed(config)
        log.info("%s is finished: nothing to do", paths.experiment())
        return paths.experiment("report.html")
    # Before `_claimed` removes anything.
    check_kept(config)
    check_separator(config)
    check_start(config)
    if config.evaluation.checkpoint_uri:
        system_digests(config, Paths(config))
    paths = _claimed(config)
    with cluster.joined():
        if not config.workers.wait_for_nodes_s and read_finished(paths) is None:
            cluster.check_fits(config.workers)  # nodes that come when asked are asked for later
        stages = Stages(paths.experiment("stages.json"))
        tracks, heard = _prepared(config, stages)
        # Now, and not when hours of training are over.
        asked = asked_split(config.evaluated, heard)
        triplet_questions(config, heard)
        fit(config, tracks, stages)
        return _scored(config, heard, asked, stages)


def embed_split(config: ExperimentConfig) -> str:
    """Embed the evaluated split with the trained network; returns the folder of its embeddings."""
    paths = Paths(config)
    digest = system_digests(config, paths)[OURS]
    _refuse_existing(config, storage.join(paths.embeddings(digest), MANIFEST))
    check_separator(config)
    with cluster.joined():
        stages = Stages(paths.experiment("stages.json"))
        _, heard = _prepared(config, stages)
        asked = asked_split(config.evaluated, heard)
        return embed(config.evaluated, asked.mixes, stages)[OURS]


def evaluate(config: ExperimentConfig) -> str:
    """Score the trained network and write its report, embedding first what is not embedded yet."""
    paths = Paths(config)
    _refuse_existing(config, paths.experiment("report.html"))
    system_digests(config, paths)  # a network that is missing, or does not fit, is refused here
    check_separator(config)
    with cluster.joined():
        stages = Stages(paths.experiment("stages.json"))
        _, heard = _prepared(config, stages)
        return _scored(config, heard, asked_split(config.evaluated, heard), stages)


def _scored(config: ExperimentConfig, tracks: pa.Table, asked: AskedSplit, stages: Stages) -> str:
    """Embed what is `asked`, score it and write the report; returns the report's address."""
    uris = embed(config.evaluated, asked.mixes, stages)
    score(config.evaluated, uris, tracks, stages, lacking=asked.lacking)
    return write_report(config, uris, stages)


def _prepared(config: ExperimentConfig, stages: Stages) -> tuple[pa.Table, pa.Table]:
    """Prepare what is learnt from, and as what it is scored, where a separator parts the two."""
    check_shared(config.root)
    ingest.compose(config, stages)
    tracks = ingest.prepare(config, stages)
    if config.evaluated == config:
        return tracks, tracks
    return tracks, ingest.prepare(config.evaluated, stages.within("evaluated"))


def _claimed(config: ExperimentConfig) -> Paths:
    """Make the experiment's folder this configuration's, or refuse to touch another's.

    Raises
    ------
    StorageError
        The folder holds another experiment, or a finished one where `on_existing` is ``error``.
    """
    paths = Paths(config)
    uri = paths.experiment("config.json")
    if storage.exists(uri) and config.on_existing == "overwrite":
        storage.remove(paths.experiment())
    elif storage.exists(uri) and (other := _difference(config, uri)):
        if storage.exists(paths.experiment("checkpoints")):
            raise StorageError(
                f"{uri}{other}; choose another --name or --root, or --on_existing overwrite"
            )
        # A run that was refused, or stopped before it learnt: its plan must not be ours.
        storage.remove(paths.experiment())
    else:
        _refuse_existing(config, paths.experiment("report.html"))
    text = to_json(config).encode()
    if not storage.exists(uri) or storage.read_bytes(uri) != text:
        storage.write_bytes(uri, text)
    note = paths.experiment(STARTED_FROM)
    if (networks := started_from(config)) and not storage.exists(note):
        storage.write_json(note, networks)
    return paths


def _refuse_existing(config: ExperimentConfig, result_uri: str) -> None:
    """Raise StorageError where `result_uri` stands already and the user wants that refused."""
    if config.on_existing == "error" and storage.exists(result_uri):
        raise StorageError(
            f"{result_uri} is there already, finished; choose another --name or --root, or "
            "--on_existing skip or overwrite"
        )


def _difference(config: ExperimentConfig, uri: str) -> str:
    """Say in what the configuration at `uri` would learn something else; empty: in nothing."""
    try:
        before = Paths(from_json(storage.read_bytes(uri))).training_fields
    except ConfigError as error:
        return f": {error}"
    now = Paths(config).training_fields
    changed = [name for name in now if before.get(name) != now[name]]
    if not changed:
        return _exchanged(config)
    found = "; ".join(f"{n} was {before.get(n)}, now {now[n]}" for n in changed[:3])
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f" is of another experiment ({found}{more})"


def _exchanged(config: ExperimentConfig) -> str:
    """Say what `config` learns from that is another than when its training began."""
    uri = Paths(config).experiment(STARTED_FROM)
    before = storage.read_json(uri) if storage.exists(uri) else {}
    for field, digest in started_from(config).items():
        if before.get(field, digest) != digest:
            return f" began from {field} of digest {before[field]}, which is {digest} now"
    return ""
