"""What is refused before anything starts, and before anything is removed."""

from dataclasses import replace
from pathlib import Path

import pytest

from csn import recipes, storage
from csn.config import to_json
from csn.distributed import cluster, experiment
from csn.errors import ConfigError, StorageError
from csn.model import checkpoint
from csn.model.network import build_network
from csn.paths import Paths


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    def refused():
        raise AssertionError("a cluster was joined")

    monkeypatch.setattr(cluster, "joined", refused)


@pytest.fixture
def done(tmp_path):
    """Write what stands for a finished experiment, which is to be made again."""
    config = replace(recipes.tiny(), root=str(tmp_path), on_existing="overwrite")
    paths = Paths(config)
    storage.write_bytes(paths.experiment("config.json"), to_json(config).encode())
    storage.write_bytes(paths.experiment("report.html"), b"finished")
    checkpoint.save(paths.best_checkpoint, build_network(config), config)
    storage.write_bytes(storage.join(paths.prepared, "manifest.json"), b"{}")
    return config


def files(config):
    return {path: path.read_bytes() for path in Path(config.root).rglob("*") if path.is_file()}


def other(config, tmp_path, **parts):
    """Save a network of another configuration; gives its address."""
    made = replace(config, **parts)
    uri = str(tmp_path / "elsewhere")
    checkpoint.save(uri, build_network(made), made)
    return uri


def test_a_start_that_is_refused_removes_nothing(done, tmp_path):
    uri = other(done, tmp_path, network=replace(done.network, subspace_dim=8))
    starts = {"initial_checkpoint_uri": uri}, {"initial_checkpoint_uri": f"{tmp_path}/nothing"}
    before = files(done)
    for start in starts:
        with pytest.raises((ConfigError, StorageError), match=r"dimensions|no checkpoint here"):
            experiment.train(replace(done, start=replace(done.start, **start)))
    assert files(done) == before


def test_a_network_to_evaluate_that_is_refused_removes_nothing(done, tmp_path):
    uri = other(done, tmp_path, network=replace(done.network, subspace_dim=8))
    before = files(done)
    named = replace(done.evaluation, checkpoint_uri=uri)
    with pytest.raises(ConfigError, match="dimensions"):
        experiment.train(replace(done, evaluation=named))
    assert files(done) == before


def test_a_separator_that_is_refused_removes_nothing(done):
    separated = replace(done, audio=replace(done.audio, separator="hpss"))
    storage.write_bytes(storage.join(Paths(separated).prepared, "manifest.json"), b"{}")
    before = files(done)
    for job in (experiment.prepare, experiment.train):
        with pytest.raises(ConfigError, match="separator=hpss gives"):
            job(separated)
    assert files(done) == before


def naming(field, uri):
    """Give a field its address; where that names teachers, something has to learn from them."""
    learns = {"pretraining": "mix_and_parts"} if field == "teachers_uri" else {}
    return {field: uri} | learns


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ("start", "initial_checkpoint_uri"),
        ("start", "teachers_uri"),
        ("evaluation", "checkpoint_uri"),
    ],
)
@pytest.mark.parametrize("detour", ["", "/../best"])
def test_a_network_in_the_folder_that_would_be_removed(done, part, field, detour):
    uri = Paths(done).best_checkpoint + detour
    config = replace(done, **{part: replace(getattr(done, part), **naming(field, uri))})
    before = files(done)
    with pytest.raises(ConfigError, match=rf"{part}.{field}=.* lies in .*; choose another --name"):
        experiment.train(config)
    assert files(done) == before


@pytest.mark.parametrize("job", [experiment.embed_split, experiment.evaluate])
def test_a_network_that_is_missing_or_does_not_fit_is_found_before_a_cluster(done, job, tmp_path):
    with pytest.raises(StorageError, match="never/checkpoints/best: no checkpoint here"):
        job(replace(done, name="never"))
    uri = other(done, tmp_path, network=replace(done.network, subspace_dim=8))
    with pytest.raises(ConfigError, match=r"has 8 dimensions .* this configuration 4"):
        job(replace(done, evaluation=replace(done.evaluation, checkpoint_uri=uri)))


@pytest.mark.parametrize("field", ["teachers_uri", "initial_checkpoint_uri"])
@pytest.mark.parametrize(
    ("changed", "theirs", "ours"),
    [
        ({"network": {"subspace_dim": 8}}, "has 8 dimensions for each", "this configuration 4"),
        ({"network": {"conditions": ("drums", "bass")}}, "of drums, bass,", "drums, bass, piano"),
        ({"audio": {"sample_rate_hz": 8000}}, "hears 8000 Hz", "prepared at 16000 Hz"),
        ({"frontend": {"num_mels": 64}}, "num_mels=64", "num_mels=128"),
    ],
    ids=["size", "conditions", "sample rate", "front end"],
)
def test_networks_to_start_from_are_refused_with_both_sides_named(
    done, tmp_path, field, changed, theirs, ours
):
    teachers = {"individual": True} if field == "teachers_uri" else {}
    parts = {"network": replace(done.network, **teachers)}
    for part, values in changed.items():
        parts[part] = replace(parts.get(part, getattr(done, part)), **values)
    uri = other(done, tmp_path, **parts)
    with pytest.raises(ConfigError) as caught:
        experiment.train(replace(done, start=replace(done.start, **naming(field, uri))))
    message = str(caught.value)
    assert message.startswith(uri)
    assert theirs in message
    assert ours in message
    assert "use the recipe and options it was trained with" in message


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("tiny_free_mixing", "has 4 dimensions for each of drums, bass, piano, guitar, others"),
        ("tiny_ribecky2022_mel", "hears"),
        ("tiny_hashizume2022", "guitar, others, mix"),
    ],
)
def test_the_checkpoint_of_another_recipe_to_go_on_from(done, tmp_path, recipe, said):
    theirs = recipes.ALL[recipe]()
    if recipe == "tiny_free_mixing":  # of one form with ours at this size, but for a dimension
        theirs = replace(theirs, network=replace(theirs.network, subspace_dim=4))
        done = replace(done, network=replace(done.network, subspace_dim=8))
    uri = str(tmp_path / "theirs")
    checkpoint.save(uri, build_network(theirs), theirs)
    with pytest.raises(ConfigError, match="theirs") as caught:
        experiment.train(replace(done, start=replace(done.start, initial_checkpoint_uri=uri)))
    assert said in str(caught.value)


def test_individual_networks_are_no_start_for_a_joint_one_of_the_same_layout(done, tmp_path):
    uri = other(done, tmp_path, network=replace(done.network, individual=True))
    start = replace(done.start, initial_checkpoint_uri=uri)
    with pytest.raises(ConfigError, match="is a network of individual networks, strided"):
        experiment.train(replace(done, start=start))


def test_another_network_at_the_address_to_start_from_is_another_experiment(tmp_path):
    config = replace(recipes.tiny(), root=str(tmp_path))
    uri = str(tmp_path / "elsewhere")
    config = replace(config, start=replace(config.start, initial_checkpoint_uri=uri))

    def exchange():
        network = build_network(config)
        next(iter(network.parameters())).data += 1  # torch's chance alone might be the same
        return checkpoint.save(uri, network, config)

    before = exchange()
    with pytest.raises(AssertionError, match="a cluster was joined"):
        experiment.train(config)  # this far: the folder is claimed
    storage.write_bytes(Paths(config).experiment("checkpoints", "run", "weights"), b"learnt")
    with pytest.raises(AssertionError, match="a cluster was joined"):
        experiment.train(config)  # the same network still
    now = exchange()
    told = f"began from start.initial_checkpoint_uri of digest {before}, which is {now} now"
    with pytest.raises(StorageError, match=told):
        experiment.train(config)
    with pytest.raises(AssertionError, match="a cluster was joined"):
        experiment.train(replace(config, on_existing="overwrite"))


def test_another_list_at_its_address_is_another_experiment(tmp_path):
    path = tmp_path / "some.lst"
    config = replace(recipes.tiny(), root=str(tmp_path))
    config = replace(config, triplets=replace(config.triplets, list_uri=str(path)))
    path.write_text("one")
    with pytest.raises(AssertionError, match="a cluster was joined"):
        experiment.train(config)
    storage.write_bytes(Paths(config).experiment("checkpoints", "run", "weights"), b"learnt")
    path.write_text("other")
    with pytest.raises(StorageError, match=r"began from triplets\.list_uri of digest .* now"):
        experiment.train(config)
