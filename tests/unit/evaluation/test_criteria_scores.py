import numpy as np
import pyarrow as pa
import pytest

from csn.evaluation.criteria import Distances
from csn.evaluation.criteria_scores import (
    criteria_distances,
    criteria_rows,
    criteria_table,
    mean_criteria,
    mix_criterion,
)
from csn.records import CRITERIA_SCHEMA, embedding_schema


def table_of(places, *, silent=()):
    """One segment a track, at `places` on a line."""
    rows = [
        {
            "track_id": track,
            "segment_index": 0,
            "start_s": 0.0,
            "duration_s": 3.0,
            "source": "mix",
            "focus": "",
            "focus_track_id": track,
            "backing_track_id": track,
            "sounds": track not in silent,
            "model_digest": "0",
            "vector": [float(place)],
        }
        for track, place in places.items()
    ]
    return pa.Table.from_pylist(rows, schema=embedding_schema(1))


def rows_of(tables, **asked):
    distances, messages = criteria_distances(
        tables, duration_s=3.0, metric=asked.pop("metric", "euclidean")
    )
    assert messages == asked.pop("expected", [])
    return criteria_rows(distances, seed=4)


DRUMS = {"a": 0, "b": 1, "c": 3, "d": 7}


def test_the_mix_is_the_network_of_its_own_or_the_whole_embedding():
    assert mix_criterion(("drums", "mix", "bass")) == "mix"
    assert mix_criterion(("drums", "bass")) == "all"


def test_every_pair_is_compared_and_instruments_are_ranked_by_the_mix():
    found = rows_of({"mix": table_of(DRUMS), "drums": table_of(DRUMS), "bass": table_of(DRUMS)})
    assert found.messages == []
    keys = [(r["kind"], r["a"], r["b"], r["rank"]) for r in found.rows]
    assert keys[:2] == [("pearson", "drums", "bass", None), ("spearman", "drums", "bass", None)]
    assert keys[4:7] == [("reciprocal_rank", "drums", "mix", place) for place in (1, 2, 3)]
    assert len(keys) == 3 * 2 + 2 * 3
    assert [r["value"] for r in found.rows[4:7]] == pytest.approx([1, 1 / 2, 1 / 3])
    assert {(r["seed"], r["num_tracks"]) for r in found.rows} == {(4, 4)}


def test_pairs_share_the_tracks_in_which_both_sound():
    places = DRUMS | {"e": 20}
    drums, bass = table_of(places, silent=("e",)), table_of(places, silent=("a",))
    distances, _ = criteria_distances(
        {"drums": drums, "bass": bass}, duration_s=3.0, metric="euclidean"
    )
    assert list(distances) == ["drums", "bass", "all"]
    assert len(distances["all"].ids) == 5  # one of the two sounds in each
    assert distances["all"].matrix[0, 1] == pytest.approx(np.sqrt(2))
    found = criteria_rows(distances, seed=0)
    numbers = {(r["a"], r["b"]): r["num_tracks"] for r in found.rows}
    assert numbers == {("drums", "bass"): 3, ("drums", "all"): 4, ("bass", "all"): 4}


def test_too_few_tracks_are_a_message_and_no_failure():
    few = table_of({"a": 0, "b": 1})
    expected = [
        f"criterion of {name} at 3 s: 2 track(s) found, at least 3 needed to compare distances "
        "(use a split with more tracks in which the part sounds)"
        for name in ("drums", "all")
    ]
    assert rows_of({"drums": few}, expected=expected).rows == []
    three = table_of({"a": 0, "b": 1, "c": 3})
    found = rows_of({"drums": three})
    assert [r["kind"] for r in found.rows] == ["pearson", "spearman"]
    assert found.messages[0].startswith("criteria of drums and all: a track has 2 others")


def test_rows_become_a_table():
    table = criteria_table(rows_of({"drums": table_of(DRUMS)}).rows)
    assert table.schema.equals(CRITERIA_SCHEMA)
    assert table["rank"].to_pylist() == [None, None, 1, 2, 3]


def test_distances_of_several_seeds_are_averaged_before_they_are_compared():
    ids = np.arange(3)

    def run(scale):
        matrix = np.array([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]]) * scale
        return {"drums": Distances(ids, matrix), "all": Distances(ids, matrix)}

    first, second = run(1.0), run(2.0)
    del second["drums"]
    means, messages = mean_criteria([first, run(3.0)])
    np.testing.assert_allclose(means["drums"].matrix[0], [0.0, 2.0, 4.0])
    assert messages == []
    means, messages = mean_criteria([first, second])
    assert list(means) == ["all"]
    assert messages == [
        "criterion of drums: 1 of 2 seeds have it, all needed for a mean (see what the others' "
        "reports say)"
    ]
    means, messages = mean_criteria([first, {"drums": Distances(ids + 1, first["drums"].matrix)}])
    assert means == {}
    assert "criterion of drums, averaged over seeds: 3 and 3 tracks found" in messages[0]
