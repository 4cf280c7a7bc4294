from dataclasses import replace

import pytest

from csn import recipes
from csn.config import WorkerConfig
from csn.config.overrides import with_overrides
from csn.distributed.sharing import plan_name
from csn.distributed.sweep_checks import num_fitting


@pytest.mark.parametrize(
    "values",
    [
        {"loss.margin": 0.4},
        {"optimizer.learning_rate": 1e-5},
        {"network.subspace_dim": 8},
        {"frontend.num_mels": 64},
        {"name": "other"},
    ],
)
def test_what_no_plan_depends_on_leaves_its_name(values):
    config = recipes.tiny()
    assert plan_name(with_overrides(config, values)) == plan_name(config)


@pytest.mark.parametrize(
    "values",
    [
        {"seed": 1},
        {"triplets.num_triplets": 128},
        {"training.batch_size": 8},
        {"training.num_epochs": 1},
        {"loss.kind": "contrastive"},
        {"network.conditions": ["drums", "bass"]},
        {"corpus.num_train_tracks": 5},
    ],
)
def test_what_a_plan_depends_on_changes_its_name(values):
    config = recipes.tiny()
    assert plan_name(with_overrides(config, values)) != plan_name(config)


@pytest.mark.parametrize(
    ("workers", "have", "fitting"),
    [
        ({}, {"CPU": 2}, 1),
        ({"cpus_per_train_worker": 0.5}, {"CPU": 2}, 2),
        ({"cpus_per_train_worker": 0.1}, {"CPU": 2}, 10),
        ({"num_train_workers": 2}, {"CPU": 8}, 3),
        ({"use_gpu": True}, {"CPU": 16, "GPU": 4}, 4),
        ({"use_gpu": True, "num_train_workers": 2}, {"CPU": 16, "GPU": 3}, 1),
        ({}, {"CPU": 1}, 0),
        ({"num_train_workers": 2, "min_train_workers": 1}, {"CPU": 2}, 0),
    ],
)
def test_trials_share_what_renders(workers, have, fitting):
    assert num_fitting(replace(WorkerConfig(), **workers), [have]) == fitting


def test_a_trial_fits_where_the_least_of_its_workers_do():
    workers = WorkerConfig(num_train_workers=4, min_train_workers=1, use_gpu=True)
    assert num_fitting(workers, [{"CPU": 8, "GPU": 2}]) == 1
    assert num_fitting(workers, [{"CPU": 16, "GPU": 8}]) == 2
    assert num_fitting(workers, [{"CPU": 8}]) == 0


def test_trials_are_counted_node_by_node():
    nodes = [{"CPU": 32}, {"CPU": 4, "GPU": 4}]
    workers = WorkerConfig(use_gpu=True, cpus_per_train_worker=2)
    assert num_fitting(workers, nodes) == 2
