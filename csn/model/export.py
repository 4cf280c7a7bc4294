"""A trained network as one ONNX file, for programs that have neither torch nor this library.

Conventions
-----------
One input, ``waveform`` ``[batch, samples]`` float32 (mono, at the network's rate, any number of
them, from one window on), and one output a condition, ``[batch, dim]``. The file's metadata name
the network's digest, sample rate, conditions and segment length, and hold its thresholds.

Choices
-------
ONNX and not torch's own ``.pt2``: that file may hold pickles, which whoever opens it would run.
The front end is in the file: its transform is written as a convolution with sines and cosines,
which every runtime has. What is written was run by onnxruntime and compared with the network.
"""

import json
import logging
import math
import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from csn import storage
from csn.config import ExportConfig
from csn.errors import ConfigError, TrainingError
from csn.model.embedder import Embedder
from csn.model.network import ConditionalNetwork, IndividualNetworks, Network
from csn.model.spectra import MagnitudeSpectrum

MAX_DIFFERENCE = 1e-3
"""Of an output to the network's own, in parts of its largest number."""


def export(config: ExportConfig) -> str:
    """Write a checkpoint's network as ONNX; gives the file's address.

    Raises
    ------
    ConfigError
        The packages for it are not installed.
    StorageError
        There is no checkpoint, or the file cannot be written.
    TrainingError
        The file does not compute what the network does.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch asks for it
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed, which exporting needs; uv sync --extra onnx"
        ) from error
    embedder = Embedder(storage.absolute(config.checkpoint_uri))
    program = _program(embedder)
    program.model.metadata_props.update(_metadata(embedder))
    data = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    _check_alike(embedder, session)
    uri = storage.absolute(config.to) if config.to else default_uri(config.checkpoint_uri)
    storage.write_bytes(uri, data)
    return uri


def default_uri(checkpoint_uri: str) -> str:
    """Where the file lies if nobody says: beside the checkpoint's own."""
    return storage.join(storage.absolute(checkpoint_uri), "model.onnx")


class _ConvolvedSpectrum(nn.Module):
    """What `MagnitudeSpectrum` computes, in operations that ONNX has."""

    basis: Tensor

    def __init__(self, spectrum: MagnitudeSpectrum) -> None:
        super().__init__()
        self.length, self.hop = len(spectrum.window), spectrum.hop
        bins = torch.arange(self.length // 2 + 1, dtype=torch.float64)[:, None]
        places = torch.arange(self.length, dtype=torch.float64)
        # The product is taken modulo one turn: a cosine of a large angle has few right digits.
        angles = 2 * math.pi / self.length * ((bins * places) % self.length)
        window = spectrum.window.double()
        basis = torch.cat([angles.cos() * window, -angles.sin() * window])
        self.register_buffer("basis", basis.float()[:, None], persistent=False)

    def forward(
        self, waveform: Float[Tensor, "batch samples"]
    ) -> Float[Tensor, "batch bins frames"]:
        """Magnitudes of each waveform's frames."""
        padded = nn.functional.pad(waveform, (self.length // 2, self.length // 2))
        parts = nn.functional.conv1d(padded[:, None], self.basis, stride=self.hop)
        real, imaginary = parts.chunk(2, dim=1)
        return (real.square() + imaginary.square()).sqrt()


class _Exported(nn.Module):
    """A network whose outputs are the conditions' vectors."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        is_individual = isinstance(network, IndividualNetworks)
        networks: Any = network.networks.values() if is_individual else [network]
        self.networks = nn.ModuleList(networks)
        self.spectra = nn.ModuleList(_ConvolvedSpectrum(n.frontend.spectrum) for n in networks)

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Give the vectors of each condition, in order."""
        found: list[Tensor] = []
        for network, spectrum in zip(self.networks, self.spectra, strict=True):
            assert isinstance(network, ConditionalNetwork)
            heard = spectrum(waveform)
            maps = [branch(heard) for branch in network.frontend.branches.values()]
            embedding = network.head(network.encoder(*maps))
            subspaces = embedding.unflatten(-1, (len(network.layout.conditions), -1))
            if network.unit_subspaces:
                subspaces = nn.functional.normalize(subspaces, dim=-1)
            found += subspaces.unbind(1)
        return tuple(found)


def _program(embedder: Embedder) -> Any:
    module = _Exported(embedder.network).eval()
    example = torch.zeros(2, round(embedder.config.audio.segment_s * embedder.sample_rate_hz))
    automatic: Any = torch.export.Dim.AUTO
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # of packages that nobody asked for
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own old spellings
        return torch.onnx.export(
            module,
            (example,),
            input_names=["waveform"],
            output_names=list(embedder.conditions),
            dynamic_shapes={"waveform": {0: automatic, 1: automatic}},
            dynamo=True,
            verbose=False,
        )


def _metadata(embedder: Embedder) -> dict[str, str]:
    return {
        "model_digest": embedder.digest,
        "sample_rate_hz": str(embedder.sample_rate_hz),
        "segment_s": str(embedder.config.audio.segment_s),
        "conditions": json.dumps(embedder.conditions),
        "thresholds": json.dumps(embedder.thresholds),
    }


def _check_alike(embedder: Embedder, session: Any) -> None:
    """Raise TrainingError unless `session` gives what the network does, at other sizes too."""
    rng = np.random.default_rng(0)
    length = round(embedder.config.audio.segment_s * embedder.sample_rate_hz)
    for num, size in ((1, length), (3, length + 1234)):
        waveforms = (0.1 * rng.normal(size=(num, size))).astype(np.float32)
        found = session.run(None, {"waveform": waveforms})
        for (name, expected), output in zip(
            embedder.vectors(waveforms).items(), found, strict=True
        ):
            difference = np.abs(output - expected).max() / max(np.abs(expected).max(), 1e-6)
            if not difference <= MAX_DIFFERENCE:
                raise TrainingError(
                    f"the exported network's {name} of {num} waveforms of {size} samples is off "
                    f"by {difference:.2g} of its largest number, at most {MAX_DIFFERENCE:g} "
                    "expected; nothing was written (another version of onnxruntime?)"
                )
