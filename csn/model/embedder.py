"""A trained network as a function from a waveform to one vector an instrument.

Conventions
-----------
Waveforms are ``[samples]`` or ``[channels, samples]``, full scale 1, at any rate: channels are
averaged and the rest is resampled to the network's rate. Segments lie as in the nightly embedding
of catalogues (`csn.audio.streaming`), and nothing is padded.
"""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import soxr
import torch
from jaxtyping import Float
from torch import Tensor

from csn import storage
from csn.audio.streaming import segments
from csn.config import ExperimentConfig
from csn.errors import CorpusError
from csn.model import checkpoint
from csn.model.network import IndividualNetworks, Network

BATCH_S = 48.0
"""Audio in one forward pass, which bounds its memory."""
MIN_TAIL_S = 1.0
Waveform = np.ndarray | Tensor
"""Its shape is checked with a message of its own."""


class Embedder:
    """A network, ready to embed. `csn.load` makes it."""

    def __init__(self, folder_uri: str, device: str = "cpu") -> None:
        loaded = checkpoint.load(folder_uri)
        self.network: Network = loaded.network.to(device)
        self._device = torch.device(device)
        self.config: ExperimentConfig = loaded.config
        """The experiment that trained the network."""
        self.digest: str = loaded.digest
        """Names the function that the network computes."""
        self.thresholds: dict[str, float] = checkpoint.read_presence(folder_uri, self.conditions)
        """Norm of a segment's vector from which on its instrument sounds; empty where the network
        does not tell."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """What the vectors are of, in order: instruments, or concepts."""
        return self.config.network.conditions

    @property
    def sample_rate_hz(self) -> int:
        """Rate at which the network listens."""
        return self.config.audio.sample_rate_hz

    def embed(
        self,
        waveform: Waveform,
        sample_rate_hz: int,
        *,
        segment_s: float | None = None,
        hop_s: float | None = None,
    ) -> dict[str, Float[np.ndarray, " dim"]]:
        """Embed a recording: for each instrument the mean of its segments' vectors.

        Segments in which the instrument does not sound, by the network's thresholds, are left out
        of its mean, unless it sounds in none. Where the network gives vectors of length 1, so is
        the mean.

        Parameters
        ----------
        waveform
            ``[samples]`` or ``[channels, samples]``.
        sample_rate_hz : int
            Of the waveform.
        segment_s : float, optional
            Length of a segment; by default that on which the network was trained.
        hop_s : float, optional
            From start to start; by default the length, so that segments do not overlap.

        Raises
        ------
        CorpusError
            The waveform is of another shape, not finite, or too short for the network.
        """
        found = self.embed_segments(waveform, sample_rate_hz, segment_s=segment_s, hop_s=hop_s)
        return {name: self.mean(name, vectors)[0] for name, vectors in found.items()}

    def embed_segments(
        self,
        waveform: Waveform,
        sample_rate_hz: int,
        *,
        segment_s: float | None = None,
        hop_s: float | None = None,
        min_tail_s: float = MIN_TAIL_S,
    ) -> dict[str, Float[np.ndarray, "segments dim"]]:
        """Embed each segment of a recording, as the network gives it; see `embed`."""
        heard = _heard(waveform, sample_rate_hz, self.sample_rate_hz)
        return self.embed_blocks([heard], segment_s=segment_s, hop_s=hop_s, min_tail_s=min_tail_s)

    def embed_blocks(
        self,
        blocks: Iterable[np.ndarray],
        *,
        segment_s: float | None = None,
        hop_s: float | None = None,
        min_tail_s: float = MIN_TAIL_S,
    ) -> dict[str, Float[np.ndarray, "segments dim"]]:
        """Embed each segment of a recording that comes block by block, in bounded memory.

        Parameters
        ----------
        blocks : iterable of arrays
            ``[samples]``, mono, at the network's rate.
        """
        length_s = segment_s or self.config.audio.segment_s
        length, hop, tail = (
            max(1, round(seconds * self.sample_rate_hz))
            for seconds in (length_s, hop_s or length_s, min_tail_s)
        )
        found: dict[str, list[np.ndarray]] = {name: [] for name in self.conditions}
        cut = segments(blocks, length, hop, tail)
        windows = (samples for _, samples in cut if samples.size)  # the last is but a length
        while some := list(islice(windows, max(1, int(BATCH_S / length_s)))):
            for name, vectors in self.vectors(np.stack(some)).items():
                found[name].append(vectors)
        if not found[self.conditions[0]]:
            raise CorpusError(
                f"a recording shorter than {min_tail_s:g} s found; give one of at least that, "
                f"better of some segments of {length_s:g} s"
            )
        return {name: np.concatenate(vectors) for name, vectors in found.items()}

    def mean(
        self, condition: str, vectors: Float[np.ndarray, "segments dim"]
    ) -> tuple[Float[np.ndarray, " dim"], float]:
        """Mean of a recording's segments, as `embed` takes it, and of their norms.

        The norm says whether `condition` sounds; it is NaN where the network does not tell.
        """
        threshold = self.thresholds.get(condition)
        return track_mean(vectors, threshold, is_unit=self.config.network.unit_subspaces)

    @torch.inference_mode()
    def vectors(
        self, waveforms: Float[np.ndarray, "segments samples"]
    ) -> dict[str, Float[np.ndarray, "segments dim"]]:
        """Embed waveforms at the network's own rate, each as one segment."""
        given = torch.from_numpy(waveforms).to(self._device)
        try:
            if isinstance(self.network, IndividualNetworks):
                found = {name: one(given) for name, one in self.network.networks.items()}
            else:
                found = self.network.layout.split(self.network(given))
        except RuntimeError as error:
            window_s = self.config.frontend.window / self.sample_rate_hz
            raise CorpusError(
                f"a recording of {waveforms.shape[1] / self.sample_rate_hz:.2f} s cannot be "
                f"embedded ({str(error).splitlines()[0]}); expected some windows of {window_s:.2f}"
                " s at least; give a longer one"
            ) from error
        return {name: vectors.float().cpu().numpy() for name, vectors in found.items()}


def track_mean(
    vectors: Float[np.ndarray, "segments dim"], threshold: float | None, *, is_unit: bool
) -> tuple[Float[np.ndarray, " dim"], float]:
    """Mean of a track's segments that are heard (of all, if none is), and of their norms.

    Parameters
    ----------
    threshold : float or None
        Norm from which on a segment is heard; none where norms say nothing: theirs is NaN then.
    is_unit : bool
        Whether vectors have length 1, as then the mean has.

    Examples
    --------
    >>> track_mean(np.array([[0.0, 3.0], [4.0, 0.0], [0.1, 0.0]]), 1.0, is_unit=False)
    (array([2. , 1.5], dtype=float32), 3.5)
    """
    norms = np.linalg.norm(vectors, axis=1)
    is_heard = norms >= (-np.inf if threshold is None else threshold)
    kept = is_heard if is_heard.any() else np.ones_like(is_heard)
    mean = vectors[kept].mean(axis=0, dtype=np.float64)
    if is_unit:
        mean /= max(float(np.linalg.norm(mean)), 1e-12)
    presence = float("nan") if threshold is None else float(norms[kept].mean())
    return mean.astype(np.float32), presence


def _heard(
    waveform: Waveform, sample_rate_hz: int, wanted_hz: int
) -> Float[np.ndarray, " samples"]:
    """Give `waveform` mono, at the network's rate."""
    samples = waveform.numpy(force=True) if isinstance(waveform, Tensor) else np.asarray(waveform)
    shape = list(samples.shape)
    if (
        samples.ndim not in (1, 2)
        or not samples.size
        or not np.issubdtype(samples.dtype, np.floating)
    ):
        raise CorpusError(
            f"a waveform of shape {shape} and {samples.dtype} found, expected [samples] or "
            "[channels, samples] of floats in -1..1 (divide whole numbers by their full scale)"
        )
    if samples.ndim == 2 and samples.shape[0] > samples.shape[1]:
        raise CorpusError(
            f"a waveform of shape {shape} found: more channels than samples; expected "
            "[channels, samples]; transpose it"
        )
    mono = samples.mean(axis=0, dtype=np.float32) if samples.ndim == 2 else samples
    if not np.isfinite(mono).all():
        raise CorpusError("a waveform with values that are not numbers; expected floats in -1..1")
    mono = np.ascontiguousarray(mono, np.float32)
    if sample_rate_hz == wanted_hz:
        return mono
    return soxr.resample(mono, sample_rate_hz, wanted_hz)


def load(folder_uri: str, device: str = "cpu") -> Embedder:
    """Load a checkpoint's folder, local or on S3; see `csn.load`."""
    return Embedder(storage.absolute(folder_uri), device)
