import pytest

from csn.config import WorkerConfig
from csn.distributed.cluster import shortage

TWO_OF_4 = [{"CPU": 4.0, "memory": 2.0**34}] * 2


@pytest.mark.parametrize(
    ("workers", "nodes"),
    [
        ({}, [{"CPU": 2.0}]),
        ({"num_train_workers": 2, "cpus_per_train_worker": 3}, TWO_OF_4),
        ({"num_train_workers": 7, "min_train_workers": 1}, TWO_OF_4),
        ({"use_gpu": True}, [{"CPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}]),
        # The head of a cluster that works elsewhere.
        ({"cpus_per_train_worker": 3}, [{}, {"CPU": 4.0}]),
    ],
)
def test_training_that_nodes_can_hold_lacks_nothing(workers, nodes):
    assert not shortage(WorkerConfig(**workers), nodes)


@pytest.mark.parametrize(
    ("workers", "nodes", "said"),
    [
        (
            {"num_train_workers": 8},
            TWO_OF_4,
            "8 train workers x 1 CPUs + 1 to render = 9 CPUs, the cluster has 8 CPUs, 0 GPUs, 32 "
            "GiB of memory; lower --workers.cpus_per_train_worker or --workers.num_train_workers",
        ),
        (
            {"num_train_workers": 9, "min_train_workers": 8},
            TWO_OF_4,
            "8 train workers x 1 CPUs + 1 to render = 9 CPUs, the cluster has 8 CPUs, 0 GPUs, 32 "
            "GiB of memory; lower --workers.cpus_per_train_worker or --workers.min_train_workers",
        ),
        (
            {"use_gpu": True, "num_train_workers": 2},
            [{"CPU": 8.0, "GPU": 1.0}],
            "workers.num_train_workers=2 with workers.use_gpu needs 2 GPUs, the cluster has "
            "8 CPUs, 1 GPUs, 0 GiB of memory; lower it, or set --workers.use_gpu False",
        ),
        (
            {"cpus_per_train_worker": 5},
            TWO_OF_4,
            "1 train workers, each of 5 CPU of one node, the nodes have 4 CPU and 0 GPU, 4 CPU "
            "and 0 GPU: room for 0; lower --workers.cpus_per_train_worker or "
            "--workers.num_train_workers",
        ),
        (
            {"use_gpu": True, "cpus_per_train_worker": 4},
            [{"CPU": 8.0}, {"CPU": 2.0, "GPU": 2.0}],
            "1 train workers, each of 4 CPU and 1 GPU of one node, the nodes have 8 CPU and 0 "
            "GPU, 2 CPU and 2 GPU: room for 0",
        ),
        (
            {"num_train_workers": 9, "min_train_workers": 7},
            TWO_OF_4,
            "8 train workers, each of 1 CPU, leave no node 1 CPU to render: the nodes have 4 CPU "
            "and 0 GPU, 4 CPU and 0 GPU; lower --workers.cpus_per_train_worker or "
            "--workers.num_train_workers",
        ),
        (
            {"num_train_workers": 2, "cpus_per_train_worker": 3.5},
            TWO_OF_4,
            "2 train workers, each of 3.5 CPU, leave no node 1 CPU to render",
        ),
    ],
)
def test_what_a_training_lacks_is_said_with_the_arithmetic(workers, nodes, said):
    assert shortage(WorkerConfig(**workers), nodes).startswith(said)


def test_trainings_that_run_at_a_time_need_so_many_times_the_ranks():
    workers = WorkerConfig(num_train_workers=2)
    assert not shortage(workers, TWO_OF_4, 3)
    said = shortage(workers, TWO_OF_4, 4)
    assert said.startswith("8 train workers x 1 CPUs + 1 to render = 9 CPUs, the cluster has 8")
