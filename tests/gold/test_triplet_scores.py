"""[R22] Section 4 from embedding tables to rows of scores: few triplets, worked by hand."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pytest

from csn.config import AudioConfig, EvaluationConfig, SimilarityConfig
from csn.evaluation.triplet_prediction import JudgedTriplet
from csn.evaluation.triplet_scores import (
    concept_triplet_scores,
    concept_triplets,
    human_triplet_scores,
    human_triplets,
)
from csn.records import TRACK_SCHEMA, Judgement, embedding_schema

CONFIG = EvaluationConfig(durations_s=(3.0,), num_resamples=50)
ASKED = {"system": "csn", "config": CONFIG, "seed": 0}
# Segments of 3 s, one dimension a concept. Means of genre: a 0, b 1, c 4, d 5.
GENRE = {"a": (-1.0, 1.0), "b": (1.0,), "c": (4.0, 4.0, 4.0), "d": (5.0,)}
# Means of tempo: a 0, b 4, c 1, d 0.
TEMPO = {"a": (0.0, 0.0), "b": (4.0,), "c": (0.0, 2.0, 1.0), "d": (0.0,)}
TRIPLETS = [
    # Genre: 1 < 16. Tempo: 16 > 1. Together: 17 = 17, a tie, which is wrong.
    JudgedTriplet("a", "b", "c"),
    # Genre: 9 < 16. Tempo: 9 < 16. Together: 18 < 32.
    JudgedTriplet("b", "c", "d"),
    # Genre: 25 > 16. Tempo: 0 < 1. Together: 25 > 17.
    JudgedTriplet("a", "d", "c"),
    # e is not embedded.
    JudgedTriplet("a", "e", "c"),
]


def embedded(vectors: Mapping[str, Sequence[float]], *, duration_s: float = 3.0) -> pa.Table:
    rows = [
        {
            "track_id": track,
            "segment_index": index,
            "start_s": index * duration_s,
            "duration_s": duration_s,
            "source": "mix",
            "focus": "",
            "focus_track_id": track,
            "backing_track_id": track,
            "sounds": True,
            "model_digest": "0",
            "vector": [value],
        }
        for track, values in vectors.items()
        for index, value in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=embedding_schema(1))


def tables():
    """Tables of 3 s segments, with longer ones among them that must not count."""
    longer = embedded({"a": (90.0,), "d": (-90.0,)}, duration_s=10.0)
    return {
        name: pa.concat_tables([embedded(vectors), longer])
        for name, vectors in (("genre", GENRE), ("tempo", TEMPO))
    }


def test_people_s_triplets_of_every_subset():
    found = human_triplet_scores(tables(), TRIPLETS, has_subspaces=True, **ASKED)
    assert [
        (row["condition"], row["num_correct"], row["num_queries"], row["num_missing"])
        for row in found.rows
    ] == [("genre", 2, 3, 1), ("tempo", 2, 3, 1), ("all", 1, 3, 1)]
    whole = found.rows[-1]
    assert (whole["focus"], whole["num_ids"], whole["chance"]) == ("human", 4, 0.5)
    assert whole["accuracy"] == pytest.approx(1 / 3)
    # 1/3 ± 1.96 sqrt(1/3 * 2/3 / 2) = 1/3 ± 1.96 / 3, which ends at 0.
    assert (whole["low"], whole["high"]) == (0.0, pytest.approx((1 + 1.96) / 3))
    assert found.messages[0].startswith("human_triplets: 1 of 4 are not asked, as 1 of their")


def test_a_system_without_subspaces_is_asked_as_a_whole():
    same = dict.fromkeys(("genre", "tempo"), embedded(GENRE))
    found = human_triplet_scores(same, TRIPLETS, has_subspaces=False, **ASKED)
    assert [(row["condition"], row["num_correct"]) for row in found.rows] == [("all", 2)]
    by_concept = {"tempo": TRIPLETS}
    found = concept_triplet_scores(same, by_concept, has_subspaces=False, **ASKED)
    assert [(row["condition"], row["focus"], row["num_correct"]) for row in found.rows] == [
        ("all", "tempo", 2)
    ]


def test_triplets_of_concepts_are_asked_of_every_subspace():
    by_concept = {"genre": TRIPLETS[:2], "tempo": TRIPLETS[1:]}
    found = concept_triplet_scores(tables(), by_concept, has_subspaces=True, **ASKED)
    assert {
        (row["condition"], row["focus"]): (row["num_correct"], row["num_queries"])
        for row in found.rows
    } == {
        ("genre", "genre"): (2, 2),
        ("tempo", "genre"): (1, 2),
        ("all", "genre"): (1, 2),
        ("genre", "tempo"): (1, 2),
        ("tempo", "tempo"): (2, 2),
        ("all", "tempo"): (1, 2),
    }
    own = found.rows[0]
    assert (own["k"], own["chance"], own["num_ids"], own["num_missing"]) == (None, 0.5, 4, 0)
    # Anchors are resampled: where all answers are right, no draw has another share.
    assert (own["low"], own["high"]) == (1.0, 1.0)


def test_the_song_with_more_votes_is_the_nearer():
    judgements = [
        Judgement("1", "a", ("b", "c"), (9, 1)),
        Judgement("2", "a", ("b", "c"), (0, 1)),
        Judgement("3", "a", ("b", "c"), (8, 2)),
        Judgement("4", "a", ("b", "c"), (5, 5)),
        Judgement("5", "a", ("b", "c"), (0, 0)),
    ]
    triplets, messages = human_triplets(judgements, CONFIG)
    assert triplets == [JudgedTriplet("a", "b", "c"), JudgedTriplet("a", "c", "b")]
    assert messages == [
        "human_triplets: 3 of 5 are left out: 1 have fewer than 1 votes, 1 are ties, "
        "1 have less than 90 % agreement"
    ]
    lenient = EvaluationConfig(min_agreement=0.5, min_votes=2)
    assert len(human_triplets(judgements, lenient)[0]) == 2


def test_triplets_that_no_person_judged_are_said():
    triplets, messages = human_triplets(
        [Judgement("generated-1", "a", ("b", "c"), (1, 0))], CONFIG
    )
    assert len(triplets) == 1
    assert messages == [
        "human_triplets: 1 of 1 are of our own making, from what is known of composed tracks; no "
        "person judged them"
    ]


def test_three_recordings_leave_no_choice():
    rows = [
        {
            "track_id": name,
            "split": "test",
            "level_db_others": [-20.0] * 24,
            "tags": [tag],
            "tag_strengths": [100.0],
            "tempo_bpm": tempo_bpm,
        }
        for name, tag, tempo_bpm in (
            ("a", "rock", 100.0),
            ("b", "rock", 90.0),
            ("c", "jazz", 51.0),
        )
    ]
    tracks = pa.Table.from_pylist(rows, schema=TRACK_SCHEMA)
    options = {"audio": AudioConfig(), "similarity": SimilarityConfig(), "num": 5, "seed": 0}
    drawn, messages = concept_triplets(tracks, ("genre", "tempo", "key"), **options)
    # a and b are both of rock; twice c's tempo is within 5 BPM of a's alone.
    assert set(drawn["genre"]) <= {JudgedTriplet("a", "b", "c"), JudgedTriplet("b", "a", "c")}
    assert set(drawn["tempo"]) <= {JudgedTriplet("a", "c", "b"), JudgedTriplet("c", "a", "b")}
    assert list(drawn) == ["genre", "tempo"]
    assert messages[0].startswith("concept_triplets: condition key: known of 0 of 3")
