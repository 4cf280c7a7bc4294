"""The command line of jobs/embed.py: an experiment's split, or a catalogue."""

import pytest

from csn import cli
from csn.config import CatalogueConfig, ExperimentConfig
from csn.errors import ConfigError

CATALOGUE = [
    "--checkpoint_uri",
    "s3://b/net",
    "--catalogue_uri",
    "s3://music/",
    "--root",
    "s3://c",
]


def test_without_a_catalogue_it_is_an_experiment():
    config = cli.embedding(["tiny", "--evaluation.split", "validation"])
    assert isinstance(config, ExperimentConfig)
    assert (config.name, config.evaluation.split) == ("tiny", "validation")
    assert cli.embedding([]) == cli.experiment([])


def test_with_one_it_is_a_night():
    config = cli.embedding([*CATALOGUE, "--only", "rejects", "--workers.use_gpu", "True"])
    assert isinstance(config, CatalogueConfig)
    assert config.label == "music"
    assert (config.only, config.workers.use_gpu) == ("rejects", True)
    assert config.segments.duration_s is None


@pytest.mark.parametrize(
    ("uri", "label"),
    [("/data/nights/list-1.parquet", "list-1"), ("s3://a/b/", "b"), ("x.csv", "x")],
)
def test_catalogue_is_called_by_the_last_name_of_its_address(uri, label):
    assert CatalogueConfig(checkpoint_uri="n", catalogue_uri=uri).label == label


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["tiny", *CATALOGUE], "tiny with --catalogue_uri: a catalogue takes no recipe"),
        (CATALOGUE[2:], "checkpoint_uri"),
        ([*CATALOGUE, "--max_attempts", "0"], "max_attempts=0 must be a number of at least 1"),
        ([*CATALOGUE, "--vector", "int8"], "vector"),
        ([*CATALOGUE, "--segments.min_tail_s", "0"], r"segments.min_tail_s=0"),
        ([*CATALOGUE, "--workers.shard_tracks", "0"], "workers.shard_tracks=0"),
        ([*CATALOGUE, "--prices.cpu_hour", "-1"], "prices.cpu_hour=-1"),
        ([*CATALOGUE, "--only", "rejects", "--on_existing", "overwrite"], "only=rejects"),
        (["--checkpoint_uri", "n", "--catalogue_uri", "s3://a/b c/"], "give --name"),
        ([*CATALOGUE, "--workers.shard_trax", "1"], "shard_tra"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(arguments, fault):
    with pytest.raises(ConfigError, match=fault):
        cli.embedding(arguments)


def test_help_tells_of_both(capsys):
    for arguments, shown in (
        (["--help"], "--catalogue_uri FOLDER_OR_MANIFEST"),
        (["--catalogue_uri", "x", "--help"], "--max_deleted_share"),
    ):
        with pytest.raises(SystemExit) as left:
            cli.embedding(arguments, "Embed.")
        assert not left.value.code
        assert shown in " ".join(capsys.readouterr().out.split())
