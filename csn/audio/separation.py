"""Separators: what a mix tells of its parts, instead of the parts themselves.

Conventions
-----------
A separator hears the sum of all parts and gives estimates, each named by an instrument. What it
cannot tell apart stays together under ``others``; `Separator.holds` says whose sound an estimate
is to hold. Samples are mono floats, all of one length.

Source
------
[H22] 4.1 and [H24] 4.2 hear their individual networks on separated sounds as well, from Spleeter
and Demucs, whose weights are downloads; `oracle` and `hpss` need none.
"""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soxr
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from scipy.fft import next_fast_len

from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig
from csn.errors import ConfigError

Samples = Float[np.ndarray, " samples"]
WINDOW_S = 0.064
"""Of the STFT in which `oracle` masks, or a little more; four hops, 1024 samples at 16 kHz."""
DEMUCS_STEMS = {name: name for name in INSTRUMENTS} | {"other": "others", "vocals": "others"}
"""Our part for each source that a Demucs network may name."""


class Separator(ABC):
    """Estimates the parts of a mix."""

    holds: Mapping[str, tuple[str, ...]]
    """The instruments whose sound each estimate is to hold."""

    @abstractmethod
    def __call__(self, parts: Mapping[str, Samples], sample_rate_hz: int) -> dict[str, Samples]:
        """Estimate the parts of the mix of `parts`; only `Oracle` looks at more than their sum."""


class Oracle(Separator):
    """Ratio masks from the known parts: the best that masking a mix can do, made worse by bleed.

    ``estimate_i = (m_i x + g (1 - m_i) x) / (1 + g (n - 1))`` with the mix x, the masks
    ``m_i = |s_i|^2 / sum_j |s_j|^2`` on its STFT, n parts, and the bleed g: everything else comes
    through g times as loud as the part itself. The estimates sum to the mix.
    """

    def __init__(self, bleed_db: float) -> None:
        self.holds = {name: (name,) for name in INSTRUMENTS}
        self._bleed = 10 ** (bleed_db / 20)

    def __call__(self, parts: Mapping[str, Samples], sample_rate_hz: int) -> dict[str, Samples]:
        """Estimate each of `parts` from their sum."""
        mix = _sum(parts.values())
        hop = next_fast_len(max(1, round(WINDOW_S * sample_rate_hz / 4)), real=True)

        def spectrum(samples: Samples) -> np.ndarray:
            return librosa.stft(samples, n_fft=4 * hop, hop_length=hop)

        # Twice over the parts, one spectrogram at a time: all of them at once are gigabytes.
        total = np.float32(1e-20)
        for samples in parts.values():
            total = total + np.abs(spectrum(samples)) ** 2
        heard = spectrum(mix)
        estimates = {}
        for name, samples in parts.items():
            mask = np.abs(spectrum(samples)) ** 2 / total
            masked = librosa.istft(mask * heard, n_fft=4 * hop, hop_length=hop, length=len(mix))
            bled = masked + self._bleed * (mix - masked)
            estimates[name] = bled / np.float32(1 + self._bleed * (len(parts) - 1))
        return estimates


class Hpss(Separator):
    """Drums are what is percussive; all that is harmonic stays together (librosa's HPSS)."""

    def __init__(self) -> None:
        rest = tuple(name for name in INSTRUMENTS if name != "drums")
        self.holds = {"drums": ("drums",), "others": rest}

    def __call__(self, parts: Mapping[str, Samples], sample_rate_hz: int) -> dict[str, Samples]:
        """Split the sum of `parts` in two."""
        mix = _sum(parts.values())
        harmonic, percussive = librosa.effects.hpss(mix)
        return {"drums": percussive, "others": harmonic}


class Demucs(Separator):
    """A trained Demucs network, from the package of that name (extra ``demucs``).

    The network is read from a safetensors file as Demucs publishes them, whose header names its
    class; a class that is not Demucs' own is refused. Nothing in the file is unpickled.
    """

    def __init__(self, weights: str) -> None:
        self._model = _demucs_network(weights)
        unknown = sorted(set(self._model.sources) - set(DEMUCS_STEMS))
        if unknown:
            raise ConfigError(
                f"audio.demucs_weights={weights} separates {', '.join(self._model.sources)}; of "
                f"{', '.join(unknown)} it is not known which part they are; expected some of "
                f"{', '.join(DEMUCS_STEMS)}"
            )
        named = [DEMUCS_STEMS[source] for source in self._model.sources]
        rest = tuple(name for name in INSTRUMENTS if name not in named or name == "others")
        self.holds = {name: rest if name == "others" else (name,) for name in named}

    def __call__(self, parts: Mapping[str, Samples], sample_rate_hz: int) -> dict[str, Samples]:
        """Separate the sum of `parts`; it is levelled as Demucs' own programs level a mix."""
        import torch  # here alone: preparing without Demucs needs no torch
        from demucs.apply import apply_model

        mix = _sum(parts.values())
        model = self._model
        heard = torch.from_numpy(soxr.resample(mix, sample_rate_hz, model.samplerate))
        offset, scale = heard.mean(), heard.std() + 1e-8
        channels = ((heard - offset) / scale).expand(1, model.audio_channels, -1)
        with torch.inference_mode():  # without random shifts, so that it gives the same again
            found = apply_model(model, channels, shifts=0)[0].mean(dim=1) * scale + offset
        estimates = {name: np.zeros_like(mix) for name in self.holds}
        for source, samples in zip(model.sources, found.numpy(), strict=True):
            resampled = soxr.resample(samples, model.samplerate, sample_rate_hz)
            length = min(len(resampled), len(mix))  # resampling may round it
            estimates[DEMUCS_STEMS[source]][:length] += resampled[:length]
        return estimates


def separator_of(audio: AudioConfig) -> Separator | None:
    """Make the separator that `audio` asks for; none where parts are heard as they are.

    Raises
    ------
    ConfigError
        Demucs is not installed, or its weights cannot be used.
    """
    if audio.separator == "oracle":
        return Oracle(audio.bleed_db)
    if audio.separator == "hpss":
        return Hpss()
    return _demucs(audio.demucs_weights) if audio.separator == "demucs" else None


def held(separator: Separator, parts: Mapping[str, Samples]) -> dict[str, Samples]:
    """Sum of the known parts that each estimate is to hold; none where all of them are absent."""
    found = {}
    for name, instruments in separator.holds.items():
        having = [parts[instrument] for instrument in instruments if instrument in parts]
        if having:
            found[name] = _sum(having)
    return found


def _sum(parts: Iterable[Samples]) -> Samples:
    return np.add.reduce(list(parts), dtype=np.float32)


@cache
def _demucs(weights: str) -> Demucs:
    return Demucs(weights)  # once a process: it has many tracks to separate


def _demucs_network(weights: str) -> Any:
    if importlib.util.find_spec("demucs") is None:
        raise ConfigError(
            "audio.separator=demucs needs the package demucs, which is not installed: "
            "uv sync --extra demucs"
        )
    where = (
        "expected a safetensors file of a Demucs network: every model has a repository of its own "
        "on the Hugging Face hub, such as adefossez/HTDemucs-6s, which tells drums, bass, guitar "
        "and piano apart; download its .safetensors file once and name it here"
    )
    if not Path(weights).is_file():
        raise ConfigError(f"audio.demucs_weights={weights!r} is no file; {where}")
    from demucs.hf import load_safetensors_model

    try:
        with safe_open(weights, framework="np") as file:
            named = (file.metadata() or {}).get("klass", "")
    except SafetensorError as error:
        raise ConfigError(f"audio.demucs_weights={weights}: {error}; {where}") from error
    if not named.startswith("demucs."):
        raise ConfigError(
            f"audio.demucs_weights={weights} is of the class {named or 'none'!r}; {where}"
        )
    return load_safetensors_model(weights).eval()
