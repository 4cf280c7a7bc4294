from dataclasses import replace

import made_up_triplets
import numpy as np
import pyarrow as pa
import pytest

from csn import recipes, storage
from csn.conditions import CONCEPTS
from csn.distributed.progress import Stages
from csn.distributed.scoring import score, triplet_questions
from csn.errors import CorpusError
from csn.paths import Paths
from csn.records import TRACK_SCHEMA

HEADER = "triplet_id,anchor_id,song1_id,song2_id,song1_vote,song2_vote"
NUM_TRACKS = 12


@pytest.fixture
def config(tmp_path):
    made = recipes.ALL["tiny_ribecky2022"]()
    corpus = replace(made.corpus, uri=str(tmp_path / "corpus"))
    evaluation = replace(made.evaluation, split="test", num_concept_triplets=20)
    return replace(made, root=str(tmp_path), corpus=corpus, evaluation=evaluation)


def prepared():
    """Tracks of which all but the key is known, and one of another split."""
    rows = [
        {
            "track_id": made_up_triplets.name_of(number),
            "split": "train" if number == 0 else "test",
            "level_db_others": [-20.0] * 48,
            "tags": [("rock", "jazz")[number % 2], ("happy", "sad")[number // 2 % 2]],
            "tag_strengths": [100.0, 100.0],
            "tempo_bpm": 61.0 + 7 * number,
        }
        for number in range(NUM_TRACKS)
    ]
    return pa.Table.from_pylist(rows, schema=TRACK_SCHEMA)


def embedded(config, folder):
    """Embeddings of all prepared tracks but the first, on disk."""
    rng = np.random.default_rng(0)
    uris = {}
    for system in ("csn", "mean_mel"):
        uris[system] = str(folder / system)
        shared = rng.normal(size=(NUM_TRACKS, 4))
        for concept in config.network.conditions:
            vectors = shared if system == "mean_mel" else rng.normal(size=(NUM_TRACKS, 4))
            uri = storage.join(uris[system], f"condition={concept}", "part-00000.parquet")
            storage.write_table(uri, made_up_triplets.table(vectors).slice(1))
    return uris


def write_triplets(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{place},{','.join(map(str, row))}" for place, row in enumerate(rows)]
    path.write_text("\n".join([HEADER, *lines]) + "\n")


def test_concepts_are_asked_triplets_and_nothing_of_instruments(config, tmp_path):
    a, b, c, absent = (made_up_triplets.name_of(number) for number in (1, 2, 3, 0))
    triplets = tmp_path / "corpus" / "dim-sim" / "clean-dim-sim.csv"
    write_triplets(triplets, (a, b, c, 1, 0), (b, c, a, 0, 1), (a, absent, c, 1, 0))
    uris = embedded(config, tmp_path)
    score(config, uris, prepared(), Stages(str(tmp_path / "stages.json")))
    paths = Paths(config)
    rows = storage.read_table(paths.experiment("scores.parquet")).to_pylist()
    asked = [(row["system"], row["protocol"]) for row in rows]
    assert asked.count(("csn", "human_triplets")) == 63
    assert asked.count(("mean_mel", "human_triplets")) == 1
    assert {protocol for _, protocol in asked} == {"human_triplets", "concept_triplets"}
    assert {row["num_missing"] for row in rows if row["focus"] == "human"} == {1}
    assert {row["num_queries"] for row in rows if row["focus"] == "human"} == {2}
    found = {
        (row["condition"], row["focus"])
        for row in rows
        if (row["system"], row["protocol"]) == ("csn", "concept_triplets")
    }
    drawn = ("genre", "mood", "tempo")
    assert found == {(one, other) for one in (*CONCEPTS, "all") for other in drawn}
    warnings = "\n".join(storage.read_json(paths.experiment("warnings.json")))
    assert "condition key: known of 0 of 11" in warnings
    assert "human_triplets: 1 of 3 are not asked" in warnings
    assert storage.read_table(paths.experiment("criteria.parquet")).num_rows == 0


def test_a_corpus_without_human_triplets_says_so_and_scores_the_rest(config, tmp_path):
    uris = embedded(config, tmp_path)
    score(config, uris, prepared(), Stages(str(tmp_path / "stages.json")))
    paths = Paths(config)
    rows = storage.read_table(paths.experiment("scores.parquet")).to_pylist()
    assert {row["protocol"] for row in rows} == {"concept_triplets"}
    (told, *_) = storage.read_json(paths.experiment("warnings.json"))
    assert told.startswith(f"no human triplets at {tmp_path}/corpus/dim-sim/clean-dim-sim.csv")


def test_triplets_that_cannot_be_read_are_refused_before_training(config, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("one,two\n1,2\n")
    named = replace(config, evaluation=replace(config.evaluation, triplets_uri=str(path)))
    with pytest.raises(CorpusError, match=r"mine\.csv"):
        triplet_questions(named, prepared())


def test_instruments_are_asked_no_triplets():
    questions = triplet_questions(recipes.tiny(), prepared())
    assert not questions.human
    assert not questions.by_concept


def test_triplets_that_are_named_and_not_there_are_refused_before_training(config, tmp_path):
    evaluation = replace(config.evaluation, triplets_uri=str(tmp_path / "mistyped.csv"))
    with pytest.raises(CorpusError, match=r"triplets_uri=.*mistyped\.csv: no such file"):
        triplet_questions(replace(config, evaluation=evaluation), prepared())
