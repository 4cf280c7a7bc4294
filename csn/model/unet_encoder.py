"""The encoder half of a U-Net.

Conventions
-----------
Takes spectrograms ``[batch, mels, frames]``, gives maps ``[batch, channels, bands, steps]``. Each
pooling halves bands and steps, rounding up, so that any length of audio passes.

Source
------
[H24] Section 3.2, Fig. 4; kernel, pooling and channels: [LAB] "H".

Choices
-------
Convolutions carry no bias: the batch normalisation behind each one has its own.
"""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class UnetEncoder(nn.Module):
    """Blocks of two [3x3 convolution, BN, ReLU], with 5x5 max-pooling of stride 2 in between.

    Parameters
    ----------
    channels : tuple of int
        Channels of each block.

    Examples
    --------
    >>> UnetEncoder((32, 64, 128, 256, 512)).num_features(num_mels=259)
    8704
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        blocks = [_block(num_in, num_out) for num_in, num_out in pairwise((1, *channels))]
        pooled = [
            nn.Sequential(nn.MaxPool2d(5, stride=2, padding=2), block) for block in blocks[1:]
        ]
        self.blocks = nn.Sequential(blocks[0], *pooled)

    def num_features(self, num_mels: int) -> int:
        """Channels times bands of a step of the maps."""
        return self.channels[-1] * -(-num_mels // 2 ** (len(self.channels) - 1))

    def forward(
        self, mel: Float[Tensor, "batch mels frames"]
    ) -> Float[Tensor, "batch channels bands steps"]:
        """Turn each spectrogram into maps."""
        return self.blocks(mel.unsqueeze(1))


def _block(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(num_in, num_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(num_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(num_out, num_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(num_out),
        nn.ReLU(inplace=True),
    )
