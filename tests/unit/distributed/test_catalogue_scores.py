import pyarrow as pa

from csn.distributed.catalogue_scores import is_whole


def test_segments_that_overlap_or_are_short_take_no_part():
    starts = {0.0: 3.0, 3.0: 3.0, 4.2: 3.0, 6.0: 3.0, 7.5: 3.0, 9.0: 2.9}
    facts = pa.table(
        {
            "start_s": pa.array(starts.keys(), pa.float32()),
            "duration_s": pa.array(starts.values(), pa.float32()),
        }
    )
    assert is_whole(facts, 3.0).tolist() == [True, True, False, True, False, False]
