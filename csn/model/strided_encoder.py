"""An encoder of strided convolutions: a few large steps instead of the U-Net's many small ones.

Conventions
-----------
Takes spectrograms ``[batch, mels, frames]``, gives maps ``[batch, channels, bands, steps]``. Each
layer halves the bands, and the first ones the steps too, rounding up, so that any length of audio
passes.

Source
------
[LAB] "I"; with channels 16-32-64-128-256-640 it is theirs.

Choices
-------
Convolutions carry no bias: the batch normalisation behind each one has its own. Layers that keep
the steps have 3x3 kernels: the maps they see are small, and cost as much as those before.
"""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class StridedEncoder(nn.Module):
    """Layers of [5x5 convolution of stride 2, BN, LeakyReLU 0.2].

    Parameters
    ----------
    channels : tuple of int
        Channels of each layer.
    time_layers : int, optional
        Layers that halve the steps; none: all. What is pooled over time keeps more steps.

    Examples
    --------
    >>> StridedEncoder((16, 32, 64, 128, 256, 640)).num_features(num_mels=259)
    3200
    """

    def __init__(self, channels: tuple[int, ...], time_layers: int | None = None) -> None:
        super().__init__()
        self.channels = channels
        halving = len(channels) if time_layers is None else time_layers
        self.layers = nn.Sequential(
            *[
                _layer(num_in, num_out, halves_steps=place < halving)
                for place, (num_in, num_out) in enumerate(pairwise((1, *channels)))
            ]
        )

    def num_features(self, num_mels: int) -> int:
        """Channels times bands of a step of the maps."""
        return self.channels[-1] * -(-num_mels // 2 ** len(self.channels))

    def forward(
        self, mel: Float[Tensor, "batch mels frames"]
    ) -> Float[Tensor, "batch channels bands steps"]:
        """Turn each spectrogram into maps."""
        return self.layers(mel.unsqueeze(1))


def _layer(num_in: int, num_out: int, *, halves_steps: bool) -> nn.Sequential:
    size, stride = (5, (2, 2)) if halves_steps else (3, (2, 1))
    return nn.Sequential(
        nn.Conv2d(num_in, num_out, size, stride=stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(num_out),
        nn.LeakyReLU(0.2, inplace=True),
    )
