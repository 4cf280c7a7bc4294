"""Slakh2100 in its own layout: listing, metadata, stems by instrument, tempo.

Conventions
-----------
``<corpus>/{train,validation,test,omitted}/TrackNNNNN/`` holds metadata.yaml, all_src.mid and
stems/SNN.flac; BabySlakh has no split folders and ``.wav`` stems. A stem exists when its file
does; the flags in metadata.yaml are wrong in both directions in places, its folder names are not
looked at. A track without MIDI, or whose MIDI cannot be read, has no tempo (NaN): it is embedded
but meets no other.

Choices
-------
Classes by program number: drums 128, bass 32-39, piano 0-7, guitar 24-31, others the rest. A
track's tempo is the one in force for the longest time between first and last note. Tracks without
split folders are dealt to splits by their order: of every five three train, then validation, test.
"""

import io
import warnings
from collections.abc import Sequence

import numpy as np
import pretty_midi
import yaml

from csn import storage
from csn.conditions import Instrument
from csn.errors import CorpusError, StorageError
from csn.records import Reject, Stem, Track, TrackLocation

SPLIT_FOLDERS = ("train", "validation", "test", "omitted")
DEALT_SPLITS = ("train", "train", "train", "validation", "test")
KNOWN_FAULTS: dict[tuple[str, str], str] = {
    **{
        (f"Track{number:05d}", stem): "white noise instead of music"
        for number, stem in [
            (357, "S03"),
            (377, "S07"),
            (385, "S00"),
            (398, "S00"),
            (400, "S00"),
            (629, "S01"),
            (633, "S01"),
            (749, "S01"),
            (1629, "S00"),
        ]
    },
    **{
        (f"Track{number:05d}", stem): "notes are missing"
        for number, stem in [(1876, "S01"), (1908, "S05"), (1993, "S01"), (2024, "S13")]
    },
    ("Track01500", "S12"): "one constant tone",
    ("Track01500", "S13"): "one constant tone",
}
"""Stems of Slakh2100 that are known to be wrong, and how."""


def instrument_of(program: int) -> Instrument:
    """Class of a General MIDI program number (0-based; 128 stands for drums)."""
    if program == 128:
        return Instrument.DRUMS
    if 32 <= program <= 39:
        return Instrument.BASS
    if 0 <= program <= 7:
        return Instrument.PIANO
    if 24 <= program <= 31:
        return Instrument.GUITAR
    return Instrument.OTHERS


def list_tracks(corpus_uri: str) -> list[TrackLocation]:
    """List every track folder of the corpus, ordered by split and id; opens no file.

    Raises
    ------
    CorpusError
        There are no folders named ``TrackNNNNN`` where Slakh has them.
    """
    folders = {_name(uri): uri for uri in storage.list_folders(corpus_uri)}
    splits = [split for split in SPLIT_FOLDERS if split in folders]
    if splits:
        found = [(split, uri) for split in splits for uri in storage.list_folders(folders[split])]
    else:
        tracks = [uri for name, uri in sorted(folders.items()) if name.startswith("Track")]
        found = [(DEALT_SPLITS[i % 5], uri) for i, uri in enumerate(tracks)]
    locations = [
        TrackLocation(_name(uri), split, uri)
        for split, uri in found
        if _name(uri).startswith("Track")
    ]
    if not locations:
        raise CorpusError(
            f"{corpus_uri}: no track found; expected Slakh2100's layout, "
            "{train,validation,test}/TrackNNNNN/ or TrackNNNNN/; is the URI one folder off?"
        )
    _check_apart(locations)
    return sorted(locations, key=lambda t: (SPLIT_FOLDERS.index(t.split), t.track_id))


def _check_apart(locations: Sequence[TrackLocation]) -> None:
    split_of: dict[str, str] = {}
    for location in locations:
        if location.split == "omitted":
            continue
        other = split_of.setdefault(location.track_id, location.split)
        if other != location.split:
            raise CorpusError(
                f"{location.uri}: the track is in split {other} too; expected each track in one "
                "split; remove one of the two"
            )


def _name(uri: str) -> str:
    return uri.rstrip("/").rsplit("/", 1)[-1]


def read_track(
    location: TrackLocation, corpus: str, *, exclude_known_faults: bool = True
) -> tuple[Track, list[Reject]]:
    """Read a track's metadata and tempo; its audio is only looked for, not opened.

    Returns
    -------
    Track, list of Reject
        The second names what the track goes on without: stems of which only the file or only the
        metadata is there, or which are known to be wrong, and MIDI that cannot be understood.

    Raises
    ------
    CorpusError
        metadata.yaml is absent or cannot be understood, or MIDI that is there cannot be read.
    """
    stems, rejects = _stems(location, exclude_known_faults)
    midi_uri = storage.join(location.uri, "all_src.mid")
    tempo_bpm, stability, first_note_s = float("nan"), 0.0, float("nan")
    if storage.exists(midi_uri):
        data = _read(midi_uri)
        try:
            tempo_bpm, stability, first_note_s = _timing(data)
        except Exception as error:  # pretty_midi and mido check little: anything may come
            reason = (
                f"{midi_uri}: cannot be understood ({_cause(error)}); expected MIDI; the track "
                "goes on without a tempo"
            )
            rejects.append(Reject(location.track_id, midi_uri, "read", reason, "tempo"))
    track = Track(
        location.track_id,
        corpus,
        location.split,
        tempo_bpm,
        stability,
        tuple(stems),
        first_note_s,
    )
    return track, rejects


def _stems(location: TrackLocation, exclude_known_faults: bool) -> tuple[list[Stem], list[Reject]]:
    audio_uris = {
        _name(uri).rsplit(".", 1)[0]: uri
        for uri in storage.list_uris(storage.join(location.uri, "stems"))
        if uri.endswith((".flac", ".wav")) and not _name(uri).startswith(".")
    }
    entries = _metadata_stems(location)
    stems: list[Stem] = []
    rejects = [
        _stem_reject(location, stem_id, "not named in metadata.yaml, so of no known instrument")
        for stem_id in sorted(audio_uris.keys() - entries.keys())
    ]
    for stem_id, entry in entries.items():
        fault = KNOWN_FAULTS.get((location.track_id, stem_id)) if exclude_known_faults else None
        if stem_id not in audio_uris:
            if entry["audio_rendered"]:
                reason = "named in metadata.yaml as rendered, but stems/ has no such file"
                rejects.append(_stem_reject(location, stem_id, reason))
        elif fault:
            rejects.append(_stem_reject(location, stem_id, f"known fault: {fault}"))
        else:
            program = 128 if entry["is_drum"] else entry["program_num"]
            uri = audio_uris[stem_id]
            stems.append(Stem(stem_id, str(instrument_of(program)), uri, program))
    return stems, rejects


def _stem_reject(location: TrackLocation, stem_id: str, reason: str) -> Reject:
    uri = storage.join(location.uri, "stems", stem_id)
    return Reject(
        location.track_id, uri, "read", f"{reason}; the track goes on without it", "stem"
    )


def _metadata_stems(location: TrackLocation) -> dict[str, dict[str, int | bool]]:
    uri = storage.join(location.uri, "metadata.yaml")
    expected = "expected Slakh's metadata with stems: {S00: {program_num, is_drum, ...}}"
    data = _read(uri)
    try:
        return {
            str(stem_id): {
                "program_num": int(entry["program_num"]),
                "is_drum": bool(entry["is_drum"]),
                "audio_rendered": bool(entry.get("audio_rendered", True)),
            }
            for stem_id, entry in sorted(yaml.safe_load(data)["stems"].items())
        }
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorpusError(f"{uri}: cannot be understood ({_cause(error)}); {expected}") from error


def _read(uri: str) -> bytes:
    try:
        return storage.read_bytes(uri)
    except StorageError as error:
        raise CorpusError(str(error)) from error


def _cause(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no {error}"
    return " ".join(str(error).split()) or type(error).__name__


def _timing(midi_data: bytes) -> tuple[float, float, float]:
    """Tempo in force longest between first and last note, its share of that time, first note.

    NaN, 0 and NaN where there is no note.
    """
    with warnings.catch_warnings():
        # Type 0 files with tempo events on other tracks: pretty_midi warns and reads them.
        warnings.simplefilter("ignore", RuntimeWarning)
        midi = pretty_midi.PrettyMIDI(io.BytesIO(midi_data))
    notes = [note for instrument in midi.instruments for note in instrument.notes]
    if not notes:
        return float("nan"), 0.0, float("nan")
    first_s = min(note.start for note in notes)
    last_s = max(note.end for note in notes)
    times_s, tempi_bpm = midi.get_tempo_changes()
    edges_s = np.clip(np.append(times_s, np.inf), first_s, last_s)
    held_s: dict[float, float] = {}
    for tempo_bpm, length_s in zip(np.round(tempi_bpm, 3), np.diff(edges_s), strict=True):
        held_s[float(tempo_bpm)] = held_s.get(float(tempo_bpm), 0.0) + float(length_s)
    best = max(held_s, key=held_s.__getitem__)
    return best, held_s[best] / max(last_s - first_s, 1e-9), first_s
