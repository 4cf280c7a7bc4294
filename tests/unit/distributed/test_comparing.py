from dataclasses import replace

import pytest

from csn import recipes
from csn.config import WorkerConfig
from csn.distributed.comparing import next_to_run, num_at_once
from csn.evaluation.comparison import Comparison


@pytest.mark.parametrize(
    ("have", "num"),
    [
        ({"CPU": 2}, 1),
        ({"CPU": 4}, 2),
        ({"CPU": 9}, 4),
        ({"CPU": 1}, 1),
        ({}, 1),
    ],
)
def test_as_many_trainings_run_as_cpus_allow(have, num):
    # A worker and a task that renders: two CPUs each.
    assert num_at_once([WorkerConfig()], have) == num


def test_gpus_are_the_limit_where_they_are_scarcer():
    workers = [WorkerConfig(use_gpu=True, num_train_workers=2)]
    assert num_at_once(workers, {"CPU": 64, "GPU": 4}) == 2


def test_largest_system_decides():
    workers = [WorkerConfig(), WorkerConfig(cpus_per_train_worker=3)]
    assert num_at_once(workers, {"CPU": 8}) == 2


def entries(tmp_path, *names, seeds=(0, 1)):
    configs = {name: replace(recipes.ALL[name](), root=str(tmp_path)) for name in names}
    return Comparison("some", configs, seeds).entries()


def test_systems_that_share_teachers_do_not_run_together(tmp_path):
    names = ("tiny_hashizume2024_aux_basic", "tiny_hashizume2024_aux_basic_add", "tiny")
    basic, same_teachers, scratch = entries(tmp_path, *names, seeds=(0,))
    assert next_to_run([same_teachers, scratch], [basic]) == scratch
    assert next_to_run([same_teachers], [basic]) is None
    assert next_to_run([same_teachers, scratch], []) == same_teachers


def test_no_two_write_the_mean_spectrum_together(tmp_path):
    first, second = entries(tmp_path, "tiny_free_mixing")
    assert next_to_run([second], [first]) is None


def test_nothing_waiting_is_nothing_to_run():
    assert next_to_run([], []) is None
