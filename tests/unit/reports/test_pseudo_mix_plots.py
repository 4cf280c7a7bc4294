from dataclasses import replace

import numpy as np

from csn import recipes
from csn.reports.data import ReportData
from csn.reports.projection import Points
from csn.reports.pseudo_mix_plots import pseudo_mix_figures, pseudo_mix_panel, version_places


def test_backgrounds_are_numbered_by_name_and_the_original_is_zero():
    places = version_places(np.array(list("aaaabb")), np.array(list("cabccb")))
    assert places.tolist() == [2, 0, 1, 2, 1, 0]


def test_a_colour_is_a_track_and_a_mark_its_background():
    points = Points(np.zeros((3, 2)), np.array([0, 0, 1]), np.arange(3))
    found = pseudo_mix_panel(points, np.array([0, 1, 0])).axes[0].collections
    colours = [tuple(group.get_facecolor()[0]) for group in found]
    assert colours[0] == colours[1] != colours[2]
    paths = [group.get_paths()[0].vertices for group in found]
    assert paths[0].shape != paths[1].shape
    assert np.array_equal(paths[0], paths[2])


def test_panels_are_of_those_instruments_that_have_segments():
    data = ReportData(config=recipes.demo())
    assert pseudo_mix_figures(data) == []
    vectors = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    none = (np.zeros((0, 3)), np.array([], str), np.array([], str))
    mixes = {
        "drums": (vectors, np.array(list("aaaabbbb")), np.array(list("abcdabcd"))),
        "bass": none,
    }
    (panel,) = pseudo_mix_figures(replace(data, pseudo_mixes=mixes))
    assert panel.caption == "drums"
    assert "8 segments of pseudo-mixes, coloured by the 2 tracks of their drums" in panel.alt
