import ast
import json
import math
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn import config as config_module
from csn.config import (
    AudioConfig,
    CorpusConfig,
    EvaluationConfig,
    ExperimentConfig,
    FrontendConfig,
    GeneratedConfig,
    LossConfig,
    MixingConfig,
    NetworkConfig,
    OptimizerConfig,
    TrainingConfig,
    TripletConfig,
    WorkerConfig,
    from_json,
    to_json,
)
from csn.errors import ConfigError


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        (GeneratedConfig, {"num_train_tracks": -1}, r"corpus\.generated\.num_train_tracks=-1"),
        (GeneratedConfig, {"num_validation_tracks": -1}, "num_validation_tracks=-1"),
        (GeneratedConfig, {"num_test_tracks": -2}, "num_test_tracks=-2"),
        (GeneratedConfig, {"duration_s": 4.9}, r"corpus\.generated\.duration_s=4\.9"),
        (CorpusConfig, {"name": ""}, r"corpus\.name=''"),
        (CorpusConfig, {"name": "a/b"}, r"corpus\.name='a/b'"),
        (CorpusConfig, {"max_reject_fraction": -0.1}, r"corpus\.max_reject_fraction=-0\.1"),
        (CorpusConfig, {"max_reject_fraction": 1.1}, r"corpus\.max_reject_fraction=1\.1"),
        (CorpusConfig, {"num_train_tracks": 0}, r"corpus\.num_train_tracks=0"),
        (CorpusConfig, {"num_validation_tracks": 0}, r"corpus\.num_validation_tracks=0"),
        (CorpusConfig, {"num_test_tracks": -1}, r"corpus\.num_test_tracks=-1"),
        (AudioConfig, {"sample_rate_hz": 7_999}, r"audio\.sample_rate_hz=7999"),
        (AudioConfig, {"segment_s": 0.0}, r"audio\.segment_s=0\.0"),
        (AudioConfig, {"level_hop_s": 0.7}, r"audio\.level_hop_s=0\.7"),
        (AudioConfig, {"level_hop_s": 0.0}, r"audio\.level_hop_s=0\.0"),
        # It divides the segment, but not its quarters.
        (AudioConfig, {"level_hop_s": 0.5}, r"audio\.level_hop_s=0\.5"),
        (TripletConfig, {"num_triplets": 0}, r"triplets\.num_triplets=0"),
        (TripletConfig, {"num_plans": 0}, r"triplets\.num_plans=0"),
        (TripletConfig, {"tempo_group_bpm": 0.0}, r"triplets\.tempo_group_bpm=0\.0"),
        (TripletConfig, {"min_group_tracks": 3}, r"triplets\.min_group_tracks=3.*four tracks"),
        (FrontendConfig, {"hop": 0}, r"frontend\.hop=0"),
        (FrontendConfig, {"hop": 4096}, r"frontend\.hop=4096.*frontend\.window=2048"),
        (FrontendConfig, {"num_mels": 7}, r"frontend\.num_mels=7"),
        (FrontendConfig, {"floor": 0.0}, r"frontend\.floor=0\.0"),
        (FrontendConfig, {"branches": ()}, r"frontend\.branches=\(\) must be one or more"),
        (FrontendConfig, {"branches": ("mel", "mel")}, r"'mel'\) must be one or more different"),
        (NetworkConfig, {"encoder": "inception", "channels": (8, 8, 8)}, r"four or more"),
        (NetworkConfig, {"encoder": "inception", "channels": (8, 8, 8, 6)}, r"multiples of 4"),
        (
            NetworkConfig,
            {"encoder": "inception", "pooling": "mean_std"},
            r"network\.pooling=mean_std is for unet and strided",
        ),
        (
            ExperimentConfig,
            {"name": "x", "frontend": FrontendConfig(branches=("mel", "cens"))},
            r"network\.encoder=unet takes one branch.*mel, cens.*inception",
        ),
        (NetworkConfig, {"channels": (8,)}, r"network\.channels=\(8,\)"),
        (NetworkConfig, {"channels": (8, 0)}, r"network\.channels=\(8, 0\)"),
        (NetworkConfig, {"conditions": ("drums", "flute")}, r"network\.conditions.*flute.*others"),
        (NetworkConfig, {"conditions": ()}, "conditions"),
        (NetworkConfig, {"conditions": ("bass", "bass")}, "conditions"),
        (NetworkConfig, {"subspace_dim": 0}, "subspace_dim=0"),
        (LossConfig, {"margin": 0.0}, r"loss\.margin=0\.0"),
        (LossConfig, {"margin": float("nan")}, r"loss\.margin=nan"),
        (OptimizerConfig, {"learning_rate": 0.0}, r"optimizer\.learning_rate=0\.0"),
        (OptimizerConfig, {"decay_fraction": -0.1}, r"optimizer\.decay_fraction=-0\.1"),
        (OptimizerConfig, {"decay_fraction": 1.5}, r"optimizer\.decay_fraction=1\.5"),
        (TrainingConfig, {"num_epochs": 0}, r"training\.num_epochs=0"),
        (TrainingConfig, {"batch_size": 0}, r"training\.batch_size=0"),
        (TrainingConfig, {"validate_every": 0}, r"training\.validate_every=0"),
        (TrainingConfig, {"validation_segments": 0}, r"training\.validation_segments=0"),
        (TrainingConfig, {"patience": 0}, r"training\.patience=0"),
        (EvaluationConfig, {"k": 0}, r"evaluation\.k=0"),
        (EvaluationConfig, {"num_versions": 1}, r"evaluation\.num_versions=1"),
        (EvaluationConfig, {"durations_s": ()}, r"evaluation\.durations_s"),
        (WorkerConfig, {"num_train_workers": 0}, r"workers\.num_train_workers=0"),
        (WorkerConfig, {"cpus_per_train_worker": 0.0}, r"workers\.cpus_per_train_worker=0\.0"),
        (ExperimentConfig, {"name": ""}, r"name=''"),
        (ExperimentConfig, {"name": "a/b"}, r"name='a/b'"),
        (ExperimentConfig, {"name": ".."}, r"name='\.\.' must be letters"),
        (ExperimentConfig, {"name": "x", "seed": -1}, r"seed=-1 must be"),
        (
            ExperimentConfig,
            {"name": "x", "loss": LossConfig(margin=math.inf)},
            r"loss\.margin=inf",
        ),
        (
            ExperimentConfig,
            {"name": "x", "evaluation": EvaluationConfig(durations_s=(3.1,))},
            r"durations_s=3\.1 must be 4 or more times",
        ),
        (EvaluationConfig, {"durations_s": (3.0, 3.0)}, r"different lengths"),
        (EvaluationConfig, {"num_resamples": 0}, r"evaluation\.num_resamples=0"),
        (AudioConfig, {"max_track_s": 1.0}, r"audio\.max_track_s=1\.0"),
        (TripletConfig, {"min_gap_s": -1.0}, r"triplets\.min_gap_s=-1\.0"),
        (WorkerConfig, {"max_failures": -1}, r"workers\.max_failures=-1"),
        (OptimizerConfig, {"final_ratio": 2.0}, r"optimizer\.final_ratio=2\.0"),
        (ExperimentConfig, {"name": "x", "root": ""}, "root"),
    ],
)
def test_impossible_value_is_refused_by_its_name(part, values, message):
    with pytest.raises(ConfigError, match=message):
        part(**values)


def test_unknown_branch_of_the_front_end_is_refused_wherever_it_comes_from():
    text = to_json(ExperimentConfig(name="x")).replace('"mel"', '"cqt"')
    with pytest.raises(ConfigError, match=r"frontend\.branches\.0.*'mel', 'tempogram' or 'cens'"):
        from_json(text)
    config = FrontendConfig()
    object.__setattr__(config, "branches", ("mel", "cqt"))  # past the type checks of the tests
    with pytest.raises(ConfigError, match="names cqt; there are mel, tempogram, cens"):
        config.__post_init__()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"triplets": TripletConfig(hop_s=0.1)},
            r"triplets\.hop_s=0\.1.*audio\.level_hop_s=0\.25",
        ),
        ({"triplets": TripletConfig(hop_s=0.3)}, r"triplets\.hop_s=0\.3"),
        # 64 rows of a batch, but 100 triplets are 50 rows.
        (
            {"triplets": TripletConfig(num_triplets=100)},
            r"training\.batch_size=64 is larger than the 50 plan rows",
        ),
        (
            {"loss": LossConfig(kind="contrastive"), "mixing": MixingConfig(num_mixes=50)},
            r"training\.batch_size=64 must be between 4.* and mixing\.num_mixes=50",
        ),
        (
            {
                "loss": LossConfig(kind="contrastive"),
                "training": TrainingConfig(batch_size=3),
            },
            r"training\.batch_size=3 must be between 4",
        ),
        (
            {"workers": WorkerConfig(num_train_workers=3)},
            r"training\.batch_size=64 must be a multiple of workers\.num_train_workers=3",
        ),
        ({"frontend": FrontendConfig(window=132_301)}, r"frontend\.window=132301 is longer"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ExperimentConfig(name="x", **values)


def test_interchanged_row_serves_two_triplets():
    assert TripletConfig(num_triplets=20_000).num_rows == 10_000
    assert TripletConfig(num_triplets=7).num_rows == 4
    assert TripletConfig(num_triplets=7, interchanged=False).num_rows == 7


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
    assert len(classes) == 13
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
    assert len(found) == 13
    for part in found:
        assert part.__dataclass_params__.frozen
        assert all(field.kw_only for field in fields(part))
