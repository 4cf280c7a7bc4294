"""Knobs of an export."""

from dataclasses import dataclass

from csn.config.checks import Strict, check


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig(Strict):
    """Write a trained network as one ONNX file."""

    checkpoint_uri: str = "csn-data/experiments/demo/checkpoints/best"
    """Folder of the trained network, local or s3://."""
    to: str = ""
    """File to write; empty: model.onnx in the checkpoint's folder."""

    def __post_init__(self) -> None:
        check(bool(self.checkpoint_uri), "checkpoint_uri must be a folder, not empty")
