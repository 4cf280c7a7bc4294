import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soxr
import torch

import csn
from csn import recipes, storage
from csn.errors import CsnError, StorageError
from csn.model import checkpoint
from csn.model.network import build_network


def saved(folder, recipe="tiny", presence=None, **network):
    config = recipes.ALL[recipe]()
    config = replace(config, network=replace(config.network, **network))
    torch.manual_seed(0)
    checkpoint.save(str(folder), build_network(config), config)
    if presence is not None:
        storage.write_json(storage.join(str(folder), checkpoint.PRESENCE), presence)
    return csn.load(str(folder))


def noise(seconds, rate_hz, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=round(seconds * rate_hz)).astype(np.float32) * 0.1


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("raw"), unit_subspaces=False)


def test_vector_is_the_mean_of_what_the_network_gives_for_each_segment(raw):
    wave = noise(7.5, raw.sample_rate_hz)
    found = raw.embed(wave, raw.sample_rate_hz)
    length = round(3 * raw.sample_rate_hz)
    starts = [0, length, len(wave) - length]
    segments = torch.from_numpy(np.stack([wave[s : s + length] for s in starts]))
    with torch.inference_mode():
        whole = raw.network(segments).numpy()
    assert tuple(found) == raw.conditions
    for name, vector in found.items():
        expected = whole[:, raw.config.network.layout.dims(name)].mean(axis=0)
        np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-6)
        assert vector.dtype == np.float32


def test_channels_are_averaged_and_any_rate_is_resampled(raw):
    wave = noise(4, 44_100)
    stereo = np.stack([wave * 0.5, wave * 1.5])
    found = raw.embed(stereo, 44_100)
    same = raw.embed(soxr.resample(wave, 44_100, raw.sample_rate_hz), raw.sample_rate_hz)
    tensor = raw.embed(torch.from_numpy(stereo), 44_100)
    for name in raw.conditions:
        np.testing.assert_allclose(found[name], same[name], rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(found[name], tensor[name])


def test_many_segments_go_in_batches_and_change_nothing(raw, monkeypatch):
    wave = noise(9, raw.sample_rate_hz)
    whole = raw.embed_segments(wave, raw.sample_rate_hz, segment_s=1.5, hop_s=0.5)
    monkeypatch.setattr("csn.model.embedder.BATCH_S", 3.0)
    parts = raw.embed_segments(wave, raw.sample_rate_hz, segment_s=1.5, hop_s=0.5)
    for name, vectors in whole.items():
        assert len(vectors) == 16
        np.testing.assert_allclose(parts[name], vectors, rtol=1e-4, atol=1e-6)


def test_unit_vectors_have_a_mean_of_length_1(tmp_path):
    unit = saved(tmp_path, unit_subspaces=True)
    found = unit.embed(noise(10, unit.sample_rate_hz), unit.sample_rate_hz)
    for vector in found.values():
        assert np.linalg.norm(vector) == pytest.approx(1)


def test_segments_that_are_not_heard_are_left_out_of_the_mean(tmp_path):
    before = saved(tmp_path, unit_subspaces=False)
    wave = np.concatenate(
        [noise(3, before.sample_rate_hz), noise(3, before.sample_rate_hz) * 1e-4]
    )
    segments = before.embed_segments(wave, before.sample_rate_hz)["drums"]
    norms = np.linalg.norm(segments, axis=1)
    assert abs(norms[0] - norms[1]) > 1e-4
    heard = int(np.argmax(norms))
    gated = saved(tmp_path, presence={"drums": float(norms.mean())}, unit_subspaces=False)
    np.testing.assert_allclose(
        gated.embed(wave, gated.sample_rate_hz)["drums"], segments[heard], rtol=1e-5
    )
    assert gated.mean("drums", segments)[1] == pytest.approx(norms[heard])
    assert np.isnan(gated.mean("bass", segments)[1])
    nobody = gated.mean("drums", segments * 1e-6)[0]  # heard in none: the mean of all
    np.testing.assert_allclose(nobody, segments.mean(axis=0) * 1e-6, rtol=1e-5)


def test_individual_networks_each_hear_the_whole(tmp_path):
    own = saved(tmp_path, "tiny_hashizume2022")
    found = own.embed(noise(3, own.sample_rate_hz), own.sample_rate_hz)
    assert tuple(found) == own.conditions
    assert all(vector.any() for vector in found.values())


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros((3, 3, 3), np.float32), "expected"),
        (np.zeros(0, np.float32), "expected"),
        (np.zeros(48_000, np.int16), "divide whole numbers by their full scale"),
        (np.zeros((48_000, 2), np.float32), "transpose it"),
        (np.full(48_000, np.nan, np.float32), "values that are not numbers"),
        (np.zeros(20, np.float32), "shorter than 1 s found"),
    ],
)
def test_what_is_no_waveform_is_refused(raw, waveform, message):
    with pytest.raises(CsnError, match=message):
        raw.embed(waveform, raw.sample_rate_hz)


def test_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(StorageError, match="no checkpoint here"):
        csn.load(str(tmp_path))


def test_blocks_give_what_the_whole_gives(raw):
    wave = noise(8, raw.sample_rate_hz)
    whole = raw.embed_segments(wave, raw.sample_rate_hz)
    parts = raw.embed_blocks(iter(np.array_split(wave, 7)))
    for name, vectors in whole.items():
        assert len(vectors) == 3
        np.testing.assert_array_equal(parts[name], vectors)


def test_loading_a_network_imports_no_ray_and_importing_csn_imports_nothing(tmp_path):
    saved(tmp_path)
    code = (
        "import sys, csn; assert 'torch' not in sys.modules and 'numpy' not in sys.modules;"
        f"csn.load({str(tmp_path)!r}); assert 'ray' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
