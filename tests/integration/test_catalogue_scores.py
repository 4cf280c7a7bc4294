"""P1 of a catalogue by tasks on a real Ray, against all of its segments together."""

from dataclasses import replace

import catalogue_files
import numpy as np
import pytest

from csn import recipes, storage
from csn.config import CatalogueScoreConfig
from csn.errors import ConfigError
from csn.evaluation import music_id
from csn.model import checkpoint
from csn.model.network import build_network

CONFIG = CatalogueScoreConfig(catalogue="music", num_queries=None, num_resamples=10)


@pytest.fixture(scope="module")
def segments():
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 9, 25)
    tracks = np.repeat([f"t{n:02}" for n in range(25)], lengths)
    indices = np.concatenate([np.arange(n) for n in lengths])
    centres = np.repeat(rng.normal(size=(25, 6)), lengths, axis=0)
    return tracks, indices, (centres + rng.normal(size=centres.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def snapshot(segments, tmp_path_factory, local_ray):
    tracks, indices, vectors = segments
    folder = str(tmp_path_factory.mktemp("catalogue"))
    config = recipes.tiny()
    checkpoint.save(storage.join(folder, "checkpoint"), build_network(config), config)
    by_condition = {"drums": vectors, "bass": -vectors[::-1]}
    files = catalogue_files.write_shards(
        folder, by_condition, track_ids=tracks.tolist(), segments=indices.tolist()
    )
    return catalogue_files.snapshot_of(
        files, by_condition, checkpoint_uri=storage.join(folder, "checkpoint")
    )


def scored(snapshot, **options):
    from csn.distributed import catalogue_scores, cluster

    with cluster.joined():
        return catalogue_scores.scores_of(snapshot, replace(CONFIG, **options), 3.0).to_pylist()


def test_scores_are_those_of_all_segments_together(snapshot, segments, monkeypatch):
    from csn.distributed import shard_tasks

    monkeypatch.setattr(shard_tasks, "ROWS_PER_TASK", 1)
    tracks, _, vectors = segments
    drums, bass = scored(snapshot)
    assert drums["num_correct"] == music_id.accuracy(vectors, tracks).sum()
    assert bass["num_correct"] == music_id.accuracy(-vectors[::-1], tracks).sum()
    assert drums["num_queries"] == len(tracks)
    assert drums["num_ids"] == 25
    assert drums["low"] <= drums["accuracy"] <= drums["high"]


def test_a_sample_is_drawn_from_all_and_the_same_each_time(snapshot, segments):
    tracks, _, vectors = segments
    (first,) = scored(snapshot, num_queries=40, conditions=("drums",))
    (again,) = scored(snapshot, num_queries=40, conditions=("drums",))
    assert first == again
    assert first["num_queries"] == 40
    assert abs(first["accuracy"] - music_id.accuracy(vectors, tracks).mean()) < 0.25


def test_unknown_condition_is_refused(snapshot):
    with pytest.raises(ConfigError, match="names harp; music is embedded by drums, bass"):
        scored(snapshot, conditions=("harp",))
