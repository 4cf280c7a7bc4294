"""Networks of concepts the whole way, from a disk and from a real S3 server, and by the jobs."""

import subprocess
import sys
from dataclasses import replace

import pytest

from csn import recipes, storage
from csn.conditions import ALL, CONCEPTS
from csn.distributed import experiment
from csn.errors import CorpusError
from csn.paths import Paths

pytestmark = pytest.mark.slow

NAME = "tiny_ribecky2022_mel"
"""One branch: the least work; what the three make is tested without Ray."""


@pytest.fixture(scope="module")
def finished_concepts(tiny, local_ray):
    """Go the whole way on a disk."""
    config = replace(recipes.ALL[NAME](), root=tiny.root, name="concepts")
    experiment.train(config)
    return Paths(config)


def test_every_concept_is_scored_by_its_own_triplets_and_by_people_s(finished_concepts):
    scores = storage.read_table(finished_concepts.experiment("scores.parquet")).to_pylist()
    concept = {
        (row["condition"], row["focus"])
        for row in scores
        if row["protocol"] == "concept_triplets" and row["system"] == "csn"
    }
    assert {(c, c) for c in CONCEPTS} | {(ALL, c) for c in CONCEPTS} <= concept
    human = [
        row for row in scores if row["protocol"] == "human_triplets" and row["system"] == "csn"
    ]
    assert len(human) == 63
    assert all(row["num_queries"] > 0 and row["num_missing"] == 0 for row in human)
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in scores)


def test_validation_tells_of_each_concept_and_the_step_size_is_noted(finished_concepts):
    metrics = storage.read_table(finished_concepts.experiment("metrics.parquet")).to_pylist()
    for row in metrics:
        assert row["val/loss"] >= 0
        assert row["train/learning_rate"] > 0
        # Of few tracks not every concept has two that are alike.
        asked = [c for c in CONCEPTS if f"val/concept_triplets/{c}" in row]
        assert len(asked) >= 3
        of_each = [row[f"val/concept_triplets/{c}"] for c in asked]
        assert row["val/concept_triplets/mean"] == pytest.approx(sum(of_each) / len(asked))


def test_plan_is_read_again_and_nothing_is_done_twice(finished_concepts, snapshot):
    before = snapshot(finished_concepts.experiment())
    experiment.train(finished_concepts.config)
    assert snapshot(finished_concepts.experiment()) == before


def test_plan_that_cannot_be_drawn_says_so_and_nothing_else(finished_concepts):
    config = finished_concepts.config
    far = replace(config.triplets, track_share=1.0, min_gap_s=60.0)
    with pytest.raises(CorpusError) as caught:
        experiment.train(replace(config, name="far", triplets=far))
    assert str(caught.value).startswith("in 200 draws no track sounds in two segments")
    assert str(caught.value).endswith("or set --triplets.track_share 0")


def test_s3_gives_the_same_losses_and_scores(finished_concepts, object_store, s3_client):
    s3_client.create_bucket(Bucket="concepts")
    config = replace(finished_concepts.config, root="s3://concepts/root")
    experiment.train(config)
    on_s3 = Paths(config)
    for name in ("metrics.parquet", "scores.parquet", "triplets.parquet"):
        here, there = (storage.read_table(p.experiment(name)) for p in (finished_concepts, on_s3))
        timed = [c for c in here.column_names if c.endswith(("seconds", "waited_s", "busy_share"))]
        assert here.drop_columns(timed).equals(there.drop_columns(timed)), name


def test_network_of_instruments_is_refused_for_clips(tmp_path, repository, alone):
    options = ["demo", "--corpus.layout", "msd", "--root", str(tmp_path)]
    job = [sys.executable, "jobs/train.py", *options]
    done = subprocess.run(job, cwd=repository, env=alone, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "corpus.layout=msd with network.conditions=drums" in line
    assert list(tmp_path.iterdir()) == []
