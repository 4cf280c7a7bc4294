"""From waveform to log-mel spectrogram, as the first module of every network.

Conventions
-----------
Waveforms are mono, full scale 1, at the rate the front end was built for. Spectrograms are
``[batch, mels, frames]`` in dB: 20 log10 of the mel-weighted **magnitude** (not power). Frame t is
centred on sample ``t * hop``; there are ``1 + samples // hop`` of them. Everything is computed in
float32, whatever autocast says. Window and filter bank follow from the configuration, so they are
no parameters and are not in a checkpoint.

Source
------
[H22] Section 4.1 (window 2048, hop 512); [LAB] for the rest. librosa's ``melspectrogram`` with
``power=1`` is the reference in the tests.
"""

import torch
import torchaudio
from jaxtyping import Float
from torch import Tensor, nn

from csn.config import FrontendConfig
from csn.errors import ConfigError

_CHUNK_SAMPLES = 2**18
"""A CPU transforms about so many samples at a time: the spectra then stay in its cache, and the
front end takes half to a third of the time (16 kHz: 192 mixes of 3 s in 45 ms, not 130)."""


class MelFrontend(nn.Module):
    """Log-mel spectrogram with Slaney's scale and norm, a Hann window and zero padding.

    Parameters
    ----------
    config : FrontendConfig
        Window, hop, bands, floor and standardisation.
    sample_rate_hz : int > 0
        Rate of the waveforms; the bands reach up to half of it.

    Examples
    --------
    >>> frontend = MelFrontend(FrontendConfig(), sample_rate_hz=44_100)
    >>> frontend(torch.zeros(1, 3 * 44_100)).shape
    torch.Size([1, 259, 259])
    """

    def __init__(self, config: FrontendConfig, sample_rate_hz: int) -> None:
        super().__init__()
        self.config = config
        self.sample_rate_hz = sample_rate_hz
        self.mel = torchaudio.transforms.MelSpectrogram(
            sample_rate_hz,
            n_fft=config.window,
            hop_length=config.hop,
            n_mels=config.num_mels,
            power=1.0,
            norm="slaney",
            mel_scale="slaney",
            center=True,
            pad_mode="constant",
        )
        for module in (self.mel.spectrogram, self.mel.mel_scale):
            for name, buffer in list(module.named_buffers(recurse=False)):
                module.register_buffer(name, buffer, persistent=False)

    def forward(
        self, waveform: Float[Tensor, "batch samples"]
    ) -> Float[Tensor, "batch mels frames"]:
        """Spectrogram of each waveform in dB, or in standard deviations if standardised."""
        if waveform.shape[-1] < self.config.window:
            raise ConfigError(
                f"a waveform of {waveform.shape[-1]} samples is shorter than one window "
                f"(frontend.window={self.config.window}); give segments of at least "
                f"{self.config.window / self.sample_rate_hz:.3f} s"
            )
        with torch.autocast(waveform.device.type, enabled=False):
            mel = self._magnitude(waveform.float())
            level_db = 20 * mel.clamp_min(self.config.floor).log10()
            if not self.config.standardise:
                return level_db
            # Mean 0 and (biased) deviation 1 over bands and frames; silence becomes zeros.
            return nn.functional.layer_norm(level_db, level_db.shape[1:])

    def _magnitude(
        self, waveform: Float[Tensor, "batch samples"]
    ) -> Float[Tensor, "batch mels frames"]:
        if waveform.device.type != "cpu":
            return self.mel(waveform)
        chunk = max(1, _CHUNK_SAMPLES // waveform.shape[-1])
        return torch.cat([self.mel(piece) for piece in waveform.split(chunk)])
