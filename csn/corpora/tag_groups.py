"""The tags that stand for genre, mood, instrument and era, and their one spelling.

Conventions
-----------
Tags are those of Last.FM; their case differs between its files, so it is not looked at. A group's
tags are numbered in their order here, which `bits_of` makes bits of.

Source
------
[R22] Section 4.1 groups the 50 tags of Lee et al. (2020) into four concepts.

Choices
-------
``oldies`` and ``acoustic`` are moods here; the papers do not say.
"""

from collections.abc import Iterable

GROUPS: dict[str, tuple[str, ...]] = {
    "genre": (
        *("rock", "pop", "alternative", "indie", "electronic", "dance", "alternative rock"),
        *("jazz", "metal", "classic rock", "soul", "indie rock", "electronica", "folk", "punk"),
        *("blues", "hard rock", "ambient", "experimental", "Hip-Hop", "country", "funk"),
        *("electro", "heavy metal", "Progressive rock", "rnb", "indie pop", "House"),
    ),
    "mood": (
        *("beautiful", "chillout", "Mellow", "chill", "oldies", "acoustic", "party"),
        *("easy listening", "sexy", "catchy", "sad", "happy"),
    ),
    "instrument": (
        *("female vocalists", "male vocalists", "instrumental", "female vocalist", "guitar"),
    ),
    "era": ("60s", "70s", "80s", "90s", "00s"),
}
"""Tags by group."""

_PLACES = {
    tag.casefold(): (group, place)
    for group, tags in GROUPS.items()
    for place, tag in enumerate(tags)
}


def canonical(tag: str) -> str | None:
    """Our spelling of `tag`; none where it belongs to no group.

    Examples
    --------
    >>> canonical("hip-hop"), canonical("seen live")
    ('Hip-Hop', None)
    """
    found = _PLACES.get(tag.strip().casefold())
    return None if found is None else GROUPS[found[0]][found[1]]


def bits_of(tags: Iterable[str]) -> dict[str, int]:
    """For each group, the set of its tags among `tags`, as bits; others are passed over.

    Examples
    --------
    >>> bits_of(["pop", "Rock", "80s"])
    {'genre': 3, 'mood': 0, 'instrument': 0, 'era': 4}
    """
    bits = dict.fromkeys(GROUPS, 0)
    for tag in tags:
        if found := _PLACES.get(tag.strip().casefold()):
            group, place = found
            bits[group] |= 1 << place
    return bits
