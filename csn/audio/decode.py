"""Decode one audio file to mono samples at one rate, in bounded memory.

Conventions
-----------
Samples are float32 in -1..1; decoded MP3 may go a little beyond. Channels are averaged. A file is
read once, block by block, and no further than the caller's limit, so that memory does not grow
with its length; of an MP3, the frames are counted before.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any

import numpy as np
import soundfile as sf
import soxr
from jaxtyping import Float

from csn import storage
from csn.audio import mp3
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
    is_torn: bool
    """It ends inside a frame of an MP3 that does not tell its length: perhaps it was longer."""


def decode(
    uri: str,
    sample_rate_hz: int,
    max_duration_s: float,
    *,
    max_clipped_share: float = MAX_CLIPPED_SHARE,
) -> Decoded:
    """Read the first `max_duration_s` seconds of `uri`, mono, resampled to `sample_rate_hz`.

    Parameters
    ----------
    max_clipped_share : float
        Refuse a file with more samples than this at full scale; 1 refuses none.

    Raises
    ------
    CorpusError
        Not an audio file, cut short, not a number, clipped, or of a lower rate than wanted.
    StorageError
        The file cannot be read.
    """
    with storage.open_read(uri) as opened, sound_file(uri, opened) as (file, untold):
        decoded = _decode(uri, file, sample_rate_hz, max_duration_s, untold=untold)
    if decoded.clipped_share > max_clipped_share:
        raise CorpusError(
            f"{uri}: clipped ({100 * decoded.clipped_share:.1f} % of its samples are at full "
            f"scale, at most {100 * max_clipped_share:.0f} % expected); render or copy it again"
        )
    return decoded


@contextmanager
def sound_file(
    uri: str, opened: BufferedIOBase
) -> Iterator[tuple[sf.SoundFile, mp3.Stream | None]]:
    """Open what a file of any kind holds; gives also the frames of an MP3 without its length.

    Raises
    ------
    CorpusError
        Also for what goes wrong inside: not an audio file, or cut short.
    """
    _check_whole(uri, opened)
    stream = mp3.scan(uri, opened)
    untold = stream if stream and stream.said_frames is None else None
    try:
        with _kept_failures(opened, untold) as source, sf.SoundFile(source) as file:
            yield file, untold
    except sf.LibsndfileError as error:
        reason = error.error_string.removeprefix("Error : ").rstrip(". ")
        raise CorpusError(
            f"{uri}: cannot be decoded ({reason}); expected a whole FLAC, WAV or MP3 file; "
            "copy it again from the source"
        ) from error


class _Source:
    """A file as libsndfile reads it: an exception cannot pass through it, so the first is kept.

    Of an MP3 that does not tell its length, a frame that does stands before it.
    """

    def __init__(self, file: BufferedIOBase, untold: mp3.Stream | None) -> None:
        self._file = file
        self._before = untold.length_frame() if untold else b""
        self._skipped = untold.start if untold else 0
        self._place = 0
        self.failure: Exception | None = None

    def readinto(self, buffer: Any) -> int:
        try:
            if self._place < len(self._before):
                piece = self._before[self._place : self._place + len(buffer)]
                buffer[: len(piece)] = piece
                num_read = len(piece)
            else:
                self._file.seek(self._skipped + self._place - len(self._before))
                num_read = self._file.readinto(buffer)
        except Exception as error:  # whatever it is, it is raised again
            self.failure = self.failure or error
            return 0
        self._place += num_read
        return num_read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._place
        elif whence == os.SEEK_END:
            end = self._file.seek(0, os.SEEK_END)
            offset += end - self._skipped + len(self._before)
        self._place = offset
        return offset

    def tell(self) -> int:
        return self._place


@contextmanager
def _kept_failures(file: BufferedIOBase, untold: mp3.Stream | None) -> Iterator[Any]:
    """Raise what reading `file` raised, instead of what was made of the missing bytes."""
    source = _Source(file, untold)
    try:
        yield source
    finally:
        if source.failure is not None:
            raise source.failure


def _check_whole(uri: str, file: BufferedIOBase) -> None:
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


def _decode(
    uri: str,
    file: sf.SoundFile,
    rate_hz: int,
    max_duration_s: float,
    *,
    untold: mp3.Stream | None,
) -> Decoded:
    if file.samplerate < rate_hz:
        raise CorpusError(
            f"{uri}: {file.samplerate} Hz found, at least {rate_hz} Hz expected (is this "
            f"BabySlakh, or a preview? set --audio.sample_rate_hz {file.samplerate})"
        )
    wanted = min(file.frames, round(max_duration_s * file.samplerate))
    resampler = soxr.ResampleStream(file.samplerate, rate_hz, 1, dtype="float32")
    same_rate = file.samplerate == rate_hz
    samples = np.empty(wanted * rate_hz // file.samplerate + RESAMPLER_SLACK, np.float32)
    num_read = num_clipped = num_samples = 0
    for block in mono_blocks(uri, file, wanted):
        num_read += len(block)
        if max(block.max(), -block.min()) >= CLIPPED:  # rare: count only where there are some
            num_clipped += int(np.count_nonzero(np.abs(block) >= CLIPPED))
        last = num_read >= wanted
        piece = block if same_rate else resampler.resample_chunk(block, last=last)
        samples[num_samples : num_samples + len(piece)] = piece
        num_samples += len(piece)
    # Without the frames before it, the first frame of a stream cut out of another is left out.
    if num_read < wanted and not untold:
        raise cut_short(uri, file, num_read)
    clipped_share = num_clipped / max(num_read, 1)
    return Decoded(
        samples[:num_samples],
        file.samplerate,
        file.frames / file.samplerate,
        clipped_share,
        bool(untold and untold.is_torn),
    )


def cut_short(uri: str, file: sf.SoundFile, num_read: int) -> CorpusError:
    """Make the error of a file that ends before the length that it tells."""
    return CorpusError(
        f"{uri}: ends after {num_read / file.samplerate:.2f} s, its header says "
        f"{file.frames / file.samplerate:.2f} s; the file is cut short, copy it again"
    )


def mono_blocks(uri: str, file: sf.SoundFile, num_frames: int) -> Iterator[np.ndarray]:
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
