"""Decode one audio file to mono samples at one rate, in bounded memory.

Conventions
-----------
Samples are float32 in -1..1. Channels are averaged. A file is read once, block by block, and no
further than the caller's limit, so that memory does not grow with its length.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np
import soundfile as sf
import soxr
from jaxtyping import Float

from csn import storage
from csn.errors import CorpusError

BLOCK_FRAMES = 1 << 18
MAX_CLIPPED_SHARE = 0.01
"""A file with more samples than this at full scale is refused; with fewer it is reported."""
CLIPPED = 32767 / 32768
"""A sample this high is at full scale."""
RESAMPLER_SLACK = 64
"""A resampler may round the number of its samples up."""
UNKNOWN_BYTES = 0x7FFF0000
"""From here on, the length in a WAV's header is what programs write that did not know it."""


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
    StorageError
        The file cannot be read.
    """
    with storage.open_read(uri) as opened:
        _check_whole(uri, opened)
        try:
            with _kept_failures(opened) as source, sf.SoundFile(source) as file:
                return _decode(uri, file, sample_rate_hz, max_duration_s)
        except sf.LibsndfileError as error:
            reason = error.error_string.removeprefix("Error : ").rstrip(". ")
            raise CorpusError(
                f"{uri}: cannot be decoded ({reason}); expected a whole FLAC or WAV file; copy it "
                "again from the source"
            ) from error


class _Source:
    """A file as libsndfile reads it: an exception cannot pass through it, so the first is kept."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self.failure: Exception | None = None

    def readinto(self, buffer: Any) -> int:
        try:
            return self._file.readinto(buffer)
        except Exception as error:  # whatever it is, it is raised again
            self.failure = self.failure or error
            return 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def _kept_failures(file: BufferedReader) -> Iterator[Any]:
    """Raise what reading `file` raised, instead of what was made of the missing bytes."""
    source = _Source(file)
    try:
        yield source
    finally:
        if source.failure is not None:
            raise source.failure


def _check_whole(uri: str, file: BufferedReader) -> None:
    """Refuse a WAV file shorter than its header says, which libsndfile takes for a shorter one."""
    start = file.read(8)
    said = 8 + int.from_bytes(start[4:], "little")
    found = file.seek(0, os.SEEK_END)
    file.seek(0)
    if start.startswith(b"RIFF") and found < said < UNKNOWN_BYTES:
        raise CorpusError(
            f"{uri}: {found} bytes found, its header says {said}; the file is cut short, copy it "
            "again"
        )


def _decode(uri: str, file: sf.SoundFile, rate_hz: int, max_duration_s: float) -> Decoded:
    if file.samplerate < rate_hz:
        raise CorpusError(
            f"{uri}: {file.samplerate} Hz found, at least {rate_hz} Hz expected (is this "
            f"BabySlakh? set --audio.sample_rate_hz {file.samplerate})"
        )
    wanted = min(file.frames, round(max_duration_s * file.samplerate))
    resampler = soxr.ResampleStream(file.samplerate, rate_hz, 1, dtype="float32")
    same_rate = file.samplerate == rate_hz
    samples = np.empty(wanted * rate_hz // file.samplerate + RESAMPLER_SLACK, np.float32)
    num_read = num_clipped = num_samples = 0
    for block in _mono_blocks(uri, file, wanted):
        num_read += len(block)
        if max(block.max(), -block.min()) >= CLIPPED:  # rare: count only where there are some
            num_clipped += int(np.count_nonzero(np.abs(block) >= CLIPPED))
        last = num_read >= wanted
        piece = block if same_rate else resampler.resample_chunk(block, last=last)
        samples[num_samples : num_samples + len(piece)] = piece
        num_samples += len(piece)
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
    return Decoded(
        samples[:num_samples], file.samplerate, file.frames / file.samplerate, clipped_share
    )


def _mono_blocks(uri: str, file: sf.SoundFile, num_frames: int) -> Iterator[np.ndarray]:
    """Read blocks one after the other, each into the memory of the one before."""
    remaining = num_frames
    memory = np.empty((min(BLOCK_FRAMES, num_frames), file.channels), np.float32)
    while remaining > 0:
        block = file.read(min(BLOCK_FRAMES, remaining), always_2d=True, out=memory[:remaining])
        if not len(block):
            return
        # A NaN makes the sum one, an infinity as well; a sum needs no array of its own.
        if not np.isfinite(block.sum()):
            raise CorpusError(
                f"{uri}: holds values that are not numbers; expected samples in -1..1; "
                "render or copy it again"
            )
        remaining -= len(block)
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
