import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from csn.reports.plots import (
    CONCEPT_COLOURS,
    CONDITION_COLOURS,
    loss_curves,
    track_mark,
    tsne_panels,
    validation_curves,
)
from csn.reports.projection import Points


def lines_of(ax):
    """Data lines by colour, without the mark of the best epoch."""
    return {
        to_hex(line.get_color()): np.transpose(line.get_data()).tolist()
        for line in ax.lines
        if line.get_linestyle() == "-"
    }


def test_loss_curves_show_each_epoch_and_the_active_share_in_per_cent():
    history = [
        {"epoch": 1, "train/loss/triplet": 0.2, "train/active": 0.9},
        {"epoch": 2, "train/loss/triplet": 0.1, "train/active": 0.5},
    ]
    loss, active = loss_curves(history).axes
    assert list(lines_of(loss).values()) == [[[1, 0.2], [2, 0.1]]]
    assert list(lines_of(active).values()) == [[[1, 90], [2, 50]]]


def test_validation_curves_pass_over_epochs_without_validation():
    history = [
        {"epoch": 1, "val/music_id/bass": 0.25, "val/music_id/mean": 0.25},
        {"epoch": 2, "val/music_id/bass": None},
        {"epoch": 3},
        {"epoch": 4, "val/music_id/bass": 0.75, "val/music_id/mean": math.nan},
    ]
    (ax,) = validation_curves(history, best_epoch=4).axes
    assert lines_of(ax)[CONDITION_COLOURS["bass"]] == [[1, 25], [4, 75]]
    assert {label.get_text() for label in ax.texts} == {"bass", "mean"}
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() != "-"]
    assert marks == [4]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_names_of_lines_that_end_together_are_pushed_apart(share):
    values = dict.fromkeys(CONDITION_COLOURS, share) | {"mean": share}
    history = [{"epoch": 0} | {f"val/music_id/{name}": value for name, value in values.items()}]
    (ax,) = validation_curves(history).axes
    heights = sorted(label.xy[1] for label in ax.texts)
    assert len(heights) == 6
    assert np.diff(heights).min() >= 11
    assert 0 <= heights[0] <= 100 * share
    assert heights[-1] <= 100


def test_concepts_have_lines_of_their_own_and_a_loss():
    history = [
        {"epoch": 1, "val/concept_triplets/key": 0.5, "val/concept_triplets/mean": 0.5},
        {"epoch": 2, "val/concept_triplets/key": 0.75, "val/loss": 0.1},
    ]
    scores, loss = validation_curves(history).axes
    assert lines_of(scores)[CONCEPT_COLOURS["key"]] == [[1, 50], [2, 75]]
    assert {label.get_text() for label in scores.texts} == {"key", "mean"}
    assert list(lines_of(loss).values()) == [[[2, 0.1]]]


@pytest.mark.parametrize("draw", [loss_curves, validation_curves])
@pytest.mark.parametrize(
    "history", [[], [{"epoch": 1, "seconds": 3.0}], [{"train/active": math.nan}]]
)
def test_no_curves_without_values(draw, history):
    assert draw(history, 3) is None


@pytest.mark.parametrize("draw", [loss_curves, validation_curves])
def test_one_epoch_is_a_point(draw):
    row = {"epoch": 0, "train/loss/triplet": 0.1, "val/pseudo_mix_id/mean": 0.4}
    (ax,) = draw([row], 0).axes
    low, high = ax.get_xlim()
    assert low < 0 < high
    assert [line.get_marker() for line in ax.lines if line.get_linestyle() == "-"] == ["o"]


def test_tsne_panels_colour_points_by_track_and_leave_out_empty_subspaces():
    points = Points(np.arange(8.0).reshape(4, 2), np.array([0, 0, 1, 1]), np.arange(4))
    empty = Points(np.zeros((0, 2)), np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    panels = tsne_panels({"drums": points, "bass": empty})
    assert set(panels) == {"drums"}
    (ax,) = panels["drums"].axes
    first, second = ax.collections
    assert first.get_offsets().tolist() == [[0, 1], [2, 3]]
    assert to_hex(second.get_facecolor()[0]) == track_mark(1)[0]


def test_marks_tell_more_tracks_apart_than_any_legend_has():
    assert len({track_mark(place) for place in range(12)}) == 12
