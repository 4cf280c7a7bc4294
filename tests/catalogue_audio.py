"""Small catalogues for tests: short files in many formats, and a network that nobody trained."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

FORMATS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "mp3": {"format": "MP3"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
}


def write_network(folder: Path, seed: int = 0, **network: Any) -> str:
    """Write a checkpoint with new weights of the tiny recipe; gives its digest."""
    import torch

    from csn import recipes
    from csn.config.overrides import with_overrides
    from csn.model import checkpoint
    from csn.model.network import build_network

    overrides = {f"network.{name}": value for name, value in network.items()}
    config = with_overrides(recipes.tiny(), overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return checkpoint.save(str(folder), build_network(config), config)


def write_sound(
    path: Path, seconds: float = 7.0, seed: int = 0, rate_hz: int = 22_050, channels: int = 1
) -> None:
    """Write noise that `seed` makes its own, in the format of the name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.1, (round(seconds * rate_hz), channels)).astype(np.float32)
    ending = path.suffix.lstrip(".").lower()
    with path.open("wb") as file:
        sf.write(file, samples, rate_hz, **FORMATS[ending])


def write_catalogue(folder: Path, num_tracks: int = 12) -> list[str]:
    """Write tracks of all formats, some rates and numbers of channels; gives their names."""
    names = []
    for place in range(num_tracks):
        ending = list(FORMATS)[place % len(FORMATS)]
        name = f"album {place % 3}/track{place:03}.{ending}"
        rate_hz = (16_000, 22_050, 44_100)[place % 3]
        write_sound(folder / name, 4.0 + place % 4, place, rate_hz, 1 + place % 2)
        names.append(name)
    return sorted(names)
