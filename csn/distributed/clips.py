"""Preview clips, as preparing meets them: which there are, what is said of them, their audio.

Conventions
-----------
What is said of tracks in one file (tags, a table of tempi and keys) is looked up once, before the
tasks start, and handed to them as columns of `CLIP_SCHEMA`; what lies in a track's own files is
read by its task.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from csn import storage
from csn.audio.clips import PART, prepare_clip
from csn.audio.parts import PreparedTrack
from csn.config import CorpusConfig, ExperimentConfig
from csn.corpora import annotations, lastfm, msd
from csn.corpora.annotations import Annotation
from csn.corpora.lastfm import Tags
from csn.corpora.msd import ClipLocation
from csn.corpora.tag_groups import canonical
from csn.errors import CorpusError
from csn.paths import Paths
from csn.records import Reject, Stem, Track

log = logging.getLogger(__name__)

CLIPS_PER_TASK = 8
"""One takes some 50 to 120 ms, and a task costs Ray 30 ms."""
CLIP_SCHEMA = pa.schema(
    [
        *[pa.field(name, pa.string()) for name in ("track_id", "split", "song_uri", "audio_uri")],
        pa.field("tags", pa.list_(pa.string())),
        pa.field("tag_strengths", pa.list_(pa.float32())),
        pa.field("fault", pa.string()),
        pa.field("tempo_bpm", pa.float64()),
        pa.field("key", pa.int32()),
        pa.field("is_major", pa.bool_()),
    ]
)
"""A track that is to be prepared; `fault` says why nothing is known of its tags."""
LISTED_STRENGTH = 100.0
"""Of tags that a list of tracks names; whoever made it has left out the weak ones."""


def clip_rows(
    missing: Sequence[ClipLocation], config: ExperimentConfig, *, is_first: bool
) -> list[dict[str, Any]]:
    """Make rows of `CLIP_SCHEMA` of the tracks `missing`, with what is said of them.

    Parameters
    ----------
    is_first : bool
        Whether these are all tracks: then some of them must have tags that we know.

    Raises
    ------
    CorpusError
        Tags, or the table of tempi and keys, cannot be read, or are of another vocabulary.
    """
    tags = _tags_of(missing, Paths(config).corpus, config.corpus, is_first=is_first)
    table_uri = config.corpus.msd.annotations_uri
    table = annotations.read_table(table_uri) if table_uri else {}
    rows = []
    for location in missing:
        strengths = None if tags is None else tags.strengths.get(location.track_id, {})
        said = table.get(location.track_id, Annotation())
        rows.append(
            {
                "track_id": location.track_id,
                "split": location.split,
                "song_uri": location.song_uri,
                "audio_uri": location.audio_uri,
                "tags": None if strengths is None else list(strengths),
                "tag_strengths": None if strengths is None else list(strengths.values()),
                "fault": "" if tags is None else tags.faults.get(location.track_id, ""),
                "tempo_bpm": said.tempo_bpm,
                "key": said.key,
                "is_major": said.is_major,
            }
        )
    return rows


def _tags_of(
    missing: Sequence[ClipLocation], corpus_uri: str, corpus: CorpusConfig, *, is_first: bool
) -> Tags | None:
    """Tags from Last.FM's files, or else from the list of tracks; none where neither has any."""
    if uri := lastfm.find(corpus_uri, corpus.msd.tags_uri):
        log.info("prepare: reading tags of %s tracks from %s", len(missing), uri)
        tags = lastfm.read_tags(uri, [location.track_id for location in missing])
    elif any(location.tags is not None for location in missing):
        uri = corpus.msd.splits_uri
        tags = Tags(examples=tuple(tag for one in missing for tag in one.tags or ())[:3])
        for one in missing:
            known = dict.fromkeys(filter(None, map(canonical, one.tags or ())), LISTED_STRENGTH)
            tags.strengths |= {one.track_id: known} if known else {}
    else:
        log.warning("prepare: %s has no tags, and --corpus.msd.tags_uri names none", corpus_uri)
        return None
    if is_first:
        lastfm.check_vocabulary(uri, tags, len(missing))
    return tags


def prepared(
    row: Mapping[str, Any], config: ExperimentConfig, rejects: list[Reject]
) -> tuple[PreparedTrack, dict[str, object]]:
    """Read and prepare the clip of a row of `CLIP_SCHEMA`.

    Parameters
    ----------
    rejects : list of Reject
        What the track goes on without is added to it.

    Returns
    -------
    PreparedTrack, dict
        The clip; what else is known of it, by the columns of `TRACK_SCHEMA`.

    Raises
    ------
    MissingPreviewError
        There is no preview.
    CorpusError
        The clip cannot be used.
    """
    source = config.corpus.msd.annotations
    if row["fault"]:
        raise CorpusError(row["fault"])
    location = ClipLocation(*(row[n] for n in ("track_id", "split", "song_uri", "audio_uri")))
    audio_uri, said, lost = msd.find_clip(
        location, Paths(config).corpus, reads_song=source == "h5"
    )
    rejects += lost
    stem = Stem("clip", PART, audio_uri, 0)
    track = Track(location.track_id, config.corpus.name, location.split, math.nan, 1.0, (stem,))
    clip = prepare_clip(track, config.audio)
    if source == "csv":
        said = Annotation(row["tempo_bpm"], row["key"], row["is_major"])
    elif source == "librosa":
        said = _heard(clip)
    if source != "h5" and math.isnan(said.tempo_bpm):
        by = (
            audio_uri
            if source == "librosa"
            else storage.absolute(config.corpus.msd.annotations_uri)
        )
        reason = f"{by}: no tempo of {track.track_id}; the track goes on without it"
        rejects.append(Reject(track.track_id, by, "read", reason, "tempo"))
    clip = replace(clip, track=replace(track, tempo_bpm=said.tempo_bpm))
    known: dict[str, object] = {"key": said.key, "is_major": said.is_major}
    return clip, known | {name: row[name] for name in ("tags", "tag_strengths")}


def _heard(clip: PreparedTrack) -> Annotation:
    samples = clip.parts.pcm[PART] * np.float32(clip.parts.pcm_scale)
    return annotations.by_listening(samples, clip.parts.sample_rate_hz)
