"""What a player makes of one bar: chords, arpeggios, lines, drum patterns. Pure.

Conventions
-----------
The grid is the sixteenth, a *step*: 16 to a bar of 4/4, 12 to one of 3/4. Pitches are MIDI
numbers, pitch classes 0..11 from C. A figure takes a bar, the steps on which notes begin, the
player's style and the song, and gives notes placed from the bar's start.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

BEAT_STEPS = 4

Mode = Literal["major", "minor", "dorian", "mixolydian"]

Onsets = tuple[int, ...]
"""Steps of a bar on which notes begin, in order."""


class Limb(NamedTuple):
    """One voice of a drum pattern."""

    pitch: int
    rhythm: tuple[Onsets, ...]
    accent: int


class Bar(NamedTuple):
    """A bar of the form, with its chords."""

    number: int
    section: str
    section_number: int
    is_first: bool
    is_last: bool
    chords: tuple[tuple[int, ...], ...]
    """One, or one for each half of the bar; pitch classes from C, the root first."""


@dataclass(frozen=True, slots=True)
class Song:
    """What the players of a piece share."""

    tempo_bpm: float
    beats_per_bar: int
    lead_in_s: float
    swing: float
    """Where the middle of a swung pair lies: 0.5 is straight, 0.67 a triplet."""
    swing_steps: int
    key: int
    """Pitch class of the tonic."""
    mode: Mode
    scale: tuple[int, ...]
    """The scale's pitches over the whole range."""
    bars: tuple[Bar, ...]

    @property
    def bar_steps(self) -> int:
        """Sixteenths of a bar."""
        return self.beats_per_bar * BEAT_STEPS

    def seconds(self, steps: np.ndarray) -> np.ndarray:
        """Turn grid positions into times, with the piece's swing."""
        pair, place = np.divmod(steps, self.swing_steps)
        share = np.interp(place / self.swing_steps, [0, 0.5, 1], [0, self.swing, 1])
        beats = (pair + share) * self.swing_steps / BEAT_STEPS
        return self.lead_in_s + beats * 60 / self.tempo_bpm


class Hit(NamedTuple):
    """A note on the grid: place and length in steps, the place from its bar's start."""

    step: float
    length: float
    pitch: int
    accent: float = 0


@dataclass(frozen=True, slots=True)
class Style:
    """How one player plays."""

    figure: str
    centre: int
    lowest: int
    rhythm: tuple[Onsets, ...]
    """For each bar of a pattern."""
    contour: tuple[int, ...]
    """Order of the chord's tones, or steps of the scale around its root."""
    rate: int
    """Steps between the notes of an arpeggio."""
    hold: float
    """Share of the time to the next onset for which a note is held."""
    tones: int
    """Notes of a chord."""
    velocity: int
    accent: float
    """What the beat adds to the velocity; negative for a player of the off-beat."""
    push_s: float
    """How far ahead of the grid (negative) or behind it the player is."""
    restlessness: float
    """Share of the bars that are varied."""
    limbs: tuple[Limb, ...] = ()
    """A drummer's pattern; without notes of its own otherwise."""


def _spans(onsets: Onsets, song: Song) -> list[tuple[int, int]]:
    """Each onset, and the steps from there to the next or to the bar's end."""
    return [(one, after - one) for one, after in pairwise((*onsets, song.bar_steps))]


def _chord_at(bar: Bar, step: int, song: Song) -> tuple[int, ...]:
    return bar.chords[step * len(bar.chords) // song.bar_steps]


def _near(pitch_class: int, centre: int) -> int:
    """Pitch of that class within half an octave of `centre`."""
    return centre - 6 + (pitch_class - centre + 6) % 12


def _voicing(chord: tuple[int, ...], style: Style) -> list[int]:
    """As many tones of the chord as the style has, close around its centre, from below."""
    close = sorted(_near(one, style.centre) for one in chord)
    return [*close, close[0] + 12][: max(style.tones, 2)]


def _chords(bar: Bar, onsets: Onsets, style: Style, song: Song) -> list[Hit]:
    """Whole chords on the rhythm."""
    return [
        Hit(at, span * style.hold, pitch)
        for at, span in _spans(onsets, song)
        for pitch in _voicing(_chord_at(bar, at, song), style)
    ]


def _strum(bar: Bar, onsets: Onsets, style: Style, song: Song) -> list[Hit]:
    """Chords over two octaves, string by string: down on the beat, up and lighter between."""
    hits = []
    for at, span in _spans(onsets, song):
        close = _voicing(_chord_at(bar, at, song), replace(style, tones=4))
        strings = [close[0] - 12, *close] if at % BEAT_STEPS == 0 else close[::-1]
        hits += [
            Hit(at + 0.04 * style.tones * place, span * style.hold, pitch, -2 * place)
            for place, pitch in enumerate(strings)
        ]
    return hits


def _power(bar: Bar, onsets: Onsets, style: Style, song: Song) -> list[Hit]:
    """Root, fifth and octave on the rhythm, over muted repetitions of the root."""
    hits = []
    for at in sorted({*onsets, *range(0, song.bar_steps, style.rate)}):
        root = _near(_chord_at(bar, at, song)[0], style.centre)
        if at in onsets:
            hits += [Hit(at, 2 + 4 * style.hold, root + more, 8) for more in (0, 7, 12)]
        else:
            hits.append(Hit(at, 0.6, root, -14))
    return hits


def _stride(bar: Bar, onsets: Onsets, style: Style, song: Song) -> list[Hit]:
    """Low root and fifth on every other beat, chords on the rhythm."""
    hits = _chords(bar, onsets, style, song)
    for place, at in enumerate(range(0, song.bar_steps, 2 * BEAT_STEPS)):
        root = _near(_chord_at(bar, at, song)[0], 43)
        hits.append(Hit(at, 6 * style.hold, root + (0, -5)[place % 2], 6))
    return hits


def _pad(bar: Bar, _: Onsets, style: Style, song: Song) -> list[Hit]:
    """Each chord held as long as it lasts."""
    span = song.bar_steps // len(bar.chords)
    return [
        Hit(place * span, span * 0.98, pitch)
        for place, chord in enumerate(bar.chords)
        for pitch in _voicing(chord, replace(style, tones=max(style.tones, 3)))
    ]


def _arpeggio(bar: Bar, _: Onsets, style: Style, song: Song) -> list[Hit]:
    """Play the chord's tones one by one, in the order of the contour; its fives are rests."""
    hits = []
    for at in range(0, song.bar_steps, style.rate):
        tone = style.contour[(bar.number * song.bar_steps + at) // style.rate % len(style.contour)]
        if tone == 5:
            continue
        close = sorted(_near(one, style.centre) for one in _chord_at(bar, at, song))
        octave, place = divmod(tone, len(close))
        hits.append(Hit(at, 1.5 * style.rate * style.hold, close[place] + 12 * octave))
    return hits


def _line(bar: Bar, onsets: Onsets, style: Style, song: Song) -> list[Hit]:
    """Play a motif of scale steps around the chord's root; every second bar answers."""
    hits = []
    for place, (at, span) in enumerate(_spans(onsets, song)):
        root = song.scale.index(_near(_chord_at(bar, at, song)[0], style.centre))
        turn = style.contour[(place + 3 * (bar.number % 2)) % len(style.contour)]
        hits.append(Hit(at, span * style.hold, song.scale[root + turn]))
    return hits


def _bass(bar: Bar, onsets: Onsets, style: Style, song: Song) -> list[Hit]:
    """Roots on the first beat of a chord, elsewhere what the contour says."""
    hits = []
    for place, (at, span) in enumerate(_spans(tuple(sorted({0, *onsets})), song)):
        root = _near(_chord_at(bar, at, song)[0], style.centre)
        turn = 0 if place == 0 else style.contour[place % len(style.contour)]
        hits.append(Hit(at, span * style.hold, root + (0, 0, 7, 12, 0, -5)[turn]))
    return hits


def _drums(bar: Bar, _: Onsets, style: Style, song: Song) -> list[Hit]:
    """Every limb's rhythm."""
    return [
        Hit(at, 0.8, limb.pitch, limb.accent)
        for limb in style.limbs
        for at in limb.rhythm[bar.number % len(limb.rhythm)]
    ]


FIGURES: dict[str, Callable[[Bar, Onsets, Style, Song], list[Hit]]] = {
    "chords": _chords,
    "strum": _strum,
    "power": _power,
    "stride": _stride,
    "pad": _pad,
    "arpeggio": _arpeggio,
    "line": _line,
    "bass": _bass,
    "drums": _drums,
}
