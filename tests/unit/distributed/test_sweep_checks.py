"""What of a sweep is refused, and when its trials are looked at."""

from dataclasses import replace

import pytest

from csn import cli, recipes
from csn.distributed.searching import scheduler_of
from csn.distributed.sweep_checks import check_varied, metric_of
from csn.errors import ConfigError

SPACE = """# How far?
metric = "{metric}"
num_samples = 2
[space]
"{field}" = {{ grid = [1, 2] }}
"""


@pytest.fixture
def sweep(tmp_path):
    def made(*words, metric="val/pseudo_mix_id/mean", field="loss.margin", recipe="tiny"):
        path = tmp_path / "space.toml"
        path.write_text(SPACE.format(metric=metric, field=field))
        return cli.sweep([recipe, "--space", str(path), *words])

    return made


def test_metric_that_no_epoch_has_is_refused(sweep):
    assert metric_of(sweep(metric="train/loss/triplet")) == "train/loss/triplet"
    for metric in ("train/loss", "train/presence", "val/nothing"):
        with pytest.raises(ConfigError, match=f"never reports {metric}; it reports val/"):
            metric_of(sweep(metric=metric))
    presence = sweep(metric="train/presence", field="loss.presence_weight")
    assert metric_of(presence) == "train/presence"
    assert metric_of(sweep(metric="train/target", recipe="tiny_hashizume2024")) == "train/target"


def test_trials_of_other_lengths_are_not_stopped_by_their_epochs(sweep):
    with pytest.raises(ConfigError, match=r"training\.num_epochs is what trials are stopped by"):
        check_varied(sweep(field="training.num_epochs"))
    check_varied(sweep("--scheduler", "none", field="training.num_epochs"))


@pytest.mark.parametrize("num_epochs", [*range(2, 30), 60, 400])
def test_trials_are_stopped_twice_at_most_and_never_at_the_last_epoch(sweep, num_epochs):
    found = sweep()
    training = replace(found.config.training, num_epochs=num_epochs)
    scheduler = scheduler_of(replace(found, config=replace(found.config, training=training)))
    assert scheduler is not None
    (bracket,) = scheduler._brackets
    looks = sorted(at for at, _ in bracket._rungs if at <= num_epochs)
    assert 1 <= len(looks) <= 2
    assert looks[-1] < num_epochs
    assert looks[0] >= num_epochs / 9


def test_recipes_of_one_epoch_have_nothing_to_stop(sweep):
    config = replace(recipes.tiny(), training=replace(recipes.tiny().training, num_epochs=1))
    assert scheduler_of(replace(sweep(), config=config)) is None
