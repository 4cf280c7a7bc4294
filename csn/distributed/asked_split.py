"""The mixes that the evaluated split is asked about, refused before any training if too few.

Conventions
-----------
What P1 and P2 need is that of `csn.evaluation`. Where no condition can be asked at any length of
segments, the evaluation is refused; where some can, a warning says at once what the others lack.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from csn.config import ExperimentConfig
from csn.distributed.plans import split_of
from csn.errors import CorpusError, ProtocolError
from csn.evaluation.listed_mixes import listed_pseudo_mixes
from csn.evaluation.music_id import taking_part
from csn.triplets.evaluation_mixes import music_id_mixes, pseudo_mix_id_mixes
from csn.triplets.planning import candidates

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AskedSplit:
    """Mixes to embed and to ask about."""

    mixes: pa.Table
    """`EVALUATION_MIX_SCHEMA`."""
    lacking: Mapping[tuple[str, float], str] = field(default_factory=dict)
    """Why there is no mix of P2, by focus and duration."""


class _Found(NamedTuple):
    """What P1 finds of one condition at one length of segments."""

    condition: str
    duration_s: float
    num_segments: int
    num_tracks: int

    def suffices(self, k: int) -> bool:
        """Whether `k` neighbours of each segment can vote on two or more tracks."""
        return self.num_segments > k and self.num_tracks >= 2

    def __str__(self) -> str:
        segments = f"{self.num_segments} sounding segments of {self.num_tracks} tracks"
        return f"music_id of {self.condition} at {self.duration_s:g} s: {segments} found"


def asked_split(config: ExperimentConfig, tracks: pa.Table) -> AskedSplit:
    """List the mixes of P1 and P2 for the evaluated split, and say at once what they lack.

    Triplets of concepts are asked of P1's mixes: there are no parts to mix.

    Raises
    ------
    CorpusError
        The split has no track, or no segment that sounds.
    ProtocolError
        P1 or P2 can be asked of no condition; says what is needed.
    """
    evaluation = config.evaluation
    _check_tracks(config, tracks)
    chosen = split_of(tracks, evaluation.split)
    heard = _some(
        [
            music_id_mixes(chosen, duration_s, audio=config.audio, config=evaluation)
            for duration_s in evaluation.durations_s
        ],
        config,
    )
    if config.network.of_concepts:
        return AskedSplit(heard)
    _check_music_id(config, heard)
    if config.network.individual:  # a part alone is the same before every background
        return AskedSplit(heard)
    mixed, lacking = _pseudo_mixes(config, chosen)
    for (focus, duration_s), reason in lacking.items():
        log.warning("pseudo_mix_id of %s at %g s: %s", focus, duration_s, reason)
    return AskedSplit(_some([heard, *mixed], config), lacking)


def _check_tracks(config: ExperimentConfig, tracks: pa.Table) -> None:
    """Raise CorpusError where the evaluated split has no track."""
    split = config.evaluation.split
    if not len(split_of(tracks, split)):
        raise CorpusError(
            f"split {split} of {config.corpus.name} has no prepared track; expected at "
            "least two; look at rejects, or choose another with --evaluation.split"
        )


def _some(tables: list[pa.Table], config: ExperimentConfig) -> pa.Table:
    """Put `tables` together; CorpusError where there is nothing in them."""
    mixes = pa.concat_tables(tables).combine_chunks()
    if not len(mixes):
        durations = " or ".join(f"{d:g}" for d in config.evaluation.durations_s)
        raise CorpusError(
            f"split {config.evaluation.split} of {config.corpus.name}: no track has a segment of "
            f"{durations} s that sounds; expected some; lower --evaluation.durations_s"
        )
    return mixes


def _check_music_id(config: ExperimentConfig, mixes: pa.Table) -> None:
    """Warn of conditions that P1 cannot be asked of; ProtocolError where it is all of them."""
    evaluation = config.evaluation
    k, share = evaluation.k, evaluation.min_sounding_share
    ids, durations_s = mixes["track_id"].to_numpy(), mixes["duration_s"].to_numpy()
    found = []
    for duration_s in evaluation.durations_s:
        alike = durations_s == duration_s
        for condition in config.network.conditions:
            sounds = mixes[f"sounds_{condition}"].to_numpy()[alike]
            kept = ids[alike][taking_part(ids[alike], sounds, share)]
            found.append(_Found(condition, duration_s, len(kept), len(np.unique(kept))))
    needed = (
        f"more than k={k} segments of at least 2 tracks are needed; add tracks, choose another "
        "--evaluation.split, or lower --evaluation.k or --evaluation.durations_s"
    )
    lacking = [one for one in found if not one.suffices(k)]
    if len(lacking) == len(found):
        most = max(lacking, key=lambda one: (one.num_tracks >= 2, one.num_segments))
        raise ProtocolError(
            f"split {evaluation.split} of {config.corpus.name} is too small for P1: {most}, the "
            f"most of all conditions, {needed}"
        )
    for one in lacking:
        log.warning("%s, %s", one, needed)


def _pseudo_mixes(
    config: ExperimentConfig, chosen: pa.Table
) -> tuple[list[pa.Table], dict[tuple[str, float], str]]:
    """Mixes of P2 for each duration, and why a focus has none; ProtocolError where all have none.

    The mixes of one focus are as many as are asked for, or none.
    """
    evaluation, conditions = config.evaluation, config.network.conditions
    if evaluation.pseudo_mixes_uri:
        return _listed(config, chosen)
    refused = f"split {evaluation.split} of {config.corpus.name} is too small for P2"
    try:
        groups = candidates(chosen, config.audio, config.triplets).groups
    except CorpusError as error:
        raise ProtocolError(f"{refused}: {error}") from error
    tables, lacking = [], {}
    for duration_s in evaluation.durations_s:
        table, messages = pseudo_mix_id_mixes(
            chosen,
            groups,
            duration_s,
            conditions=conditions,
            seed=config.seed,
            audio=config.audio,
            config=evaluation,
        )
        tables.append(table)
        mixed = set(table["focus"].to_pylist())
        left_out = (focus for focus in conditions if focus not in mixed)
        for focus, message in zip(left_out, messages, strict=True):
            lacking[focus, duration_s] = message.removeprefix(f"pseudo_mix_id of {focus}: ")
    if len(lacking) == len(conditions) * len(evaluation.durations_s):
        (focus, duration_s), reason = next(iter(lacking.items()))
        others = "" if len(lacking) == 1 else "; no other condition or length has enough either"
        raise ProtocolError(f"{refused}: {focus} at {duration_s:g} s: {reason}{others}")
    return tables, lacking


def _listed(
    config: ExperimentConfig, chosen: pa.Table
) -> tuple[list[pa.Table], dict[tuple[str, float], str]]:
    """Mixes of P2 from the list that `config` names, as `_pseudo_mixes` gives them."""
    (duration_s,) = config.evaluation.durations_s
    uri, conditions = config.evaluation.pseudo_mixes_uri, config.network.conditions
    table = listed_pseudo_mixes(uri, chosen, duration_s, conditions=conditions, audio=config.audio)
    reason = f"{uri} has no line in which it sounds; give another list"
    lacking = [focus for focus in conditions if focus not in set(table["focus"].to_pylist())]
    if len(lacking) == len(conditions):
        raise ProtocolError(f"pseudo_mix_id of {' and '.join(conditions)}: {reason}")
    return [table], {(focus, duration_s): reason for focus in lacking}
