import numpy as np
import pytest
import torch

from csn.model.librosa_features import LibrosaFeatures, features

RATE_HZ = 16_000


def tone(hz, seconds=1.0):
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)


def test_forty_five_means_then_their_deviations():
    sounds = torch.from_numpy(np.stack([tone(440), 0.5 * tone(440)]))
    found = LibrosaFeatures(RATE_HZ)(sounds)
    assert found.shape == (2, 90)
    assert found.dtype == torch.float32
    expected = features(tone(440), RATE_HZ)
    assert found[0, :45].numpy() == pytest.approx(expected.mean(axis=1), rel=1e-5, abs=1e-6)
    assert found[0, 45:].numpy() == pytest.approx(expected.std(axis=1), rel=1e-5, abs=1e-6)


def test_a_tone_is_where_it_sounds():
    inner = features(tone(2000), RATE_HZ)[:, 5:-5].mean(axis=1)
    assert inner[39] == pytest.approx(2000 / 8000, abs=0.01)  # centroid
    assert inner[41] == pytest.approx(2000 / 8000, abs=0.01)  # rolloff
    assert inner[43] == pytest.approx(2 * 2000 / RATE_HZ, abs=0.005)  # two crossings a period
    assert inner[44] == pytest.approx(np.sqrt(0.5), abs=0.005)  # RMS of a sine
    assert features(tone(440), RATE_HZ)[20:32].mean(axis=1).argmax() == 9  # A of C, C# ... B


def test_silence_is_finite_and_no_feature_rules_alone():
    assert np.isfinite(features(np.zeros(RATE_HZ, np.float32), RATE_HZ)).all()
    noise = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    assert np.abs(features(noise, RATE_HZ)[1:]).max() < 3
    assert np.abs(features(noise, RATE_HZ)[0]).max() < 10


def test_a_low_rate_has_fewer_bands_of_contrast():
    assert len(features(tone(440), 8000)) == 44
