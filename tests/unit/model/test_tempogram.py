import torch

from csn.config import FrontendConfig
from csn.model.frontend import Frontend
from csn.model.tempogram import local_autocorrelation, onset_strength

SAMPLE_RATE_HZ = 22_050
HOP = 256


def test_onset_strength_is_the_mean_rise_in_db_shifted_to_where_it_is_heard():
    # Two bands: 0 and 0 dB, then 10 and 0, then 10 and -10, then 30 and 10.
    power = torch.tensor([[[1.0, 10.0, 10.0, 1_000.0], [1.0, 1.0, 0.1, 10.0]]])
    by_hand = torch.tensor([[0.0, 5.0, 0.0, 20.0]])
    torch.testing.assert_close(onset_strength(power, 0), by_hand)
    shifted = torch.tensor([[0.0, 0.0, 5.0, 0.0]])
    torch.testing.assert_close(onset_strength(power, 1), shifted)


def test_no_onset_counts_more_than_80_db_below_the_loudest_of_its_own_example():
    # From 100 dB below the loudest of its example to 60 below: only 20 dB lie above the bound.
    power = torch.tensor([[[1.0, 1.0], [1e-10, 1e-6]], [[1e-4, 1e-4], [1e-10, 1e-6]]])
    rise = onset_strength(power, 0)[:, 1]
    torch.testing.assert_close(rise, torch.tensor([10.0, 20.0]))


def test_delay_longer_than_the_audio_leaves_silence():
    assert torch.equal(onset_strength(torch.rand(2, 3, 4), 9), torch.zeros(2, 4))


def test_local_autocorrelation_by_hand():
    onsets = torch.tensor([[2.0, 0.0, 1.0]])
    window = torch.ones(4)
    # Straight lines of two frames to both ends: 0 1 | 2 0 1 | .5 0; windows of four frames.
    frames = [[0.0, 1.0, 2.0, 0.0], [1.0, 2.0, 0.0, 1.0], [2.0, 0.0, 1.0, 0.5]]
    expected = [
        [sum(a * b for a, b in zip(one, one[lag:], strict=False)) for lag in range(4)]
        for one in frames
    ]
    expected = torch.tensor([[value / one[0] for value in one] for one in expected]).T
    torch.testing.assert_close(local_autocorrelation(onsets, window)[0], expected)


def test_clicks_are_alike_after_every_period():
    waveform = torch.zeros(1, 10 * SAMPLE_RATE_HZ)
    waveform[0, :: 40 * HOP] = 1.0
    config = FrontendConfig(branches=("tempogram",), window=512, hop=HOP)
    frame = Frontend(config, SAMPLE_RATE_HZ)(waveform)["tempogram"][0, :, 430]
    assert frame[0] == 1
    for period in (40, 80, 120):
        assert frame[period - 10 : period + 11].argmax() == 10
        assert frame[period] > 10 * frame[period + 20]
