"""The spectrogram that every branch of the front end starts from, and the log-mel branch.

Conventions
-----------
Spectra are magnitudes ``[batch, bins, frames]`` of an STFT with a periodic Hann window. Frame t is
centred on sample ``t * hop``, with zeros before the first and after the last sample; there are
``1 + samples // hop`` of them. Banks of filters are ``[bins, bands]``. Windows and banks follow
from the configuration, so they are no parameters and are not in a checkpoint.

Choices
-------
S of [R22]'s ``log10(1 + 10 S)`` is the **magnitude** mel spectrogram, as it is in dB: the paper
does not say. Powers spread the same music over twice as many decades about the bend at S = 0.1,
and more of what is quiet would vanish below it.
[R22]'s z-score is `FrontendConfig.standardise`: each example by its own mean and deviation.

Source
------
[H22] Section 4.1 and [LAB]: dB; [R22] Section 3.1: ``log10(1 + 10 S)``, z-score. librosa's
``melspectrogram`` with ``power=1`` is the reference in the tests.
"""

import torch
import torchaudio
from jaxtyping import Float
from torch import Tensor, nn

from csn.config import FrontendConfig

_EPSILON = {"db": 1e-5, "log1p10": 1e-10}
"""Added to an example's variance, which in log10(1 + 10 S) is small where the music is quiet."""


class MagnitudeSpectrum(nn.Module):
    """STFT without its phases.

    Parameters
    ----------
    window : int > 0
        Length of the window and of the transform, in samples.
    hop : int > 0
        From frame to frame, in samples.
    """

    window: Tensor

    def __init__(self, window: int, hop: int) -> None:
        super().__init__()
        self.hop = hop
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def forward(
        self, waveform: Float[Tensor, "batch samples"]
    ) -> Float[Tensor, "batch bins frames"]:
        """Magnitudes of each waveform's frames."""
        spectrum = torch.stft(
            waveform,
            n_fft=len(self.window),
            hop_length=self.hop,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        real, imaginary = torch.view_as_real(spectrum).unbind(-1)
        # On a CPU half the time of the absolute value, which guards against overflow.
        return real.square().addcmul_(imaginary, imaginary).sqrt_()


def mel_bank(window: int, sample_rate_hz: int, num_mels: int) -> Float[Tensor, "bins bands"]:
    """Triangles on Slaney's mel scale up to half the rate, each of area one."""
    return torchaudio.functional.melscale_fbanks(
        n_freqs=window // 2 + 1,
        f_min=0.0,
        f_max=sample_rate_hz / 2,
        n_mels=num_mels,
        sample_rate=sample_rate_hz,
        norm="slaney",
        mel_scale="slaney",
    )


def through_bank(
    spectrum: Float[Tensor, "batch bins frames"], bank: Float[Tensor, "bins bands"]
) -> Float[Tensor, "batch bands frames"]:
    """Sum of each frame's bins, weighted by each filter."""
    return (spectrum.transpose(1, 2) @ bank).transpose(1, 2)


class LogMel(nn.Module):
    """Mel spectrogram of magnitudes, compressed, and standardised if so configured.

    Parameters
    ----------
    config : FrontendConfig
        Window, bands, compression with its floor, and standardisation.
    sample_rate_hz : int > 0
        Rate of the waveforms; the bands reach up to half of it.
    """

    bank: Tensor

    def __init__(self, config: FrontendConfig, sample_rate_hz: int) -> None:
        super().__init__()
        self.compression = config.compression
        self.floor = config.floor
        self.standardise = config.standardise
        bank = mel_bank(config.window, sample_rate_hz, config.num_mels)
        self.register_buffer("bank", bank, persistent=False)

    def forward(
        self, spectrum: Float[Tensor, "batch bins frames"]
    ) -> Float[Tensor, "batch bands frames"]:
        """Level of each band, in the unit of the compression or in standard deviations."""
        magnitude = through_bank(spectrum, self.bank)
        if self.compression == "db":
            level = 20 * magnitude.clamp_min(self.floor).log10()
        else:
            level = (1 + 10 * magnitude).log10()
        if not self.standardise:
            return level
        # Mean 0 and (biased) deviation 1 over bands and frames; silence becomes zeros.
        return nn.functional.layer_norm(level, level.shape[1:], eps=_EPSILON[self.compression])
