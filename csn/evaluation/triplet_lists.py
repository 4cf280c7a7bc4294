"""Lists of triplets and of pseudo-mixes in the format of [LAB], to use the very same mixes.

Conventions
-----------
A line a triplet, or a mix: groups parted by ``;`` of whole numbers parted by ``,``; spaces are
allowed. A mix takes one group of tracks (Slakh's numbers) and one of segments (counted from 0 in
steps of `hop_s`), each with a value a part in the order of `INSTRUMENTS`; conditions count in that
order.

Triplets have ten groups: tracks of anchor, positive, negative; segments of the three; flags of the
three (1: the part sounds, 0: it is left out); condition. A second value in the last group is the
interchanged condition, -1 for none.

Pseudo-mixes have four: condition; tracks; segments; focused track, backing track. The last two may
be groups of their own.

Source
------
[LAB]: the readers and writers of these lists. Laws of the two kinds: [H24] Sections 3.1.1, 3.1.2.

Choices
-------
A part whose flag is 0 is `ABSENT`, also where the list names a track for it: there it is silent. A
segment starts at ``index * hop_s``, taken as our time from the piece's first onset; lists that
count from the file's start are off by the onset. The lists do not say a tempo group: it is empty.
A line that breaks its kind's law is refused, since then columns are swapped or conditions count
otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from csn import storage
from csn.conditions import INSTRUMENTS
from csn.errors import CorpusError
from csn.records import ABSENT, ROLES, Mix, Triplet

_NO_CONDITION = -1


@dataclass(frozen=True, slots=True)
class ListedPseudoMix:
    """A segment of A_B: A's part at `condition`, all else of B."""

    condition: str
    focus_track_id: str
    backing_track_id: str
    segment_index: int
    """Of the focused part; the backing's may be another."""
    mix: Mix


def read_triplets(uri: str, *, hop_s: float) -> list[Triplet]:
    """Read a list of triplets; `triplet_id` is the place in the list, from 0.

    Parameters
    ----------
    uri : str
        Text file, ten groups a line.
    hop_s : float > 0
        Seconds from one segment's start to the next one's.

    Raises
    ------
    CorpusError
        If a line is not of this format, or its three mixes are no triplet under its condition.
    """
    triplets = []
    for place, (where, groups) in enumerate(_lines(uri)):
        if len(groups) != 10:
            raise CorpusError(
                f"{where}: {len(groups)} group(s) found, 10 parted by ';' expected: tracks, "
                "segments and flags of three mixes, condition (is it a list of triplets?)"
            )
        numbers = [_numbers(group, where) for group in groups]
        conditions = _conditions(numbers[9], where)
        mixes = [
            _mix(*numbers[i:9:3], where=f"{where}: {role}", hop_s=hop_s)
            for i, role in enumerate(ROLES)
        ]
        triplet = Triplet(place, "basic", "", *conditions, *mixes)
        _check_law(triplet, where)
        triplets.append(triplet)
    return triplets


def read_pseudo_mixes(uri: str, *, hop_s: float) -> list[ListedPseudoMix]:
    """Read a list of pseudo-mixes, on which P2 is scored.

    Parameters
    ----------
    uri : str
        Text file, four or five groups a line.
    hop_s : float > 0
        Seconds from one segment's start to the next one's.

    Raises
    ------
    CorpusError
        If a line is not of this format, or its mix is not the A_B that it says it is.
    """
    mixes = []
    for where, groups in _lines(uri):
        if len(groups) not in (4, 5):
            raise CorpusError(
                f"{where}: {len(groups)} group(s) found, 4 parted by ';' expected: condition, "
                "tracks, segments, focused and backing track (is it a list of pseudo-mixes?)"
            )
        asked, tracks, segments, *named = (_numbers(group, where) for group in groups)
        condition, _ = _conditions(asked, where, at_most=1)
        focus, backing = _named([number for group in named for number in group], where)
        mix = _mix(tracks, segments, [1] * len(INSTRUMENTS), where=where, hop_s=hop_s)
        if mix.tracks != Mix.pseudo(condition, focus, backing, 0.0).tracks:
            raise CorpusError(
                f"{where}: parts of {', '.join(mix.tracks)} found, {condition} of {focus} and all "
                f"else of {backing} expected (do conditions count as {', '.join(INSTRUMENTS)}?)"
            )
        index = segments[INSTRUMENTS.index(condition)]
        mixes.append(ListedPseudoMix(condition, focus, backing, index, mix))
    return mixes


def _lines(uri: str) -> Iterator[tuple[str, list[str]]]:
    """Where each line is, for messages, and its groups as they stand."""
    try:
        lines = storage.read_bytes(uri).decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{uri}: UTF-8 text expected ({error}); is it a list?") from error
    if not lines:
        raise CorpusError(f"{uri}: 0 lines found, at least 1 expected (was it written in full?)")
    for number, line in enumerate(lines, 1):
        yield f"{uri}: line {number}", line.rstrip("; ").split(";")


def _numbers(group: str, where: str) -> list[int]:
    try:
        return [int(value) for value in group.split(",")]
    except ValueError as error:
        raise CorpusError(
            f"{where}: {group.strip()!r} found, whole numbers parted by ',' expected "
            "(is the line cut short?)"
        ) from error


def _conditions(values: Sequence[int], where: str, *, at_most: int = 2) -> tuple[str, str | None]:
    """Condition, and interchanged condition where there is one."""
    known = range(len(INSTRUMENTS))
    first, second = [*values, _NO_CONDITION, _NO_CONDITION][:2]
    if (
        not 1 <= len(values) <= at_most
        or first not in known
        or second not in (_NO_CONDITION, *known)
        or first == second
    ):
        raise CorpusError(
            f"{where}: condition {list(values)} found, one of 0 ({INSTRUMENTS[0]}) to "
            f"{known[-1]} ({INSTRUMENTS[-1]}) expected (do conditions count from 1 there?)"
        )
    return INSTRUMENTS[first], None if second == _NO_CONDITION else INSTRUMENTS[second]


def _mix(
    tracks: Sequence[int],
    segments: Sequence[int],
    flags: Sequence[int],
    *,
    where: str,
    hop_s: float,
) -> Mix:
    for name, group in (("tracks", tracks), ("segments", segments), ("flags", flags)):
        if len(group) != len(INSTRUMENTS):
            raise CorpusError(
                f"{where}: {len(group)} {name} found, {len(INSTRUMENTS)} expected, for "
                f"{', '.join(INSTRUMENTS)}"
            )
    if not set(flags) <= {0, 1}:
        raise CorpusError(
            f"{where}: flags {list(flags)} found, 0 and 1 expected (are columns swapped?)"
        )
    parts = []
    for track, segment, sounds in zip(tracks, segments, flags, strict=True):
        if sounds and segment < 0:
            raise CorpusError(
                f"{where}: segment {segment} of a part that sounds found, 0 or more expected "
                "(should its flag be 0?)"
            )
        parts.append((_track_id(track, where), segment * hop_s) if sounds else (ABSENT, 0.0))
    return Mix(tuple(name for name, _ in parts), tuple(start for _, start in parts))


def _named(values: Sequence[int], where: str) -> tuple[str, str]:
    if len(values) != 2:
        raise CorpusError(
            f"{where}: tracks {list(values)} found at its end, focused and backing track expected"
        )
    return _track_id(values[0], where), _track_id(values[1], where)


def _track_id(number: int, where: str) -> str:
    if number < 1:
        raise CorpusError(
            f"{where}: track {number} found, Slakh's number from 1 on expected "
            "(should the part's flag be 0?)"
        )
    return f"Track{number:05d}"


def _check_law(triplet: Triplet, where: str) -> None:
    """Raise CorpusError unless the part at the condition makes anchor and positive alike.

    Under the interchanged condition it makes anchor and negative alike ([H24] 3.1.2).
    """
    conditions = [(triplet.condition, triplet.positive, triplet.negative)]
    if triplet.interchanged_condition is not None:
        conditions.append((triplet.interchanged_condition, triplet.negative, triplet.positive))
    for part, alike, other in conditions:
        same, near, far = (mix.track_of(part) for mix in (triplet.anchor, alike, other))
        if ABSENT in (same, near, far) or same != near or same == far:
            raise CorpusError(
                f"{where}: {part} of {same or 'none'}, {near or 'none'} and {far or 'none'} "
                "found, of one track in the first two and of another in the third expected (are "
                "positive and negative swapped, or does the condition count otherwise?)"
            )
