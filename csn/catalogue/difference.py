"""What a night has to do: the listing held against what is committed. Pure and vectorised.

Conventions
-----------
A track is done when rows of its file, by address and digest, made with tonight's settings, are
committed. It is `new` without any rows, `changed` with rows of another file or other settings,
`retried` when it was rejected on fewer nights than allowed, and `given_up` from then on until its
file changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from csn.catalogue.entries import ADD, DEAD, DELETE, REJECT, State
from csn.catalogue.listing import Listing
from csn.catalogue.reading import told
from csn.errors import CorpusError

BASE_VERSION = "base_version"
ATTEMPTS = "attempts"


@dataclass(frozen=True, slots=True)
class Difference:
    """Tonight's work."""

    todo: pa.Table
    """Rows of the listing to embed, with `base_version`: number of the commit in which the last
    word of the track stands (0: none), and `attempts`: nights on which it failed before."""
    faulty: pa.Table
    """Rows of the listing that cannot be tried and are not yet told of, in the same columns."""
    deleted: pa.Table
    """`track_id` and `base_version` of tracks that are gone."""
    counts: Mapping[str, int]
    """new, changed, retried, again, unchanged, given_up, faulty (known or not), deleted."""


def difference(
    listing: Listing,
    state: State,
    settings_digest: str,
    *,
    max_attempts: int,
    overwrite: int | None = None,
    only: Literal["all", "rejects"] = "all",
) -> Difference:
    """Hold tonight's listing against what is committed.

    Parameters
    ----------
    overwrite : int, optional
        Number of a commit: what is done is done again, unless it was committed behind that one.
    """
    tracks = _beside_state(listing.tracks, state)
    same = _is_of(tracks, "a", settings_digest)
    has_rows = tracks["a_action"] == ADD
    done = (same & has_rows).to_numpy(bool)
    before = (tracks["a_version"] <= (-1 if overwrite is None else overwrite)).to_numpy(bool)
    failed_alike = _is_of(tracks, "r", settings_digest).to_numpy(bool)
    attempts = tracks["r_attempts"].fillna(0).to_numpy(np.int64) * failed_alike
    faulty = (tracks["fault"] != "").to_numpy(bool)
    known = _known(tracks, faulty & failed_alike)
    failed = failed_alike & ~faulty & ~done
    given_up = failed & (attempts >= max_attempts)
    kinds = {
        "faulty": faulty,
        "again": done & ~faulty & before,
        "unchanged": done & ~faulty & ~before,
        "given_up": given_up,
        "retried": failed & ~given_up,
    }
    rest = ~np.any(list(kinds.values()), axis=0)
    changed = rest & has_rows.to_numpy(bool)
    kinds |= {"changed": changed, "new": rest & ~changed}
    if only == "rejects":
        wanted = failed
    else:
        wanted = kinds["again"] | kinds["retried"] | kinds["changed"] | kinds["new"]
    version = tracks[["a_version", "r_version"]].max(axis=1).fillna(0).to_numpy(np.int64)
    table = listing.tracks.append_column(BASE_VERSION, pa.array(version))
    table = table.append_column(ATTEMPTS, pa.array(attempts.astype(np.int32)))
    deleted = _deleted(listing, state)
    num_deleted = pc.sum(deleted["has_rows"]).as_py() or 0
    keep_all = only == "rejects"
    return Difference(
        todo=table.filter(pa.array(wanted)),
        faulty=table.filter(pa.array(faulty & ~known & (not keep_all))),
        deleted=(deleted.slice(0, 0) if keep_all else deleted).drop_columns(["has_rows"]),
        counts={name: int(mask.sum()) for name, mask in kinds.items()} | {"deleted": num_deleted},
    )


def _is_of(tracks: pd.DataFrame, word: str, settings_digest: str) -> pd.Series:
    """Whether what was said of each track is of tonight's address, file and settings."""
    return (
        (tracks["uri"] == tracks[f"{word}_uri"])
        & (tracks["source_digest"] == tracks[f"{word}_source"])
        & (tracks[f"{word}_settings"] == settings_digest)
    )


def _known(tracks: pd.DataFrame, among: np.ndarray) -> np.ndarray:
    """Mark, of the rows `among`, those whose fault is what their reject tells."""
    known = among.copy()
    words = tracks.loc[among, ["fault", "r_message"]].itertuples(index=False)
    # A reject's message is in one line, and not as long as an address can be.
    known[among] = [told(CorpusError(fault))[1] == message for fault, message in words]
    return known


def _beside_state(tracks: pa.Table, state: State) -> pd.DataFrame:
    """Join the last add or delete (``a_``) and the open reject (``r_``) to each listed track."""
    listed = tracks.select(["track_id", "uri", "source_digest", "fault"]).to_pandas()
    placed = state.of(ADD, DELETE).select(
        ["track_id", "action", "uri", "source_digest", "settings_digest", "version"]
    )
    rejected = state.of(REJECT).select(
        ["track_id", "uri", "source_digest", "settings_digest", "attempts", "message", "version"]
    )
    names = ["track_id", "a_action", "a_uri", "a_source", "a_settings", "a_version"]
    listed = listed.merge(placed.rename_columns(names).to_pandas(), on="track_id", how="left")
    names = [
        *("track_id", "r_uri", "r_source", "r_settings"),
        *("r_attempts", "r_message", "r_version"),
    ]
    return listed.merge(rejected.rename_columns(names).to_pandas(), on="track_id", how="left")


def _deleted(listing: Listing, state: State) -> pa.Table:
    """Tracks with rows, or with an open reject alone, that are not in the listing."""
    known = state.entries.filter(
        pc.invert(pc.is_in(state.entries["action"], pa.array([DEAD, DELETE])))
    )
    gone = known.filter(pc.invert(pc.is_in(known["track_id"], listing.tracks["track_id"])))
    frame = pa.table(
        {
            "track_id": gone["track_id"],
            "version": gone["version"],
            "has_rows": pc.equal(gone["action"], ADD),
        }
    )
    grouped = frame.group_by("track_id").aggregate([("version", "max"), ("has_rows", "max")])
    return grouped.select(["track_id", "version_max", "has_rows_max"]).rename_columns(
        ["track_id", BASE_VERSION, "has_rows"]
    )


def shard_places(sizes: np.ndarray, max_tracks: int, max_bytes: float) -> list[slice]:
    """Cut rows, in their order, into shards of few enough tracks and bytes; one at least each.

    Examples
    --------
    >>> shard_places(np.array([5, 5, 20, 1, 1, 1]), max_tracks=2, max_bytes=12)
    [slice(0, 2, None), slice(2, 3, None), slice(3, 5, None), slice(5, 6, None)]
    """
    places, start, held = [], 0, 0.0
    for place, size in enumerate(sizes.tolist()):
        if place > start and (place - start >= max_tracks or held + size > max_bytes):
            places.append(slice(start, place))
            start, held = place, 0.0
        held += size
    return [*places, slice(start, len(sizes))] if len(sizes) else []
