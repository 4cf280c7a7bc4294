import numpy as np
import pytest
import torch

from csn.audio.parts import Parts
from csn.conditions import INSTRUMENTS
from csn.errors import ConfigError, CorpusError
from csn.model import device_bank
from csn.model.device_bank import DeviceBank
from csn.records import ABSENT, Mix
from csn.triplets.rendering import render

RATE_HZ = 1_000
CPU = torch.device("cpu")


def bank(loudest=1.7):
    rng = np.random.default_rng(0)
    tracks = {}
    # As they come from a prepared track, where they are float32.
    for number, louder in enumerate((1.0, 1.0, loudest)):
        scale = float(np.float32(louder / 32768))
        parts = INSTRUMENTS[: 5 - number]  # the last tracks lack some
        pcm = {part: rng.integers(-32768, 32767, 5_000).astype("<i2") for part in parts}
        for samples in pcm.values():
            samples.flags.writeable = False  # as Ray hands them out
        tracks[f"T{number}"] = Parts(pcm, scale, RATE_HZ)
    return tracks


MIXES = [
    Mix.of_track("T0", 0.0),
    Mix.pseudo("drums", "T1", "T2", 1.2345),
    Mix(("T0", "T1", "T2", "T0", ABSENT), (0.5, 4.0, 0.001, 3.9999, 0.0)),
    Mix((ABSENT,) * 5, (0.0,) * 5),
]


@pytest.mark.parametrize("loudest", [1.0, 1.7, 4.7])
def test_renders_what_the_workers_render(loudest):
    tracks = bank(loudest)
    here = DeviceBank(tracks, 1.0, RATE_HZ, CPU)
    expected = render(MIXES, tracks, RATE_HZ)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(here.render(MIXES).numpy(), expected, rtol=0, atol=1e-6)


def test_windows_beyond_a_track_are_refused():
    here = DeviceBank(bank(), 1.0, RATE_HZ, CPU)
    with pytest.raises(CorpusError, match=r"T0: a window of 1000 samples from 4.5 s"):
        here.render([Mix.of_track("T0", 4.5)])


def test_a_track_that_is_not_there_is_no_silence():
    here = DeviceBank(bank(), 1.0, RATE_HZ, CPU)
    with pytest.raises(CorpusError, match="T9: not in this bank of 3 tracks"):
        here.render([Mix.of_track("T9", 0.0)])


def test_a_bank_that_does_not_fit_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(device_bank, "USABLE_SHARE", 1e-9)
    with pytest.raises(ConfigError, match=r"placement=device: the parts of 3 tracks .*workers"):
        DeviceBank(bank(), 1.0, RATE_HZ, CPU)
