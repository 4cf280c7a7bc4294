"""librosa is the reference of the tempogram and of CENS."""

import librosa
import numpy as np
import pytest
import torch

from csn.config import FrontendConfig
from csn.model.cens import chroma_bank
from csn.model.frontend import Frontend

SETTINGS = {  # rate, window, hop
    "r22": (22_050, 512, 256),
    "small": (16_000, 1024, 512),
    "h24": (44_100, 2048, 512),
}
every_setting = pytest.mark.parametrize(
    ("sample_rate_hz", "window", "hop"), SETTINGS.values(), ids=SETTINGS
)


def signals(sample_rate_hz):
    """Noise, a tone, clicks of a tempo, a chord progression with gaps; 3 s each."""
    num_samples = 3 * sample_rate_hz
    time_s = np.arange(num_samples) / sample_rate_hz
    noise = np.random.default_rng(0).normal(0, 0.1, num_samples)
    tone = 0.5 * np.sin(2 * np.pi * 440.0 * time_s)
    clicks = np.zeros(num_samples)
    clicks[sample_rate_hz // 10 :: sample_rate_hz // 2] = 1.0
    chords = [(57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62)]
    pieces = [sum(np.sin(2 * np.pi * midi_hz(note) * time_s) for note in c) / 6 for c in chords]
    place = np.minimum((time_s / 0.75).astype(int), 3)
    decay = np.exp(-5 * (time_s % 0.75)) * (time_s % 0.75 > 0.1)
    progression = np.choose(place, pieces) * decay
    rows = {"noise": noise, "tone": tone, "clicks": clicks, "progression": progression}
    return {name: samples.astype(np.float32) for name, samples in rows.items()}


def midi_hz(note):
    return 440.0 * 2 ** ((note - 69) / 12)


def ours(branch, waveforms, sample_rate_hz, window, hop):
    config = FrontendConfig(branches=(branch,), window=window, hop=hop)
    maps = Frontend(config, sample_rate_hz)(torch.from_numpy(np.stack(waveforms)))
    return maps[branch].numpy()


def tempogram(waveform, sample_rate_hz, window, hop):
    onsets = librosa.onset.onset_strength(
        y=waveform, sr=sample_rate_hz, n_fft=window, hop_length=hop
    )
    return librosa.feature.tempogram(onset_envelope=onsets, win_length=384)


def chroma(waveform, sample_rate_hz, window, hop):
    return librosa.feature.chroma_stft(
        y=waveform, sr=sample_rate_hz, n_fft=window, hop_length=hop, norm=None, tuning=0.0
    )


def cens(waveform, sample_rate_hz, window, hop):
    """librosa's CENS of the chroma: a "constant-Q transform" of one octave is passed as it is."""
    found = chroma(waveform, sample_rate_hz, window, hop)
    return librosa.feature.chroma_cens(C=found, bins_per_octave=12)


@every_setting
def test_tempogram_agrees_with_librosa_at_every_level(sample_rate_hz, window, hop):
    setting = (sample_rate_hz, window, hop)
    named = {
        f"{name} x {gain}": np.float32(gain) * samples
        for name, samples in signals(sample_rate_hz).items()
        for gain in (1, 1e-2, 1e-4)
    }
    found = ours("tempogram", list(named.values()), *setting)
    for (name, waveform), one in zip(named.items(), found, strict=True):
        expected = tempogram(waveform, *setting)
        assert one.shape == expected.shape == (384, 1 + 3 * sample_rate_hz // hop)
        # All that a steady tone has for onsets are its ends and float32's rounding.
        tolerance = 2e-3 if name.startswith("tone") else 1e-5
        np.testing.assert_allclose(one, expected, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("num_frames", [2, 100, 385, 1_000])
def test_tempogram_agrees_with_librosa_at_any_length(num_frames):
    waveform = np.random.default_rng(1).normal(0, 0.1, 256 * num_frames).astype(np.float32)
    found = ours("tempogram", [waveform], *SETTINGS["r22"])[0]
    expected = tempogram(waveform, *SETTINGS["r22"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@every_setting
def test_chroma_bank_agrees_with_librosa(sample_rate_hz, window, hop):
    expected = librosa.filters.chroma(sr=sample_rate_hz, n_fft=window, tuning=0.0)
    found = chroma_bank(window, sample_rate_hz).T.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@every_setting
def test_cens_agrees_with_librosa_at_every_level(sample_rate_hz, window, hop):
    setting = (sample_rate_hz, window, hop)
    named = {
        f"{name} x {gain}": np.float32(gain) * samples
        for name, samples in signals(sample_rate_hz).items()
        for gain in (1, 1e-2, 1e-4)
    }
    found = ours("cens", list(named.values()), *setting)
    for (name, waveform), one in zip(named.items(), found, strict=True):
        expected = cens(waveform, *setting)
        assert expected.shape == (12, 1 + 3 * sample_rate_hz // hop)
        assert not one[12:].any()
        # All agree to rounding; but a share that lies on one of the steps may fall to either side
        # of it on another processor, which moves 20 frames on each side by a hundredth or two.
        difference = np.abs(one[:12] - expected)
        assert difference.max() < 0.03, name
        assert np.mean(difference < 1e-5) > 0.8, name


@every_setting
@pytest.mark.parametrize("branch", ["tempogram", "cens"])
def test_silence_is_zero_as_in_librosa(branch, sample_rate_hz, window, hop):
    silence = np.zeros(3 * sample_rate_hz, np.float32)
    found = ours(branch, [silence], sample_rate_hz, window, hop)[0]
    reference = {"tempogram": tempogram, "cens": cens}[branch]
    assert not found.any()
    assert not reference(silence, sample_rate_hz, window, hop).any()
