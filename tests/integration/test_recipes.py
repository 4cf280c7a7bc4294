"""Every system of the recipes goes the whole way, and what they build on is trained once."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from csn import curriculum, recipes, storage
from csn.conditions import INSTRUMENTS, MIX
from csn.distributed import experiment, training
from csn.distributed.bank import load_parts, mixes_of
from csn.distributed.progress import Stages
from csn.errors import ConfigError
from csn.model import checkpoint
from csn.model.network import build_network
from csn.paths import Paths

pytestmark = pytest.mark.slow

SYSTEMS = [recipe.__name__ for recipe in recipes.SYSTEMS]
OF_INSTRUMENTS = [name for name in SYSTEMS if not recipes.ALL[name]().network.of_concepts]
WITH_TEACHERS = [
    "hashizume2024",
    "hashizume2024_aux_basic",
    "hashizume2024_aux_basic_add",
    "random_subsets",
]


@pytest.fixture(scope="module")
def config_of(tiny, tracks):
    """Give the tiny size of a system, on the session's corpus and under its root."""

    def config(name):
        found = recipes.ALL[f"tiny_{name}"]()
        evaluation = replace(found.evaluation, durations_s=(3.0,))
        return replace(found, root=tiny.root, evaluation=evaluation)

    return config


@pytest.fixture(scope="module")
def folders(tiny):
    """Give the folders of experiments of one kind that recipes build on."""

    def found(kind):
        return sorted(Path(tiny.root, "experiments").glob(f"{kind}-*"))

    return found


@pytest.fixture(scope="module")
def trained(config_of, folders, snapshot):
    """Give what goes the whole way once; whoever comes later finds teachers and leaves them."""
    done = {}

    def paths_of(name):
        if name not in done:
            config = config_of(name)
            before = {folder: snapshot(str(folder)) for folder in folders("teachers")}
            experiment.train(config)
            done[name] = Paths(config)
            assert all(snapshot(str(folder)) == files for folder, files in before.items())
        return done[name]

    return paths_of


@pytest.mark.parametrize("name", SYSTEMS)
def test_system_goes_the_whole_way(name, trained):
    paths = trained(name)
    config = paths.config
    page = Path(paths.experiment("report.html")).read_text()
    assert page.count("<audio") >= 3, "there is no triplet to listen to"
    scores = storage.read_table(paths.experiment("scores.parquet"))
    conditions = set(scores["condition"].to_pylist())
    assert set(config.network.conditions) <= conditions
    assert (MIX in conditions) == (MIX in config.network.conditions)
    protocols = set(scores["protocol"].to_pylist())
    if config.network.of_concepts:
        assert protocols == {"human_triplets", "concept_triplets"}
    else:
        assert "music_id" in protocols
        # A part alone is the same before every background.
        assert ("pseudo_mix_id" in protocols) == (not config.network.individual)
    for row in storage.read_table(paths.experiment("metrics.parquet")).to_pylist():
        assert row[f"train/loss/{config.loss.kind}"] is not None
        assert all(value is None or math.isfinite(value) for value in row.values())


@pytest.mark.parametrize("name", OF_INSTRUMENTS)
def test_raw_subspaces_come_with_the_lengths_from_which_on_parts_sound(name, trained):
    paths = trained(name)
    uri = storage.join(paths.best_checkpoint, "presence.json")
    assert storage.exists(uri) == (not paths.config.network.unit_subspaces)
    if storage.exists(uri):
        thresholds = storage.read_json(uri)
        assert thresholds
        assert set(thresholds) <= set(paths.config.network.conditions)
        assert all(value > 0 for value in thresholds.values())


def test_what_is_added_to_the_triplets_is_reported_by_itself(trained):
    for name, term in (("hashizume2024", "train/target"), ("random_subsets", "train/presence")):
        metrics = storage.read_table(trained(name).experiment("metrics.parquet"))
        assert all(value > 0 for value in metrics[term].to_pylist())


def test_systems_share_teachers_and_pretraining(trained, folders):
    for name in WITH_TEACHERS:
        trained(name)
    # Those of all tracks, and those of the ablations' few.
    assert len(folders("teachers")) == 2
    # One on mixes and single parts from each, one on random subsets.
    assert len(folders("pretraining")) == 3


def test_targets_are_what_the_teachers_make_of_the_rendered_part(trained):
    paths = trained("hashizume2024")
    teachers = checkpoint.load(curriculum.teachers_uri(paths.config)).network
    table = storage.read_table(paths.experiment("targets.parquet"))
    keys = table.take([0, len(table) // 3, len(table) // 2, len(table) - 1]).to_pylist()
    for key in keys:
        parts = load_parts(paths.parts(key["track_id"]))
        start = round(key["start_s"] * parts.sample_rate_hz)
        stop = start + round(paths.config.audio.segment_s * parts.sample_rate_hz)
        heard = parts.pcm[key["condition"]][start:stop] * np.float32(parts.pcm_scale)
        place = torch.tensor([teachers.layout.index(key["condition"])])
        with torch.inference_mode():
            embedding = teachers(torch.from_numpy(heard)[None].float(), place)
        expected = teachers.layout.split(embedding)[key["condition"]][0]
        np.testing.assert_allclose(key["vector"], expected, rtol=1e-4, atol=1e-5)


def test_every_part_that_sounds_in_an_anchor_has_a_target_and_no_other(trained):
    paths = trained("hashizume2024")
    rows = storage.read_table(paths.plan)
    asked = set()
    for mix, sounds in zip(
        mixes_of(rows, "anchor_"), rows["anchor_sounds"].to_pylist(), strict=True
    ):
        parts = zip(mix.tracks, INSTRUMENTS, mix.starts_s, sounds, strict=True)
        asked |= {(track, part, start_s) for track, part, start_s, heard in parts if heard}
    table = storage.read_table(paths.experiment("targets.parquet")).drop_columns(["vector"])
    assert sorted(asked) == [tuple(row.values()) for row in table.to_pylist()]


def test_pretraining_that_was_lost_is_done_again_from_the_same_teachers(
    trained, folders, snapshot, tracks
):
    config = curriculum.pretraining_of(trained("hashizume2024").config)
    paths = Paths(config)
    before = snapshot(str(folders("teachers")[0]))
    losses = storage.read_table(paths.experiment("metrics.parquet"))["train/loss/target"]
    storage.remove(paths.experiment())
    found = training.fit(config, tracks, Stages(paths.experiment("stages.json")))
    again = [row["train/loss/target"] for row in found.history]
    assert again == pytest.approx(losses.to_pylist(), rel=1e-3)
    assert snapshot(str(folders("teachers")[0])) == before


def test_training_goes_on_from_what_pretraining_made(trained):
    def weights(network):
        return torch.cat([weight.detach().flatten() for weight in network.parameters()])

    paths = trained("hashizume2024")
    torch.manual_seed(paths.config.seed)
    new = weights(build_network(paths.config))
    first = weights(checkpoint.load(curriculum.initial_uri(paths.config)).network)
    end = weights(checkpoint.load(paths.best_checkpoint).network)
    assert (end - first).norm() < (end - new).norm()


def test_ranks_train_individual_networks_though_a_share_lacks_some_parts(config_of, tracks):
    config = config_of("hashizume2022")
    config = replace(
        config,
        name="individual-two-ranks",
        triplets=replace(config.triplets, num_triplets=24),
        training=replace(config.training, batch_size=4),  # six conditions, two rows a rank
        workers=replace(config.workers, num_train_workers=2, cpus_per_train_worker=0.5),
    )
    found = training.fit(config, tracks, Stages(Paths(config).experiment("stages.json")))
    assert all(math.isfinite(row["train/loss/triplet"]) for row in found.history)
    torch.manual_seed(config.seed)
    start = build_network(config).networks
    for condition, network in checkpoint.load(found.uri).network.networks.items():
        assert not torch.equal(network.head.linear.weight, start[condition].head.linear.weight)


def asking(paths, name, **parts):
    """Configuration that scores the network of `paths` once more, with other `parts`."""
    config = paths.config
    asked = replace(config.evaluation, checkpoint_uri=paths.best_checkpoint, baselines=())
    return replace(config, name=name, evaluation=asked, **parts)


def test_networks_of_whole_parts_are_scored_on_separated_ones(trained):
    paths = trained("hashizume2022")
    separated = replace(paths.config.audio, separator="oracle")
    config = asking(paths, "on-separated", audio=separated)
    experiment.evaluate(config)
    separated = storage.read_table(Paths(config).experiment("scores.parquet")).to_pylist()
    whole = storage.read_table(paths.experiment("scores.parquet")).to_pylist()
    asked = [
        {
            row["condition"]: row["num_queries"]
            for row in rows
            if (row["protocol"], row["system"]) == ("music_id", "csn")
        }
        for rows in (separated, whole)
    ]
    assert {*INSTRUMENTS, MIX} <= set(asked[0])
    assert asked[0] == asked[1]  # the same segments, since the known stems say which of them sound


def test_recipe_hears_separated_parts_through_networks_of_whole_ones(trained):
    paths = trained("hashizume2024_separated")
    assert paths.config.audio.separator == "none"
    digest = checkpoint.load(paths.best_checkpoint).digest

    def heard(of):
        return storage.read_table(storage.join(of.embeddings(digest), "condition=bass"))["vector"]

    def scores(of):
        table = storage.read_table(of.experiment("scores.parquet"))
        return [row for row in table.to_pylist() if row["system"] == "csn"]

    whole = asking(paths, "on-whole")
    whole = replace(whole, evaluation=replace(whole.evaluation, separator="same"))
    separated = replace(whole, name="by-hand", audio=replace(whole.audio, separator="oracle"))
    experiment.evaluate(separated)
    assert Paths(separated).embeddings(digest) == paths.embeddings(digest)
    assert scores(Paths(separated)) == scores(paths)
    experiment.embed_split(whole)
    assert not heard(Paths(whole)).equals(heard(paths))


def test_individual_networks_are_scored_on_the_parts_that_there_are(trained):
    paths = trained("hashizume2022")
    few_parts = replace(paths.config.network, conditions=("guitar", MIX))
    config = asking(paths, "on-few-parts", network=few_parts)
    # Else what was embedded for all of them would be read.
    experiment.embed_split(replace(config, on_existing="overwrite"))
    experiment.evaluate(config)

    def scored(of):
        rows = storage.read_table(of.experiment("scores.parquet")).to_pylist()
        return {
            (row["condition"], row["duration_s"]): row["accuracy"]
            for row in rows
            if (row["protocol"], row["system"]) == ("music_id", "csn")
        }

    few, every = scored(Paths(config)), scored(paths)
    alone = {key: few[key] for key in few if key[0] in ("guitar", MIX)}
    assert {key[0] for key in alone} == {"guitar", MIX}
    assert alone == {key: every[key] for key in alone}
    # What was embedded for few is not taken for all.
    whole = asking(paths, "on-all-parts")
    experiment.evaluate(whole)
    assert scored(Paths(whole)) == every


@pytest.mark.parametrize("job", [experiment.prepare, experiment.train])
def test_separator_that_leaves_wanted_parts_together_is_refused_before_any_work(
    config_of, tmp_path, job
):
    config = config_of("hashizume2024_scratch")
    audio = replace(config.audio, separator="hpss")
    config = replace(config, audio=audio, root=str(tmp_path))
    with pytest.raises(ConfigError, match=r"hpss gives drums, others; .* bass, guitar, piano"):
        job(config)
    assert not (tmp_path / "corpora").exists()
