import numpy as np
import pytest

from csn.conditions import CONCEPTS
from csn.errors import ProtocolError
from csn.reports.kiviat import STYLES, kiviat, kiviat_figure

SIX = dict(zip(CONCEPTS, (0.75, 0.75, 0.69, 0.76, 0.58, 0.64), strict=True))
FOUR = {name: SIX[name] for name in CONCEPTS[:4]}


def lines_of(figure):
    (ax,) = figure.axes
    return {str(line.get_label()): np.asarray(line.get_ydata()) for line in ax.get_lines()}


def test_lines_are_closed_and_in_per_cent():
    drawn = lines_of(kiviat({"six": SIX}, CONCEPTS))["six"]
    assert drawn == pytest.approx([75, 75, 69, 76, 58, 64, 75])


def test_a_missing_condition_leaves_a_gap():
    drawn = lines_of(kiviat({"six": SIX, "four": FOUR}, CONCEPTS))["four"]
    assert np.isnan(drawn).tolist() == [False, False, False, False, True, True, False]


def test_chance_is_a_ring():
    rings = [y for y in lines_of(kiviat({"six": SIX}, CONCEPTS)).values() if len(y) > 7]
    assert [np.unique(ring).tolist() for ring in rings] == [[50]]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_every_score_lies_between_centre_and_rim(share):
    figure = kiviat({"one": SIX | {"key": share}}, CONCEPTS)
    centre, rim = figure.axes[0].get_ylim()
    assert centre < 100 * share <= rim
    assert centre < 50 < rim


def test_words_say_what_the_picture_shows():
    shown = kiviat_figure({"six": SIX, "four": FOUR}, CONCEPTS)
    assert shown.uri.startswith("data:image/svg+xml")
    assert "six: genre 75.0, mood 75.0" in shown.alt
    assert "era 76.0, tempo none, key none." in shown.alt


def test_nothing_scored_is_nothing_drawn():
    assert kiviat({}, CONCEPTS) is None
    assert kiviat_figure({"none": {}}, CONCEPTS) is None


def test_systems_that_cannot_be_told_apart_are_refused():
    many = {f"system {place}": SIX for place in range(len(STYLES) + 1)}
    with pytest.raises(ProtocolError, match="5 systems found"):
        kiviat(many, CONCEPTS)
    with pytest.raises(ProtocolError, match="2 conditions"):
        kiviat({"six": SIX}, CONCEPTS[:2])
