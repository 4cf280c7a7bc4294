"""Scores of triplets as `csn.evaluation.triplet_scores` writes them, from made-up tracks."""

import numpy as np
import pyarrow as pa

from csn.config import EvaluationConfig
from csn.evaluation.triplet_prediction import JudgedTriplet
from csn.evaluation.triplet_scores import concept_triplet_scores, human_triplet_scores
from csn.records import SCORE_SCHEMA, embedding_schema

NUM_TRACKS = 40
DIM = 2
SEGMENT_S = 3.0


def scores(conditions, *, seed=0, noise=0.7, baselines=True):
    """Score a network that hears each concept through `noise`, one that hears none, and a whole.

    People's triplets come from the true places of the tracks under all concepts; one of eight
    has a track that is not embedded.
    """
    rng = np.random.default_rng(7)
    true = {name: rng.normal(size=(NUM_TRACKS, DIM)) for name in conditions}
    whole = np.concatenate(list(true.values()), axis=1)
    human = [_triplet(rng, whole) for _ in range(140)]
    human += [JudgedTriplet(one.anchor, one.nearer, "absent") for one in human[:20]]
    by_concept = {name: [_triplet(rng, true[name]) for _ in range(200)] for name in conditions}
    rng = np.random.default_rng([seed, 1])
    systems = {"csn": noise}
    if baselines:
        systems |= {"untrained": 2.0, "mean_mel": 1.4}
    rows = []
    for system, blur in systems.items():
        heard = {c: x + rng.normal(0, blur, x.shape) for c, x in true.items()}
        if has_subspaces := system != "mean_mel":
            tables = {name: table(x) for name, x in heard.items()}
        else:
            tables = dict.fromkeys(heard, table(heard[conditions[0]]))
        asked = {
            "has_subspaces": has_subspaces,
            "system": system,
            "config": EvaluationConfig(num_resamples=100),
            "seed": seed,
        }
        rows += human_triplet_scores(tables, human, **asked).rows
        rows += concept_triplet_scores(tables, by_concept, **asked).rows
    return pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)


def _triplet(rng, places):
    anchor, one, other = rng.choice(NUM_TRACKS, 3, replace=False)
    near, far = (np.square(places[anchor] - places[n]).sum() for n in (one, other))
    names = (one, other) if near < far else (other, one)
    return JudgedTriplet(name_of(anchor), *(name_of(n) for n in names))


def name_of(number):
    return f"TRAAA{number:02d}128F0000000"


def table(vectors):
    rows = [
        {
            "track_id": name_of(number),
            "segment_index": 0,
            "start_s": 0.0,
            "duration_s": SEGMENT_S,
            "source": "mix",
            "focus": "",
            "focus_track_id": name_of(number),
            "backing_track_id": name_of(number),
            "sounds": True,
            "model_digest": "0",
            "vector": vector.astype(np.float32),
        }
        for number, vector in enumerate(vectors)
    ]
    return pa.Table.from_pylist(rows, schema=embedding_schema(vectors.shape[1]))
