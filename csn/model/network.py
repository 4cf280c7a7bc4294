"""The conditional similarity network: one embedding of a mix, a subspace for each condition.

Conventions
-----------
Networks take waveforms ``[batch, samples]`` (mono, full scale 1, at the configured rate; any
length from one window on) and give raw embeddings ``[batch, embedding]`` in float32, **not**
L2-normalised ([LAB]). A new network draws its weights from torch's generator: seed that first.

Source
------
[H24] Section 3.2: encoder, mean over time, one fully connected layer; Eq. 4 for the subspaces.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from csn.config import ExperimentConfig, FrontendConfig, NetworkConfig
from csn.model.frontend import MelFrontend
from csn.model.strided_encoder import StridedEncoder
from csn.model.unet_encoder import UnetEncoder


class PoolingHead(nn.Module):
    """From an encoder's maps of any length to an embedding: pooling over time, one linear layer.

    Parameters
    ----------
    num_features : int
        Channels times bands of the maps.
    embedding_dim : int
        Dimensions of the embedding.
    pooling : {"mean", "mean_std"}
        Over time: the papers' mean, or the mean followed by the standard deviation.
    """

    def __init__(
        self, num_features: int, embedding_dim: int, pooling: Literal["mean", "mean_std"]
    ) -> None:
        super().__init__()
        self.pooling = pooling
        num_inputs = num_features * (2 if pooling == "mean_std" else 1)
        self.linear = nn.Linear(num_inputs, embedding_dim)

    def forward(
        self, maps: Float[Tensor, "batch channels bands steps"]
    ) -> Float[Tensor, "batch embedding"]:
        """Embedding of each example, in float32 also under autocast.

        A loss subtracts embeddings that may lie close together; bfloat16 would keep two digits.
        """
        with torch.autocast(maps.device.type, enabled=False):
            features = maps.float().flatten(1, 2)
            mean = features.mean(dim=-1)
            if self.pooling == "mean":
                return self.linear(mean)
            variance = (features - mean.unsqueeze(-1)).square().mean(dim=-1)
            # The root alone has an infinite slope where nothing varies.
            return self.linear(torch.cat([mean, (variance + 1e-5).sqrt()], dim=-1))


class ConditionalNetwork(nn.Module):
    """Front end, encoder and head; `layout` says which dimensions belong to which condition."""

    def __init__(
        self, network: NetworkConfig, frontend: FrontendConfig, sample_rate_hz: int
    ) -> None:
        super().__init__()
        self.layout = network.layout
        self.unit_subspaces = network.unit_subspaces
        self.frontend = MelFrontend(frontend, sample_rate_hz)
        encoders = {"unet": UnetEncoder, "strided": StridedEncoder}
        # Channels last is what makes convolutions quick: a fifth to a third on a CPU with AVX.
        encoder = encoders[network.encoder](network.channels)
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.head = PoolingHead(
            encoder.num_features(frontend.num_mels), self.layout.embedding_dim, network.pooling
        )

    def forward(
        self, waveform: Float[Tensor, "batch samples"]
    ) -> Float[Tensor, "batch embedding"]:
        """Embedding f(x) of each waveform: raw, or every subspace of length 1."""
        embedding = self.head(self.encoder(self.frontend(waveform)))
        if not self.unit_subspaces:
            return embedding
        subspaces = embedding.unflatten(-1, (len(self.layout.conditions), -1))
        return nn.functional.normalize(subspaces.float(), dim=-1).flatten(-2)

    def subspaces(
        self, embedding: Float[Tensor, "batch embedding"]
    ) -> dict[str, Float[Tensor, "batch subspace"]]:
        """Each condition's own dimensions of `embedding`."""
        return {
            condition: embedding[:, self.layout.dims(condition)]
            for condition in self.layout.conditions
        }


class MeanMel(nn.Module):
    """A baseline that learns nothing: the log-mel spectrogram's mean over time.

    Every condition reads the whole vector.
    """

    def __init__(
        self, network: NetworkConfig, frontend: FrontendConfig, sample_rate_hz: int
    ) -> None:
        super().__init__()
        self.conditions = network.conditions
        self.frontend = MelFrontend(frontend, sample_rate_hz)

    def forward(self, waveform: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch mels"]:
        """Mean level of each band, in the front end's unit."""
        return self.frontend(waveform).mean(dim=-1)

    def subspaces(
        self, embedding: Float[Tensor, "batch mels"]
    ) -> dict[str, Float[Tensor, "batch mels"]]:
        """Give the whole vector to each condition."""
        return dict.fromkeys(self.conditions, embedding)


def build_network(config: ExperimentConfig) -> ConditionalNetwork:
    """Network of `config` with new weights, drawn from torch's generator."""
    return ConditionalNetwork(config.network, config.frontend, config.audio.sample_rate_hz)


def build_mean_mel(config: ExperimentConfig) -> MeanMel:
    """Baseline on the same front end as the network of `config`."""
    return MeanMel(config.network, config.frontend, config.audio.sample_rate_hz)
