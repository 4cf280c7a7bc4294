"""Decode one audio file to mono samples at one rate, in bounded memory.

Conventions
-----------
Samples are float32 in -1..1. Channels are averaged. A file is read once, block by block, and no
further than the caller's limit, so that memory does not grow with its length.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile as sf
import soxr
from jaxtyping import Float

from csn import storage
from csn.errors import CorpusError

BLOCK_FRAMES = 1 << 18
MAX_CLIPPED_SHARE = 0.01
"""A file with more samples than this at full scale is refused; with fewer it is reported."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One file's samples at the wanted rate."""

    samples: Float[np.ndarray, " samples"]
    source_rate_hz: int
    duration_s: float
    """Length of the whole file, also where `samples` was cut."""
    clipped_share: float


def decode(uri: str, sample_rate_hz: int, max_duration_s: float) -> Decoded:
    """Read the first `max_duration_s` seconds of `uri`, mono, resampled to `sample_rate_hz`.

    Raises
    ------
    CorpusError
        Not an audio file, cut short, not a number, clipped, or of a lower rate than wanted.
    """
    try:
        with sf.SoundFile(io.BytesIO(storage.read_bytes(uri))) as file:
            return _decode(uri, file, sample_rate_hz, max_duration_s)
    except sf.LibsndfileError as error:
        raise CorpusError(
            f"{uri}: cannot be decoded ({error.error_string.rstrip('. ')}); expected a whole FLAC "
            "or WAV file; copy it again from the source"
        ) from error


def _decode(uri: str, file: sf.SoundFile, rate_hz: int, max_duration_s: float) -> Decoded:
    if file.samplerate < rate_hz:
        raise CorpusError(
            f"{uri}: {file.samplerate} Hz found, at least {rate_hz} Hz expected (is this "
            f"BabySlakh? set --audio.sample_rate_hz {file.samplerate})"
        )
    wanted = min(file.frames, round(max_duration_s * file.samplerate))
    resampler = soxr.ResampleStream(file.samplerate, rate_hz, 1, dtype="float32")
    same_rate = file.samplerate == rate_hz
    pieces: list[np.ndarray] = []
    num_read = num_clipped = 0
    for block in _mono_blocks(uri, file, wanted):
        num_read += len(block)
        num_clipped += int(np.count_nonzero(np.abs(block) >= 32767 / 32768))
        last = num_read >= wanted
        pieces.append(block if same_rate else resampler.resample_chunk(block, last=last))
    if num_read < wanted:
        raise CorpusError(
            f"{uri}: ends after {num_read / file.samplerate:.2f} s, its header says "
            f"{file.frames / file.samplerate:.2f} s; the file is cut short, copy it again"
        )
    clipped_share = num_clipped / max(num_read, 1)
    if clipped_share > MAX_CLIPPED_SHARE:
        raise CorpusError(
            f"{uri}: clipped ({100 * clipped_share:.1f} % of its samples are at full scale, at "
            f"most {100 * MAX_CLIPPED_SHARE:.0f} % expected); render or copy it again"
        )
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    return Decoded(samples, file.samplerate, file.frames / file.samplerate, clipped_share)


def _mono_blocks(uri: str, file: sf.SoundFile, num_frames: int) -> Iterator[np.ndarray]:
    remaining = num_frames
    while remaining > 0:
        block = file.read(min(BLOCK_FRAMES, remaining), dtype="float32", always_2d=True)
        if not len(block):
            return
        if not np.isfinite(block).all():
            raise CorpusError(
                f"{uri}: holds values that are not numbers; expected samples in -1..1; "
                "render or copy it again"
            )
        remaining -= len(block)
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
