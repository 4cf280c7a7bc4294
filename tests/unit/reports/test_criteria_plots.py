import numpy as np
import pyarrow as pa

from csn.evaluation.criteria import Distances
from csn.records import CRITERIA_SCHEMA
from csn.reports.criteria_plots import criteria_section, distance_map

FOUND = Distances(np.array(["a", "c"]), np.array([[0.0, 2], [2, 0]]))


def test_pearson_lies_above_the_diagonal_and_spearman_below():
    row = {"a": "drums", "b": "all", "rank": None, "seed": 0, "num_tracks": 4}
    rows = [
        row | {"kind": "pearson", "value": 0.5},
        row | {"kind": "spearman", "value": 0.25},
        row | {"kind": "reciprocal_rank", "value": 0.75, "rank": 1},
    ]
    section = criteria_section(
        pa.Table.from_pylist(rows, schema=CRITERIA_SCHEMA), {"drums": FOUND}
    )
    assert section.names == ("drums", "whole")
    assert section.correlations["drums", "whole"] == 0.5
    assert section.correlations["whole", "drums"] == 0.25
    assert section.ranks == {"drums": {1: 0.75}}
    assert (section.mix, section.num_tracks) == ("whole", (4, 4))
    assert [panel.caption for panel in section.panels] == ["drums"]


def test_a_track_without_a_centroid_leaves_a_gap():
    (image,) = distance_map(FOUND, np.array(list("abc"))).axes[0].get_images()
    shown = np.ma.filled(image.get_array(), np.nan)
    assert shown[0, 2] == shown[2, 0] == 2
    assert np.isnan(shown[1]).all()
    assert np.isnan(np.diagonal(shown)).all()


def test_nothing_compared_is_nothing_shown():
    section = criteria_section(CRITERIA_SCHEMA.empty_table(), {})
    assert not section.panels
    assert not section.names
