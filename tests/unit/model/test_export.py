import json

import numpy as np
import pytest
import torch

import csn
from csn import recipes, storage
from csn.config import ExportConfig
from csn.errors import ConfigError, TrainingError
from csn.model import checkpoint, export
from csn.model.network import build_network

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config = recipes.tiny()
    torch.manual_seed(0)
    uri = str(tmp_path_factory.mktemp("checkpoint"))
    checkpoint.save(uri, build_network(config), config)
    storage.write_json(storage.join(uri, checkpoint.PRESENCE), {"drums": 0.25})
    return uri


@pytest.fixture(scope="module")
def exported(folder):
    return export.export(ExportConfig(checkpoint_uri=folder))


def test_file_computes_what_the_network_does_for_any_number_and_length(folder, exported):
    embedder = csn.load(folder)
    session = onnxruntime.InferenceSession(exported)
    rng = np.random.default_rng(1)
    for num, size in ((1, 16_000), (5, 50_001)):
        waveforms = (0.1 * rng.normal(size=(num, size))).astype(np.float32)
        outputs = session.run(None, {"waveform": waveforms})
        names = [output.name for output in session.get_outputs()]
        assert tuple(names) == embedder.conditions
        for name, expected in embedder.vectors(waveforms).items():
            found = outputs[names.index(name)]
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_file_says_what_it_is(folder, exported):
    assert exported == storage.join(folder, "model.onnx")
    told = onnxruntime.InferenceSession(exported).get_modelmeta().custom_metadata_map
    assert told["model_digest"] == csn.load(folder).digest
    assert told["sample_rate_hz"] == "16000"
    assert json.loads(told["thresholds"]) == {"drums": 0.25}


def test_loading_the_checkpoint_beside_it_is_as_before(folder, exported):
    assert csn.load(folder).digest == checkpoint.load(folder).digest


def test_file_that_computes_something_else_is_refused(folder, exported):
    embedder = csn.load(folder)
    session = onnxruntime.InferenceSession(exported)
    with torch.no_grad():
        embedder.network.head.linear.weight.mul_(-1.5)
    with pytest.raises(TrainingError, match="nothing was written"):
        export._check_alike(embedder, session)


def test_missing_packages_are_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ConfigError, match="uv sync --extra onnx"):
        export.export(ExportConfig(checkpoint_uri=folder))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["tiny_hashizume2022", "tiny_ribecky2022"])
def test_networks_of_their_own_and_of_several_inputs_are_exported_too(tmp_path, recipe):
    config = recipes.ALL[recipe]()
    torch.manual_seed(0)
    checkpoint.save(str(tmp_path), build_network(config), config)
    uri = export.export(ExportConfig(checkpoint_uri=str(tmp_path)))
    outputs = onnxruntime.InferenceSession(uri).get_outputs()
    assert tuple(output.name for output in outputs) == config.network.conditions
