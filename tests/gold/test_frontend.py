"""librosa is the reference of the front end."""

from dataclasses import replace

import librosa
import numpy as np
import pytest
import torch

from csn.config import FrontendConfig
from csn.model.frontend import Frontend

SETTINGS = {
    "h24": (44_100, FrontendConfig(window=2048, hop=512, num_mels=259)),
    "small": (16_000, FrontendConfig(window=1024, hop=512, num_mels=128)),
}


def signals(sample_rate_hz):
    """Noise, a chord that begins and ends inside, one click, and silence; 3 s each."""
    num_samples = 3 * sample_rate_hz
    time_s = np.arange(num_samples) / sample_rate_hz
    chord = sum(np.sin(2 * np.pi * hz * time_s) / 4 for hz in (55.0, 440.0, 3_520.0))
    click = np.zeros(num_samples)
    click[num_samples // 3] = 1.0
    noise = np.random.default_rng(0).normal(0, 0.1, num_samples)
    sounding = (time_s > 0.5) & (time_s < 2.0)
    return np.stack([noise, chord * sounding, click, np.zeros(num_samples)]).astype(np.float32)


def reference(waveform, sample_rate_hz, config):
    """20 log10 of librosa's magnitude mel spectrogram, clamped at the floor."""
    mel = librosa.feature.melspectrogram(
        y=waveform,
        sr=sample_rate_hz,
        n_fft=config.window,
        hop_length=config.hop,
        n_mels=config.num_mels,
        power=1.0,
    )
    return 20 * np.log10(np.maximum(mel, config.floor))


@pytest.mark.parametrize(("sample_rate_hz", "config"), SETTINGS.values(), ids=SETTINGS)
def test_log_mel_agrees_with_librosa(sample_rate_hz, config):
    waveform = signals(sample_rate_hz)
    found = Frontend(config, sample_rate_hz)(torch.from_numpy(waveform))["mel"].numpy()
    expected = reference(waveform, sample_rate_hz, config)
    assert found.shape == expected.shape == (4, config.num_mels, 1 + 3 * sample_rate_hz // 512)
    # float32 keeps seven digits of the loudest bin, which leaves few of one 110 dB below it.
    clear = expected > -60
    assert 0.2 < clear.mean() < 0.9
    np.testing.assert_allclose(found[clear], expected[clear], rtol=0, atol=0.01)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.2)


def test_log1p10_agrees_with_librosa_and_the_z_score_with_numpy():
    sample_rate_hz = 22_050
    config = FrontendConfig(window=512, hop=256, num_mels=128, compression="log1p10")
    waveform = signals(sample_rate_hz)
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=sample_rate_hz, n_fft=512, hop_length=256, n_mels=128, power=1.0
    )
    expected = np.log10(1 + 10 * mel)
    found = Frontend(config, sample_rate_hz)(torch.from_numpy(waveform))["mel"].numpy()
    assert found.shape == (4, 128, 259)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    scored = Frontend(replace(config, standardise=True), sample_rate_hz)
    for gain in (1.0, 0.01):
        quiet = np.float32(gain) * waveform[0]
        found = scored(torch.from_numpy(quiet[None]))["mel"].numpy()[0]
        level = np.log10(1 + 10 * gain * mel[0].astype(float))
        np.testing.assert_allclose(found, (level - level.mean()) / level.std(), atol=1e-3)


def test_three_seconds_at_44100_hz_make_a_square():
    sample_rate_hz, config = SETTINGS["h24"]
    mel = Frontend(config, sample_rate_hz)(torch.zeros(1, 132_300))["mel"]
    assert mel.shape == (1, 259, 259)
