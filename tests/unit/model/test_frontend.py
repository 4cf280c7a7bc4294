import math

import pytest
import torch

from csn.config import FrontendConfig
from csn.errors import ConfigError
from csn.model.frontend import Frontend

SAMPLE_RATE_HZ = 16_000
CONFIG = FrontendConfig(window=1024, hop=256, num_mels=64)


def frontend(**settings):
    settings = {"window": 1024, "hop": 256, "num_mels": 64} | settings
    return Frontend(FrontendConfig(**settings), SAMPLE_RATE_HZ)


def mel_of(waveform, **settings):
    return frontend(**settings)(waveform)["mel"]


def tone(frequency_hz, duration_s=1.0, amplitude=0.5):
    time_s = torch.arange(int(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return amplitude * torch.sin(2 * math.pi * frequency_hz * time_s).unsqueeze(0)


def noise(batch=1, duration_s=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch, int(duration_s * SAMPLE_RATE_HZ), generator=generator)


def test_level_follows_the_magnitude_not_the_power():
    quiet, loud = mel_of(noise()), mel_of(10 * noise())
    torch.testing.assert_close(loud - quiet, torch.full_like(loud, 20.0), rtol=0, atol=1e-3)


def test_silence_lies_at_the_floor():
    mel = mel_of(torch.zeros(2, 2048), floor=1e-4)
    torch.testing.assert_close(mel, torch.full_like(mel, -80.0))


def test_loudest_band_is_the_one_of_the_tone():
    # Slaney's scale: 3 mel per 200 Hz up to 1 kHz (15 mel), then 27 steps per factor 6.4.
    highest = 15 + 27 * math.log(8_000 / 1_000) / math.log(6.4)
    for frequency_hz, mel in ((400.0, 6.0), (1_000.0, 15.0), (6_400.0, 42.0)):
        band = mel / (highest / (CONFIG.num_mels + 1)) - 1
        found = mel_of(tone(frequency_hz))[0, :, 20].argmax().item()
        assert abs(found - band) <= 0.75


def test_frames_are_centred_on_multiples_of_the_hop():
    click = torch.zeros(1, SAMPLE_RATE_HZ)
    click[0, 30 * CONFIG.hop] = 1.0
    level = mel_of(click)[0].mean(dim=0)
    assert level.shape == (1 + SAMPLE_RATE_HZ // CONFIG.hop,)
    assert level.argmax() == 30
    torch.testing.assert_close(level[29], level[31], rtol=0, atol=1e-2)


def test_standardised_examples_have_mean_zero_and_deviation_one_each():
    waveform = torch.cat([noise(), 0.01 * noise(seed=1), tone(440.0)])
    level_db = mel_of(waveform)
    # One mean and one deviation an example: what lies between its bands and frames is kept.
    mean = torch.stack([example.mean() for example in level_db])[:, None, None]
    deviation = torch.stack([example.std(correction=0) for example in level_db])[:, None, None]
    expected = (level_db - mean) / deviation
    torch.testing.assert_close(mel_of(waveform, standardise=True), expected, rtol=0, atol=1e-4)


def test_standardised_example_does_not_know_its_gain():
    torch.testing.assert_close(
        mel_of(noise(), standardise=True),
        mel_of(0.3 * noise(), standardise=True),
        rtol=0,
        atol=1e-3,
    )


def test_standardised_silence_is_finite():
    mel = mel_of(torch.zeros(1, SAMPLE_RATE_HZ), standardise=True)
    torch.testing.assert_close(mel, torch.zeros_like(mel), rtol=0, atol=0.01)


def test_each_waveform_of_a_large_batch_gives_what_it_gives_alone():
    waveform = noise(batch=14, duration_s=3.0)  # a CPU takes these in three pieces
    together = mel_of(waveform)
    alone = torch.cat([mel_of(one.unsqueeze(0)) for one in waveform])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-3)


def test_autocast_changes_nothing():
    plain = mel_of(noise())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = mel_of(noise())
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
        mel_of(torch.zeros(1, 1023))
    assert mel_of(torch.zeros(1, 1024)).shape == (1, 64, 5)


def test_log1p10_by_hand():
    # A click of height h has the magnitude h in every bin, so every band has h times its area.
    click = torch.zeros(1, 2048)
    click[0, 1024] = 0.5
    areas = frontend().branches["mel"].bank.sum(dim=0)
    found = mel_of(click, compression="log1p10")[0, :, 4]
    torch.testing.assert_close(found, (1 + 10 * 0.5 * areas).log10())


def test_log1p10_of_silence_is_zero_standardised_or_not():
    silence = torch.zeros(1, SAMPLE_RATE_HZ)
    for standardise in (False, True):
        mel = mel_of(silence, compression="log1p10", standardise=standardise)
        assert torch.equal(mel, torch.zeros_like(mel))


ALL = ("mel", "tempogram", "cens")


def test_three_branches_have_one_time_axis_and_the_bands_of_the_paper():
    built = Frontend(FrontendConfig(branches=ALL, window=512, hop=256, num_mels=128), 22_050)
    maps = built(torch.zeros(2, 3 * 22_050))
    assert built.num_bands == {"mel": 128, "tempogram": 384, "cens": 16}
    assert {name: tuple(one.shape) for name, one in maps.items()} == {
        "mel": (2, 128, 259),
        "tempogram": (2, 384, 259),
        "cens": (2, 16, 259),
    }


def test_branches_come_in_the_order_of_the_configuration_and_each_as_it_comes_alone():
    together = frontend(branches=("cens", "mel", "tempogram"))(noise(batch=2))
    assert list(together) == ["cens", "mel", "tempogram"]
    for branch, found in together.items():
        alone = frontend(branches=(branch,))(noise(batch=2))
        assert list(alone) == [branch]
        assert torch.equal(found, alone[branch])


@pytest.mark.parametrize("branch", ALL)
def test_example_of_any_branch_does_not_depend_on_its_batch(branch):
    # The second is 60 dB below the first, the third silent; a CPU takes these in three pieces.
    waveform = noise(batch=14, duration_s=3.0)
    waveform[1] *= 1e-3
    waveform[2] = 0
    built = frontend(branches=(branch,))
    together = built(waveform)[branch]
    alone = torch.cat([built(one.unsqueeze(0))[branch] for one in waveform])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-3)


@pytest.mark.parametrize("branch", ["tempogram", "cens"])
def test_silence_is_all_zero_in_the_branches_of_onsets_and_pitches(branch):
    found = frontend(branches=(branch,))(torch.zeros(1, SAMPLE_RATE_HZ))[branch]
    assert torch.equal(found, torch.zeros_like(found))


def test_all_branches_run_in_float32_under_autocast_and_keep_no_graph():
    built = frontend(branches=ALL)
    plain = built(noise())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = built(noise())
    for branch in ALL:
        assert torch.equal(under_autocast[branch], plain[branch])
        assert not plain[branch].requires_grad
    assert not built.state_dict()
