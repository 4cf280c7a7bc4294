"""Threads that read and decode a shard's tracks, some pieces ahead of whoever embeds them.

Conventions
-----------
Every track begins with `Begun` (again, if the store failed in the middle of it), goes on with
pieces of whole segments, and ends with `Ended` or `Failed`. The queue between holds few pieces,
so that memory grows neither with a track's length nor with their number.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedIOBase, BytesIO
from queue import Full, Queue
from threading import Event, Lock
from typing import Any

import numpy as np
from jaxtyping import Float

from csn import shared_storage, storage
from csn.audio.streaming import mono_stream, segments
from csn.errors import CorpusError, CsnError, StorageError, in_a_line

WHOLE_BYTES = 32 * 2**20
"""Files up to this size are fetched by one request; larger ones are read in ranges."""
QUEUED_PIECES = 4
"""Pieces that wait to be embedded, for each thread."""
MESSAGE_CHARACTERS = 500
"""Of what a reject tells, at most."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How tracks are cut, in samples at `sample_rate_hz`."""

    sample_rate_hz: int
    length: int
    hop: int
    min_tail: int


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read."""

    uri: str
    size: int


@dataclass(frozen=True, slots=True)
class Begun:
    """What came of this track before counts no longer."""

    place: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Segments of one length."""

    place: int
    starts: list[int]
    waveforms: Float[np.ndarray, "segments samples"]


@dataclass(frozen=True, slots=True)
class Ended:
    """All of a track has come."""

    place: int
    num_samples: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The track cannot be read; or, with `is_ours`, nothing can be for now."""

    place: int
    stage: str
    error: Exception
    is_ours: bool = False


@dataclass(slots=True)
class Seconds:
    """What the threads spent their time on, together."""

    read: float = 0.0
    decode: float = 0.0
    blocked: float = 0.0
    lock: Lock = field(default_factory=Lock)

    def add(self, **spent: float) -> None:
        """Add to some of them."""
        with self.lock:
            for name, seconds in spent.items():
                setattr(self, name, getattr(self, name) + seconds)


@contextmanager
def read_ahead(
    sources: Sequence[Source],
    cutting: Cutting,
    *,
    pool: ThreadPoolExecutor,
    num_threads: int,
    piece_s: float,
    patience_s: float,
    seconds: Seconds,
) -> Iterator["Queue[Any]"]:
    """Read `sources` in threads; gives the queue of what comes of them.

    Parameters
    ----------
    pool : ThreadPoolExecutor
        Has `num_threads` threads to spare. They outlive the call: each has a client of its own.
    piece_s : float
        Audio in a piece, about.
    patience_s : float
        How long a failing store is asked again before it is called `is_ours`.
    seconds : Seconds
        Is added to.
    """
    queue: Queue[Any] = Queue(QUEUED_PIECES * num_threads)
    stopped = Event()
    places = iter(range(len(sources)))
    lock = Lock()

    def put(item: Any) -> None:
        started = time.monotonic()
        while not stopped.is_set():
            try:
                queue.put(item, timeout=0.2)
                break
            except Full:
                continue
        seconds.add(blocked=time.monotonic() - started)

    def work() -> None:
        while not stopped.is_set():
            with lock:
                place = next(places, None)
            if place is None:
                return
            reader = _TrackReader(place, sources[place], cutting, piece_s, put, stopped, seconds)
            reader.read(patience_s)

    works = [pool.submit(work) for _ in range(num_threads)]
    try:
        yield queue
    finally:
        stopped.set()
        wait(works)


class _Stopped(Exception):  # noqa: N818  it is no error
    """Whoever asked has gone."""


@dataclass(frozen=True, slots=True)
class _TrackReader:
    place: int
    source: Source
    cutting: Cutting
    piece_s: float
    put: Any
    stopped: Event
    seconds: Seconds

    def read(self, patience_s: float) -> None:
        """Put all that comes of the track."""
        try:
            shared_storage.patiently(self._once, patience_s)
        except _Stopped:
            return
        except StorageError as error:
            ours = shared_storage.is_passing(error) or shared_storage.concerns_all(error)
            self.put(Failed(self.place, "read", error, is_ours=ours))
        except CorpusError as error:
            self.put(Failed(self.place, "decode", error))
        except Exception as error:  # of a decoder: it is this file's fault, whatever it is
            self.put(Failed(self.place, "decode", error))

    def _once(self) -> None:
        self.put(Begun(self.place))
        blocked, started = 0.0, time.monotonic()
        num_samples = 0
        starts: list[int] = []
        waveforms: list[np.ndarray] = []
        with self._opened() as opened:
            opened_at = time.monotonic()
            self.seconds.add(read=opened_at - started)
            cutting = self.cutting
            blocks = mono_stream(self.source.uri, opened, cutting.sample_rate_hz)
            limit = max(1, int(self.piece_s * cutting.sample_rate_hz) // cutting.length)
            pieces = segments(blocks, cutting.length, cutting.hop, cutting.min_tail)
            for start, samples in pieces:
                if self.stopped.is_set():
                    raise _Stopped
                is_like = bool(len(samples)) and (
                    not waveforms or len(waveforms[0]) == len(samples)
                )
                if waveforms and (len(waveforms) == limit or not is_like):
                    blocked += self._put_piece(starts, waveforms)
                    starts, waveforms = [], []
                if len(samples):
                    starts.append(start)
                    waveforms.append(samples)
                else:
                    num_samples = start
            self.seconds.add(decode=time.monotonic() - opened_at - blocked)
        self.put(Ended(self.place, num_samples))

    def _put_piece(self, starts: list[int], waveforms: list[np.ndarray]) -> float:
        piece = Piece(self.place, starts, np.stack(waveforms))
        started = time.monotonic()
        self.put(piece)
        return time.monotonic() - started

    @contextmanager
    def _opened(self) -> Iterator[BufferedIOBase]:
        if self.source.size <= WHOLE_BYTES:
            yield BytesIO(storage.read_bytes(self.source.uri))
        else:
            with storage.open_read(self.source.uri) as opened:
                yield opened


def told(error: Exception) -> tuple[str, str]:
    """Class and one-line message of what is behind an error, as a reject tells it."""
    cause = error.__cause__ if isinstance(error, CsnError) and error.__cause__ else error
    return type(cause).__name__, _shortened(in_a_line(error))


def _shortened(line: str) -> str:
    """Cut the middle out of a long message: the reason stands behind an address of any length."""
    if len(line) <= MESSAGE_CHARACTERS:
        return line
    kept = (MESSAGE_CHARACTERS - len(" ... ")) // 2
    return f"{line[:kept]} ... {line[-kept:]}"
