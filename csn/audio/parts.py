"""From a track's stems to its parts: decoded, summed by instrument, aligned, in 16 bit.

Conventions
-----------
A part is the sum of all stems of one instrument. All parts of a track are shifted by the *piece's*
first onset (never by the part's own), so that an instrument which enters late still does. Where a
separator is asked for, the part is its estimate; whether and where it sounds is measured on the
known stems all the same, so that original and separated sounds answer the same questions.

Choices
-------
By default the onset is the first sample of the mix within `AudioConfig.onset_db` of the mix's
peak; the mix is the sum of the parts, which for Slakh2100 is what ``mix.flac`` holds, to rounding.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int16

from csn.audio.activity import levels_db
from csn.audio.decode import decode
from csn.audio.separation import held, separator_of
from csn.config import AudioConfig
from csn.errors import CorpusError, StorageError
from csn.records import Track

FULL_SCALE = 32768
SILENT_PEAK = 1e-4


@dataclass(frozen=True, slots=True)
class Parts:
    """The audio of a track by instrument; absent (or never sounding) parts have no entry."""

    pcm: dict[str, Int16[np.ndarray, " samples"]]
    pcm_scale: float
    """Value of one step of `pcm`; 1 / 32768 unless a part's sum goes beyond full scale."""
    sample_rate_hz: int

    @property
    def num_samples(self) -> int:
        """Length of every part."""
        return len(next(iter(self.pcm.values())))


@dataclass(frozen=True, slots=True)
class PreparedTrack:
    """A track's parts and what was measured on them."""

    track: Track
    parts: Parts
    onset_s: float
    levels_db: dict[str, Float[np.ndarray, " frames"]]
    warnings: list[str] = field(default_factory=list)


def prepare_track(track: Track, audio: AudioConfig) -> PreparedTrack:
    """Decode every stem of `track` once and sum, align and measure its parts.

    Raises
    ------
    CorpusError
        A stem cannot be used, stems do not fit together, or nothing sounds. The message names the
        file; without one of its stems a part would sound otherwise than the corpus says, so the
        whole track is refused.
    """
    known, warnings = _summed(track, audio)
    heights = np.abs(sum(known.values()))  # of the mix, sample by sample
    mix_peak = float(heights.max(initial=0.0))
    if mix_peak < SILENT_PEAK:
        raise CorpusError(
            f"{track.track_id}: silent in all of its {len(track.stems)} stems; expected a peak "
            f"above {SILENT_PEAK}; leave the track out or render it again"
        )
    onset = _onset(track, heights, mix_peak, audio)
    rate = audio.sample_rate_hz
    sums = known
    if separator := separator_of(audio):
        sums, known = separator(known, rate), held(separator, known)
    sounding = {part: samples[onset:] for part, samples in known.items() if samples[onset:].any()}
    aligned = {part: sums[part][onset:] for part in sounding}
    peak = max(float(np.abs(samples).max()) for samples in aligned.values())
    # A part may go beyond full scale where others cancel it in the mix: scale, do not clip.
    scale = max(1.0, peak) / FULL_SCALE
    levels = {part: levels_db(x, rate, audio.level_hop_s) for part, x in sounding.items()}
    pcm = {part: quantised(samples, scale) for part, samples in aligned.items()}
    return PreparedTrack(track, Parts(pcm, scale, rate), onset / rate, levels, warnings)


def _onset(track: Track, heights: np.ndarray, mix_peak: float, audio: AudioConfig) -> int:
    """Sample at which the piece begins, never after its first sound."""
    first_sound = int(np.argmax(heights >= mix_peak * 10 ** (audio.onset_db / 20)))
    if audio.onset_source == "audio":
        return first_sound
    if not np.isfinite(track.first_note_s):
        raise CorpusError(
            f"{track.track_id}: no MIDI note tells where it begins; expected one in all_src.mid; "
            "take the audio's onset with --audio.onset_source audio"
        )
    return min(round(track.first_note_s * audio.sample_rate_hz), first_sound)


def quantised(samples: np.ndarray, scale: float) -> np.ndarray:
    """Round samples to steps of `scale`, in 16 bit."""
    steps = samples * np.float32(1 / scale)
    np.rint(steps, out=steps)
    np.clip(steps, -FULL_SCALE, FULL_SCALE - 1, out=steps)
    return steps.astype("<i2")


def _summed(track: Track, audio: AudioConfig) -> tuple[dict[str, np.ndarray], list[str]]:
    sums: dict[str, np.ndarray] = {}
    rates: dict[int, str] = {}
    durations_s: dict[str, float] = {}
    warnings: list[str] = []
    for stem in track.stems:
        try:
            decoded = decode(stem.audio_uri, audio.sample_rate_hz, audio.max_track_s)
        except StorageError as error:
            raise CorpusError(str(error)) from error
        rates.setdefault(decoded.source_rate_hz, stem.audio_uri)
        durations_s[stem.stem_id] = decoded.duration_s
        if decoded.clipped_share > 0:
            warnings.append(f"{stem.stem_id}: {100 * decoded.clipped_share:.3f} % clipped")
        sums[stem.instrument] = _add(sums.get(stem.instrument), decoded.samples)
    if len(rates) > 1:
        found = ", ".join(f"{rate} Hz in {uri}" for rate, uri in rates.items())
        raise CorpusError(
            f"{track.track_id}: stems of different sample rates ({found}); expected one rate in a "
            "track; render or copy it again"
        )
    return _evened(track, sums, durations_s, audio, warnings), warnings


def _add(total: np.ndarray | None, samples: np.ndarray) -> np.ndarray:
    if total is None:
        return samples
    if len(samples) > len(total):
        total, samples = samples, total
    total[: len(samples)] += samples
    return total


def _evened(
    track: Track,
    sums: dict[str, np.ndarray],
    durations_s: dict[str, float],
    audio: AudioConfig,
    warnings: list[str],
) -> dict[str, np.ndarray]:
    """Pad all parts to the longest; note what was padded or cut, and refuse what does not fit."""
    if not sums:
        raise CorpusError(
            f"{track.track_id}: no rendered stem; expected at least one stems/SNN.flac or .wav"
        )
    shortest, longest = min(durations_s.values()), max(durations_s.values())
    if longest - shortest > audio.max_length_difference_s:
        which = min(durations_s, key=durations_s.__getitem__)
        raise CorpusError(
            f"{track.track_id}: stem {which} is {shortest:.2f} s long, others {longest:.2f} s; "
            f"at most {audio.max_length_difference_s} s of difference expected; copy it again or "
            "raise --audio.max_length_difference_s"
        )
    if longest > shortest:
        warnings.append(f"stems of {shortest:.3f} to {longest:.3f} s, padded to the longest")
    if longest > audio.max_track_s:
        warnings.append(f"cut to its first {audio.max_track_s} of {longest:.1f} s")
    length = max(len(samples) for samples in sums.values())
    return {
        part: x if len(x) == length else np.pad(x, (0, length - len(x)))
        for part, x in sums.items()
    }
