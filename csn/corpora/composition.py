"""Compose a piece: its key, chords and form, and who plays in it. Pure and seeded.

Conventions
-----------
Pitches are MIDI numbers, programs General MIDI's (0-based; 128 stands for drums), times in seconds
from the start of the piece. Players and what they play: `csn.corpora.playing`.

Choices
-------
Each player's sound and style are drawn from a random stream of their own and say nothing of the
others': they share tempo, metre, swing, chords and form, and no more.
"""

from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import pretty_midi

from csn.conditions import Instrument
from csn.corpora.figures import Bar, Mode, Song
from csn.corpora.playing import PRESENCE, Rng, Seat, play
from csn.corpora.soundfont import Patch

DRUM_PROGRAM = 128
TAIL_S = 1.2
"""Left after the last bar for its notes to fade."""

_ABSENT_SHARE = 0.06
_MIN_INSTRUMENTS = 3
_COUNTS = {
    Instrument.DRUMS: (1.0,),
    Instrument.BASS: (1.0,),
    Instrument.PIANO: (0.8, 0.2),
    Instrument.GUITAR: (0.68, 0.24, 0.08),
    Instrument.OTHERS: (0.66, 0.22, 0.08, 0.03, 0.01),
}
"""How likely a piece that has an instrument has one, two, ... stems of it."""
_FAMILIES: dict[Instrument, tuple[tuple[range, tuple[str, ...], tuple[int, int]], ...]] = {
    Instrument.BASS: ((range(32, 38), ("bass",), (34, 43)),),
    Instrument.PIANO: ((range(8), ("chords", "arpeggio", "stride", "line"), (55, 76)),),
    Instrument.GUITAR: (
        (range(24, 28), ("strum", "arpeggio", "line"), (50, 66)),
        (range(28, 29), ("strum", "line"), (50, 62)),
        (range(29, 31), ("power", "line"), (41, 60)),
        (range(31, 32), ("arpeggio",), (55, 67)),
    ),
    Instrument.OTHERS: (
        (range(8, 16), ("arpeggio", "line"), (67, 84)),
        (range(16, 21), ("pad", "chords", "line"), (53, 72)),
        (range(21, 24), ("line", "pad"), (58, 74)),
        (range(40, 42), ("line",), (62, 79)),
        (range(42, 44), ("line",), (43, 56)),
        (range(44, 47), ("arpeggio", "line"), (58, 76)),
        (range(48, 55), ("pad", "chords", "line"), (53, 72)),
        (range(56, 62), ("line", "chords"), (50, 70)),
        (range(64, 72), ("line",), (52, 74)),
        (range(72, 80), ("line",), (67, 84)),
        (range(80, 88), ("line", "arpeggio"), (55, 79)),
        (range(88, 96), ("pad", "arpeggio"), (53, 72)),
    ),
}
"""Programs that are played alike, their figures, and the pitches around which they may lie."""
_KITS = (0, 8, 16, 24, 25, 32, 40)
_UNRENDERED = (38, 39, 55, 62, 63, *range(96, 128))
"""Programs that Slakh lists and never rendered."""
_LOWEST = {Instrument.BASS: 28, Instrument.GUITAR: 40}
"""Open low strings."""

_MAJOR_LOOPS = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (1, 4, 0, 5), (0, 2, 3, 4))
_MINOR_LOOPS = ((0, 5, 2, 6), (0, 6, 5, 6), (0, 3, 5, 4), (5, 6, 0, 0), (0, 2, 6, 3))
_MODES: tuple[tuple[Mode, tuple[int, ...], tuple[tuple[int, ...], ...]], ...] = (
    ("major", (0, 2, 4, 5, 7, 9, 11), _MAJOR_LOOPS),
    ("minor", (0, 2, 3, 5, 7, 8, 10), _MINOR_LOOPS),
    ("dorian", (0, 2, 3, 5, 7, 9, 10), ((0, 3, 0, 3), (0, 2, 3, 6), (0, 6, 3, 0))),
    ("mixolydian", (0, 2, 4, 5, 7, 9, 10), ((0, 6, 3, 0), (0, 3, 6, 3), (0, 4, 3, 0))),
)
"""The modes' scales, and for each the chord loops, in degrees, that suit it."""
_FORMS = (("verse", "chorus", "verse", "chorus", "bridge", "chorus"), ("verse", "verse", "chorus"))


@dataclass(frozen=True, slots=True)
class Stem:
    """What one player plays, and with which sound; without a patch it is listed, not rendered."""

    stem_id: str
    program: int
    patch: Patch | None
    notes: tuple[pretty_midi.Note, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A composed piece."""

    uuid: str
    tempo_bpm: float
    beats_per_bar: int
    length_s: float
    stems: tuple[Stem, ...]
    key: int
    """Pitch class of the tonic: 0 is C, 11 is B."""
    mode: Mode
    swing: float
    """Where the middle of a swung pair of notes lies: 0.5 is straight, 0.67 a triplet."""


def compose(seed: int, index: int, *, tempo_bpm: float, duration_s: float) -> Piece:
    """Compose piece `index` of the corpus of `seed`; depends on the arguments alone.

    Parameters
    ----------
    seed, index : int >= 0
        Of the corpus, and of the piece in it.
    tempo_bpm : float > 0
        Quarter notes a minute, through the whole piece.
    duration_s : float > 0
        The piece is as long as whole bars of it fit into this (and at least one bar).
    """
    rng = np.random.default_rng([seed, index])
    song = _song(rng, tempo_bpm, duration_s)
    stems, number = [], 0
    for place, (instrument, seat) in enumerate(_cast(rng)):
        # A seed's trailing zeros do not count: [seed, index, 0] would be the piece's own stream.
        own = np.random.default_rng([seed, index, place + 1])
        is_drum = instrument is Instrument.DRUMS
        patch = None if instrument is None else _patch(own, seat.program, is_drum)
        notes = play(own, song, seat, opens=not any(one.patch for one in stems))
        number += int(rng.random() < 0.08)
        program = DRUM_PROGRAM if is_drum else seat.program
        stems.append(Stem(f"S{number:02d}", program, patch, notes))
        number += 1
    music_s = song.seconds(np.array([float(len(song.bars) * song.bar_steps)]))[0]
    return Piece(
        uuid=rng.bytes(16).hex(),
        tempo_bpm=tempo_bpm,
        beats_per_bar=song.beats_per_bar,
        length_s=float(music_s) + TAIL_S,
        stems=tuple(stems),
        key=song.key,
        mode=song.mode,
        swing=song.swing,
    )


def _cast(rng: Rng) -> list[tuple[Instrument | None, Seat]]:
    """Say who plays, in no order; one who will not be rendered comes without an instrument."""
    present = [one for one in Instrument if rng.random() >= _ABSENT_SHARE]
    if len(present) < _MIN_INSTRUMENTS:
        present = list(Instrument)
    cast: list[tuple[Instrument | None, Seat]] = []
    for instrument in present:
        seats = _seats(instrument)
        size = 1 + rng.choice(len(_COUNTS[instrument]), p=_COUNTS[instrument])
        cast += [(instrument, seats[one]) for one in rng.choice(len(seats), size, replace=False)]
    if rng.random() < 0.3:
        cast.append((None, Seat(int(rng.choice(_UNRENDERED)), ("pad", "line"), (55, 72))))
    return [cast[place] for place in rng.permutation(len(cast))]


def _seats(instrument: Instrument) -> list[Seat]:
    if instrument is Instrument.DRUMS:
        return [Seat(kit, ("drums",), (0, 0)) for kit in _KITS]
    return [
        Seat(program, figures, centres, _LOWEST.get(instrument, 0))
        for programs, figures, centres in _FAMILIES[instrument]
        for program in programs
    ]


def _patch(rng: Rng, program: int, is_drum: bool) -> Patch:
    return Patch(
        program,
        is_drum,
        shelf_db=float(rng.uniform(-5, 5)),
        peak_hz=float(np.exp(rng.uniform(np.log(250), np.log(3000)))),
        peak_db=float(rng.uniform(-5, 5)),
    )


def _song(rng: Rng, tempo_bpm: float, duration_s: float) -> Song:
    beats = 3 if rng.random() < 0.12 else 4
    bar_s = beats * 60 / tempo_bpm
    num_bars = max(1, int((duration_s - TAIL_S) / bar_s))
    silent = min(int(rng.choice(3, p=(0.35, 0.45, 0.2))), num_bars // 6)
    mode, scale, loops = _MODES[rng.choice(len(_MODES), p=(0.4, 0.3, 0.15, 0.15))]
    key = int(rng.integers(12))
    return Song(
        tempo_bpm=tempo_bpm,
        beats_per_bar=beats,
        lead_in_s=silent * bar_s,
        swing=float(rng.uniform(0.56, 0.67)) if rng.random() < 0.35 else 0.5,
        swing_steps=int(rng.choice((2, 4))),
        key=key,
        mode=mode,
        scale=tuple(p for p in range(12, 120) if (p - key) % 12 in scale),
        bars=_bars(rng, num_bars - silent, [(key + p) % 12 for p in scale], loops),
    )


def _bars(
    rng: Rng, num_bars: int, scale: list[int], loops: tuple[tuple[int, ...], ...]
) -> tuple[Bar, ...]:
    """Sections of two, four or eight bars, each name with a chord loop of its own."""
    length = 2 if num_bars < 16 else 4 if num_bars < 64 else 8
    num_sections = max(1, round(num_bars / length))
    names = list(islice(cycle(_FORMS[rng.integers(2)]), num_sections))
    if num_sections > 2:
        names = ["intro", *names[: num_sections - 2], "outro"]
    num_tones = int(rng.choice((3, 4), p=(0.7, 0.3)))
    a_bar = int(rng.choice((1, 2), p=(0.75, 0.25)))
    home, away, bridge = (loops[rng.integers(len(loops))] for _ in range(3))
    chords = {
        name: [tuple(scale[(one + 2 * tone) % 7] for tone in range(num_tones)) for one in loop]
        for name, loop in zip(PRESENCE, (home, home, away, bridge, home), strict=True)
    }
    bars: list[Bar] = []
    for number in range(num_bars):
        place = min(number // length, num_sections - 1)
        loop, first = chords[names[place]], number * a_bar
        opens = not bars or bars[-1].is_last
        ends = number == num_bars - 1 or min((number + 1) // length, num_sections - 1) > place
        here = tuple(loop[(first + half) % len(loop)] for half in range(a_bar))
        bars.append(Bar(number, names[place], place, opens, ends, here))
    return tuple(bars)
