import logging
import sys
from types import SimpleNamespace

import pytest

from csn import cli, recipes
from csn.config import ExperimentConfig
from csn.errors import ConfigError, CorpusError, MissingSeedsError, StorageError, TrainingError


def test_demo_is_the_default():
    assert cli.experiment([]) == recipes.demo()
    assert cli.experiment(["--seed", "1"]).name == "demo"


@pytest.mark.parametrize("name", recipes.ALL)
def test_first_word_names_the_recipe(name):
    assert cli.experiment([name]) == recipes.ALL[name]()


def test_options_override_the_recipe_and_nothing_else():
    config = cli.experiment(
        ["tiny", "--loss.margin", "0.3", "--seed", "1", "--corpus.num_train_tracks", "3"]
    )
    assert (config.loss.margin, config.seed, config.corpus.num_train_tracks) == (0.3, 1, 3)
    assert config.corpus.generated == recipes.tiny().corpus.generated
    assert config.network == recipes.tiny().network


@pytest.mark.parametrize("none", ["none", "None"])
def test_none_takes_a_limit_away(none):
    assert recipes.hashizume2024().training.patience == 40
    config = cli.experiment(["hashizume2024", "--training.patience", none])
    assert config.training.patience is None


def test_name_may_be_none():
    assert cli.experiment(["--name", "none"]).name == "none"


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--network.channels", "4", "8"], "network.channels", (4, 8)),
        (["--network.conditions", "drums", "bass"], "network.conditions", ("drums", "bass")),
        (["--evaluation.durations_s", "3"], "evaluation.durations_s", (3.0,)),
        (["--evaluation.baselines"], "evaluation.baselines", ()),
        (["--training.bf16", "False"], "training.bf16", False),
        (["--network.encoder", "unet"], "network.encoder", "unet"),
        (["--audio.silence_db", "-35"], "audio.silence_db", -35.0),
        (["--corpus.generated.num-test-tracks", "7"], "corpus.generated.num_test_tracks", 7),
        (["--corpus.uri=s3://bucket/slakh"], "corpus.uri", "s3://bucket/slakh"),
    ],
)
def test_option_sets_its_field(arguments, field, value):
    found = cli.experiment(arguments)
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "unknown recipe 'nope'; there are demo, tiny, hashizume2022, "),
        ([""], "unknown recipe ''"),
        (["nope", "--help"], "unknown recipe 'nope'"),
        (["demo", "--loss.margn", "0.3"], r"--loss\.margn, 0\.3; did you mean --loss\.margin\?"),
        (["demo", "tiny"], "Unrecognized options: tiny"),
        (["--encoder", "unet"], r"did you mean --network\.encoder\?"),
        (["--loss.margin", "wide"], r"^--loss\.margin: could not convert .*'wide'"),
        (["--seed", "1.5"], r"^--seed: invalid literal for int\(\).*'1\.5'"),
        (["--seed"], "Missing value for argument '--seed'"),
        (["--training.patience", "three"], r"^--training\.patience: .*'three'"),
        (["--network.encoder", "vgg"], r"'vgg'.*--network\.encoder.*'unet', 'strided'"),
        (["--training.bf16", "maybe"], r"'maybe'.*--training\.bf16.*'True', 'False'"),
        (["--loss.margin", "-1"], r"^loss\.margin=-1\.0 must be positive \(recipe demo"),
        (["--name", "a/b"], r"^name='a/b' must be letters, .* \(recipe demo"),
        (["tiny", "--network.conditions", "flute"], r"^network\.conditions names flute.*tiny"),
        (["--audio.level_hop_s", "0.7"], r"^audio\.level_hop_s=0\.7 must divide a quarter"),
        (["--triplets.hop_s", "0.3"], r"^triplets\.hop_s=0\.3 must be a multiple"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(arguments, message):
    with pytest.raises(ConfigError, match=message) as refused:
        cli.experiment(arguments)
    line = str(refused.value)
    assert "\n" not in line
    assert "  " not in line
    assert "--help" in line or "there are" in line
    # No frame, no title and no help text of the library's box.
    for word in ("----", "│", "helptext", "Value error", "Error parsing", "Got errors"):
        assert word not in line


def test_long_value_is_shown_whole():
    name = "x" * 200 + "/"
    with pytest.raises(ConfigError, match=name):
        cli.experiment(["--name", name])


def test_help_names_recipes_options_and_defaults(capsys):
    with pytest.raises(SystemExit) as left:
        cli.experiment(["tiny", "--help"], "Train one experiment.")
    assert not left.value.code
    shown = capsys.readouterr().out
    assert "Train one experiment." in shown
    assert all(name in shown for name in recipes.ALL)
    assert "--loss.margin" in shown
    assert "--corpus.generated.num_train_tracks" in shown
    assert "Smallest wanted gap" in shown


def run(job, monkeypatch, *arguments):
    """Exit code of a job run with `arguments`."""
    monkeypatch.setattr(sys, "argv", ["jobs/train.py", *arguments])
    monkeypatch.setitem(sys.modules, "of_a_test", SimpleNamespace(job=job))
    try:
        cli.main("of_a_test:job", "A job.")
    except SystemExit as left:
        return left.code
    return 0


def test_job_gets_the_configuration_and_its_result_is_told(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    seen = []

    def job(config):
        seen.append(config)
        return "s3://bucket/report.html"

    assert run(job, monkeypatch, "tiny", "--seed", "3") == 0
    assert [(type(config), config.name, config.seed) for config in seen] == [
        (ExperimentConfig, "tiny", 3)
    ]
    assert caplog.messages == ["wrote s3://bucket/report.html"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("batch_size=3\n  is odd"), 2),
        (CorpusError("no track found"), 2),
        (StorageError("s3://bucket: access denied"), 2),
        (TrainingError("the loss is not a number"), 1),
        (MissingSeedsError("1 of 2 experiments failed"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refusal_is_one_line_and_an_exit_code(monkeypatch, capsys, error, code):
    def job(config):
        raise error

    assert run(job, monkeypatch) == code
    said = capsys.readouterr()
    assert said.err == f"error: {' '.join(str(error).split())}\n"
    assert said.out == ""


@pytest.mark.parametrize(
    "arguments", [["nope"], ["--loss.margn", "0.3"], ["--seed", "x"], ["--loss.margin", "-1"]]
)
def test_wrong_command_line_leaves_with_2_before_the_job(monkeypatch, capsys, arguments):
    def job(config):
        raise AssertionError("the job must not run")

    assert run(job, monkeypatch, *arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_help_leaves_with_0(monkeypatch, capsys):
    assert not run(lambda config: "never", monkeypatch, "--help")
    said = capsys.readouterr()
    assert "A job." in said.out
    assert said.err == ""


def test_fault_of_our_own_keeps_its_traceback(monkeypatch):
    def job(config):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run(job, monkeypatch)
