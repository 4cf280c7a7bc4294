import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from csn import recipes
from csn.config import LossConfig
from csn.errors import ConfigError, StorageError
from csn.model import checkpoint
from csn.model.network import build_network

CONFIG = recipes.tiny()


def waveform():
    return 0.1 * torch.randn(2, 48_000, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def trained():
    """A network whose running statistics have moved as well."""
    torch.manual_seed(0)
    network = build_network(CONFIG).train()
    network(waveform())
    return network.eval()


@pytest.fixture
def saved(tmp_path, trained):
    folder = tmp_path / "checkpoint"
    checkpoint.save(str(folder), trained, CONFIG)
    return folder


def edit_weights(folder: Path, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def test_a_loaded_network_computes_bit_for_bit_what_the_saved_one_did(saved, trained):
    network, config, _ = checkpoint.load(str(saved))
    assert config == CONFIG
    assert not network.training
    with torch.no_grad():
        assert torch.equal(network(waveform()), trained(waveform()))


def test_unet_comes_back_too(tmp_path):
    config = replace(CONFIG, network=replace(CONFIG.network, encoder="unet"))
    network = build_network(config).eval()
    digest = checkpoint.save(str(tmp_path), network, config)
    loaded = checkpoint.load(str(tmp_path))
    assert loaded.digest == digest
    with torch.no_grad():
        assert torch.equal(loaded.network(waveform()), network(waveform()))


def test_folder_holds_weights_and_configuration_and_no_front_end(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]
    names = load_file(saved / "model.safetensors")
    assert names
    assert not [name for name in names if name.startswith("frontend")]


def test_loading_leaves_the_random_generator_alone(saved):
    torch.manual_seed(3)
    checkpoint.load(str(saved))
    after_loading = torch.rand(4)
    torch.manual_seed(3)
    assert torch.equal(after_loading, torch.rand(4))


def test_digest_names_what_is_computed_and_nothing_else(tmp_path, trained):
    def digest(network, config):
        return checkpoint.save(str(tmp_path), network, config)

    first = digest(trained, CONFIG)
    assert len(first) == 12
    assert set(first) <= set("0123456789abcdef")
    assert checkpoint.load(str(tmp_path)).digest == first
    assert digest(trained, CONFIG) == first
    assert digest(trained, replace(CONFIG, seed=9, loss=LossConfig(margin=0.7))) == first
    other_floor = replace(CONFIG, frontend=replace(CONFIG.frontend, floor=1e-4))
    assert digest(trained, other_floor) != first
    with torch.no_grad():
        trained.head.linear.bias[0] += 1e-6
    assert digest(trained, CONFIG) != first


def test_missing_checkpoint_says_where_and_what_was_expected(tmp_path):
    with pytest.raises(StorageError, match=r"nowhere: no checkpoint here .*has training finished"):
        checkpoint.load(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_half_a_checkpoint_names_the_missing_file(saved, name):
    (saved / name).unlink()
    with pytest.raises(StorageError, match=rf"{name} is missing"):
        checkpoint.load(str(saved))


def test_weight_of_another_shape_is_refused(saved):
    def widen(weights):
        weights["head.linear.bias"] = torch.zeros(7)

    edit_weights(saved, widen)
    with pytest.raises(
        StorageError, match=r"head\.linear\.bias is float32 \[7\], expected float32 \[20\]"
    ):
        checkpoint.load(str(saved))


def test_weight_of_another_type_is_refused(saved):
    def halve(weights):
        weights["head.linear.bias"] = weights["head.linear.bias"].half()

    edit_weights(saved, halve)
    with pytest.raises(StorageError, match=r"float16 \[20\], expected float32"):
        checkpoint.load(str(saved))


def test_missing_and_unknown_weights_are_named(saved):
    def rename(weights):
        weights["head.linear.shift"] = weights.pop("head.linear.bias")

    edit_weights(saved, rename)
    with pytest.raises(
        StorageError, match=r"head\.linear\.bias is missing; head\.linear\.shift is unknown"
    ):
        checkpoint.load(str(saved))


def test_weights_of_another_recipe_give_one_short_line(saved):
    text = json.loads((saved / "config.json").read_text())
    text["network"]["encoder"] = "unet"
    (saved / "config.json").write_text(json.dumps(text))
    with pytest.raises(StorageError, match=r"and \d+ more \(were the two files") as error:
        checkpoint.load(str(saved))
    assert "\n" not in str(error.value)


def test_cut_short_weights_are_refused(saved):
    data = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(StorageError, match="not a safetensors file"):
        checkpoint.load(str(saved))


def test_unknown_key_of_the_configuration_is_refused(saved):
    text = json.loads((saved / "config.json").read_text())
    text["network"]["dropout"] = 0.5
    (saved / "config.json").write_text(json.dumps(text))
    with pytest.raises(ConfigError, match=r"config\.json: .*network\.dropout"):
        checkpoint.load(str(saved))


def test_value_of_another_type_is_refused(saved):
    text = json.loads((saved / "config.json").read_text())
    text["frontend"]["hop"] = "512"
    (saved / "config.json").write_text(json.dumps(text))
    with pytest.raises(ConfigError, match=r"frontend\.hop"):
        checkpoint.load(str(saved))


def test_presence_is_a_norm_a_condition_and_may_be_missing(tmp_path):
    assert checkpoint.read_presence(str(tmp_path), ("drums", "bass")) == {}
    (tmp_path / "presence.json").write_text('{"bass": 2, "drums": 0.5}')
    found = checkpoint.read_presence(str(tmp_path), ("drums", "bass", "piano"))
    assert list(found.items()) == [("drums", 0.5), ("bass", 2.0)]


@pytest.mark.parametrize(
    "text", ["[1]", '{"flute": 1.0}', '{"drums": "1"}', '{"drums": NaN}', '{"drums": true}']
)
def test_presence_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "presence.json").write_text(text)
    with pytest.raises(StorageError, match=r"presence\.json holds .* expected a norm for each of"):
        checkpoint.read_presence(str(tmp_path), ("drums", "bass"))
