import numpy as np
import pyarrow as pa
import pytest

from csn.config import EvaluationConfig
from csn.errors import ProtocolError
from csn.evaluation.presence_scores import gated_recovered, gated_scores, presence_scores
from csn.evaluation.scores import music_id_scores, pseudo_mix_id_scores, score_table
from csn.records import SCORE_SCHEMA, embedding_schema

CONFIG = EvaluationConfig(k=1, num_resamples=50, durations_s=(3.0,))
ASKED = {"system": "csn", "config": CONFIG, "seed": 0}
THRESHOLDS = {"drums": 1.0}


def tables_of(segments, source="mix"):
    """Drums of segments (focused track, backing track, place on a line, sounds)."""
    rows = [
        {
            "track_id": a,
            "segment_index": index,
            "start_s": 3.0 * index,
            "duration_s": 3.0,
            "source": source,
            "focus": "" if source == "mix" else "drums",
            "focus_track_id": a,
            "backing_track_id": b,
            "sounds": sounds,
            "model_digest": "0",
            "vector": [float(place), 0.0],
        }
        for index, (a, b, place, sounds) in enumerate(segments)
    ]
    return {"drums": pa.Table.from_pylist(rows, schema=embedding_schema(2))}


# By norm: a at 3 and 4, b at -3 and -4; the silent one of b lies between, and is not heard.
TOLD = tables_of(
    [
        ("a", "a", 3.0, True),
        ("a", "a", 4.0, True),
        ("b", "b", -3.0, True),
        ("b", "b", -4.0, True),
        ("b", "b", 0.1, False),
    ]
)


def test_presence_told_by_every_norm_is_one():
    (row,) = presence_scores(TOLD, THRESHOLDS, **ASKED).rows
    assert (row["protocol"], row["condition"], row["focus"]) == ("presence", "drums", "drums")
    assert (row["accuracy"], row["low"], row["high"], row["chance"]) == (1.0, 1.0, 1.0, 0.5)
    assert (row["num_queries"], row["num_correct"], row["num_ids"], row["k"]) == (5, 5, 2, None)
    assert score_table([row]).schema.equals(SCORE_SCHEMA)


def test_presence_of_a_part_that_always_sounds_is_a_message():
    tables = tables_of([("a", "a", 3, True), ("b", "b", 3, True)])
    with pytest.raises(ProtocolError, match=r"presence of drums at 3 s.* 2 sounding and 0 silent"):
        presence_scores(tables, THRESHOLDS, **ASKED)


def test_gate_that_hears_all_that_sounds_changes_no_score():
    gated = gated_scores("music_id", TOLD, THRESHOLDS, **ASKED).rows[0]
    plain = music_id_scores(TOLD, **ASKED).rows[0]
    assert gated["protocol"] == "music_id_gated"
    assert (gated["map_at_r"], gated["r_precision"]) == (None, None)
    same = set(gated) - {"protocol", "low", "high", "map_at_r", "r_precision"}
    assert {key: gated[key] for key in same} == {key: plain[key] for key in same}


def test_gate_is_shut_for_pseudo_mixes_that_are_not_heard():
    segments = [("a", "a", 3.0, True), ("a", "b", 3.1, True), ("a", "c", 0.5, True)]
    segments += [("b", "b", -3.0, True), ("b", "a", -3.1, True)]
    tables = tables_of(segments, "pseudo_mix")
    (gated,) = gated_scores("pseudo_mix_id", tables, THRESHOLDS, **ASKED).rows
    (plain,) = pseudo_mix_id_scores(tables, **ASKED).rows
    assert gated["protocol"] == "pseudo_mix_id_gated"
    assert (plain["num_correct"], gated["num_correct"]) == (5, 4)
    assert gated["num_queries"] == 5


def test_too_few_heard_neighbours_vote_all_the_same():
    # a is alone in its group of three heard; k = 5 asks both others. Those of b ask a alone.
    vectors, labels = np.array([[1.0], [2], [3], [9]]), np.array(list("aabb"))
    heard = np.array([True, True, True, False])
    found = gated_recovered(vectors, labels, np.array([0, 1, 1, 2]), heard, k=5)
    assert found.tolist() == [True, True, False, False]
    alone = np.array([True, False, False, False])
    assert not gated_recovered(vectors, labels, np.arange(4), alone, k=1).any()


def test_nothing_heard_is_nothing_right():
    nothing = np.zeros(4, dtype=bool)
    found = gated_recovered(np.eye(4), np.array(list("aabb")), np.arange(4), nothing, k=1)
    assert not found.any()


def test_gate_looks_at_raw_lengths_and_ranks_by_cosine():
    # By direction 0 and 2 are alike, and 1 and 3; by distance 0 and 1, and 2 and 3.
    vectors = np.array([[1.0, 0.4], [0.4, 1.0], [9.0, 3.7], [3.7, 9.0]])
    labels, heard = np.array(list("abab")), np.ones(4, dtype=bool)
    groups = np.arange(4)
    assert gated_recovered(vectors, labels, groups, heard, k=1, metric="cosine").all()
    assert not gated_recovered(vectors, labels, groups, heard, k=1).any()
    tables = tables_of([("a", "a", 2.0, True), ("a", "a", 9.0, True), ("b", "b", -0.5, True)])
    (row,) = gated_scores("music_id", tables, THRESHOLDS, **ASKED, metric="cosine").rows
    assert row["num_correct"] == 2  # b is not heard, however it points
    with_zero = tables_of([("a", "a", 2.0, True), ("a", "a", 3.0, True), ("b", "b", 0.0, True)])
    assert gated_scores("music_id", with_zero, THRESHOLDS, **ASKED, metric="cosine").rows
