"""Render one stem's notes with the soundfont that lies inside pretty_midi's wheel.

Conventions
-----------
Audio is mono float32 at the caller's rate, at the font's own level. Notes carry times in seconds
from the start of the piece. General MIDI programs are 0-based; the font keeps its drum kits in
bank 128.

Choices
-------
One synthesiser a process and rate is kept, since loading the font costs as much as a short stem.
It is drained to silence before each stem: what still rings in it would click in the next. The font
has one sound a program, where Slakh's instruments had several patches each; a patch here is a
program and a tone control (a shelf and a peak, as an amplifier or a microphone has them).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
import pretty_midi
import tinysoundfont
from jaxtyping import Float32

from csn.errors import CorpusError

FONT = "TimGM6mb.sf2"
"""General MIDI soundfont in the wheel of pretty_midi."""
DRUM_BANK = 128
"""Bank of the font's drum kits."""

_FADE_S = 0.05
_DRAIN_BLOCK = 1024
_DRAIN_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Patch:
    """A sound: a program of the font, or a kit of its drum bank, and how its tone is set."""

    program: int
    is_drum: bool = False
    shelf_db: float = 0.0
    """Treble above 1.8 kHz."""
    peak_hz: float = 800.0
    """Middle of the bell that colours the sound."""
    peak_db: float = 0.0


@dataclass(frozen=True, slots=True)
class _Synth:
    synth: tinysoundfont.Synth
    font: int


def soundfont_path() -> Path:
    """Where TimGM6mb.sf2 lies: in the folder of the installed pretty_midi.

    Raises
    ------
    CorpusError
        If this pretty_midi brings no soundfont.
    """
    path = Path(str(resources.files("pretty_midi"))) / FONT
    if not path.is_file():
        raise CorpusError(
            f"{path}: no soundfont there, which the wheel of pretty_midi 0.2.10 and later brings "
            "(try: uv pip install --reinstall pretty_midi)"
        )
    return path


def render(
    notes: Sequence[pretty_midi.Note], patch: Patch, *, num_samples: int, sample_rate_hz: int
) -> Float32[np.ndarray, " samples"]:
    """One stem as audio; the same bytes whatever was rendered before.

    Parameters
    ----------
    notes
        What is played, in any order; two notes of one pitch must not overlap.
    patch
        The sound.
    num_samples : int > 0
        Length of the result. What still sounds there is faded out over 50 ms.
    sample_rate_hz : int > 0
        Rate of the result.

    Returns
    -------
    Mono audio, at the font's own level.
    """
    held = _synth(sample_rate_hz)
    _drain(held.synth, sample_rate_hz)
    bank = DRUM_BANK if patch.is_drum else 0
    held.synth.program_select(0, held.font, bank, patch.program, patch.is_drum)
    stereo = np.zeros((num_samples, 2), np.float32)
    place = 0
    for sample, kind, pitch, velocity in _events(notes, sample_rate_hz):
        if sample >= num_samples:
            break
        _generate(held.synth, stereo[place:sample])
        place = sample
        if kind == "on":
            held.synth.noteon(0, pitch, velocity)
        else:
            held.synth.noteoff(0, pitch)
    _generate(held.synth, stereo[place:])
    return _faded(_toned(stereo.mean(axis=1), patch, sample_rate_hz), sample_rate_hz)


@lru_cache(maxsize=2)
def _synth(sample_rate_hz: int) -> _Synth:
    synth = tinysoundfont.Synth(samplerate=sample_rate_hz)
    return _Synth(synth, synth.sfload(str(soundfont_path())))


def _generate(synth: tinysoundfont.Synth, stereo: Float32[np.ndarray, "samples 2"]) -> None:
    """Fill `stereo` in place with what the synthesiser plays next."""
    if len(stereo):
        synth.generate_simple(len(stereo), stereo.data.cast("B"))


def _drain(synth: tinysoundfont.Synth, sample_rate_hz: int) -> None:
    """Let the synthesiser fall silent."""
    synth.sounds_off()
    block = np.empty((_DRAIN_BLOCK, 2), np.float32)
    for _ in range(int(_DRAIN_LIMIT_S * sample_rate_hz) // _DRAIN_BLOCK):
        _generate(synth, block)
        if not block.any():
            return
    raise RuntimeError(f"the synthesiser still sounds after {_DRAIN_LIMIT_S} s of silence")


def _events(
    notes: Sequence[pretty_midi.Note], sample_rate_hz: int
) -> list[tuple[int, Literal["off", "on"], int, int]]:
    """Sample, kind, pitch and velocity, in order; at one sample, "off" comes before "on"."""
    events: list[tuple[int, Literal["off", "on"], int, int]] = []
    for note in notes:
        events.append((round(note.start * sample_rate_hz), "on", note.pitch, note.velocity))
        events.append((round(note.end * sample_rate_hz), "off", note.pitch, 0))
    return sorted(events)


def _toned(
    audio: Float32[np.ndarray, " samples"], patch: Patch, sample_rate_hz: int
) -> Float32[np.ndarray, " samples"]:
    import pyloudnorm  # slow to import, and only composing needs it

    shelf = pyloudnorm.IIRfilter(patch.shelf_db, 0.7, 1800.0, sample_rate_hz, "high_shelf")
    peak = pyloudnorm.IIRfilter(patch.peak_db, 0.9, patch.peak_hz, sample_rate_hz, "peaking")
    return peak.apply_filter(shelf.apply_filter(audio)).astype(np.float32)


def _faded(
    audio: Float32[np.ndarray, " samples"], sample_rate_hz: int
) -> Float32[np.ndarray, " samples"]:
    length = min(len(audio), int(_FADE_S * sample_rate_hz))
    audio[len(audio) - length :] *= np.linspace(1, 0, length, dtype=np.float32)
    return audio
