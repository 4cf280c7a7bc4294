"""Mixes that others drew, from their lists, as rows to train on and to score.

Conventions
-----------
The lists are those of `csn.evaluation.triplet_lists`. Whether a part sounds in a mix is told by
the rule of `csn.audio.activity`, as it is of mixes that are drawn here; a part that the list
leaves out does not.
"""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from csn.config import AudioConfig
from csn.errors import CorpusError
from csn.evaluation.triplet_lists import read_pseudo_mixes, read_triplets
from csn.records import ABSENT, EVALUATION_MIX_SCHEMA, Mix
from csn.triplets.evaluation_mixes import Sounding, evaluation_row
from csn.triplets.planning import Candidates, sounding_parts, to_table


def listed_triplets(uri: str, tracks: pa.Table, *, hop_s: float, audio: AudioConfig) -> pa.Table:
    """Read a list of triplets as the rows of one plan (`TRIPLET_SCHEMA`).

    Parameters
    ----------
    tracks : pyarrow.Table
        Prepared tracks that may be named (`TRACK_SCHEMA`).
    hop_s : float
        Seconds from one segment's start to the next one's.

    Raises
    ------
    CorpusError
        The list cannot be read, or names a track or a segment that is not there.
    """
    found = Candidates((), (), sounding_parts(tracks, audio.segment_s, audio))
    triplets = read_triplets(uri, hop_s=hop_s)
    for triplet in triplets:
        mixes = (triplet.anchor, triplet.positive, triplet.negative)
        _check_there(mixes, f"{uri}: line {triplet.triplet_id + 1}", found.sounding, audio)
    return to_table(triplets, 0, lambda mix: found.sounds_in(mix, audio.level_hop_s))


def listed_pseudo_mixes(
    uri: str,
    tracks: pa.Table,
    duration_s: float,
    *,
    conditions: Sequence[str],
    audio: AudioConfig,
) -> pa.Table:
    """Read a list of pseudo-mixes as mixes to score (`EVALUATION_MIX_SCHEMA`).

    Segments lie `duration_s` apart, without overlap. Lines of other conditions are left out, and
    so are those whose focused part does not sound: nothing can be asked of it.

    Raises
    ------
    CorpusError
        As `listed_triplets`.
    """
    sounding = sounding_parts(tracks, duration_s, audio)
    rows = []
    for place, listed in enumerate(read_pseudo_mixes(uri, hop_s=duration_s)):
        _check_there((listed.mix,), f"{uri}: line {place + 1}", sounding, audio)
        row = evaluation_row(
            "pseudo_mix",
            listed.condition,
            listed.mix,
            listed.segment_index,
            duration_s,
            sounding,
            audio,
        )
        row |= {"track_id": listed.focus_track_id, "backing_track_id": listed.backing_track_id}
        if listed.condition in conditions and row[f"sounds_{listed.condition}"]:
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=EVALUATION_MIX_SCHEMA)


def _check_there(mixes: Iterable[Mix], where: str, sounding: Sounding, audio: AudioConfig) -> None:
    """Raise CorpusError unless every part of `mixes` lies within a prepared track."""
    for mix in mixes:
        for track, start_s in zip(mix.tracks, mix.starts_s, strict=True):
            if track == ABSENT:
                continue
            if track not in sounding:
                raise CorpusError(
                    f"{where}: {track} found, one of the {len(sounding)} tracks of the split "
                    "expected (is it the list of another split, or was the track refused?)"
                )
            num_starts = sounding[track].shape[1]
            if round(start_s / audio.level_hop_s) >= num_starts:
                last_s = max(num_starts - 1, 0) * audio.level_hop_s
                raise CorpusError(
                    f"{where}: a segment at {start_s:g} s of {track} found, the last that is "
                    f"whole begins at {last_s:g} s (are segments that far apart in the list?)"
                )
