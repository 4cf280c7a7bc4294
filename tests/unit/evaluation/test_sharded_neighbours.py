import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from csn.errors import ProtocolError
from csn.evaluation import music_id
from csn.evaluation.sharded_neighbours import in_shard, nearer, recovered_by
from csn.evaluation.top_k import NOBODY, SubspaceRows

K = 5


def found_in_shards(vectors, tracks, indices, shards, queries):
    best = None
    for shard in np.unique(shards):
        rows = np.flatnonzero(shards == shard)
        places = {row: place for place, row in enumerate(rows)}
        own = np.array([places.get(query, NOBODY) for query in queries])
        here = in_shard(
            vectors[queries],
            SubspaceRows.of([vectors[rows]]),
            tracks[rows].tolist(),
            indices[rows],
            K,
            own,
        )
        best = here if best is None else nearer(best, here)
    return best


def catalogue(seed, num_tracks=30, rounded=False):
    """Segments in the order of their keys, and a shard for each track."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, num_tracks)
    tracks = np.repeat([f"t{n:03}" for n in range(num_tracks)], lengths)
    indices = np.concatenate([np.arange(n) for n in lengths])
    centres = np.repeat(rng.normal(size=(num_tracks, 4)), lengths, axis=0)
    vectors = centres + rng.normal(size=(len(tracks), 4))
    vectors = (np.round(vectors) if rounded else vectors).astype(np.float32)
    shards = np.repeat(rng.integers(0, 4, num_tracks), lengths)
    return vectors, tracks, indices, shards


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_shards_give_what_all_segments_together_give(seed, rounded):
    vectors, tracks, indices, shards = catalogue(seed, rounded=rounded)  # rounded: many ties
    queries = np.arange(len(tracks))
    found = found_in_shards(vectors, tracks, indices, shards, queries)
    whole = music_id.accuracy(vectors, tracks, K)
    np.testing.assert_array_equal(recovered_by(found, tracks), whole)


def test_a_sample_of_queries_is_answered_as_by_scikit_learn():
    vectors, tracks, indices, shards = catalogue(7)
    queries = np.random.default_rng(0).choice(len(tracks), 20, replace=False)
    found = found_in_shards(vectors, tracks, indices, shards, queries)
    answers = recovered_by(found, tracks[queries])
    for query, answer in zip(queries, answers, strict=True):
        others = np.delete(np.arange(len(tracks)), query)
        classifier = KNeighborsClassifier(K, algorithm="brute").fit(
            vectors[others], tracks[others]
        )
        assert (classifier.predict(vectors[query][None])[0] == tracks[query]) == answer


def test_too_few_others_are_refused():
    vectors, tracks, indices, shards = catalogue(0, num_tracks=1)
    found = found_in_shards(vectors[:3], tracks[:3], indices[:3], shards[:3], np.arange(3))
    with pytest.raises(ProtocolError, match="3 of 3 segments have fewer than k=5 others"):
        recovered_by(found, tracks[:3])
    same = np.array(["t"] * 8)
    found = found_in_shards(
        np.ones((8, 2), np.float32), same, np.arange(8), np.zeros(8, int), np.arange(8)
    )
    with pytest.raises(ProtocolError, match="all segments are of one track"):
        recovered_by(found, same)
