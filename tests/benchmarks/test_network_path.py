"""How much of the machine's speed training and embedding keep."""

import time
from typing import Any

import bare
import pyarrow as pa


def test_training_waits_little(composed: Any, ray_here: float, record: Any) -> None:
    from csn.distributed import ingest
    from csn.distributed.progress import Stages
    from csn.distributed.training import fit
    from csn.paths import Paths

    stages = Stages(Paths(composed).experiment("stages.json"))
    tracks = ingest.prepare(composed, stages)
    started = time.monotonic()
    trained = fit(composed, tracks, stages)
    fit_s = time.monotonic() - started
    epochs = trained.history
    waited_s = sum(row["train/waited_s"] for row in epochs)
    steps_s = sum(row["train/waited_s"] / (1 - row["train/busy_share"]) for row in epochs)
    mixes = 3 * composed.training.batch_size * len(epochs)
    mixes *= composed.triplets.num_rows // composed.training.batch_size
    record(
        "train_busy_share",
        1 - waited_s / steps_s,
        0.85,
        f"{waited_s:.1f} of {steps_s:.1f} s of steps waiting for data, "
        f"{mixes / steps_s:.0f} mixes/s through the demo's network; with start-up and "
        f"validation {fit_s:.1f} s",
    )


def test_embed_against_the_bare_network(composed: Any, ray_here: float, record: Any) -> None:
    from csn.distributed import embedding, ingest
    from csn.distributed.asked_split import asked_split
    from csn.distributed.progress import Stages
    from csn.distributed.training import fit
    from csn.paths import Paths

    paths = Paths(composed)
    stages = Stages(paths.experiment("stages.json"))
    tracks = ingest.prepare(composed, stages)
    fit(composed, tracks, stages)
    mixes = asked_split(composed, tracks).mixes
    jobs = _jobs(mixes, paths)
    bare_s, done = bare.timed(bare.embed_segments, jobs, jobs[0])

    started = time.monotonic()
    embedding.embed(composed, mixes, stages)
    embed_s = time.monotonic() - started
    start_up_s = _start_up_s(composed, paths, mixes)
    assert sum(done) == len(mixes)
    record(
        "embed_vs_bare",
        bare_s / (embed_s - start_up_s),
        0.6,
        f"{len(mixes)} segments: embed {embed_s:.1f} s, of which {start_up_s:.1f} s to start the "
        f"actors; reading parts + front end + network alone {bare_s:.1f} s on "
        f"{bare.NUM_PROCESSES} processes",
    )


def _jobs(mixes: pa.Table, paths: Any) -> list:
    """One job a track: the segments that are asked of it, wherever they are mixed."""
    segments: dict[str, list[tuple[float, float]]] = {}
    for row in mixes.select(["track_id", "start_s", "duration_s"]).to_pylist():
        segments.setdefault(row["track_id"], []).append((row["start_s"], row["duration_s"]))
    return [
        (paths.best_checkpoint, [(paths.parts(track), wanted)])
        for track, wanted in segments.items()
    ]


def _start_up_s(config: Any, paths: Any, mixes: pa.Table) -> float:
    """Seconds until one mix of each length is embedded, an actor each: all of it is starting."""
    from csn.distributed import embedding
    from csn.distributed.progress import Stages

    one = pa.concat_tables([mixes.slice(0, 1), mixes.slice(len(mixes) - 1, 1)]).combine_chunks()
    started = time.monotonic()
    embedding._embedded(config, paths, one, ["csn"], Stages(paths.experiment("one.json")))
    return time.monotonic() - started
