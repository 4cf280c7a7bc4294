"""Tags in the words of Last.FM that a composed piece's sound really carries. Pure.

Conventions
-----------
A tag's strength is 0..100, as Last.FM counts; readers usually take tags above 50. The words, and
the groups they fall into, are those of the 50 tags of Lee et al. that [R22] groups into genre,
mood, instrument and era.

Choices
-------
A tag has clues, each worth some points, and its strength is their sum. Clues are what can be
heard: programs that sound, the drum kit, tempo, metre, swing, mode, the number of players. The
lead is the player, bass and drums aside, whose middle note is the highest. So some tags stay below
the usual cut, and a piece without clues of a group has no tag of it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from csn.corpora.composition import DRUM_PROGRAM, Piece

Group = Literal["genre", "mood", "instrument", "era"]
MIN_STRENGTH = 20
"""Weaker tags are left out, as if no listener had thought of them."""
FULL_STRENGTH = 100

# Programs (0-based) and kits that clues speak of; other numbers below are General MIDI's too.
STANDARD_KITS, POWER_KIT, ELECTRONIC_KIT, TR_808_KIT, SOFT_KITS = (0, 8), 16, 24, 25, (32, 40)
"""Kits of the font's drum bank: standard and room, power, electronic, 808, jazz and brush."""
ACOUSTIC_GUITARS, JAZZ_GUITAR, DISTORTED = (24, 25), 26, (29, 30)
ELECTRIC_PIANOS, ORGANS, STRINGS, BRASS = (4, 5), (16, 17, 18), (44, 45, 48, 49), (56, 57, 60, 61)
SAXOPHONES, SYNTHS, SLAP_BASSES = (64, 65, 66, 67), range(80, 96), (36, 37)
VOICES = (52, 53, 54, 85, 91)
"""Choir aahs, voice oohs, synth voice, voice lead and choir pad."""
SOLOISTS = (*range(16), 40, 41, 42, 46, *range(64, 80))
"""Pianos, mallets, solo strings, reeds and pipes: who leads where nobody sings."""
FEMALE_FROM_PITCH = 62
"""Voices whose middle note is this or higher are called female."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What is heard of a piece."""

    programs: frozenset[int]
    kit: int | None
    lead: int
    voice_pitch: float | None
    """Middle note of the highest voice."""
    num_guitars: int
    tempo_bpm: float
    is_waltz: bool
    is_swung: bool
    is_major: bool
    is_modal: bool
    """Dorian or mixolydian."""

    def has(self, *programs: int | Collection[int]) -> bool:
        """Whether one of these programs sounds."""
        wanted = {p for one in programs for p in ((one,) if isinstance(one, int) else one)}
        return not wanted.isdisjoint(self.programs)

    def num(self, programs: Collection[int]) -> int:
        """How many of these programs sound."""
        return len(self.programs.intersection(programs))

    def kit_is(self, *kits: int) -> bool:
        """Whether the drummer has one of these kits."""
        return self.kit in kits


Clues = Callable[[_Heard], int]
"""Points of a tag, by what is heard."""

_GENRE: dict[str, Clues] = {
    "metal": lambda h: 90 * h.has(30) - 30 * h.kit_is(*SOFT_KITS) + 10 * h.kit_is(POWER_KIT),
    "heavy metal": lambda h: (45 + 30 * h.kit_is(POWER_KIT, 8)) * h.has(30),
    "hard rock": lambda h: 60 * h.has(29) + 15 * h.kit_is(*STANDARD_KITS, POWER_KIT),
    "rock": lambda h: 40 * h.kit_is(0, 8, 16) + 40 * h.has(DISTORTED) + 20 * h.has(27),
    "classic rock": lambda h: 40 * h.has(29) + 40 * h.has(ORGANS) + 10 * h.kit_is(0),
    "Progressive rock": lambda h: h.is_waltz * (60 + 20 * h.has(ORGANS) + 20 * h.has(DISTORTED)),
    "punk": lambda h: h.has(DISTORTED) * (70 * (h.tempo_bpm > 135) + 10 * h.kit_is(0, 8, 16)),
    "alternative rock": lambda h: h.has(27, 31) * (35 + 40 * h.has(DISTORTED)),
    "indie rock": lambda h: (h.has(27, 28) and not h.has(DISTORTED)) * (40 + 30 * h.kit_is(0, 8)),
    "pop": lambda h: h.is_major * (40 + 30 * h.kit_is(0, 8, 16, 24) - 30 * h.has(DISTORTED)),
    "electronic": lambda h: (
        60 * h.kit_is(ELECTRONIC_KIT, TR_808_KIT) + 30 * h.num(SYNTHS) - 20 * h.has(24, 25)
    ),
    "House": lambda h: (
        h.kit_is(ELECTRONIC_KIT, TR_808_KIT) * (75 * (115 <= h.tempo_bpm <= 132) + 10)
    ),
    "dance": lambda h: (
        h.kit_is(ELECTRONIC_KIT, TR_808_KIT) * (70 * (h.tempo_bpm >= 112) + 10 * h.has(SYNTHS))
    ),
    "Hip-Hop": lambda h: h.kit_is(TR_808_KIT) * (75 * (h.tempo_bpm < 104) + 15),
    "jazz": lambda h: (
        60 * h.kit_is(*SOFT_KITS)
        + 30 * h.is_swung
        + 30 * h.has(JAZZ_GUITAR)
        + 20 * h.has(SAXOPHONES)
    ),
    "blues": lambda h: h.is_swung * (30 + 30 * h.is_modal + 30 * h.has(22, 26, 29)),
    "soul": lambda h: 35 * h.has(ELECTRIC_PIANOS) + 35 * h.has(BRASS) + 25 * h.has(ORGANS),
    "funk": lambda h: 40 * h.has(SLAP_BASSES) + 40 * h.has(28) + 40 * h.has(7),
    "country": lambda h: h.has(25) * (30 + 30 * h.is_major) + 35 * h.has(22, 40),
    "folk": lambda h: 60 * h.has(ACOUSTIC_GUITARS)
    + 25 * h.has(21, 22, 40, 73)
    - 20 * h.has(SYNTHS),
    "ambient": lambda h: 55 * h.has(range(88, 96)) + 40 * (h.kit is None),
}
_MOOD: dict[str, Clues] = {
    "happy": lambda h: h.is_major * (h.tempo_bpm >= 108) * (60 + 20 * (h.tempo_bpm >= 125)),
    "sad": lambda h: (not h.is_major) * (h.tempo_bpm < 96) * (60 + 20 * (h.tempo_bpm < 82)),
    "party": lambda h: (h.tempo_bpm >= 125) * (not h.is_waltz) * (40 + 40 * h.kit_is(24, 25)),
    "Mellow": lambda h: h.is_major * (h.tempo_bpm < 96) * (60 - 30 * h.has(DISTORTED)),
    "chillout": lambda h: (h.tempo_bpm < 104) * (30 + 30 * h.has(ELECTRIC_PIANOS, range(88, 96))),
    "beautiful": lambda h: (h.kit is None) * 60 + (h.tempo_bpm < 90) * 25 * h.has(STRINGS, 46),
    "easy listening": lambda h: (
        h.is_major * (86 <= h.tempo_bpm < 112) * (35 + 35 * h.kit_is(*SOFT_KITS))
    ),
    "acoustic": lambda h: (not h.has(range(26, 32), SYNTHS, (4, 5), (16, 17, 18))) * 55,
}
_INSTRUMENT: dict[str, Clues] = {
    "female vocalists": lambda h: 90 * ((h.voice_pitch or 0) >= FEMALE_FROM_PITCH),
    "female vocalist": lambda h: 60 * ((h.voice_pitch or 0) >= FEMALE_FROM_PITCH + 4),
    "male vocalists": lambda h: (
        80 * (h.voice_pitch is not None and h.voice_pitch < FEMALE_FROM_PITCH)
    ),
    "guitar": lambda h: 70 * (24 <= h.lead < 32) + 27 * h.num_guitars,
    "instrumental": lambda h: (
        (h.voice_pitch is None) * (50 + 20 * (h.lead in SOLOISTS) - 15 * h.num_guitars)
    ),
}
_ERA: dict[str, Clues] = {
    "60s": lambda h: (
        30 * h.has(16, 17) + 30 * h.has(26, 27) + 25 * h.has(6, 22, 73) + 15 * h.kit_is(0, 40)
    ),
    "70s": lambda h: 40 * h.has(4, 7) + 40 * h.has(18, 48) + 25 * h.has(29, 28) + 15 * h.kit_is(8),
    "80s": lambda h: 40 * h.has(5, 50, 51) + 40 * h.has(range(80, 84)) + 35 * h.kit_is(24),
    "90s": lambda h: 35 * h.has(30) + 35 * h.kit_is(16) + 25 * h.has(1, 31) + 20 * h.has(52, 53),
    "00s": lambda h: 35 * h.kit_is(25) + 35 * h.has(range(84, 88)) + 35 * h.has(range(88, 96)),
}
TAGS: dict[Group, tuple[str, ...]] = {
    "genre": tuple(_GENRE),
    "mood": tuple(_MOOD),
    "instrument": tuple(_INSTRUMENT),
    "era": tuple(_ERA),
}
"""The tags that a piece may have, by group."""
_CLUES = {**_GENRE, **_MOOD, **_INSTRUMENT, **_ERA}


def tags_of(piece: Piece) -> dict[str, int]:
    """Tags of a piece, each with its strength, `MIN_STRENGTH` to `FULL_STRENGTH`."""
    heard = _heard(piece)
    strengths = {tag: min(int(clues(heard)), FULL_STRENGTH) for tag, clues in _CLUES.items()}
    return {tag: strength for tag, strength in strengths.items() if strength >= MIN_STRENGTH}


def is_major(piece: Piece) -> bool:
    """Whether the third above the tonic is a major one."""
    return piece.mode in ("major", "mixolydian")


def _heard(piece: Piece) -> _Heard:
    rendered = [stem for stem in piece.stems if stem.patch is not None and stem.notes]
    middle = {
        stem.program: float(np.median([note.pitch for note in stem.notes]))
        for stem in rendered
        if stem.program != DRUM_PROGRAM
    }
    kits = [stem.patch.program for stem in rendered if stem.patch and stem.patch.is_drum]
    leads = {program: pitch for program, pitch in middle.items() if not 32 <= program < 40}
    return _Heard(
        programs=frozenset(middle),
        kit=kits[0] if kits else None,
        lead=max(leads, key=leads.__getitem__, default=-1),
        voice_pitch=max((middle[voice] for voice in VOICES if voice in middle), default=None),
        num_guitars=sum(24 <= program < 32 for program in middle),
        tempo_bpm=piece.tempo_bpm,
        is_waltz=piece.beats_per_bar == 3,
        is_swung=piece.swing > 0.5,
        is_major=is_major(piece),
        is_modal=piece.mode in ("dorian", "mixolydian"),
    )
