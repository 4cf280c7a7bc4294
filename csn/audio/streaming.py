"""A file's segments one after the other, in memory that its length does not change.

Conventions
-----------
Segment k begins at ``k * hop`` and is whole. What is left behind the last of them, if it is at
least as long as asked, gets one segment more, which ends where the track ends and so overlaps the
one before. A track shorter than a segment is one segment of its own length. Nothing is padded.
Places and lengths are in samples at the rate asked for; any rate and number of channels is read.
"""

from collections.abc import Iterable, Iterator
from io import BufferedIOBase

import numpy as np
import soxr
from jaxtyping import Float

from csn.audio.decode import cut_short, mono_blocks, sound_file


def mono_stream(uri: str, opened: BufferedIOBase, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Decode all of an open file block by block: mono float32 at `sample_rate_hz`.

    Raises
    ------
    CorpusError
        Not an audio file, cut short, or not a number.
    """
    with sound_file(uri, opened) as (file, untold):
        same_rate = file.samplerate == sample_rate_hz
        resampler = soxr.ResampleStream(file.samplerate, sample_rate_hz, 1, dtype="float32")
        num_read = 0
        for block in mono_blocks(uri, file, file.frames):
            num_read += len(block)
            # A block lies in memory that the next one is read into.
            yield block.copy() if same_rate else resampler.resample_chunk(block)
        if num_read < file.frames and not untold:
            raise cut_short(uri, file, num_read)
        if not same_rate:
            yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def segments(
    blocks: Iterable[np.ndarray], length: int, hop: int, min_tail: int
) -> Iterator[tuple[int, Float[np.ndarray, " samples"]]]:
    """Cut a stream of samples into segments; gives where each begins, and its samples.

    The last number that is given stands beside an empty array: how long the track is.
    """
    held, held_from, total, start, covered = np.empty(0, np.float32), 0, 0, 0, 0
    for block in blocks:
        held = np.concatenate([held, block])
        total += len(block)
        while start + length <= total:
            yield start, held[start - held_from : start - held_from + length]
            covered = start + length
            start += hop
        # The last segment may begin anywhere in the length before the end.
        keep_from = max(held_from, min(start, total - length))
        held, held_from = held[keep_from - held_from :], keep_from
    if covered == 0:
        if total >= min_tail:
            yield 0, held
    elif total - max(covered, start) >= min_tail:
        yield total - length, held[total - length - held_from :]
    yield total, np.empty(0, np.float32)
