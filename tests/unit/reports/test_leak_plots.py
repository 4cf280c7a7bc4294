import math

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from csn.conditions import CONCEPTS
from csn.reports.leak_plots import leak_figure, leak_matrix
from csn.reports.plots import CONCEPT_COLOURS, CONDITION_COLOURS
from csn.reports.score_tables import LeakMatrix


def test_leak_matrix_frames_the_own_instrument_and_sets_the_best_bold():
    accuracy = np.array([[0.8, 0.1, 0.2], [0.9, 0.5, math.nan], [math.nan] * 3])
    names = ("drums", "bass", "piano")
    (ax,) = leak_matrix(LeakMatrix(3.0, names, names, accuracy, 0.1)).axes
    texts = {text.get_position(): text for text in ax.texts}
    assert texts[0, 0].get_text() == "80.0"
    assert texts[2, 0].get_text() == "20.0"
    assert texts[2, 1].get_text() == "-"
    bold = {position for position, text in texts.items() if text.get_weight() == "bold"}
    assert bold == {(0, 0), (0, 1)}
    frames = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [(round(frame.get_x()), round(frame.get_y())) for frame in frames] == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]
    assert [to_hex(frame.get_edgecolor()) for frame in frames] == [
        CONDITION_COLOURS[name] for name in names
    ]


def test_whole_embedding_is_a_row_without_a_frame():
    accuracy = np.full((7, 6), 0.5)
    accuracy[5, 5] = 0.9
    matrix = LeakMatrix(3.0, (*CONCEPTS, "all"), CONCEPTS, accuracy, 0.5, "concept_triplets")
    (ax,) = leak_matrix(matrix).axes
    frames = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [to_hex(frame.get_edgecolor()) for frame in frames] == [*CONCEPT_COLOURS.values()]
    white = [text.get_position() for text in ax.texts if text.get_color() == "white"]
    assert white == [(5, 5)]
    shown = leak_figure(matrix)
    assert "whole embedding: genre 50.0" in shown.alt
    assert "own concept is the row's best in 1 of 6 subspaces; chance is 50.0 %" in shown.caption
