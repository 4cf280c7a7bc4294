import math

import pytest
import torch

from csn.config import FrontendConfig
from csn.errors import ConfigError
from csn.model.frontend import MelFrontend

SAMPLE_RATE_HZ = 16_000
CONFIG = FrontendConfig(window=1024, hop=256, num_mels=64)


def frontend(**settings):
    return MelFrontend(
        FrontendConfig(window=1024, hop=256, num_mels=64, **settings), SAMPLE_RATE_HZ
    )


def tone(frequency_hz, duration_s=1.0, amplitude=0.5):
    time_s = torch.arange(int(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return amplitude * torch.sin(2 * math.pi * frequency_hz * time_s).unsqueeze(0)


def noise(batch=1, duration_s=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch, int(duration_s * SAMPLE_RATE_HZ), generator=generator)


def test_level_follows_the_magnitude_not_the_power():
    quiet, loud = frontend()(noise()), frontend()(10 * noise())
    torch.testing.assert_close(loud - quiet, torch.full_like(loud, 20.0), rtol=0, atol=1e-3)


def test_silence_lies_at_the_floor():
    mel = frontend(floor=1e-4)(torch.zeros(2, 2048))
    torch.testing.assert_close(mel, torch.full_like(mel, -80.0))


def test_loudest_band_is_the_one_of_the_tone():
    # Slaney's scale: 3 mel per 200 Hz up to 1 kHz (15 mel), then 27 steps per factor 6.4.
    highest = 15 + 27 * math.log(8_000 / 1_000) / math.log(6.4)
    for frequency_hz, mel in ((400.0, 6.0), (1_000.0, 15.0), (6_400.0, 42.0)):
        band = mel / (highest / (CONFIG.num_mels + 1)) - 1
        found = frontend()(tone(frequency_hz))[0, :, 20].argmax().item()
        assert abs(found - band) <= 0.75


def test_frames_are_centred_on_multiples_of_the_hop():
    click = torch.zeros(1, SAMPLE_RATE_HZ)
    click[0, 30 * CONFIG.hop] = 1.0
    level = frontend()(click)[0].mean(dim=0)
    assert level.shape == (1 + SAMPLE_RATE_HZ // CONFIG.hop,)
    assert level.argmax() == 30
    torch.testing.assert_close(level[29], level[31], rtol=0, atol=1e-2)


def test_standardised_examples_have_mean_zero_and_deviation_one_each():
    waveform = torch.cat([noise(), 0.01 * noise(seed=1), tone(440.0)])
    level_db = frontend()(waveform)
    # One mean and one deviation an example: what lies between its bands and frames is kept.
    mean = torch.stack([example.mean() for example in level_db])[:, None, None]
    deviation = torch.stack([example.std(correction=0) for example in level_db])[:, None, None]
    expected = (level_db - mean) / deviation
    torch.testing.assert_close(frontend(standardise=True)(waveform), expected, rtol=0, atol=1e-4)


def test_standardised_example_does_not_know_its_gain():
    torch.testing.assert_close(
        frontend(standardise=True)(noise()),
        frontend(standardise=True)(0.3 * noise()),
        rtol=0,
        atol=1e-3,
    )


def test_standardised_silence_is_finite():
    mel = frontend(standardise=True)(torch.zeros(1, SAMPLE_RATE_HZ))
    torch.testing.assert_close(mel, torch.zeros_like(mel), rtol=0, atol=0.01)


def test_each_waveform_of_a_large_batch_gives_what_it_gives_alone():
    waveform = noise(batch=14, duration_s=3.0)  # a CPU takes these in three pieces
    together = frontend()(waveform)
    alone = torch.cat([frontend()(one.unsqueeze(0)) for one in waveform])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-3)


def test_autocast_changes_nothing():
    plain = frontend()(noise())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = frontend()(noise())
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, plain)


def test_nothing_of_it_is_learnt_or_saved_but_its_buffers_move_with_it():
    module = frontend()
    assert not list(module.parameters())
    assert not module.state_dict()
    on_meta = module.to("meta")
    assert {buffer.device.type for buffer in on_meta.buffers()} == {"meta"}
    assert len(list(on_meta.buffers())) == 2


def test_waveform_shorter_than_a_window_is_refused():
    with pytest.raises(ConfigError, match=r"1023 samples .* at least 0\.064 s"):
        frontend()(torch.zeros(1, 1023))
    assert frontend()(torch.zeros(1, 1024)).shape == (1, 64, 5)
