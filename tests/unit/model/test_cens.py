import math

import pytest
import torch

from csn.config import FrontendConfig
from csn.model.cens import NUM_ROWS, Cens, chroma_bank, quantised
from csn.model.frontend import Frontend

SAMPLE_RATE_HZ = 22_050
CONFIG = FrontendConfig(branches=("cens",), window=2048, hop=512)


def cens_of(waveform):
    return Frontend(CONFIG, SAMPLE_RATE_HZ)(waveform)["cens"]


def tone(frequency_hz, duration_s=3.0):
    time_s = torch.arange(int(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return 0.5 * torch.sin(2 * math.pi * frequency_hz * time_s).unsqueeze(0)


@pytest.mark.parametrize(("frequency_hz", "row"), [(261.63, 0), (329.63, 4), (880.0, 9)])
def test_tone_stands_in_the_row_of_its_pitch_class(frequency_hz, row):
    frame = cens_of(tone(frequency_hz))[0, :, 60]
    assert frame.argmax() == row
    # The neighbours get what the Gaussian about the pitch leaves: one step or two of four.
    assert frame[row] > 0.7


def test_last_four_rows_are_zero_and_the_others_have_length_one_where_something_sounds():
    cens = cens_of(tone(440.0))
    assert cens.shape[1] == NUM_ROWS == 16
    assert not cens[:, 12:].any()
    lengths = torch.linalg.vector_norm(cens, dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_level_does_not_matter():
    torch.testing.assert_close(cens_of(tone(440.0)), cens_of(1e-3 * tone(440.0)))


def test_steps_by_hand():
    # Shares .5, .25, .15, .07, .03: above four, three, two, one, and none of the steps.
    chroma = torch.tensor([50.0, 25.0, 15.0, 7.0, 3.0]).view(1, 5, 1)
    expected = torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]).view(1, 5, 1)
    assert torch.equal(quantised(chroma), expected)
    assert torch.equal(quantised(0 * chroma), 0 * chroma)


def test_smoothing_is_a_hann_window_of_41_frames():
    smoothing = Cens(CONFIG, SAMPLE_RATE_HZ).smoothing.flatten()
    assert len(smoothing) == 41
    torch.testing.assert_close(smoothing.sum(), torch.tensor(1.0))
    by_hand = torch.tensor([math.sin(math.pi * (i + 1) / 42) ** 2 for i in range(41)])
    torch.testing.assert_close(smoothing, by_hand / by_hand.sum())


def test_bin_of_the_concert_pitch_goes_to_a():
    # 16 Hz a bin: 440 Hz lies half-way between two, both nearest to A.
    bank = chroma_bank(1_000, 16_000)
    assert bank.shape == (501, 12)
    assert bank[27].argmax() == bank[28].argmax() == 9
    assert bank.isfinite().all()
