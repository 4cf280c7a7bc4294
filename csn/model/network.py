"""The conditional similarity network: one embedding of a mix, a subspace for each condition.

Conventions
-----------
Networks take waveforms ``[batch, samples]`` (mono, full scale 1, at the configured rate; any
length from one window on) and give raw embeddings ``[batch, embedding]`` in float32, **not**
L2-normalised ([LAB]). A new network draws its weights from torch's generator: seed that first.

Source
------
[H24] Section 3.2: encoder, mean over time, one fully connected layer; Eq. 4 for the subspaces.
[R22] for the Inception network, which has a dense layer and layer norm instead.
"""

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from csn.conditions import SubspaceLayout
from csn.config import ExperimentConfig, FrontendConfig, NetworkConfig
from csn.model.frontend import Frontend
from csn.model.inception import DenseHead, InceptionEncoder
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
        self,
        network: NetworkConfig,
        frontend: FrontendConfig,
        sample_rate_hz: int,
        layout: SubspaceLayout,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.unit_subspaces = network.unit_subspaces
        self.frontend = Frontend(frontend, sample_rate_hz)
        encoder, head = _encoder_and_head(
            network, tuple(self.frontend.num_bands.values()), layout.embedding_dim
        )
        # Channels last is what makes convolutions quick: a fifth to a third on a CPU with AVX.
        # (torch's types leave this argument out.)
        self.encoder = encoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.head = head

    def forward(
        self, waveform: Float[Tensor, "batch samples"]
    ) -> Float[Tensor, "batch embedding"]:
        """Embedding f(x) of each waveform: raw, or every subspace of length 1."""
        embedding = self.head(self.encoder(*self.frontend(waveform).values()))
        if not self.unit_subspaces:
            return embedding
        subspaces = embedding.unflatten(-1, (len(self.layout.conditions), -1))
        return nn.functional.normalize(subspaces.float(), dim=-1).flatten(-2)


def _encoder_and_head(
    network: NetworkConfig, bands: tuple[int, ...], embedding_dim: int
) -> tuple[nn.Module, nn.Module]:
    """Make the encoder of maps with `bands`, one number a branch, and the head behind it.

    The configuration sees to it that there is one branch unless the encoder takes more.
    """
    if network.encoder == "inception":
        encoder = InceptionEncoder(network.channels, bands)
        return encoder, DenseHead(encoder.num_features, embedding_dim)
    if network.encoder == "strided":
        encoder = StridedEncoder(network.channels, network.time_layers)
    else:
        encoder = UnetEncoder(network.channels)
    return encoder, PoolingHead(encoder.num_features(bands[0]), embedding_dim, network.pooling)


class IndividualNetworks(nn.Module):
    """A network for each condition, which hears that condition's part alone ([H22] 3).

    Its embedding of a waveform is that of one network, in the dimensions of the network's
    condition, and zero in all others.
    """

    def __init__(
        self, network: NetworkConfig, frontend: FrontendConfig, sample_rate_hz: int
    ) -> None:
        super().__init__()
        self.layout = network.layout
        self.networks = nn.ModuleDict(
            {
                condition: ConditionalNetwork(
                    network,
                    frontend,
                    sample_rate_hz,
                    SubspaceLayout((condition,), network.subspace_dim),
                )
                for condition in network.conditions
            }
        )

    def forward(
        self, waveform: Float[Tensor, "batch samples"], places: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch embedding"]:
        """Embed each waveform with the network of its condition.

        Parameters
        ----------
        places : Tensor
            Place of each waveform's condition in the layout.
        """
        embedding = waveform.new_zeros(len(waveform), self.layout.embedding_dim)
        # All of them first: to count what is heard, a GPU ends what it was given before.
        rows = [(places == place).nonzero().squeeze(-1) for place in range(len(self.networks))]
        for heard, (condition, network) in zip(rows, self.networks.items(), strict=True):
            if len(heard):
                embedding[heard, self.layout.dims(condition)] = network(waveform[heard]).to(
                    embedding.dtype
                )
        return embedding


class MeanMel(nn.Module):
    """A baseline that learns nothing: the log-mel spectrogram's mean over time.

    Every condition reads the whole vector. It hears this branch, whatever the network hears.
    """

    def __init__(
        self, network: NetworkConfig, frontend: FrontendConfig, sample_rate_hz: int
    ) -> None:
        super().__init__()
        self.frontend = Frontend(replace(frontend, branches=("mel",)), sample_rate_hz)

    def forward(self, waveform: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch mels"]:
        """Mean level of each band, in the front end's unit."""
        return self.frontend(waveform)["mel"].mean(dim=-1)


Network = ConditionalNetwork | IndividualNetworks


def build_network(config: ExperimentConfig) -> Network:
    """Network of `config` with new weights, drawn from torch's generator."""
    network, rate_hz = config.network, config.audio.sample_rate_hz
    if network.individual:
        return IndividualNetworks(network, config.frontend, rate_hz)
    return ConditionalNetwork(network, config.frontend, rate_hz, network.layout)


def build_mean_mel(config: ExperimentConfig) -> MeanMel:
    """Baseline on the same front end as the network of `config`."""
    return MeanMel(config.network, config.frontend, config.audio.sample_rate_hz)
