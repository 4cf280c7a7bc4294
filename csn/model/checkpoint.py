"""A trained network as two files: its weights and the whole configuration it came from.

Conventions
-----------
A checkpoint is a folder: ``model.safetensors`` (weights and the running statistics of
normalisation; never a pickle) and ``config.json``. Its digest names the function that it computes:
the weights and the settings of front end and network. What else the configuration holds does not
change it.
"""

import hashlib
import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from csn import storage
from csn.config import ExperimentConfig, from_json, to_json
from csn.errors import ConfigError, StorageError
from csn.model.network import Network, build_network

_WEIGHTS = "model.safetensors"
_CONFIG = "config.json"
PRESENCE = "presence.json"
"""Beside the two files where training fitted thresholds of presence; no part of the digest."""


class Checkpoint(NamedTuple):
    """What a folder holds."""

    network: Network
    """In evaluation mode, on the CPU."""
    config: ExperimentConfig
    digest: str
    """Twelve hexadecimal digits."""


def save(folder_uri: str, network: Network, config: ExperimentConfig) -> str:
    """Write `network`, which `config` describes, over what was there; returns the digest."""
    # Convolutions lie channels last in memory; a file is in the plain order.
    state = {name: weight.cpu().contiguous() for name, weight in network.state_dict().items()}
    data = save_tensors(state)
    storage.write_bytes(storage.join(folder_uri, _CONFIG), to_json(config).encode())
    storage.write_bytes(storage.join(folder_uri, _WEIGHTS), data)
    return _digest(data, config)


def load(folder_uri: str) -> Checkpoint:
    """Read what `save` wrote, strictly.

    Raises
    ------
    StorageError
        There is no checkpoint, or its weights are not those of its configuration.
    ConfigError
        Its configuration is not one of this version.
    """
    weights_uri = storage.join(folder_uri, _WEIGHTS)
    config_uri = storage.join(folder_uri, _CONFIG)
    for uri in (weights_uri, config_uri):
        if not storage.exists(uri):
            raise StorageError(
                f"{folder_uri}: no checkpoint here ({uri.rpartition('/')[2]} is missing); "
                f"expected {_WEIGHTS} and {_CONFIG} "
                "(has training finished, and is the root right?)"
            )
    config = _read_config(config_uri)
    data = storage.read_bytes(weights_uri)
    # The weights that it is born with are replaced: nobody's generator should move for them.
    with torch.random.fork_rng(devices=[]):
        network = build_network(config)
    try:
        state = load_tensors(data)
    except SafetensorError as error:
        raise StorageError(
            f"{weights_uri}: not a safetensors file ({error}); was its writing cut short?"
        ) from error
    _check_weights(weights_uri, found=state, expected=network.state_dict())
    network.load_state_dict(state)
    return Checkpoint(network.eval(), config, _digest(data, config))


def read_config(folder_uri: str) -> ExperimentConfig:
    """Read the experiment that a checkpoint came from; errors as in `load`."""
    return _read_config(storage.join(folder_uri, _CONFIG))


def read_presence(folder_uri: str, conditions: Collection[str]) -> dict[str, float]:
    """Norm from which on each condition is said to sound; empty where nothing was fitted.

    Raises
    ------
    StorageError
        The file holds something else.
    """
    uri = storage.join(folder_uri, PRESENCE)
    if not storage.exists(uri):
        return {}
    found = storage.read_json(uri)
    named = isinstance(found, dict) and set(found) <= set(conditions)
    if not named or not all(
        isinstance(norm, float | int) and not isinstance(norm, bool) and math.isfinite(norm)
        for norm in found.values()
    ):
        raise StorageError(
            f"{uri} holds {str(found)[:80]}, expected a norm for each of some of "
            f"{', '.join(conditions)} (was it written by another version, or by hand?)"
        )
    return {condition: float(found[condition]) for condition in conditions if condition in found}


def _read_config(uri: str) -> ExperimentConfig:
    try:
        return from_json(storage.read_bytes(uri))
    except ConfigError as error:
        raise ConfigError(f"{uri}: {error}") from error


def _check_weights(
    uri: str, *, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    faults = [f"{name} is missing" for name in expected if name not in found]
    faults += [f"{name} is unknown" for name in found if name not in expected]
    faults += [
        f"{name} is {_kind(found[name])}, expected {_kind(weight)}"
        for name, weight in expected.items()
        if name in found and _kind(found[name]) != _kind(weight)
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise StorageError(
            f"{uri}: not the weights of the network that {_CONFIG} beside it describes: "
            f"{'; '.join(faults[:3])}{more} (were the two files written by one training?)"
        )


def _kind(weight: Tensor) -> str:
    return f"{str(weight.dtype).removeprefix('torch.')} {list(weight.shape)}"


def _digest(data: bytes, config: ExperimentConfig) -> str:
    return storage.digest(
        {
            "weights": hashlib.sha256(data).hexdigest(),
            "frontend": config.frontend,
            "network": config.network,
            "sample_rate_hz": config.audio.sample_rate_hz,
        }
    )
