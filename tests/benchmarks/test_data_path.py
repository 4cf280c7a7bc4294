"""How much of the machine's speed the data path keeps: preparing and rendering."""

import time
from typing import Any

import bare
import pyarrow as pa
import torch

NUM_TRIPLETS = 4_096
NUM_TRIPLETS_FROM_FILES = 192


def test_prepare_against_decoding(composed: Any, ray_here: float, record: Any) -> None:
    from csn.corpora import slakh
    from csn.distributed import ingest
    from csn.distributed.progress import Stages
    from csn.paths import Paths

    paths = Paths(composed)
    rate_hz = composed.audio.sample_rate_hz
    jobs = []
    for location in slakh.list_tracks(paths.corpus):
        track, _ = slakh.read_track(location, "benchmarks")
        jobs.append(([stem.audio_uri for stem in track.stems], rate_hz))
    bare_s, samples = bare.timed(bare.decode_and_resample, jobs, jobs[0])

    started = time.monotonic()
    ingest.prepare(composed, Stages(paths.experiment("stages.json")))
    prepare_s = time.monotonic() - started
    hours = sum(samples) / rate_hz / 3600
    record(
        "prepare_vs_decode",
        bare_s / prepare_s,
        0.6,
        f"{hours:.2f} h of stems: prepare {prepare_s:.1f} s, bare decode + resample "
        f"{bare_s:.1f} s on {bare.NUM_PROCESSES} processes; Ray's start-up, apart: "
        f"{ray_here:.1f} s",
    )


def test_render_against_a_file_loader(composed: Any, ray_here: float, record: Any) -> None:
    from csn.corpora import slakh
    from csn.distributed import ingest
    from csn.distributed.bank import load_bank, mixes_of
    from csn.distributed.plans import plan_rows
    from csn.distributed.progress import Stages
    from csn.distributed.streams import rendered, rendered_on_device
    from csn.paths import Paths
    from csn.records import INSTRUMENTS, ROLES

    paths = Paths(composed)
    stages = Stages(paths.experiment("stages.json"))
    tracks = ingest.prepare(composed, stages)
    rows, _ = plan_rows(composed, tracks, stages)
    rows = rows.slice(0, NUM_TRIPLETS)

    onsets_s = dict(
        zip(tracks["track_id"].to_pylist(), tracks["onset_s"].to_pylist(), strict=True)
    )
    stems: dict[tuple[str, str], list[str]] = {}
    for location in slakh.list_tracks(paths.corpus):
        for stem in slakh.read_track(location, "benchmarks")[0].stems:
            stems.setdefault((location.track_id, stem.instrument), []).append(stem.audio_uri)

    def files(row: pa.Table) -> tuple:
        job = []
        for role in ROLES:
            mix = mixes_of(row, f"{role}_")[0]
            pieces = [
                (uri, start_s + onsets_s[track])
                for part, track, start_s in zip(INSTRUMENTS, mix.tracks, mix.starts_s, strict=True)
                for uri in stems.get((track, part), [])
            ]
            job.append((pieces, composed.audio.segment_s))
        return job, composed.audio.sample_rate_hz

    jobs = [files(rows.slice(i, 1)) for i in range(NUM_TRIPLETS_FROM_FILES)]
    loader_s, _ = bare.timed(bare.load_triplet, jobs, jobs[0])

    bank = load_bank(paths, onsets_s)
    batch = composed.training.batch_size
    device = torch.device("cpu")
    for _ in rendered([rows.slice(0, 2 * batch)], bank, composed, batch, device):
        pass  # the bank is read and the tasks' processes are up, as after a training's first epoch
    started = time.monotonic()
    batches = rendered([rows], bank, composed, batch, device)
    num_rows = sum(len(one["waveforms"]) for one in batches)
    render_s = time.monotonic() - started
    ours, theirs = num_rows / render_s, len(jobs) / loader_s
    record(
        "render_vs_file_loader",
        ours / theirs,
        30,
        f"{ours:.0f} rows of three mixes a second against {theirs:.1f} with librosa.load of each "
        f"stem's {composed.audio.segment_s:g} s ({NUM_TRIPLETS_FROM_FILES} of the same rows), "
        f"{bare.NUM_PROCESSES} processes each",
    )
    assert num_rows == NUM_TRIPLETS
    if torch.cuda.is_available():
        device = torch.device("cuda")
    for _ in rendered_on_device([rows.slice(0, 2 * batch)], bank, composed, batch, device):
        pass
    started = time.monotonic()
    num_rows = sum(
        len(one["waveforms"]) for one in rendered_on_device([rows], bank, composed, batch, device)
    )
    here = num_rows / (time.monotonic() - started)
    record(
        "device_vs_workers",
        here / ours,
        None,
        f"{here:.0f} rows a second rendered by the trainer's process on the {device}, against "
        f"{ours:.0f} by tasks on {bare.NUM_PROCESSES} CPUs",
    )
