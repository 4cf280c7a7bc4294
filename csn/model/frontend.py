"""From waveform to maps of its sound, as the first module of every network.

Conventions
-----------
Waveforms are mono, full scale 1, at the rate the front end was built for. Maps are
``[batch, bands, frames]``, one for each configured branch, all with the same frames: one STFT
feeds all branches. ``mel`` is in dB, 20 log10 of the mel-weighted **magnitude** (not power), or
log10(1 + 10 S); ``tempogram`` has 384 lags, ``cens`` 16 rows. Frame t is centred on sample
``t * hop``; there are ``1 + samples // hop`` of them. Everything is computed in float32, whatever
autocast says, on the waveforms' device. Windows and filter banks follow from the
configuration, so they are no parameters and are not in a checkpoint; and as nobody asks for the
gradient of a waveform, autograd keeps nothing of all this.

Source
------
[H22] Section 4.1 (window 2048, hop 512, mel); [R22] Section 3.1 (three branches, window 512, hop
256); [LAB] for the rest. librosa is the reference of every branch in the tests.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from csn.config import FrontendConfig
from csn.errors import ConfigError
from csn.model.cens import NUM_ROWS, Cens
from csn.model.spectra import LogMel, MagnitudeSpectrum
from csn.model.tempogram import NUM_LAGS, Tempogram

_CHUNK_SAMPLES = 2**18
"""A CPU transforms about so many samples at a time: the spectra then stay in its cache, and the
front end takes half to a third of the time (16 kHz: 192 mixes of 3 s in 45 ms, not 130)."""

_BRANCHES = {"mel": LogMel, "tempogram": Tempogram, "cens": Cens}


class Frontend(nn.Module):
    """The configured branches, from one STFT with a Hann window and zero padding.

    Parameters
    ----------
    config : FrontendConfig
        Branches, window, hop, and the settings of the log-mel branch.
    sample_rate_hz : int > 0
        Rate of the waveforms; the bands reach up to half of it.

    Examples
    --------
    >>> frontend = Frontend(FrontendConfig(), sample_rate_hz=44_100)
    >>> frontend(torch.zeros(1, 3 * 44_100))["mel"].shape
    torch.Size([1, 259, 259])
    >>> config = FrontendConfig(branches=("mel", "cens"), window=512, hop=256, num_mels=128)
    >>> maps = Frontend(config, sample_rate_hz=22_050)(torch.zeros(1, 3 * 22_050))
    >>> {branch: tuple(found.shape) for branch, found in maps.items()}
    {'mel': (1, 128, 259), 'cens': (1, 16, 259)}
    """

    def __init__(self, config: FrontendConfig, sample_rate_hz: int) -> None:
        super().__init__()
        self.config = config
        self.sample_rate_hz = sample_rate_hz
        self.spectrum = MagnitudeSpectrum(config.window, config.hop)
        self.branches = nn.ModuleDict(
            {branch: _BRANCHES[branch](config, sample_rate_hz) for branch in config.branches}
        )

    @property
    def num_bands(self) -> dict[str, int]:
        """Bands of each branch's map, in the order of the branches."""
        bands = {"mel": self.config.num_mels, "tempogram": NUM_LAGS, "cens": NUM_ROWS}
        return {branch: bands[branch] for branch in self.config.branches}

    def forward(
        self, waveform: Float[Tensor, "batch samples"]
    ) -> dict[str, Float[Tensor, "batch _bands frames"]]:
        """Give the maps of each waveform by branch, in the order of the branches.

        Raises
        ------
        ConfigError
            The waveforms are shorter than one window.
        """
        if waveform.shape[-1] < self.config.window:
            raise ConfigError(
                f"a waveform of {waveform.shape[-1]} samples is shorter than one window "
                f"(frontend.window={self.config.window}); give segments of at least "
                f"{self.config.window / self.sample_rate_hz:.3f} s"
            )
        with torch.autocast(waveform.device.type, enabled=False):
            pieces = [self._maps(piece) for piece in _pieces(waveform.float())]
        if len(pieces) == 1:
            return pieces[0]
        return {
            branch: torch.cat([maps[branch] for maps in pieces]) for branch in self.config.branches
        }

    def _maps(self, waveform: Float[Tensor, "batch samples"]) -> dict[str, Tensor]:
        spectrum = self.spectrum(waveform)
        return {branch: module(spectrum) for branch, module in self.branches.items()}


def _pieces(waveform: Float[Tensor, "batch samples"]) -> tuple[Tensor, ...]:
    """Cut a batch for the CPU's cache; other devices take it whole."""
    if waveform.device.type != "cpu":
        return (waveform,)
    return waveform.split(max(1, _CHUNK_SAMPLES // waveform.shape[-1]))
