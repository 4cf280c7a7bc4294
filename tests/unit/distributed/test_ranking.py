"""Which tracks of an index's answers are compared exactly."""

import numpy as np
import pyarrow as pa

from csn.distributed import ranking


def test_all_tracks_of_shards_that_were_not_coded_stay_beside_the_most_alike_of_the_others():
    alike = np.concatenate([np.full(30, np.inf), np.arange(50) / 50, np.full(40, np.inf)])
    candidates = pa.table({"track_id": [str(n) for n in range(120)], ranking.ALIKE: alike})
    found = ranking._first(candidates, 10)["track_id"].to_pylist()
    assert set(map(int, found)) == {*range(30), *range(70, 80), *range(80, 120)}
