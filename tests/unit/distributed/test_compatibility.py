"""Networks that do not fit what is asked of them."""

from dataclasses import replace

import pytest

from csn import curriculum, recipes
from csn.distributed.compatibility import check_scored, check_start
from csn.errors import ConfigError
from csn.model import checkpoint
from csn.model.network import build_network


def test_network_is_scored_as_it_learnt():
    ours = recipes.tiny()
    check_scored("there", ours, ours)
    parts = replace(ours, network=replace(ours.network, individual=True))
    with pytest.raises(ConfigError, match=r"there was trained with network\.individual=True"):
        check_scored("there", parts, ours)
    cosine = replace(ours, loss=replace(ours.loss, distance="cosine"))
    with pytest.raises(ConfigError, match=r"loss\.distance=cosine, .* --loss\.distance cosine"):
        check_scored("there", cosine, ours)
    other = replace(ours, seed=1)
    with pytest.raises(ConfigError, match=r"there was trained with seed=0, this .* says 1"):
        check_scored("there", ours, other)
    # A network that is named need not have the seed by which it is asked.
    named = replace(other.evaluation, checkpoint_uri="there")
    check_scored("there", ours, replace(other, evaluation=named))


def test_network_to_start_from_has_weights_of_the_same_shapes(tmp_path):
    ours = recipes.tiny()
    uri = str(tmp_path / "start")
    checkpoint.save(uri, build_network(ours), ours)
    start = replace(ours.start, initial_checkpoint_uri=uri)
    check_start(replace(ours, start=start))
    # As many layers halve time as there are: three or more are the same network.
    check_start(replace(ours, start=start, network=replace(ours.network, time_layers=None)))
    other = replace(ours.network, time_layers=1)
    with pytest.raises(ConfigError, match=r"halved by 3 layers.*halved by 1 layers"):
        check_start(replace(ours, start=start, network=other))


def test_individual_networks_are_scored_on_the_parts_that_there_are():
    theirs = recipes.ALL["tiny_hashizume2022"]()
    ours = replace(theirs, network=replace(theirs.network, conditions=("drums", "mix")))
    check_scored("there", theirs, ours)
    with pytest.raises(ConfigError, match="there has 4 dimensions for each of drums, mix, this"):
        check_scored("there", ours, theirs)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"teacher_batch_size": 5_000}, "the pre-training that tiny_hashizume2024 needs"),
        ({"pretraining_mixes": 10}, r"start\.pretraining_mixes"),
    ],
)
def test_stage_that_cannot_be_is_refused_as_one(values, told):
    config = recipes.ALL["tiny_hashizume2024"]()
    with pytest.raises(ConfigError, match=told):
        check_start(replace(config, start=replace(config.start, **values)))


@pytest.mark.parametrize(
    ("part", "values", "told"),
    [
        ("audio", {"sample_rate_hz": 8_000}, r"hears 8000 Hz through .* prepared at 16000 Hz"),
        (
            "frontend",
            {"num_mels": 64},
            r"num_mels=64.* is prepared at 16000 Hz for .*num_mels=128",
        ),
        ("network", {"subspace_dim": 8}, "has 8 dimensions for each of .* this configuration 4"),
        ("network", {"conditions": ("drums", "bass")}, "each of drums, bass, this configuration"),
        ("network", {"individual": False}, "is one network for drums, bass.*hashizume2022"),
    ],
)
def test_teachers_that_do_not_fit_are_refused_with_both_sides_named(tmp_path, part, values, told):
    ours = recipes.ALL["tiny_hashizume2024"]()
    fitting = curriculum.teachers_of(ours)
    uri = str(tmp_path / "teachers")
    named = replace(ours, start=replace(ours.start, teachers_uri=uri))
    checkpoint.save(uri, build_network(fitting), fitting)
    check_start(named)
    theirs = replace(fitting, **{part: replace(getattr(fitting, part), **values)})
    checkpoint.save(uri, build_network(theirs), theirs)
    with pytest.raises(ConfigError, match=told) as refused:
        check_start(named)
    assert str(refused.value).startswith(uri)
