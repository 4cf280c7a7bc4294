"""Nights on catalogues: speed against the bare work, a night without changes, memory."""

import json
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import bare
import numpy as np
import pytest
import soundfile as sf

REPOSITORY = Path(__file__).parents[2]
NUM_CLIPS = 1_024
CLIP_S = 12.0
NUM_TRACKS = 20_000
FEW_TRACKS = 1_000
SHORT_S, LONG_S = 600, 36_000
SEGMENT_S = 3.0


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write new networks: of the demo's size, and a tiny one."""
    import torch

    from csn import recipes
    from csn.model import checkpoint
    from csn.model.network import build_network

    folder = tmp_path_factory.mktemp("networks")
    for name in ("demo", "tiny"):
        config = recipes.ALL[name]()
        torch.manual_seed(0)
        checkpoint.save(str(folder / name), build_network(config), config)
    return {name: str(folder / name) for name in ("demo", "tiny")}


@pytest.fixture(scope="session")
def driver(ray_here: float, network: dict[str, str]) -> Any:
    """Give what runs a night in a process of its own; gives its line, and its wall seconds."""
    import ray

    address = ray.get_runtime_context().gcs_address

    def run(size: str, catalogue: Path, root: Path, *options: str) -> tuple[dict, float]:
        command = [sys.executable, "jobs/embed.py", "--checkpoint_uri", network[size]]
        command += ["--catalogue_uri", str(catalogue), "--root", str(root), *options]
        started = time.monotonic()
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=os.environ | {"RAY_ADDRESS": address},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), time.monotonic() - started

    return run


def linked(folder: Path, originals: list[Path], count: int) -> Path:
    """Fill a folder with `count` names for some files."""
    folder.mkdir()
    for place in range(count):
        original = originals[place % len(originals)]
        os.link(original, folder / f"{place:06}{original.suffix}")
    return folder


def sounds(folder: Path, count: int, seconds: float, rate_hz: int, endings: list[str]) -> Any:
    """Write some noise with a beat."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    beat = np.abs(np.sin(np.arange(round(seconds * rate_hz)) / rate_hz * 6.3))
    for place in range(count):
        path = folder / f"{place}{endings[place % len(endings)]}"
        sf.write(path, 0.1 * rng.normal(size=len(beat)) * beat, rate_hz)
        yield path


def test_night_against_the_bare_work(
    driver: Any, network: dict[str, str], ray_here: float, record: Any, tmp_path: Path
) -> None:
    originals = list(sounds(tmp_path / "originals", 32, CLIP_S, 44_100, [".flac", ".mp3"]))
    catalogue = linked(tmp_path / "clips", originals, NUM_CLIPS)
    files = sorted(str(path) for path in catalogue.iterdir())
    chunks = iter(files)
    jobs = [
        (network["demo"], chunk, SEGMENT_S)
        for chunk in iter(lambda: list(islice(chunks, NUM_CLIPS // 16)), [])
    ]
    bare_s, segments = bare.timed(bare.embed_files, jobs, (network["demo"], files[:4], SEGMENT_S))
    options = ("--segments.duration_s", str(SEGMENT_S), "--segments.min_tail_s", "2.9")
    line, _ = driver("demo", catalogue, tmp_path / "root", *options)
    assert line["tracks"]["done"] == NUM_CLIPS
    assert abs(line["segments"] - sum(segments)) <= NUM_CLIPS  # an MP3 may be a frame longer
    ours_s = line["seconds"]["embed"]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in line["shares"].items())
    record(
        "nightly_vs_limit",
        bare_s / ours_s,
        0.75,
        f"{NUM_CLIPS} clips of {CLIP_S:g} s (FLAC and MP3, 44.1 kHz): {ours_s:.1f} s with their "
        f"{line['segments']} segments written and committed, bare decode + front end + network "
        f"{bare_s:.1f} s, {bare.NUM_PROCESSES} processes each; {line['audio_hours_an_hour']:.0f} "
        f"hours of audio an hour; {shares}; apart: Ray {ray_here:.1f} s, workers "
        f"{line['seconds']['startup']:.1f} s, joining files {line['seconds']['compact']:.1f} s",
    )


@pytest.fixture(scope="session")
def many_tracks(driver: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Embed 20,000 short tracks; gives what ran again runs the same night, and the first line."""
    folder = tmp_path_factory.mktemp("many")
    originals = list(sounds(folder / "originals", 64, SEGMENT_S, 16_000, [".wav"]))
    catalogue = linked(folder / "tracks", originals, NUM_TRACKS)

    def night() -> tuple[dict, float]:
        return driver("demo", catalogue, folder / "root")

    return night, night()


def test_night_without_changes(many_tracks: Any, record: Any) -> None:
    night, (first, first_s) = many_tracks
    assert first["tracks"]["done"] == NUM_TRACKS
    second, second_s = night()
    assert second["counts"]["unchanged"] == NUM_TRACKS
    assert second["tracks"]["done"] == 0
    began, again = (line["seconds"]["all"] for line in (first, second))
    record(
        "second_night",
        0.05 * began / again,
        1.0,
        f"{NUM_TRACKS} tracks: the first night {began:.1f} s, the second {again:.2f} s "
        f"({again / began:.1%}); with Python's imports, apart: {first_s:.1f} and {second_s:.1f} s",
    )


def test_memory_grows_with_nothing(
    driver: Any, many_tracks: Any, record: Any, tmp_path: Path
) -> None:
    many, _ = many_tracks[1]
    originals = list(sounds(tmp_path / "originals", 64, SEGMENT_S, 16_000, [".wav"]))
    few, _ = driver("demo", linked(tmp_path / "few", originals, FEW_TRACKS), tmp_path / "root")
    lines = {}
    for seconds in (SHORT_S, LONG_S):
        folder = tmp_path / f"{seconds}"
        folder.mkdir()
        block = (1000 * np.sin(np.arange(16_000 * 60) ** 1.1 / 50)).astype(np.int16)
        with sf.SoundFile(folder / "long.flac", "w", 16_000, 1) as file:
            for _ in range(seconds // 60):
                file.write(block)
        lines[seconds], _ = driver("demo", folder, tmp_path / "root")
        assert lines[seconds]["segments"] == seconds / SEGMENT_S
    peaks = {
        f"{NUM_TRACKS} / {FEW_TRACKS} tracks, worker": (many, few, "worker"),
        f"{NUM_TRACKS} / {FEW_TRACKS} tracks, driver": (many, few, "driver"),
        f"a track of {LONG_S / 3600:g} h / {SHORT_S / 60:g} min, worker": (
            lines[LONG_S],
            lines[SHORT_S],
            "worker",
        ),
    }
    growth = {n: (a["peak_mb"][who], b["peak_mb"][who]) for n, (a, b, who) in peaks.items()}
    worst = max(large / small for large, small in growth.values())
    record(
        "memory_growth",
        1.25 / worst,
        1.0,
        "peak resident memory: "
        + "; ".join(f"{name}: {a} / {b} MB" for name, (a, b) in growth.items()),
    )
