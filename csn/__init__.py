"""Music similarity by one part at a time, learned by conditional similarity networks on Ray."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import csn.model.embedder

__all__ = ["load"]


def load(uri: str, device: str = "cpu") -> "csn.model.embedder.Embedder":
    """Load a trained network; its `embed` makes a vector an instrument of any recording.

    Parameters
    ----------
    uri : str
        Folder of a checkpoint (``.../checkpoints/best``), local or ``s3://``.
    device : str
        Where the network runs, as torch names it.

    Raises
    ------
    StorageError
        There is no checkpoint, or its weights are not those of its configuration.
    ConfigError
        Its configuration is not one of this version.
    """
    # Only who loads a network waits for torch; nobody here waits for Ray.
    from csn.model import embedder

    return embedder.load(uri, device)
