"""The same work without the system around it: what the benchmarks compare with.

Run in plain processes, as many as Ray has CPUs. Nothing here imports Ray.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from time import monotonic
from typing import Any

import numpy as np

from csn.conditions import INSTRUMENTS

NUM_PROCESSES = 2
BATCH_S = 48.0
"""Audio in one forward pass, as in the system."""


def timed(function: Callable[[Any], Any], items: Iterable[Any], warm: Any) -> tuple[float, list]:
    """Seconds that the processes take over `items`, after each has done `warm` once."""
    items = list(items)
    with ProcessPoolExecutor(NUM_PROCESSES, mp_context=get_context("spawn")) as pool:
        list(pool.map(function, [warm] * (2 * NUM_PROCESSES)))
        started = monotonic()
        results = list(pool.map(function, items))
        return monotonic() - started, results


def decode_and_resample(job: tuple[Sequence[str], int]) -> int:
    """Decode each file and resample it, and no more; gives the samples read."""
    import soundfile
    import soxr

    paths, rate_hz = job
    total = 0
    for path in paths:
        samples, source_rate_hz = soundfile.read(path, dtype="float32")
        total += len(soxr.resample(samples, source_rate_hz, rate_hz))
    return total


def load_triplet(job: tuple[list[tuple[list[tuple[str, float]], float]], int]) -> np.ndarray:
    """Load a triplet as a data set's ``__getitem__`` does: each mix's stem files with librosa."""
    import librosa

    mixes = []
    wanted, rate_hz = job
    for stems, duration_s in wanted:
        pieces = [
            librosa.load(path, sr=rate_hz, offset=offset_s, duration=duration_s)[0]
            for path, offset_s in stems
        ]
        mixes.append(np.sum(pieces, axis=0))
    return np.stack(mixes)


def embed_segments(job: tuple[str, list[tuple[str, list[tuple[float, float]]]]]) -> int:
    """Read tracks' parts, sum their segments, run front end and network; gives the segments.

    A job is a checkpoint's folder and, for each file of parts, (start, duration) of its segments.
    """
    import pyarrow.parquet as pq
    import torch

    torch.set_num_threads(1)
    checkpoint_uri, tracks = job
    network = _network(checkpoint_uri)
    done = 0
    for path, segments in tracks:
        row = pq.read_table(path)
        rate_hz = row["sample_rate_hz"][0].as_py()
        scale = row["pcm_scale"][0].as_py()
        cells = [row[f"pcm_{part}"][0] for part in INSTRUMENTS]
        parts = [np.frombuffer(cell.as_buffer(), "<i2") for cell in cells if cell.is_valid]
        mix = np.sum(parts, axis=0, dtype=np.float32) * np.float32(scale)
        for duration_s in sorted({duration_s for _, duration_s in segments}):
            length = round(duration_s * rate_hz)
            starts = [round(start_s * rate_hz) for start_s, d in segments if d == duration_s]
            batch = int(BATCH_S / duration_s)
            for i in range(0, len(starts), batch):
                waveforms = np.stack([mix[s : s + length] for s in starts[i : i + batch]])
                with torch.inference_mode():
                    network(torch.from_numpy(waveforms))
            done += len(starts)
    return done


def embed_files(job: tuple[str, list[str], float]) -> int:
    """Decode whole files, resample, cut, run front end and network; gives the segments.

    A job is a checkpoint's folder, files, and the length of a segment in seconds.
    """
    import soundfile
    import soxr
    import torch

    torch.set_num_threads(1)
    checkpoint_uri, paths, segment_s = job
    loaded = _checkpoint(checkpoint_uri)
    rate_hz = loaded.config.audio.sample_rate_hz
    length, batch = round(segment_s * rate_hz), int(BATCH_S / segment_s)
    waiting: list[np.ndarray] = []
    done = 0
    for path in [*paths, ""]:
        if path:
            samples, source_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            mono = soxr.resample(samples.mean(axis=1), source_rate_hz, rate_hz)
            waiting += [mono[s : s + length] for s in range(0, len(mono) - length + 1, length)]
        while len(waiting) >= batch or (waiting and not path):
            with torch.inference_mode():
                loaded.network(torch.from_numpy(np.stack(waiting[:batch])))
            done += len(waiting[:batch])
            waiting = waiting[batch:]
    return done


@cache
def _checkpoint(checkpoint_uri: str) -> Any:
    from csn.model import checkpoint

    return checkpoint.load(checkpoint_uri)


@cache
def _network(checkpoint_uri: str) -> Any:
    return _checkpoint(checkpoint_uri).network
