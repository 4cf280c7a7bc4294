"""Write a corpus of composed and rendered pieces in Slakh2100-redux's own layout.

Conventions
-----------
``<corpus>/{train,validation,test}/TrackNNNNN/{all_src.mid, metadata.yaml, mix.flac, MIDI/SNN.mid,
stems/SNN.flac}``, tracks numbered from 1 through the splits. Audio is mono 16-bit FLAC; every file
of a track has one length, and the mix is the sum of the stems' samples. A folder with a
metadata.yaml is a whole track: it is written last.

Choices
-------
Tempo groups have at least four tracks, since no triplet can be drawn from fewer: a split of N
tracks has about N / 6 groups. Levels are Slakh's: each stem at -13 LUFS, then one gain for all of
a track that puts the mix's peak at -1 dB of full scale.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pretty_midi
import soundfile
import yaml
from jaxtyping import Float32, Int16

from csn import storage
from csn.config import GeneratedConfig
from csn.corpora import soundfont
from csn.corpora.composition import DRUM_PROGRAM, Piece, Stem, compose
from csn.records import SPLITS, Split

TEMPO_CENTRES_BPM = (72.0, 84.0, 96.0, 108.0, 120.0, 132.0)
TEMPO_SPREAD_BPM = 0.9
"""Farthest that a piece's tempo lies from its group's centre."""
TRACKS_PER_GROUP = 6
STEM_LOUDNESS_LUFS = -13.0
MIX_PEAK_DB = -1.0
SILENT_LUFS = -70.0
"""Loudness stated for a stem in which no block passes the meter's absolute gate."""

_CLASSES = (
    "Piano",
    "Chromatic Percussion",
    "Organ",
    "Guitar",
    "Bass",
    "Strings",
    "Strings (continued)",
    "Brass",
    "Reed",
    "Pipe",
    "Synth Lead",
    "Synth Pad",
    "Synth Effects",
    "Ethnic",
    "Percussive",
    "Sound Effects",
    "Drums",
)
"""Slakh's `inst_class` of every eight programs."""


@dataclass(frozen=True, slots=True)
class PieceSpec:
    """A track that is to be composed."""

    track_id: str
    split: Split
    index: int
    """Its place in the corpus, from 0 through the splits."""
    tempo_bpm: float


def pieces(config: GeneratedConfig) -> list[PieceSpec]:
    """All tracks of the corpus, their tempos dealt over the tempo groups of each split.

    Examples
    --------
    >>> [spec.track_id for spec in pieces(GeneratedConfig(num_test_tracks=1))][-1]
    'Track00085'
    """
    specs: list[PieceSpec] = []
    for place, split in enumerate(SPLITS):
        rng = np.random.default_rng([config.seed, place + 1])
        num_tracks = getattr(config, f"num_{split}_tracks")
        num_groups = int(np.clip(num_tracks // TRACKS_PER_GROUP, 1, len(TEMPO_CENTRES_BPM)))
        centres = rng.permutation(TEMPO_CENTRES_BPM)[:num_groups]
        for number in range(num_tracks):
            centre = float(centres[number % num_groups])
            tempo_bpm = round(centre + rng.uniform(-1, 1) * TEMPO_SPREAD_BPM, 3)
            index = len(specs)
            specs.append(PieceSpec(f"Track{index + 1:05d}", split, index, tempo_bpm))
    return specs


def write_track(spec: PieceSpec, config: GeneratedConfig, corpus_uri: str) -> str:
    """Compose, render and write one track; what stood in its folder is removed first.

    Returns
    -------
    Address of the track's folder.
    """
    piece = compose(
        config.seed, spec.index, tempo_bpm=spec.tempo_bpm, duration_s=config.duration_s
    )
    track_uri = storage.join(corpus_uri, spec.split, spec.track_id)
    metadata_uri = storage.join(track_uri, "metadata.yaml")
    # First of all the file that says that the track is whole.
    storage.remove(metadata_uri)
    storage.remove(track_uri)
    for name, data in _files(piece, spec.track_id, config.sample_rate_hz).items():
        storage.write_bytes(storage.join(track_uri, name), data)
    return track_uri


def rendered(
    piece: Piece, sample_rate_hz: int
) -> tuple[Int16[np.ndarray, "stems samples"], list[float], float]:
    """Audio of a piece's stems that have a patch; their sum is the mix.

    Returns
    -------
    The samples; each stem's loudness before levelling, in LUFS; the gain given to all, a factor.
    """
    stems = [stem for stem in piece.stems if stem.patch is not None]
    audio = [_render(stem, piece.length_s, sample_rate_hz) for stem in stems]
    return _levelled(np.stack(audio), sample_rate_hz)


def _files(piece: Piece, track_id: str, sample_rate_hz: int) -> dict[str, bytes]:
    """Content of each file of a track, metadata.yaml last."""
    stems = [stem for stem in piece.stems if stem.patch is not None]
    audio, loudness, gain = rendered(piece, sample_rate_hz)
    files = {"all_src.mid": _midi(piece, piece.stems)}
    for stem, samples in zip(stems, audio, strict=True):
        files[f"MIDI/{stem.stem_id}.mid"] = _midi(piece, (stem,))
        files[f"stems/{stem.stem_id}.flac"] = _flac(samples, sample_rate_hz)
    files["mix.flac"] = _flac(audio.sum(axis=0, dtype=np.int16), sample_rate_hz)
    by_stem = {stem.stem_id: one for stem, one in zip(stems, loudness, strict=True)}
    metadata = _metadata(piece, track_id, by_stem, gain)
    files["metadata.yaml"] = yaml.safe_dump(metadata).encode()
    return files


def _render(stem: Stem, length_s: float, sample_rate_hz: int) -> Float32[np.ndarray, " samples"]:
    assert stem.patch is not None
    return soundfont.render(
        stem.notes,
        stem.patch,
        num_samples=round(length_s * sample_rate_hz),
        sample_rate_hz=sample_rate_hz,
    )


def _levelled(
    audio: Float32[np.ndarray, "stems samples"], sample_rate_hz: int
) -> tuple[Int16[np.ndarray, "stems samples"], list[float], float]:
    """Stems at one loudness under a mix at its peak, as 16-bit samples.

    Returns
    -------
    The samples; each stem's loudness before, in LUFS; the gain given to all after it, a factor.
    """
    import pyloudnorm  # slow to import, and only composing needs it

    meter = pyloudnorm.Meter(sample_rate_hz)
    measured = np.array([meter.integrated_loudness(stem) for stem in audio])
    # A stem that the meter cannot hear keeps its level: there is only its noise to bring up.
    heard = np.isfinite(measured)
    loudness = np.where(heard, measured, SILENT_LUFS)
    gains = np.where(heard, 10 ** ((STEM_LOUDNESS_LUFS - loudness) / 20), 1.0)
    levelled = audio * gains.astype(np.float32)[:, None]
    # Stems may cancel each other in the mix; none of them is to be clipped either.
    peak = max(float(np.abs(levelled.sum(axis=0)).max()), float(np.abs(levelled).max()))
    gain = 10 ** (MIX_PEAK_DB / 20) / peak if peak > 0 else 1.0
    return np.round(levelled * (gain * 32_768)).astype(np.int16), loudness.tolist(), gain


def _flac(samples: Int16[np.ndarray, " samples"], sample_rate_hz: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate_hz, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _midi(piece: Piece, stems: tuple[Stem, ...]) -> bytes:
    """Write some stems of a piece as MIDI, with its one tempo and its metre."""
    midi = pretty_midi.PrettyMIDI(resolution=480, initial_tempo=piece.tempo_bpm)
    midi.time_signature_changes.append(pretty_midi.TimeSignature(piece.beats_per_bar, 4, 0.0))
    for stem in stems:
        is_drum = stem.program == DRUM_PROGRAM
        program = stem.patch.program if stem.patch else stem.program
        played = pretty_midi.Instrument(program, is_drum, _program_name(stem.program))
        played.notes.extend(stem.notes)
        midi.instruments.append(played)
    file = io.BytesIO()
    midi.write(file)
    return file.getvalue()


def _metadata(
    piece: Piece, track_id: str, loudness_lufs: dict[str, float], overall_gain: float
) -> dict[str, Any]:
    """Content of metadata.yaml, with Slakh's keys."""
    return {
        "UUID": piece.uuid,
        "audio_dir": f"{track_id}/stems",
        "lmd_midi_dir": f"generated/{piece.uuid}.mid",
        "midi_dir": f"{track_id}/MIDI",
        "normalization_factor": STEM_LOUDNESS_LUFS,
        "normalized": True,
        "overall_gain": overall_gain,
        "stems": {
            stem.stem_id: _stem_metadata(stem, loudness_lufs.get(stem.stem_id))
            for stem in piece.stems
        },
        "target_peak": MIX_PEAK_DB,
    }


def _stem_metadata(stem: Stem, loudness_lufs: float | None) -> dict[str, Any]:
    """One stem's entry; one not rendered has no loudness, and a plugin called 'None'."""
    is_rendered = loudness_lufs is not None
    return {
        "audio_rendered": is_rendered,
        "inst_class": _CLASSES[stem.program // 8],
        **({"integrated_loudness": loudness_lufs} if is_rendered else {}),
        "is_drum": stem.program == DRUM_PROGRAM,
        "midi_program_name": _program_name(stem.program),
        "midi_saved": is_rendered,
        "plugin_name": f"{soundfont.FONT}:{_sound(stem)}" if is_rendered else "None",
        "program_num": stem.program,
    }


def _program_name(program: int) -> str:
    if program == DRUM_PROGRAM:
        return "Drums"
    return pretty_midi.program_to_instrument_name(program)


def _sound(stem: Stem) -> str:
    assert stem.patch is not None
    return f"{soundfont.DRUM_BANK if stem.patch.is_drum else 0}:{stem.patch.program}"
