"""The tempogram branch: how alike the onsets around a frame are to themselves some frames later.

Conventions
-----------
Takes magnitude spectra ``[batch, bins, frames]``, gives ``[batch, lags, frames]``; row l is the
lag of l frames, row 0 is 1 wherever there is an onset within the window. Where there is none, as
in silence, all lags are 0. Every example is measured against its own loudest bin.

Choices
-------
[R22] names the window of 384 frames alone; all else is librosa's default, the reference in the
tests: onset strength from 128 mel bands, a Hann window, lag 0 scaled to 1.

Source
------
[R22] Section 3.1. Grosche, Mueller, Kurth, "Cyclic tempogram: a mid-level tempo representation for
music signals", 2010.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from csn.config import FrontendConfig
from csn.model.spectra import mel_bank, through_bank

NUM_LAGS = 384
"""Frames of a window, and lags of the tempogram ([R22] 3.1)."""
_NUM_MELS = 128
_LEAST_POWER = 1e-10
_RANGE_DB = 80.0
_FEW = 2
"""Examples at a time on a CPU, whose spectra its cache can hold: three times as quick as all."""


class Tempogram(nn.Module):
    """Local autocorrelation of the onset strength.

    Parameters
    ----------
    config : FrontendConfig
        Window and hop of the spectra.
    sample_rate_hz : int > 0
        Rate of the waveforms.
    """

    bank: Tensor
    window: Tensor

    def __init__(self, config: FrontendConfig, sample_rate_hz: int) -> None:
        super().__init__()
        # A frame feels an onset as soon as the onset enters its far end: half a window early.
        self.delay = config.window // (2 * config.hop)
        bank = mel_bank(config.window, sample_rate_hz, _NUM_MELS)
        self.register_buffer("bank", bank, persistent=False)
        self.register_buffer("window", torch.hann_window(NUM_LAGS), persistent=False)

    def forward(
        self, spectrum: Float[Tensor, "batch bins frames"]
    ) -> Float[Tensor, "batch lags frames"]:
        """Autocorrelation of the onsets around each frame."""
        onsets = onset_strength(through_bank(spectrum.square(), self.bank), self.delay)
        if onsets.device.type != "cpu" or torch.compiler.is_exporting():
            return local_autocorrelation(
                onsets, self.window
            )  # an exported loop has a fixed length
        few = [local_autocorrelation(of, self.window) for of in onsets.split(_FEW)]
        return torch.cat(few)


def onset_strength(
    power: Float[Tensor, "batch bands frames"], delay: int
) -> Float[Tensor, "batch frames"]:
    """How much louder the bands have become since the frame before, in dB, their mean.

    Parameters
    ----------
    power : Tensor
        Mel spectrogram of powers.
    delay : int >= 0
        Frames by which the strength is shifted, so that it stands where the onset is heard.
    """
    num_frames = power.shape[-1]
    level_db = 10 * power.clamp_min(_LEAST_POWER).log10()
    # Below the loudest bin of its own example, not of the batch.
    level_db = level_db.maximum(level_db.amax(dim=(1, 2), keepdim=True) - _RANGE_DB)
    rise_db = level_db.diff(dim=-1).clamp_min(0).mean(dim=1)
    return nn.functional.pad(rise_db, (1 + delay, 0))[:, :num_frames]


def local_autocorrelation(
    onsets: Float[Tensor, "batch frames"], window: Float[Tensor, " lags"]
) -> Float[Tensor, "batch lags frames"]:
    """Autocorrelation within a window about each frame, divided by its largest value.

    Beyond both ends the onset strength goes to zero in a straight line, half a window long.
    """
    lags, num_frames = len(window), onsets.shape[-1]
    half = lags // 2
    ramp = torch.arange(half, device=onsets.device, dtype=onsets.dtype) / half
    padded = torch.cat([onsets[:, :1] * ramp, onsets, onsets[:, -1:] * ramp.flip(0)], dim=1)
    frames = padded.unfold(-1, lags, 1)[:, :num_frames] * window
    # Twice the length, so that the end of a window does not meet its beginning.
    spectrum = torch.fft.rfft(frames, n=2 * lags)
    power = spectrum * spectrum.conj()  # a third quicker than the sum of its parts' squares
    correlation = torch.fft.irfft(power, n=2 * lags)[..., :lags]
    largest = correlation[..., :1]  # nothing is more alike to a frame than itself
    tiny = torch.finfo(correlation.dtype).tiny
    return (correlation / largest.where(largest >= tiny, 1.0)).transpose(1, 2)
