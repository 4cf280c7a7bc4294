"""The frames of an MP3 file: how many there are, and how many there should be.

Conventions
-----------
Of layer III alone; bitrates in bit/s, places in bytes from the beginning of the file. An MP3 file
may begin with a frame without sound that tells how many follow (``Xing``, ``Info`` or ``VBRI``).

Choices
-------
Where no frame tells the length, decoders guess it from the file's size and the first frame's
bitrate, and stop there: of a variable bitrate a third of the music may be left. So we count, and
`length_frame` makes the frame that is lacking. Whether such a file was cut short cannot be known:
previews are cut out of longer streams, also inside a frame, which is told of and no fault.
"""

import io
from dataclasses import dataclass
from io import BufferedIOBase

from csn.errors import CorpusError

_KBITS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By version (2 stands for 2.5 too) and number in a frame's header; 0: of no stated bitrate."""
_RATES_HZ = (44_100, 48_000, 32_000)
_VERSIONS = {3: (1, 1), 2: (2, 2), 0: (2, 4)}
"""By number in the header: version, and by what the sample rate is divided."""
_MONO = 3
_LENGTH_FRAME_KBITS = 9
"""Number of a bitrate at which a frame has room for its own length."""
MIN_FRAMES_SHARE = 0.9
"""Frames fill so much of a whole file at least; tags at its end are small."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the header of a frame says."""

    size: int
    samples: int
    rate_hz: int
    tag_place: int
    """Where in the frame, if it has no sound, the tag with the length begins."""

    @classmethod
    def of(cls, header: bytes) -> "Frame | None":
        """Read four bytes; none where they begin no frame of layer III."""
        bits = int.from_bytes(header, "big")
        is_synced = len(header) == 4 and bits >> 21 == 0x7FF and bits >> 17 & 3 == 1
        version, divisor = _VERSIONS.get(bits >> 19 & 3, (0, 0))
        kbits, rate = bits >> 12 & 15, bits >> 10 & 3
        if not is_synced or not version or kbits in (0, 15) or rate == 3:
            return None
        rate_hz = _RATES_HZ[rate] // divisor
        samples = 1152 // version
        size = samples // 8 * _KBITS[version][kbits] * 1000 // rate_hz + (bits >> 9 & 1)
        is_mono = bits >> 6 & 3 == _MONO
        side = (17 if is_mono else 32) if version == 1 else (9 if is_mono else 17)
        return cls(size, samples, rate_hz, 4 + side)


@dataclass(frozen=True, slots=True)
class Stream:
    """Where the frames of a file begin, how many there are, and what tells their number."""

    start: int
    num_frames: int
    first: bytes
    """Header of the first frame."""
    said_frames: int | None
    """Number of frames that the file itself tells, none where it does not."""
    is_torn: bool
    """The file ends inside a frame, which is not counted."""

    def length_frame(self) -> bytes:
        """Frame without sound that tells how many frames follow, to stand before them."""
        bits = int.from_bytes(self.first, "big") | 1 << 16  # no checksum
        bits = bits & ~(0xF << 12 | 1 << 9) | _LENGTH_FRAME_KBITS << 12
        header = bits.to_bytes(4, "big")
        frame = Frame.of(header)
        assert frame is not None
        tag = b"Xing" + (1).to_bytes(4, "big") + self.num_frames.to_bytes(4, "big")
        return (header + bytes(frame.tag_place - 4) + tag).ljust(frame.size, b"\0")


def scan(uri: str, file: BufferedIOBase) -> Stream | None:
    """Count the frames of an open file, which is left where it begins.

    Returns
    -------
    Stream
        None where no MP3 frame begins the file, tags aside; it may be anything else.

    Raises
    ------
    CorpusError
        Fewer frames than the file itself tells, or much in it that is no frame.
    """
    size = file.seek(0, io.SEEK_END)
    start = _after_tags(file)
    first = _read(file, start, 4)
    frame = Frame.of(first)
    if frame is None:
        file.seek(0)
        return None
    said = _said_frames(_read(file, start, frame.tag_place + 12), frame.tag_place)
    num_frames, end, is_torn = _counted(file, start, size)
    file.seek(0)
    if said is not None and num_frames - 1 < said:
        seconds = frame.samples / frame.rate_hz
        raise CorpusError(
            f"{uri}: ends after {(num_frames - 1) * seconds:.2f} s, its header says "
            f"{said * seconds:.2f} s; the file is cut short, copy it again"
        )
    if end - start < MIN_FRAMES_SHARE * (size - start):
        raise CorpusError(
            f"{uri}: cannot be decoded (no MP3 frame at byte {end} of {size}); expected one frame "
            "after the other to the end of the file; copy it again from the source"
        )
    return Stream(start, num_frames, first, said, is_torn)


def _read(file: BufferedIOBase, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _after_tags(file: BufferedIOBase) -> int:
    """Place after the ID3 tags at the beginning; their sizes have seven bits a byte."""
    place = 0
    while (head := _read(file, place, 10)).startswith(b"ID3") and len(head) == 10:
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        place += 10 + size
    return place


def _said_frames(frame: bytes, tag_place: int) -> int | None:
    tag = frame[tag_place:]
    if tag[:4] in (b"Xing", b"Info"):
        has_number = tag[7] & 1 if len(tag) >= 12 else 0
        return int.from_bytes(tag[8:12], "big") if has_number else None
    return None


def _counted(file: BufferedIOBase, start: int, size: int) -> tuple[int, int, bool]:
    """Count whole frames, one behind the other; where the last ends, and whether one is torn."""
    num_frames, place = 0, start
    while frame := Frame.of(_read(file, place, 4)):
        if place + frame.size > size:
            return num_frames, size, True
        place += frame.size
        num_frames += 1
    return num_frames, place, False
