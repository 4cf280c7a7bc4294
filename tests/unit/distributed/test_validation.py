from dataclasses import replace

import numpy as np
import pytest

from csn import recipes
from csn.distributed.validation import Validation


@pytest.mark.parametrize(("recipe", "right"), [("hashizume2022", 1.0), ("hashizume2024", 0.0)])
def test_validation_ranks_by_the_distance_that_is_learnt(recipe, right):
    config = recipes.ALL[f"tiny_{recipe}"]()
    config = replace(config, evaluation=replace(config.evaluation, k=1))
    # By direction a and b lie apart; by distance the short ones are near, and the long ones.
    a, b = np.array([1.0, 0.4]), np.array([0.4, 1.0])
    vectors = np.stack([a, b, 1000 * a, 1000 * b])
    columns = {"source": np.array(["mix"] * 4), "track_id": np.array(list("abab"))}
    sounds = np.ones(4, dtype=bool)
    found = Validation(config, None)._accuracy("music_id", "drums", vectors, sounds, columns)
    assert found == right


def test_pseudo_mixes_of_validation_are_ranked_so_too():
    config = recipes.ALL["tiny_hashizume2024"]()
    config = replace(
        config,
        evaluation=replace(config.evaluation, k=1),
        loss=replace(config.loss, distance="cosine"),
    )
    a, b = np.array([1.0, 0.4]), np.array([0.4, 1.0])
    columns = {
        "source": np.array(["pseudo_mix"] * 4),
        "focus": np.array(["drums"] * 4),
        "track_id": np.array(list("abab")),
        "backing_track_id": np.array(list("ccdd")),
    }
    vectors, sounds = np.stack([a, b, 1000 * a, 1000 * b]), np.ones(4, dtype=bool)
    asked = ("pseudo_mix_id", "drums", vectors, sounds, columns)
    assert Validation(config, None)._accuracy(*asked) == 1.0
