"""What became of the tracks that were to be prepared, and when that is too little.

Conventions
-----------
A track was prepared, was refused (its files are at fault), or is missing: its audio is not there
at all, which happens to previews. Missing tracks are told of, and count as no fault.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from csn.config import CorpusConfig
from csn.errors import CorpusError

log = logging.getLogger(__name__)

OUTCOME_SCHEMA = pa.schema(
    [
        ("track_id", pa.string()),
        ("audio_s", pa.float64()),
        ("reason", pa.string()),
        ("is_missing", pa.bool_()),
    ]
)
"""What became of a track: `reason` is empty where it was prepared, `is_missing` where its audio is
not there at all."""


def outcome(track_id: str, audio_s: float, reason: str, *, is_missing: bool) -> dict[str, object]:
    """Make a row of `OUTCOME_SCHEMA`."""
    return {
        "track_id": track_id,
        "audio_s": audio_s,
        "reason": reason,
        "is_missing": is_missing,
    }


def check_outcomes(
    outcomes: Sequence[Mapping[str, Any]], num_wanted: int, num_done: int, config: CorpusConfig
) -> dict[str, int]:
    """Count what was not prepared, and say how many previews are missing.

    Raises
    ------
    CorpusError
        Too many were refused, or nothing is left.
    """
    missing = [one["reason"] for one in outcomes if one["is_missing"]]
    refused = [one["reason"] for one in outcomes if one["reason"] and not one["is_missing"]]
    if len(refused) > config.max_reject_fraction * num_wanted:
        raise CorpusError(
            f"{len(refused)} of {num_wanted} tracks were rejected, at most "
            f"{config.max_reject_fraction:.1%} expected; the first: {refused[0]} (all are in "
            "rejects/; mend them, or raise --corpus.max_reject_fraction, and run the same command "
            "again)"
        )
    if missing and not num_done:
        raise CorpusError(
            f"{len(missing)} of {num_wanted} previews are missing, and no track is left; the "
            f"first: {missing[0]}; is --corpus.uri the folder of the previews?"
        )
    if missing:
        log.warning("%s of %s previews are missing", len(missing), num_wanted)
    return {"rejected": len(refused)} | ({"missing": len(missing)} if missing else {})
