"""How many workers a night has, and what each of them reserves."""

import pytest

from csn.config.catalogue import EmbedderConfig
from csn.distributed.shards import SCOUTS, Fleet

MANY = 100 * SCOUTS


@pytest.mark.parametrize(
    ("asked", "nodes", "expected"),
    [
        ({}, [{"CPU": 2}], (2, 1, 0)),
        ({"cpus_per_worker": 3}, [{"CPU": 4}, {"CPU": 4}], (2, 3, 0)),
        # A head that works elsewhere; and CPUs that have no GPU beside them.
        ({"use_gpu": True}, [{}, {"CPU": 8}, {"CPU": 8, "GPU": 2}], (2, 4, 1)),
        ({"use_gpu": True}, [{"CPU": 16, "GPU": 1}, {"CPU": 4, "GPU": 1}], (2, 4, 1)),
        ({"num_workers": 1}, [{"CPU": 8}], (1, 1, 0)),
        ({"num_workers": 9}, [{"CPU": 2}], (2, 1, 0)),
        ({"num_workers": 9, "wait_for_nodes_s": 60}, [{"CPU": 2}], (9, 1, 0)),
    ],
)
def test_workers_are_counted_node_by_node(asked, nodes, expected):
    found = Fleet.of(EmbedderConfig(**asked), MANY, nodes)
    assert (found.num_workers, found.cpus, found.gpus) == expected


def test_few_tracks_need_few_workers():
    assert Fleet.of(EmbedderConfig(), SCOUTS + 1, [{"CPU": 8}]).num_workers == 2
