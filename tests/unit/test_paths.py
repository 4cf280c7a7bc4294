from dataclasses import fields, replace
from pathlib import Path

import pytest

from csn import recipes
from csn.config import ExperimentConfig
from csn.paths import TRAINING_PARTS, Paths

SLAKH = "s3://bucket/slakh"


@pytest.fixture
def config():
    return replace(recipes.demo(), root="s3://bucket/csn")


def with_field(config, path, value):
    """`config` with another value at the dotted `path`."""
    name, _, rest = path.partition(".")
    if rest:
        value = with_field(getattr(config, name), rest, value)
    return replace(config, **{name: value})


def test_everything_lands_under_the_root(config):
    paths = Paths(config)
    written = [
        paths.corpus,
        paths.prepared,
        paths.parts(),
        paths.parts("Track00001"),
        paths.rejects("Track00001"),
        paths.tracks,
        paths.experiment(),
        paths.best_checkpoint,
        paths.embeddings("0123456789ab"),
    ]
    assert all(uri.startswith("s3://bucket/csn/") for uri in written)
    assert len(set(written)) == len(written)


def test_folders_have_the_names_that_are_promised(config):
    paths = Paths(config)
    label = f"generated-demo-{paths.corpus_digest}"
    assert paths.prepared == f"s3://bucket/csn/prepared/{label}"
    assert paths.parts("Track00001") == f"{paths.prepared}/parts/Track00001.parquet"
    assert paths.rejects("Track00001") == f"{paths.prepared}/rejects/Track00001.parquet"
    assert paths.tracks == f"{paths.prepared}/tracks.parquet"
    assert paths.experiment("report.html") == "s3://bucket/csn/experiments/demo/report.html"
    assert paths.embeddings("0123456789ab") == (
        f"s3://bucket/csn/embeddings/model=0123456789ab/corpus={label}/split=test"
    )


def test_local_root_is_the_same_for_a_worker_in_another_folder(config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    paths = Paths(replace(config, root="data"))
    assert paths.root == str(tmp_path / "data")
    assert paths.experiment() == str(tmp_path / "data" / "experiments" / "demo")


def test_named_corpus_stays_where_it_is(config):
    named = with_field(config, "corpus.uri", SLAKH)
    assert Paths(named).corpus == SLAKH


def test_composed_corpora_of_other_sizes_lie_apart(config):
    longer = with_field(config, "corpus.generated.duration_s", 61.0)
    assert Paths(config).corpus != Paths(longer).corpus
    assert Path(Paths(config).corpus).name.startswith("generated-demo-")


def test_checkpoint_is_the_best_unless_one_is_named(config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Paths(config).best_checkpoint == "s3://bucket/csn/experiments/demo/checkpoints/best"
    named = with_field(config, "evaluation.checkpoint_uri", "other/best")
    assert Paths(named).best_checkpoint == str(tmp_path / "other" / "best")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("corpus.name", "other"),
        ("corpus.uri", SLAKH),
        ("corpus.exclude_known_faults", False),
        ("corpus.generated.seed", 7),
        ("audio.sample_rate_hz", 8_000),
        ("audio.onset_db", -50.0),
    ],
)
def test_prepared_corpus_is_named_after_what_it_is_made_from(config, path, value):
    assert Paths(with_field(config, path, value)).prepared != Paths(config).prepared


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("corpus.num_train_tracks", 3),
        ("corpus.max_reject_fraction", 0.5),
        ("triplets.num_triplets", 4_096),
        ("training.num_epochs", 3),
        ("seed", 7),
        ("name", "other"),
        ("workers.num_train_workers", 2),
    ],
)
def test_prepared_corpus_serves_all_that_train_on_it(config, path, value):
    assert Paths(with_field(config, path, value)).prepared == Paths(config).prepared


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 7),
        ("corpus.uri", SLAKH),
        ("corpus.num_train_tracks", 3),
        ("corpus.generated.seed", 7),
        ("audio.silence_db", -50.0),
        ("triplets.hop_s", 0.5),
        ("frontend.num_mels", 64),
        ("network.conditions", ("drums", "bass")),
        ("loss.margin", 0.3),
        ("optimizer.learning_rate", 1e-4),
        ("training.batch_size", 32),
    ],
)
def test_training_is_named_after_what_changes_what_is_learnt(config, path, value):
    assert Paths(with_field(config, path, value)).training_digest != Paths(config).training_digest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "other"),
        ("root", "s3://elsewhere"),
        ("on_existing", "error"),
        ("evaluation.k", 3),
        ("workers.num_train_workers", 2),
        ("corpus.max_reject_fraction", 0.5),
    ],
)
def test_training_is_the_same_wherever_it_runs_and_however_it_is_scored(config, path, value):
    assert Paths(with_field(config, path, value)).training_digest == Paths(config).training_digest


def test_every_part_of_a_configuration_is_of_the_training_or_known_not_to_be():
    # A new part of ExperimentConfig must be put on one side.
    others = {"name", "root", "on_existing", "evaluation", "workers"}
    assert {field.name for field in fields(ExperimentConfig)} == set(TRAINING_PARTS) | others


@pytest.mark.parametrize("again", ["slakh", "./slakh", "slakh/", "{here}/slakh"])
def test_one_corpus_has_one_name_however_its_address_is_written(
    config, again, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    one = Paths(with_field(config, "corpus.uri", "slakh"))
    other = Paths(with_field(config, "corpus.uri", again.format(here=tmp_path)))
    assert one.corpus_digest == other.corpus_digest
    assert one.training_digest == other.training_digest


def test_sizes_of_a_composed_corpus_do_not_matter_to_a_named_one(config):
    named = with_field(config, "corpus.uri", SLAKH)
    other = with_field(named, "corpus.generated.duration_s", 10.0)
    assert Paths(named).corpus_digest == Paths(other).corpus_digest
    assert Paths(named).training_digest == Paths(other).training_digest
