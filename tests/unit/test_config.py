import ast
import json
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn import config as config_module
from csn import recipes
from csn.config import (
    CorpusConfig,
    EvaluationConfig,
    ExperimentConfig,
    LossConfig,
    MixingConfig,
    NetworkConfig,
    TrainingConfig,
    TripletConfig,
    from_json,
    to_json,
)
from csn.errors import ConfigError


def test_interchanged_row_serves_two_triplets():
    assert TripletConfig(num_triplets=20_000).num_rows == 10_000
    assert TripletConfig(num_triplets=7).num_rows == 4
    assert TripletConfig(num_triplets=7, interchanged=False).num_rows == 7


@pytest.mark.parametrize(
    ("values", "kind", "num_rows"),
    [
        ({}, "triplets", 10_000),
        ({"network": NetworkConfig(individual=True)}, "track_triplets", 20_000),
        ({"loss": LossConfig(kind="contrastive")}, "free_mixes", 960),
        ({"loss": LossConfig(kind="target")}, "subsets", 960),
    ],
)
def test_loss_and_network_say_what_is_planned_and_how_much_of_it(values, kind, num_rows):
    config = ExperimentConfig(name="x", mixing=MixingConfig(num_mixes=1_000), **values)
    assert config.plan_kind == kind
    assert config.num_rows == num_rows  # batches of 64, where mixes are drawn


def test_networks_of_their_own_may_hear_the_mix():
    conditions = ("drums", "mix")
    assert NetworkConfig(individual=True, conditions=conditions).layout.conditions == conditions


def test_unlimited_split_has_no_number_of_tracks():
    corpus = CorpusConfig(num_test_tracks=3)
    assert [corpus.num_tracks(split) for split in ("train", "validation", "test")] == [
        None,
        None,
        3,
    ]
    assert corpus.num_tracks("omitted") is None


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**62),
    margin=st.floats(1e-6, 1e6),
    patience=st.none() | st.integers(1, 1000),
    durations_s=st.lists(st.integers(1, 60).map(float), min_size=1, max_size=3, unique=True).map(
        tuple
    ),
    root=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1),
    channels=st.lists(st.integers(1, 640), min_size=2, max_size=6).map(tuple),
    encoder=st.sampled_from(["unet", "strided"]),
)
def test_json_gives_an_equal_configuration_back(
    seed, margin, patience, durations_s, root, channels, encoder
):
    config = ExperimentConfig(
        name="x",
        root=root,
        seed=seed,
        loss=LossConfig(margin=margin),
        training=TrainingConfig(patience=patience),
        evaluation=EvaluationConfig(durations_s=durations_s),
        network=NetworkConfig(encoder=encoder, channels=channels),
    )
    assert from_json(to_json(config)) == config
    assert from_json(to_json(config).encode()) == config


def changed(path, value):
    """JSON text of a configuration with `value` at the dotted `path`."""
    whole = json.loads(to_json(ExperimentConfig(name="x")))
    inner = whole
    *parts, name = path.split(".")
    for part in parts:
        inner = inner[part]
    inner[name] = value
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("added_later", 1),
        ("loss.added_later", 1),
        ("corpus.generated.added_later", 1),
        ("seed", "1"),
        ("seed", 1.5),
        ("loss.margin", "0.2"),
        ("loss.margin", None),
        ("training.bf16", 1),
        ("training.patience", "none"),
        ("network.encoder", "vgg"),
        ("network.channels", 32),
        ("evaluation.durations_s", ["3"]),
        ("on_existing", "maybe"),
    ],
)
def test_json_of_another_form_is_refused_by_the_field_s_name(path, value):
    with pytest.raises(ConfigError, match=rf"not a configuration.*\b{path}\b.*another version"):
        from_json(changed(path, value))


def test_json_names_every_fault_in_one_line():
    whole = json.loads(changed("seed", "1"))
    whole["loss"]["margin"] = "wide"
    with pytest.raises(ConfigError) as refused:
        from_json(json.dumps(whole))
    assert "seed" in str(refused.value)
    assert "loss.margin" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_json_with_an_impossible_value_is_refused():
    with pytest.raises(ConfigError, match=r"loss\.margin=-1\.0 must be positive"):
        from_json(changed("loss.margin", -1.0))


def test_json_without_a_name_is_refused():
    with pytest.raises(ConfigError, match="name: Field required"):
        from_json("{}")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "nonsense"])
def test_text_that_is_no_configuration_is_refused(text):
    with pytest.raises(ConfigError, match="not a configuration"):
        from_json(text)


def test_configuration_cannot_be_changed_but_copied_with_another_value():
    config = ExperimentConfig(name="x")
    with pytest.raises(AttributeError):
        config.seed = 1
    assert replace(config, seed=1).seed == 1
    with pytest.raises(ConfigError, match=r"loss\.margin"):
        replace(config.loss, margin=-1.0)


def test_every_field_has_the_text_that_help_shows():
    sources = sorted(Path(config_module.__file__).parent.glob("*.py"))
    classes = [
        part
        for source in sources
        for part in ast.parse(source.read_text()).body
        if isinstance(part, ast.ClassDef) and part.name.endswith("Config")
    ]
    assert len(classes) == 24
    silent = []
    for part in classes:
        for field, after in pairwise([*part.body, None]):
            if not isinstance(field, ast.AnnAssign):
                continue
            holds_fields = ast.unparse(field.annotation).endswith("Config")
            told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if not holds_fields and not told:
                silent.append(f"{part.name}.{ast.unparse(field.target)}")
    assert not silent


def test_every_part_of_the_configuration_is_frozen_and_named_by_keyword():
    def parts(value):
        yield value
        for field in fields(value):
            inner = getattr(value, field.name)
            if is_dataclass(inner):
                yield from parts(inner)

    found = list(parts(ExperimentConfig(name="x")))
    assert len(found) == 17
    for part in found:
        assert part.__dataclass_params__.frozen
        assert all(field.kw_only for field in fields(part))


def test_split_is_heard_through_the_separator_of_the_evaluation():
    config = recipes.ALL["tiny_hashizume2024_separated"]()
    assert config.evaluated == replace(config, audio=replace(config.audio, separator="oracle"))
    assert config.evaluated.evaluated == config.evaluated
    same = replace(config, evaluation=replace(config.evaluation, separator="same"))
    assert same.evaluated is same
    # Weights are Demucs' alone.
    demucs = replace(config.audio, separator="demucs", demucs_weights="some.safetensors")
    assert replace(config, audio=demucs).evaluated == config.evaluated
