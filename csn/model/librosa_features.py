"""A baseline of hand-made features: what librosa measures of a sound, averaged over time.

Conventions
-----------
Waveforms ``[batch, samples]`` (mono, full scale 1) give ``[batch, 90]``: the mean of each of 45
features over the frames, then their (biased) standard deviations. The features in this order, with
librosa's default window and hop: 20 MFCCs, 12 chroma bins of the STFT, spectral contrast in 7
bands, centroid, bandwidth, rolloff, flatness, zero-crossing rate, RMS.

Choices
-------
Distances need one unit for all: each feature is divided by a fixed number, about the width of what
music spans, so that no feature rules alone and no data is needed to learn a scale. MFCCs: 100 (the
first also measures loudness, up to several hundred). Contrast, in dB: 40. Centroid, bandwidth and
rolloff, in Hz: half the sample rate. Chroma, flatness, zero-crossing rate and RMS lie in 0..1 as
they are. Below 12.8 kHz the highest bands of the contrast would lie above half the sample rate;
there are fewer of them then, and fewer features.
"""

import warnings

import librosa
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

_MFCC_SCALE = 100.0
_CONTRAST_SCALE_DB = 40.0
_CONTRAST_FMIN_HZ = 200.0
_CONTRAST_BANDS = 6


class LibrosaFeatures(nn.Module):
    """Learns nothing and runs on the CPU, wherever its waveforms lie.

    Every condition reads the whole vector.

    Parameters
    ----------
    sample_rate_hz : int > 0
        Rate of the waveforms.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__()
        self.sample_rate_hz = sample_rate_hz

    def forward(self, waveform: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch features"]:
        """Mean and standard deviation over time of each feature."""
        sounds = waveform.float().cpu().numpy()
        pooled = []
        for sound in sounds:
            frames = features(sound, self.sample_rate_hz)
            pooled.append(np.concatenate([frames.mean(axis=1), frames.std(axis=1)]))
        return torch.from_numpy(np.stack(pooled).astype(np.float32)).to(waveform.device)


def features(
    sound: Float[np.ndarray, " samples"], sample_rate_hz: int
) -> Float[np.ndarray, "features frames"]:
    """Scaled features of each frame of one sound."""
    nyquist_hz = sample_rate_hz / 2
    octaves = int(np.ceil(np.log2(nyquist_hz / _CONTRAST_FMIN_HZ)))
    sr = sample_rate_hz
    measure = librosa.feature
    with warnings.catch_warnings():
        # Silence has no tuning; its chroma is zero, which is what it should be.
        warnings.filterwarnings("ignore", message="Trying to estimate tuning")
        return np.concatenate(
            [
                measure.mfcc(y=sound, sr=sr, n_mfcc=20) / _MFCC_SCALE,
                measure.chroma_stft(y=sound, sr=sr),
                measure.spectral_contrast(y=sound, sr=sr, n_bands=min(_CONTRAST_BANDS, octaves))
                / _CONTRAST_SCALE_DB,
                measure.spectral_centroid(y=sound, sr=sr) / nyquist_hz,
                measure.spectral_bandwidth(y=sound, sr=sr) / nyquist_hz,
                measure.spectral_rolloff(y=sound, sr=sr) / nyquist_hz,
                measure.spectral_flatness(y=sound),
                measure.zero_crossing_rate(sound),
                measure.rms(y=sound),
            ]
        )
