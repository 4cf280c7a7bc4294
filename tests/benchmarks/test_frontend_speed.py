"""How fast the front end's branches are beside librosa, one core each, and on a GPU."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import pytest

RATE_HZ, WINDOW, HOP, NUM_MELS = 22_050, 512, 256, 128
NUM_CLIPS, DURATION_S = 64, 3.0
GOALS = {"mel": 1.0, "tempogram": 2.0, "cens": 15.0}
DETAILS = {
    "mel": "librosa's melspectrogram",
    "tempogram": "librosa's onset_strength and tempogram",
    "cens": "librosa's chroma_cens from its constant-Q transform, ours from the STFT",
}
# Numerical libraries count their threads when they are loaded.
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA")}


@pytest.mark.parametrize("branch", GOALS)
def test_branch_against_librosa(branch: str, record: Any) -> None:
    found = subprocess.run(
        [sys.executable, __file__, branch],
        env=os.environ | THREADS,
        capture_output=True,
        text=True,
        check=True,
    )
    ours, theirs = map(float, found.stdout.split()[-2:])
    record(
        f"{branch}_vs_librosa",
        ours / theirs,
        GOALS[branch],
        f"{ours:.0f} clips/s of {DURATION_S:g} s at {RATE_HZ} Hz in batches of {NUM_CLIPS}, "
        f"{theirs:.0f} with {DETAILS[branch]}, one core each",
    )


def test_all_branches_on_a_gpu(record: Any) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    rates = {}
    for where in ("cuda", *GOALS):
        found = subprocess.run(
            [sys.executable, __file__, where],
            env=os.environ | THREADS,
            capture_output=True,
            text=True,
            check=True,
        )
        rates[where] = list(map(float, found.stdout.split()[-2:]))
    theirs = 1 / sum(1 / rates[branch][1] for branch in GOALS)
    ours = rates["cuda"][0]
    record(
        "frontend_on_gpu_vs_librosa",
        ours / theirs,
        100,
        f"mel, tempogram and CENS of {ours:.0f} clips/s on {torch.cuda.get_device_name()}, of "
        f"{theirs:.1f} with librosa on one core",
    )


def of_librosa(branch: str, clip: np.ndarray) -> np.ndarray:
    """Map of one clip."""
    import librosa

    if branch == "mel":
        mel = librosa.feature.melspectrogram(
            y=clip, sr=RATE_HZ, n_fft=WINDOW, hop_length=HOP, n_mels=NUM_MELS, power=1.0
        )
        return 20 * np.log10(np.maximum(mel, 1e-5))
    if branch == "tempogram":
        onsets = librosa.onset.onset_strength(y=clip, sr=RATE_HZ, n_fft=WINDOW, hop_length=HOP)
        return librosa.feature.tempogram(onset_envelope=onsets, win_length=384)
    return librosa.feature.chroma_cens(y=clip, sr=RATE_HZ, hop_length=HOP, tuning=0.0)


NUM_ROUNDS = 7


def clips_per_s(*works: tuple[Callable[[], Any], int]) -> list[float]:
    """Rate of each work's quickest round, after one that does not count.

    Rounds of the works take turns: what else the machine does meanwhile slows all of them.
    """
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(1 + NUM_ROUNDS):
        for of, (function, _) in zip(seconds, works, strict=True):
            started = perf_counter()
            function()
            of.append(perf_counter() - started)
    return [num / min(of[1:]) for of, (_, num) in zip(seconds, works, strict=True)]


def main(branch: str) -> None:
    """Print our rate and librosa's."""
    import torch

    from csn.config import FrontendConfig
    from csn.model.frontend import Frontend

    torch.set_num_threads(1)
    shape = (NUM_CLIPS, round(DURATION_S * RATE_HZ))
    clips = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
    branches = tuple(GOALS) if branch == "cuda" else (branch,)
    settings: Any = {"branches": branches, "window": WINDOW, "hop": HOP, "num_mels": NUM_MELS}
    frontend, batch = Frontend(FrontendConfig(**settings), RATE_HZ), torch.from_numpy(clips)
    if branch == "cuda":
        frontend, batch = frontend.cuda(), batch.repeat(8, 1).cuda()

        def on_gpu() -> None:
            with torch.inference_mode():
                frontend(batch)
            torch.cuda.synchronize()

        sys.stdout.write(f"{clips_per_s((on_gpu, len(batch)))[0]} 0\n")
        return
    few = clips[:8]
    ours, theirs = clips_per_s(
        (partial(frontend, batch), NUM_CLIPS),
        (lambda: [of_librosa(branch, clip) for clip in few], len(few)),
    )
    sys.stdout.write(f"{ours} {theirs}\n")


if __name__ == "__main__":
    main(sys.argv[1])
