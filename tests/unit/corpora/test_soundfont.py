import numpy as np
import pretty_midi
import pytest

from csn.corpora import soundfont
from csn.corpora.soundfont import Patch, render
from csn.errors import CorpusError

RATE_HZ = 16_000
ORGAN, SQUARE, STRINGS = 19, 80, 48


def note(start_s, end_s, pitch=69, velocity=100):
    return pretty_midi.Note(velocity, pitch, start_s, end_s)


def rendered(notes, patch, length_s=1.0):
    return render(notes, patch, num_samples=int(length_s * RATE_HZ), sample_rate_hz=RATE_HZ)


def level(audio, start_s, end_s):
    return float(np.sqrt(np.mean(audio[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)] ** 2)))


def test_the_font_is_found():
    assert soundfont.soundfont_path().read_bytes()[:4] == b"RIFF"


def test_a_missing_font_says_what_to_try(monkeypatch):
    monkeypatch.setattr(soundfont, "FONT", "absent.sf2")
    with pytest.raises(CorpusError, match=r"absent\.sf2.*--reinstall pretty_midi"):
        soundfont.soundfont_path()


def test_a_note_sounds_when_it_is_written():
    audio = rendered([note(0.5, 0.9)], Patch(SQUARE), 1.5)
    assert audio.shape == (24_000,)
    assert audio.dtype == np.float32
    assert not audio[:8_000].any()
    assert level(audio, 0.55, 0.85) > 100 * level(audio, 1.4, 1.5)


@pytest.mark.parametrize(("pitch", "hz"), [(69, 440), (57, 220)])
def test_a_note_has_its_pitch(pitch, hz):
    audio = rendered([note(0, 1, pitch)], Patch(SQUARE))
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    assert abs(int(spectrum.argmax()) - hz) <= 2


def test_a_note_that_follows_one_of_its_pitch_sounds_on():
    audio = rendered([note(0, 0.5), note(0.5, 1.0)], Patch(ORGAN))
    assert level(audio, 0.7, 0.9) > 0.5 * level(audio, 0.2, 0.4)


@pytest.mark.parametrize("program", [ORGAN, STRINGS, 0])
def test_nothing_of_a_loud_stem_leaks_into_the_next(program):
    rendered([note(0, 9, pitch, 127) for pitch in range(40, 80)], Patch(program))
    quiet = rendered([note(0.8, 0.9)], Patch(SQUARE))
    assert not quiet[: int(0.79 * RATE_HZ)].any()


def test_a_stem_is_the_same_whatever_came_before():
    notes = [note(0.1 * beat, 0.1 * beat + 0.3, 60 + beat) for beat in range(8)]
    soundfont._synth.cache_clear()
    first = rendered(notes, Patch(STRINGS))
    rendered([note(0, 9, pitch) for pitch in range(40, 80)], Patch(ORGAN))
    assert np.array_equal(rendered(notes, Patch(STRINGS)), first)


def test_kits_and_programs_are_different_sounds():
    sounds = [Patch(0), Patch(0, is_drum=True), Patch(25, is_drum=True), Patch(25)]
    audio = [rendered([note(0, 0.5, 38)], sound) for sound in sounds]
    assert all(one.any() for one in audio)
    assert len({one.tobytes() for one in audio}) == len(sounds)


def test_the_shelf_raises_the_treble():
    dull, bright = (rendered([note(0, 1)], Patch(SQUARE, shelf_db=db)) for db in (-6.0, 6.0))

    def treble(audio):
        power = np.abs(np.fft.rfft(audio)) ** 2
        return 10 * np.log10(power[5_000:].sum() / power[:600].sum())

    assert treble(bright) - treble(dull) == pytest.approx(12, abs=1)


def test_what_still_sounds_at_the_end_is_faded_out():
    audio = rendered([note(0, 5)], Patch(ORGAN))
    assert audio[-1] == 0
    assert np.abs(audio[-100:]).max() < 0.2 * np.abs(audio[-1_000:-800]).max()
