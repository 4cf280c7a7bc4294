from dataclasses import replace

import numpy as np
import pytest

from csn import recipes
from csn.distributed.validation import Validation

# By direction those of a and of b lie apart; by distance the short ones are near, and the long
# ones: of the five nearest of each, three bear the other's name.
SHORT_AND_LONG = (1.0, 1.1, 1.2, 1_000.0, 1_100.0, 1_200.0)
VECTORS = np.array([[(x, 0.4 * x), (0.4 * x, x)] for x in SHORT_AND_LONG]).reshape(-1, 2)
NAMES = np.array(list("ab" * len(SHORT_AND_LONG)))
SOUNDS = np.ones(len(NAMES), dtype=bool)


@pytest.mark.parametrize(("recipe", "right"), [("hashizume2022", 1.0), ("hashizume2024", 0.0)])
def test_validation_ranks_by_the_distance_that_is_learnt(recipe, right):
    config = recipes.ALL[f"tiny_{recipe}"]()
    columns = {"source": np.array(["mix"] * len(NAMES)), "track_id": NAMES}
    found = Validation(config, None)._accuracy("music_id", "drums", VECTORS, SOUNDS, columns)
    assert found == right


@pytest.mark.parametrize(("distance", "right"), [("cosine", 1.0), ("euclid", 0.0)])
def test_pseudo_mixes_of_validation_are_ranked_so_too(distance, right):
    config = recipes.ALL["tiny_hashizume2024"]()
    config = replace(config, loss=replace(config.loss, distance=distance))
    columns = {
        "source": np.array(["pseudo_mix"] * len(NAMES)),
        "focus": np.array(["drums"] * len(NAMES)),
        "track_id": NAMES,
        "backing_track_id": np.array([f"of {place}" for place in range(len(NAMES))]),
    }
    asked = ("pseudo_mix_id", "drums", VECTORS, SOUNDS, columns)
    assert Validation(config, None)._accuracy(*asked) == right


@pytest.mark.parametrize("protocol", ["music_id", "pseudo_mix_id"])
def test_what_scores_are_asked_for_changes_no_validation(protocol):
    config = recipes.ALL["tiny_hashizume2024"]()
    config = replace(config, evaluation=replace(config.evaluation, k=1))
    columns = {
        "source": np.array(["mix" if protocol == "music_id" else "pseudo_mix"] * len(NAMES)),
        "focus": np.array(["drums"] * len(NAMES)),
        "track_id": NAMES,
        "backing_track_id": np.array([f"of {place}" for place in range(len(NAMES))]),
    }
    # Its nearest one alone would be right.
    found = Validation(config, None)._accuracy(protocol, "drums", VECTORS, SOUNDS, columns)
    assert found == 0.0
