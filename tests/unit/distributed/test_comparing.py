from dataclasses import replace

import pyarrow as pa
import pytest

from csn import recipes, storage
from csn.config import WorkerConfig
from csn.distributed.comparing import (
    _with_kept_baselines,
    next_to_run,
    num_at_once,
)
from csn.distributed.gathering import scores_of
from csn.evaluation.comparison import Comparison
from csn.paths import Paths
from csn.records import SCORE_SCHEMA


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
    assert num_at_once([WorkerConfig()], [have]) == num


def test_gpus_are_the_limit_where_they_are_scarcer():
    workers = [WorkerConfig(use_gpu=True, num_train_workers=2)]
    assert num_at_once(workers, [{"CPU": 64, "GPU": 4}]) == 2


def test_largest_system_decides():
    workers = [WorkerConfig(), WorkerConfig(cpus_per_train_worker=3)]
    assert num_at_once(workers, [{"CPU": 8}]) == 2


def entries(tmp_path, *names, seeds=(0, 1)):
    configs = {name: replace(recipes.ALL[name](), root=str(tmp_path)) for name in names}
    return Comparison("some", configs, seeds).entries()


def test_systems_that_share_teachers_do_not_run_together(tmp_path):
    names = ("tiny_hashizume2024_aux_basic", "tiny_hashizume2024_aux_basic_add", "tiny")
    basic, same_teachers, scratch = entries(tmp_path, *names, seeds=(0,))
    assert next_to_run([same_teachers, scratch], [basic]) == scratch
    assert next_to_run([same_teachers], [basic]) is None
    assert next_to_run([same_teachers, scratch], []) == same_teachers


@pytest.mark.parametrize("baseline", ["untrained", "mean_mel", "librosa_features"])
def test_no_two_write_the_same_baseline_together(tmp_path, baseline):
    (first, other), (second, _) = (
        [replace(entry, config=with_baseline(entry.config, baseline)) for entry in of]
        for of in (entries(tmp_path, "tiny"), entries(tmp_path, "tiny_hashizume2024_basic"))
    )
    if baseline == "untrained":  # of the same network
        second = replace(second, config=replace(second.config, network=first.config.network))
    assert next_to_run([second], [first]) is None
    # Those of another seed lie elsewhere.
    assert next_to_run([other], [first]) == other


def with_baseline(config, name):
    return replace(config, evaluation=replace(config.evaluation, baselines=(name,)))


def test_an_experiment_keeps_the_baselines_that_it_has_scores_of(tmp_path):
    (entry,) = entries(tmp_path, "tiny_hashizume2022", seeds=(0,))
    asked = replace(entry.config.evaluation, baselines=("mean_mel",))
    entry = replace(entry, config=replace(entry.config, evaluation=asked))
    assert _with_kept_baselines(entry) == entry
    rows = [{"system": system} for system in ("csn", "untrained", "mean_mel")]
    scores = pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)
    storage.write_table(Paths(entry.config).experiment("scores.parquet"), scores)
    kept = _with_kept_baselines(entry).config.evaluation
    assert kept.baselines == ("mean_mel", "untrained")
    # The table of this comparison has what is asked for now.
    assert scores_of(entry.config)["system"].to_pylist() == ["csn", "mean_mel"]


def test_nothing_waiting_is_nothing_to_run():
    assert next_to_run([], []) is None
