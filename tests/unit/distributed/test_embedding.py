from dataclasses import replace

import numpy as np
import prepared_tracks

from csn import recipes
from csn.distributed.asked_split import asked_split
from csn.distributed.embedding import condition_table


def test_clips_of_concepts_give_all_their_segments_and_no_pseudo_mixes():
    made = recipes.ALL["tiny_ribecky2022"]()
    config = replace(made, evaluation=replace(made.evaluation, durations_s=(3.0, 10.0)))
    tracks = prepared_tracks.table(
        *[prepared_tracks.whole(f"TR{n}", 31.0, ["others"]) | {"split": "test"} for n in range(3)]
    )
    asked = asked_split(config, tracks)
    assert not asked.lacking
    mixes = asked.mixes
    assert set(mixes["source"].to_pylist()) == {"mix"}
    lengths = mixes["duration_s"].to_pylist()
    assert (lengths.count(3.0), lengths.count(10.0)) == (3 * 10, 3 * 3)


def test_every_concept_means_something_wherever_the_track_sounds():
    config = recipes.ALL["tiny_ribecky2022"]()
    tracks = prepared_tracks.table(
        *[prepared_tracks.whole(f"TR{n}", 6.0, ["others"]) | {"split": "test"} for n in range(2)]
    )
    mixes = asked_split(config, tracks).mixes
    vectors = np.arange(2.0 * len(mixes)).reshape(-1, 2)
    table = condition_table(mixes, vectors, "genre", "digest")
    assert set(table["sounds"].to_pylist()) == {True}
    means = table.filter(np.array(table["segment_index"].to_pylist()) == -1)
    assert means["track_id"].to_pylist() == ["TR0", "TR1"]
