"""How a player plays a piece: a style drawn once, and bars that follow it freely. Pure and seeded.

Choices
-------
A style (register, figure, rhythm, touch) holds through the piece, yet its bars differ: the chords
move under it, sections have variants of it, bars are varied at random, and sections end in fills.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pretty_midi

from csn.corpora.figures import BEAT_STEPS, FIGURES, Bar, Hit, Limb, Onsets, Song, Style

_SNARES, _CYMBALS = (38, 40, 37, 39), (42, 44, 51, 53, 70, 54)
_EXTRAS, _TOMS, _CRASHES = (54, 56, 60, 63, 69, 75, 76), (50, 48, 47, 45, 43, 41), (49, 57)
PRESENCE = {"intro": 0.5, "verse": 0.9, "chorus": 0.97, "bridge": 0.7, "outro": 0.7}
"""How likely a player plays in a section of that name."""
_ENERGY = {"intro": -8, "verse": 0, "chorus": 8, "bridge": -2, "outro": -6}
"""What a section adds to the velocity of its notes."""

Rng = np.random.Generator


class Seat(NamedTuple):
    """A place in the band: what it sounds like, and how that may be played."""

    program: int
    figures: tuple[str, ...]
    centres: tuple[int, int]
    lowest: int = 0


def play(rng: Rng, song: Song, seat: Seat, *, opens: bool) -> tuple[pretty_midi.Note, ...]:
    """Draw how a player plays, and play a whole stem of it.

    Parameters
    ----------
    seat
        What the player's instrument allows.
    opens : bool
        The player plays in the first bar, whoever else does.
    """
    style = _style(rng, song, seat)
    played = _sections_played(rng, song, opens)
    variants = {name: _variant(rng, style, name, song) for name in PRESENCE}
    hits: list[Hit] = []
    for bar in song.bars:
        rests = bar.number > 0 and rng.random() < 0.03
        if rests or bar.section_number not in played:
            continue
        hits += [
            hit._replace(
                step=hit.step + bar.number * song.bar_steps,
                accent=hit.accent + _ENERGY[bar.section],
            )
            for hit in _play_bar(rng, song, variants[bar.section], bar)
        ]
    return _notes(rng, song, style, hits)


def _rhythm(rng: Rng, steps: int, size: int, syncopation: float) -> Onsets:
    """Draw the steps on which notes begin: strong ones, or with syncopation those between."""
    grid = np.arange(steps)
    strong = [grid == 0, grid % BEAT_STEPS == 0, grid % 2 == 0]
    weight = np.select(strong, [2.0, 1.0, 0.3 + syncopation], 0.02 + 0.6 * syncopation**2)
    chosen = rng.choice(steps, min(size, steps), replace=False, p=weight / weight.sum())
    return tuple(sorted(chosen.tolist()))


def _style(rng: Rng, song: Song, seat: Seat) -> Style:
    """Draw how a player plays, from all that the seat allows."""
    figure = str(rng.choice(seat.figures))
    size, syncopation = int(rng.integers(2, 9)), float(rng.random())
    walk = np.cumsum(rng.choice((-2, -1, -1, 0, 1, 1, 2, 3), int(rng.integers(4, 9))))
    tones = [int(rng.integers(5)), *rng.integers(0, 6, int(rng.integers(2, 8))).tolist()]
    return Style(
        figure=figure,
        centre=int(rng.integers(seat.centres[0], seat.centres[1] + 1)),
        lowest=seat.lowest,
        rhythm=tuple(_rhythm(rng, song.bar_steps, size, syncopation) for _ in range(2)),
        contour=tuple(np.clip(walk, -5, 7).tolist() if figure == "line" else tones),
        rate=int(rng.choice((1, 2, 4), p=(0.3, 0.55, 0.15))),
        hold=float(rng.uniform(0.35, 1.0)),
        tones=int(rng.integers(2, 5)),
        velocity=int(rng.integers(64, 104)),
        accent=float(rng.uniform(-6, 14)),
        push_s=float(rng.uniform(-0.012, 0.016)),
        restlessness=float(rng.uniform(0.08, 0.3)),
        limbs=_limbs(rng, song.bar_steps) if figure == "drums" else (),
    )


def _limbs(rng: Rng, steps: int) -> tuple[Limb, ...]:
    """Draw a drummer's pattern: bass drum, snare, cymbal, and perhaps ghosts and more."""
    bar = tuple(range(steps))
    backbeats = (bar[4::8], bar[4::8], bar[8::16], bar[4::4], bar[6::16] + bar[12::16])
    cymbals = (bar[::1], bar[::2], bar[::2], bar[::4], bar[2::4])
    snare, syncopation = int(rng.choice(_SNARES)), float(rng.random())

    def pair(fewest: int, most: int, syncopation: float) -> tuple[Onsets, ...]:
        size = int(rng.integers(fewest, most + 1))
        return tuple(_rhythm(rng, steps, size, syncopation) for _ in range(2))

    kick = tuple(tuple(sorted({0, *bar})) for bar in pair(1, 4, syncopation))
    ride = tuple(sorted({*cymbals[rng.integers(5)]} ^ {*_rhythm(rng, steps, 1, 1.0)}))
    limbs = [
        Limb(int(rng.choice((35, 36))), kick, 10),
        Limb(snare, (backbeats[rng.integers(5)],), 8),
        Limb(int(rng.choice(_CYMBALS)), (ride,), int(rng.integers(-24, -4))),
    ]
    if rng.random() < 0.5:
        limbs.append(Limb(snare, pair(1, 3, 1.0), -38))
    if rng.random() < 0.4:
        limbs.append(Limb(46, pair(1, 1, 0.8), -10))
    if rng.random() < 0.5:
        limbs.append(Limb(int(rng.choice(_EXTRAS)), pair(2, 6, syncopation), -16))
    return tuple(limbs)


def _variant(rng: Rng, style: Style, section: str, song: Song) -> Style:
    """Give the style as a section has it: in verses as it is, elsewhere a little otherwise."""
    if section in ("verse", "outro"):
        return style
    limbs, contour = style.limbs, style.contour
    if limbs and section == "chorus" and rng.random() < 0.5:
        limbs = (*limbs[:2], limbs[2]._replace(pitch=int(rng.choice(_CYMBALS))), *limbs[3:])
    elif section != "chorus" and len(limbs) > 3:
        limbs = tuple(limbs[place] for place in rng.permutation(len(limbs))[1:])
    if section == "bridge":
        contour = tuple(contour[place] for place in rng.permutation(len(contour)))
    rhythm = tuple(_varied(rng, bar, song.bar_steps) for bar in style.rhythm)
    return replace(style, rhythm=rhythm, limbs=limbs, contour=contour)


def _varied(rng: Rng, onsets: Onsets, steps: int) -> Onsets:
    """Move an onset, add one or take one away; the last one stays."""
    chosen = set(onsets)
    if rng.random() < 0.6 and len(chosen) > 1:
        chosen.remove(onsets[int(rng.integers(len(onsets)))])
    if rng.random() < 0.7:
        chosen.add(int(rng.integers(steps // 2)) * 2)
    return tuple(sorted(chosen))


def _sections_played(rng: Rng, song: Song, opens: bool) -> set[int]:
    """Choose the sections in which a player plays: at least half of the bars."""
    names = {bar.section_number: bar.section for bar in song.bars}
    played = {number for number, name in names.items() if rng.random() < PRESENCE[name]}
    if opens:
        played.add(0)
    for number in rng.permutation(len(names)).tolist():
        if 2 * sum(bar.section_number in played for bar in song.bars) >= len(song.bars):
            break
        played.add(number)
    return played


def _play_bar(rng: Rng, song: Song, style: Style, bar: Bar) -> list[Hit]:
    """Play one bar, now and then with other onsets, and the chord lying otherwise."""
    onsets = style.rhythm[bar.number % len(style.rhythm)]
    is_varied = rng.random() < style.restlessness or (bar.is_last and rng.random() < 0.5)
    if is_varied:
        onsets = _varied(rng, onsets, song.bar_steps)
        style = replace(style, centre=style.centre + int(rng.choice((-4, 0, 0, 4))))
    hits = FIGURES[style.figure](bar, onsets, style, song)
    if style.limbs and is_varied:
        hits = [hit for hit in hits if rng.random() > 0.12]
        hits.append(Hit(onsets[-1], 0.8, style.limbs[0].pitch, style.limbs[0].accent))
    return _with_fill(rng, bar, hits, song.bar_steps) if style.limbs else hits


def _notes(rng: Rng, song: Song, style: Style, hits: list[Hit]) -> tuple[pretty_midi.Note, ...]:
    """Put hits in time, as a hand plays them; no two notes of one pitch overlap."""
    if not hits:
        return ()
    step, length, pitch, accent = np.array(hits, float).T
    pitch += 12 * np.ceil(np.maximum(style.lowest - pitch, 0) / 12)
    on_beat = np.where(step % BEAT_STEPS == 0, style.accent, 0.0)
    loudness = style.velocity + accent + on_beat + rng.normal(0, 4, len(hits))
    velocity = np.clip(np.round(loudness), 20, 127).astype(int)
    start = song.seconds(step) + style.push_s + rng.normal(0, 0.004, len(hits))
    start = np.maximum(start, 0.0)
    end = np.maximum(song.seconds(step + length) + style.push_s, start + 0.04)
    notes: dict[int, list[pretty_midi.Note]] = {}
    for place in np.argsort(start, kind="stable").tolist():
        same = notes.setdefault(int(pitch[place]), [])
        if same and start[place] - same[-1].start < 0.03:
            continue
        if same:
            same[-1].end = min(same[-1].end, float(start[place]))
        note = (int(velocity[place]), int(pitch[place]), float(start[place]), float(end[place]))
        same.append(pretty_midi.Note(*note))
    return tuple(sorted((n for same in notes.values() for n in same), key=lambda n: n.start))


def _with_fill(rng: Rng, bar: Bar, hits: list[Hit], steps: int) -> list[Hit]:
    """Add the crash that opens a section, or the fill that ends it."""
    if bar.is_first and rng.random() < 0.6:
        hits = [Hit(0, 8, int(rng.choice(_CRASHES)), 6), *hits]
    if bar.is_last and rng.random() < 0.7:
        first = int(rng.choice((steps - 4, steps - 8)))
        run = [step for step in range(first, steps) if rng.random() < 0.7]
        toms = np.sort(rng.integers(0, len(_TOMS), len(run))).tolist()
        hits = [hit for hit in hits if hit.step < first]
        hits += [
            Hit(at, 1, _TOMS[tom], 2 * (at - first)) for at, tom in zip(run, toms, strict=True)
        ]
    return hits
