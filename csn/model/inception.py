"""The Inception network: paths with small and large kernels side by side, for one map or several.

Conventions
-----------
Takes one map ``[batch, bands, frames]`` for each branch of the front end, in their order, and
gives maps ``[batch, channels, bands, steps]`` of a fixed size, from which `DenseHead` makes
embeddings.

Source
------
[R22]: a 5x5 convolution of 64 channels and max-pooling by 2; six blocks of a
naive module and one with dimension reduction; a dense layer of the embedding's size; layer norm.
With several inputs, each has its own convolution and first two blocks, up to maps of 16 x 16;
these are concatenated over channels, and the rest is as with one. Modules: Szegedy et al., "Going
deeper with convolutions", 2015, Fig. 2.

Choices
-------
The paper gives no widths of the modules and no strides. Here a block's second module halves bands
and frames, rounding up: 128 bands then reach 16 with the second block, as the paper's maps do, and
1 with the sixth. Bands are never halved below 16 in a branch, which keeps the 16 rows of CENS.
A block of c channels has four paths of c / 4 in its second module, and convolutions of c / 4 in
its first.
What a branch has after its second block is averaged to 16 x 16, so that any duration passes; also
where there is one branch, so that both kinds are one network. In 3 s of the paper's front end
this makes 33 steps 16, and 48 rows of the tempogram 16.
Convolutions carry no bias: the batch normalisation behind each one, before its ReLU, has its own.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

SIDE = 16
"""Bands and steps of the maps where the branches meet ([R22])."""
_BRANCH_BLOCKS = 2
Stride = tuple[int, int]


class InceptionEncoder(nn.Module):
    """A convolution and two blocks for each branch, then blocks for all of them together.

    With 64 64 128 128 256 256 512 channels and its head, the paper's network of one branch and 256
    dimensions has 3,892,064 parameters (3,760,224 of them here), that of three branches and 384
    dimensions 4,640,032 (4,442,272).

    Parameters
    ----------
    channels : tuple of int
        Channels of the first convolution, of the two blocks of each branch, and of each block
        after these; those of blocks are multiples of 4.
    bands : tuple of int
        Bands of each branch's map.

    Examples
    --------
    >>> encoder = InceptionEncoder((64, 64, 128, 128, 256, 256, 512), bands=(128, 384, 16))
    >>> encoder.num_features
    512
    """

    def __init__(self, channels: tuple[int, ...], bands: tuple[int, ...]) -> None:
        super().__init__()
        in_branch, shared = channels[: 1 + _BRANCH_BLOCKS], channels[1 + _BRANCH_BLOCKS :]
        self.branches = nn.ModuleList([_branch(in_branch, num_bands) for num_bands in bands])
        widths = (in_branch[-1] * len(bands), *shared)
        self.blocks = nn.Sequential(
            *[_block(num_in, num_out, (2, 2)) for num_in, num_out in pairwise(widths)]
        )
        side = -(-SIDE // 2 ** len(shared))
        self.num_features = channels[-1] * side * side

    def forward(
        self, *maps: Float[Tensor, "batch _bands frames"]
    ) -> Float[Tensor, "batch channels bands steps"]:
        """Turn the maps of each example into one stack of small ones."""
        met = [branch(one.unsqueeze(1)) for branch, one in zip(self.branches, maps, strict=True)]
        return self.blocks(torch.cat(met, dim=1))


class DenseHead(nn.Module):
    """From maps of a fixed size to an embedding: one linear layer of all of it, and layer norm.

    Parameters
    ----------
    num_features : int
        Channels times bands times steps of the maps.
    embedding_dim : int
        Dimensions of the embedding.
    """

    def __init__(self, num_features: int, embedding_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, embedding_dim)
        self.norm = nn.LayerNorm(embedding_dim)

    def forward(
        self, maps: Float[Tensor, "batch channels bands steps"]
    ) -> Float[Tensor, "batch embedding"]:
        """Embedding of each example, in float32 also under autocast."""
        with torch.autocast(maps.device.type, enabled=False):
            return self.norm(self.linear(maps.float().flatten(1)))


class NaiveModule(nn.Module):
    """Convolutions of 1x1, 3x3 and 5x5 and the pooled input, side by side.

    Gives `width` channels for each convolution and `num_in` of the input.
    """

    def __init__(self, num_in: int, width: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList([_convolution(num_in, width, size) for size in (1, 3, 5)])
        self.paths.append(nn.MaxPool2d(3, stride=1, padding=1))

    def forward(
        self, maps: Float[Tensor, "batch num_in bands steps"]
    ) -> Float[Tensor, "batch num_out bands steps"]:
        """Put the paths behind each other as channels."""
        return torch.cat([path(maps) for path in self.paths], dim=1)


class ReductionModule(nn.Module):
    """The same four paths, with 1x1 convolutions that keep each one narrow.

    Gives four times `width` channels, and one of `stride` bands and steps.
    """

    def __init__(self, num_in: int, width: int, stride: Stride) -> None:
        super().__init__()
        large = [
            nn.Sequential(_convolution(num_in, width, 1), _convolution(width, width, size, stride))
            for size in (3, 5)
        ]
        pooled = nn.Sequential(
            nn.MaxPool2d(3, stride=stride, padding=1), _convolution(num_in, width, 1)
        )
        # Pooled, as a 1x1 convolution with strides would not hear three of four places; and its
        # gradient, channels last on a CPU, writes over other memory where the channels are few
        # (oneDNN in torch 2.11).
        point = nn.Sequential(_convolution(num_in, width, 1), nn.MaxPool2d(stride, ceil_mode=True))
        self.paths = nn.ModuleList([point, *large, pooled])

    def forward(
        self, maps: Float[Tensor, "batch num_in bands steps"]
    ) -> Float[Tensor, "batch num_out fewer_bands fewer_steps"]:
        """Put the paths behind each other as channels."""
        return torch.cat([path(maps) for path in self.paths], dim=1)


def _branch(channels: tuple[int, ...], num_bands: int) -> nn.Sequential:
    """From one map of `num_bands` to maps of 16 x 16."""
    strides: list[Stride] = []
    for _ in channels:
        halved = num_bands >= 2 * SIDE
        strides.append((2 if halved else 1, 2))
        num_bands = -(-num_bands // 2) if halved else num_bands
    # Pooled before it is normalised: a quarter of the values, and these are the largest maps.
    stem = nn.Sequential(
        nn.Conv2d(1, channels[0], 5, padding=2, bias=False),
        nn.MaxPool2d(strides[0], ceil_mode=True),
        nn.BatchNorm2d(channels[0]),
        nn.ReLU(inplace=True),
    )
    blocks = [
        _block(num_in, num_out, stride)
        for (num_in, num_out), stride in zip(pairwise(channels), strides[1:], strict=True)
    ]
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(SIDE))


def _block(num_in: int, num_out: int, stride: Stride) -> nn.Sequential:
    width = num_out // 4
    return nn.Sequential(
        NaiveModule(num_in, width), ReductionModule(num_in + 3 * width, width, stride)
    )


def _convolution(num_in: int, num_out: int, size: int, stride: Stride = (1, 1)) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(num_in, num_out, size, stride=stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(num_out),
        nn.ReLU(inplace=True),
    )
