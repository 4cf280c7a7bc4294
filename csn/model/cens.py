"""The CENS branch: which pitch classes sound, coarsely and over about half a second.

Conventions
-----------
Takes magnitude spectra ``[batch, bins, frames]``, gives ``[batch, rows, frames]``: the pitch
classes C, C sharp, ... B, then four rows of zeros. Each frame has length 1, or 0 where nothing
sounds nearby. A pitch class's share of a frame counts by steps, so that the level does not matter.

Choices
-------
The chroma come from the STFT, as the other branches do, and not from a constant-Q transform; tuned
to A = 440 Hz. With [R22]'s window of 512 samples a bin is 43 Hz wide, so low notes share pitch
classes.
The smoothing is 41 frames, librosa's default, at any hop.

Source
------
[R22] Section 3.1. Mueller and Ewert, "Chroma toolbox: MATLAB implementations for extracting
variants of chroma-based audio features", 2011. Bank: Ellis, "Chroma feature analysis and
synthesis", 2007. librosa's ``chroma_stft`` and ``chroma_cens`` are the references in the tests.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from csn.config import FrontendConfig
from csn.model.spectra import through_bank

NUM_ROWS = 16
"""Rows of the map: twelve pitch classes, and zeros that make it divisible by 16 ([R22] 3.1)."""
_NUM_CHROMA = 12
_STEPS = (0.4, 0.2, 0.1, 0.05)
_SMOOTHING_FRAMES = 41
_LOWEST_A_HZ = 27.5
_CENTRE_OCTAVE = 5.0
_OCTAVE_WIDTH = 2.0


class Cens(nn.Module):
    """Chroma energy normalised statistics.

    Parameters
    ----------
    config : FrontendConfig
        Window of the spectra.
    sample_rate_hz : int > 0
        Rate of the waveforms.
    """

    bank: Tensor
    smoothing: Tensor

    def __init__(self, config: FrontendConfig, sample_rate_hz: int) -> None:
        super().__init__()
        bank = chroma_bank(config.window, sample_rate_hz)
        self.register_buffer("bank", bank, persistent=False)
        # The ends of a symmetric Hann window are zero and say nothing.
        smoothing = torch.hann_window(_SMOOTHING_FRAMES + 2, periodic=False)[1:-1]
        smoothing = (smoothing / smoothing.sum()).view(1, 1, -1)
        self.register_buffer("smoothing", smoothing, persistent=False)

    def forward(
        self, spectrum: Float[Tensor, "batch bins frames"]
    ) -> Float[Tensor, "batch rows frames"]:
        """Smoothed shares of the pitch classes of each frame."""
        counts = quantised(through_bank(spectrum.square(), self.bank))
        rows = counts.reshape(-1, 1, counts.shape[-1])  # every pitch class by itself
        smooth = nn.functional.conv1d(rows, self.smoothing, padding=_SMOOTHING_FRAMES // 2)
        cens = _scaled(smooth.view_as(counts), order=2)
        return nn.functional.pad(cens, (0, 0, 0, NUM_ROWS - _NUM_CHROMA))


def quantised(
    chroma: Float[Tensor, "batch chroma frames"],
) -> Float[Tensor, "batch chroma frames"]:
    """For each pitch class, how many of the four steps its share of the frame exceeds, over 4."""
    share = _scaled(chroma, order=1)
    exceeded = torch.stack([share > step for step in _STEPS])
    return exceeded.sum(dim=0).to(chroma.dtype) / len(_STEPS)


def chroma_bank(window: int, sample_rate_hz: int) -> Float[Tensor, "bins chroma"]:
    """How much of each bin's power goes to each pitch class, from C on.

    A bin is a Gaussian about its pitch, as wide as the step to the next bin but no less than a
    semitone, wrapped into one octave and scaled to length 1. Bins count less the farther they are
    from five octaves above the lowest A: a Gaussian of two octaves.
    """
    # One bin more than there is: the last one's width is the step to it.
    bins = torch.arange(1, window // 2 + 2, dtype=torch.float64)
    octaves = torch.log2(bins * sample_rate_hz / window / _LOWEST_A_HZ)
    # The bin at 0 Hz has no pitch: half an octave off the first bin's, and wide.
    octaves = torch.cat([octaves[:1] - 1.5, octaves])
    semitones = _NUM_CHROMA * octaves
    width = semitones.diff().clamp_min(1.0)
    # Pitches count from A, rows from C, three semitones on.
    rows = (torch.arange(_NUM_CHROMA, dtype=torch.float64) + 3) % _NUM_CHROMA
    half = _NUM_CHROMA / 2
    distance = (semitones[:-1, None] - rows + half) % _NUM_CHROMA - half
    weights = torch.exp(-0.5 * (2 * distance / width[:, None]) ** 2)
    weights = weights / torch.linalg.vector_norm(weights, dim=1, keepdim=True)
    nearness = torch.exp(-0.5 * ((octaves[:-1] - _CENTRE_OCTAVE) / _OCTAVE_WIDTH) ** 2)
    return (weights * nearness[:, None]).float()


def _scaled(
    chroma: Float[Tensor, "batch chroma frames"], *, order: int
) -> Float[Tensor, "batch chroma frames"]:
    """Make the norm of each frame 1; frames without anything stay zero."""
    norm = torch.linalg.vector_norm(chroma, ord=order, dim=1, keepdim=True)
    return chroma / norm.where(norm >= torch.finfo(chroma.dtype).tiny, 1.0)
