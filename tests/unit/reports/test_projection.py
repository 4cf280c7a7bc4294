import numpy as np
import pytest

from csn.reports.projection import choose_tracks, project


def groups(num_tracks=3, size=15, dim=6):
    """Tight groups of vectors, one a track."""
    rng = np.random.default_rng(0)
    centres = 10 * rng.normal(size=(num_tracks, dim))
    ids = [f"t{track}" for track in range(num_tracks) for _ in range(size)]
    return np.repeat(centres, size, axis=0) + rng.normal(size=(len(ids), dim)), ids


def test_tracks_that_sound_in_every_subspace_are_chosen_first():
    ids = {"drums": ["a", "b", "c", "a"], "bass": ["c", "d", "a"]}
    assert choose_tracks(ids, seed=0, max_tracks=2) == ("a", "c")
    assert choose_tracks(ids, seed=0) == ("a", "b", "c", "d")


def test_choice_of_tracks_follows_the_seed():
    ids = {"drums": [f"t{number}" for number in range(50)]}
    assert choose_tracks(ids, seed=1) == choose_tracks(ids, seed=1)
    assert choose_tracks(ids, seed=1) != choose_tracks(ids, seed=2)


def test_segments_of_a_track_lie_together():
    vectors, ids = groups()
    points = project(vectors, ids, ("t0", "t1", "t2"), seed=0)
    centres = np.array(
        [points.positions[points.track_places == place].mean(axis=0) for place in range(3)]
    )
    nearest = np.linalg.norm(points.positions[:, None] - centres, axis=2).argmin(axis=1)
    assert np.array_equal(nearest, points.track_places)


def test_projection_repeats_and_keeps_to_its_limit_and_tracks():
    vectors, ids = groups()
    first, second = (project(vectors, ids, ("t0", "t2"), seed=3, max_points=12) for _ in range(2))
    assert np.array_equal(first.positions, second.positions)
    assert np.bincount(first.track_places).tolist() == [6, 6]
    rows_of_t1 = slice(15, 30)
    moved = vectors.copy()
    moved[rows_of_t1] = 1e6
    third = project(moved, ids, ("t0", "t2"), seed=3, max_points=12)
    assert np.array_equal(first.positions, third.positions)


def test_vectors_that_are_not_numbers_are_left_out():
    vectors, ids = groups()
    vectors[0, 0] = np.nan
    vectors[-1, 2] = np.inf
    points = project(vectors, np.array(ids), ("t0", "t1", "t2"), seed=0)
    assert np.bincount(points.track_places).tolist() == [14, 15, 14]
    assert np.isfinite(points.positions).all()


def test_one_dimension_can_be_laid_out():
    vectors, ids = groups(dim=1)
    assert np.isfinite(project(vectors, ids, ("t0", "t1", "t2"), seed=0).positions).all()


@pytest.mark.parametrize(
    ("vectors", "ids"),
    [
        (np.zeros((0, 4)), []),
        (np.eye(3), ["t0", "t1", "t0"]),
        (np.ones((20, 4)), ["t0", "t1"] * 10),
        (np.eye(20), ["unknown"] * 20),
    ],
    ids=["none", "few", "all the same", "other tracks"],
)
def test_nothing_to_arrange_gives_no_points(vectors, ids):
    points = project(vectors, ids, ("t0", "t1"), seed=0)
    assert points.positions.shape == (0, 2)
