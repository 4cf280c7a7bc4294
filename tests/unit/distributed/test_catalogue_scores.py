import catalogue_files
import numpy as np
import pyarrow as pa
import pytest

from csn import recipes, storage
from csn.catalogue.snapshot import ModelNote, write_note
from csn.distributed.catalogue_scores import is_whole, segment_duration_s
from csn.model import checkpoint
from csn.model.network import build_network


def test_segments_that_overlap_or_are_short_take_no_part():
    starts = {0.0: 3.0, 3.0: 3.0, 4.2: 3.0, 6.0: 3.0, 7.5: 3.0, 9.0: 2.9}
    facts = pa.table(
        {
            "start_s": pa.array(starts.keys(), pa.float32()),
            "duration_s": pa.array(starts.values(), pa.float32()),
        }
    )
    assert is_whole(facts, 3.0).tolist() == [True, True, False, True, False, False]


def test_late_segments_of_a_length_that_is_not_whole_samples_take_part():
    length = round(0.30004 * 16_000) / 16_000
    starts = np.arange(5_000) * length
    facts = pa.table(
        {
            "start_s": starts.astype(np.float32),
            "duration_s": np.full(5_000, length, np.float32),
        }
    )
    assert is_whole(facts, 0.30004).all()


@pytest.mark.parametrize(("segments", "expected"), [({"duration_s": 2.5}, 2.5), ({}, None)])
def test_length_is_the_noted_one_or_the_networks(tmp_path, segments, expected):
    config = recipes.tiny()
    uri = storage.join(str(tmp_path), "checkpoint")
    checkpoint.save(uri, build_network(config), config)
    note = ModelNote("model", uri, {"drums": 4}, {}, "float32", "cosine", segments)
    write_note(str(tmp_path), note)
    snapshot = catalogue_files.snapshot_of((), {"drums": np.zeros((1, 4))}, checkpoint_uri=uri)
    found = segment_duration_s(str(tmp_path), snapshot)
    assert found == (expected or config.audio.segment_s)
