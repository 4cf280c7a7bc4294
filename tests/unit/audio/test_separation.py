import json
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from csn.audio.activity import levels_db
from csn.audio.parts import prepare_track
from csn.audio.separation import Hpss, Oracle, held, separator_of
from csn.config import AudioConfig
from csn.errors import ConfigError
from csn.records import Stem, Track

RATE_HZ = 16_000
FOUR = ("drums", "bass", "other", "vocals")


def tone(frequency_hz, seconds=2.0, amplitude=0.2):
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


def clicks(seconds=2.0):
    found = np.zeros(round(seconds * RATE_HZ), np.float32)
    found[:: RATE_HZ // 4] = 0.9
    return found


def power(samples):
    return float(np.mean(np.square(samples, dtype=np.float64)))


def without_edges(samples):
    return samples[RATE_HZ // 4 : -RATE_HZ // 4]


def test_masks_part_sounds_that_do_not_overlap():
    parts = {"bass": tone(200), "guitar": tone(2000)}
    found = Oracle(bleed_db=-200)(parts, RATE_HZ)
    for name, samples in parts.items():
        error = without_edges(found[name] - samples)
        assert power(error) < 1e-4 * power(samples)


@pytest.mark.parametrize("bleed_db", [-20.0, -6.0])
def test_all_else_comes_through_as_loud_as_asked(bleed_db):
    # The tones do not overlap: estimate = (own + g other) / (1 + g), for two parts.
    parts = {"bass": tone(200), "guitar": tone(2000)}
    found = Oracle(bleed_db)(parts, RATE_HZ)
    gain = 10 ** (bleed_db / 20)
    expected = (parts["bass"] + gain * parts["guitar"]) / (1 + gain)
    assert power(without_edges(found["bass"] - expected)) < 1e-4 * power(expected)


def test_estimates_sum_to_the_mix():
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 2 * RATE_HZ)).astype(np.float32)
    parts = dict(zip(("drums", "bass", "others"), noise, strict=True))
    found = Oracle(bleed_db=-10)(parts, RATE_HZ)
    np.testing.assert_allclose(sum(found.values()), noise.sum(axis=0), atol=1e-4)


def test_equal_parts_get_equal_shares():
    # Masks of a half each, whatever bleeds: (1/2 + g/2) / (1 + g) = 1/2 of the mix.
    parts = {"bass": tone(300), "piano": tone(300)}
    found = Oracle(bleed_db=-6)(parts, RATE_HZ)
    for estimate in found.values():
        np.testing.assert_allclose(without_edges(estimate), without_edges(tone(300)), atol=1e-4)


def test_hpss_gives_clicks_to_the_drums_and_tones_to_the_rest():
    parts = {"drums": clicks(), "bass": tone(200), "guitar": tone(900)}
    separator = Hpss()
    found = separator(parts, RATE_HZ)
    truth = held(separator, parts)
    assert set(found) == set(truth) == {"drums", "others"}
    for name in found:
        mine, other = (np.corrcoef(found[name], truth[part])[0, 1] for part in found)
        own = {"drums": mine, "others": other}[name]
        assert own > 0.8
        assert own > abs({"drums": other, "others": mine}[name]) + 0.5


def test_known_parts_of_an_estimate_are_summed_and_absent_ones_left_out():
    truth = held(Hpss(), {"bass": tone(200), "guitar": tone(900)})
    assert list(truth) == ["others"]
    np.testing.assert_allclose(truth["others"], tone(200) + tone(900), atol=1e-6)


@pytest.fixture
def track(tmp_path):
    import soundfile

    stems = []
    for number, (name, samples) in enumerate(
        (("drums", clicks(4.0)), ("bass", np.concatenate([tone(200), np.zeros(2 * RATE_HZ)])))
    ):
        uri = str(tmp_path / f"S{number:02d}.flac")
        soundfile.write(uri, samples, RATE_HZ)
        stems.append(Stem(f"S{number:02d}", name, uri, 0))
    return Track("Track00001", "made-up", "train", 120.0, 1.0, tuple(stems))


def test_prepared_parts_are_estimates_but_sound_where_the_stems_do(track):
    plain = prepare_track(track, AudioConfig(sample_rate_hz=RATE_HZ))
    audio = AudioConfig(sample_rate_hz=RATE_HZ, separator="oracle", bleed_db=-12)
    separated = prepare_track(track, audio)
    assert set(separated.parts.pcm) == {"drums", "bass"}
    for name, levels in plain.levels_db.items():
        np.testing.assert_array_equal(separated.levels_db[name], levels)
    # The bass is silent in the second half; its estimate has the bleed of the drums there.
    bass = separated.parts.pcm["bass"] * separated.parts.pcm_scale
    assert levels_db(bass.astype(np.float32), RATE_HZ, 0.25)[-4:].min() > -60
    assert plain.levels_db["bass"][-4:].max() < -100


def test_what_a_separator_leaves_together_is_one_part(track):
    prepared = prepare_track(track, AudioConfig(sample_rate_hz=RATE_HZ, separator="hpss"))
    assert set(prepared.parts.pcm) == {"drums", "others"}
    plain = prepare_track(track, AudioConfig(sample_rate_hz=RATE_HZ))
    np.testing.assert_allclose(
        prepared.levels_db["others"], plain.levels_db["bass"], rtol=0, atol=0.01
    )


@pytest.fixture
def demucs_weights(tmp_path):
    """Write the weights of a small Demucs network as Demucs publishes its own."""
    pytest.importorskip("demucs", reason="needs the extra: uv sync --extra demucs")
    import torch
    from demucs.hdemucs import HDemucs

    def demucs_weights(
        sources=("drums", "bass", "other", "vocals"), klass="demucs.hdemucs.HDemucs"
    ):
        torch.manual_seed(0)
        kwargs = {"sources": list(sources), "channels": 4, "samplerate": 44_100, "segment": 4}
        network = HDemucs(**kwargs)
        tensors = {name: value.numpy().copy() for name, value in network.state_dict().items()}
        metadata = {"klass": klass, "args": json.dumps([]), "kwargs": json.dumps(kwargs)}
        uri = str(tmp_path / "network.safetensors")
        save_file(tensors, uri, metadata)
        return uri

    return demucs_weights


def with_demucs(weights):
    return AudioConfig(sample_rate_hz=RATE_HZ, separator="demucs", demucs_weights=weights)


def test_demucs_network_separates_the_mix_and_gives_the_same_again(demucs_weights):
    separator = separator_of(with_demucs(demucs_weights()))
    assert separator.holds == {
        "drums": ("drums",),
        "bass": ("bass",),
        "others": ("piano", "guitar", "others"),
    }
    parts = {"drums": clicks(1.0), "guitar": tone(900, 1.0)}
    found = separator(parts, RATE_HZ)
    assert {name: samples.shape for name, samples in found.items()} == dict.fromkeys(
        ("drums", "bass", "others"), (RATE_HZ,)
    )
    assert all(np.isfinite(samples).all() and samples.any() for samples in found.values())
    again = separator({"piano": parts["drums"] + parts["guitar"]}, RATE_HZ)
    for name, samples in found.items():
        np.testing.assert_allclose(samples, again[name], atol=1e-6)


def test_demucs_network_of_six_sources_tells_every_part(demucs_weights):
    uri = demucs_weights(("drums", "bass", "other", "vocals", "guitar", "piano"))
    holds = separator_of(with_demucs(uri)).holds
    assert set(holds) == {"drums", "bass", "piano", "guitar", "others"}
    assert holds["others"] == ("others",)


def test_sources_that_no_part_is_known_for_are_refused(demucs_weights):
    uri = demucs_weights(("drums", "birds"))
    with pytest.raises(ConfigError, match="separates drums, birds; of birds it is not known"):
        separator_of(with_demucs(uri))


def test_weights_that_name_another_class_are_not_built(demucs_weights):
    uri = demucs_weights(klass="subprocess.Popen")
    with pytest.raises(ConfigError, match=r"is of the class 'subprocess\.Popen'; expected"):
        separator_of(with_demucs(uri))


def test_absent_and_broken_weights_say_how_to_get_them(demucs_weights, tmp_path):
    with pytest.raises(ConfigError, match=r"is no file; expected a safetensors file.*download"):
        separator_of(with_demucs(str(tmp_path / "absent.safetensors")))
    (tmp_path / "broken.th").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ConfigError, match=r"broken\.th: .*expected a safetensors file"):
        separator_of(with_demucs(str(tmp_path / "broken.th")))


def test_absent_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "demucs", None)
    with pytest.raises(ConfigError, match="uv sync --extra demucs"):
        separator_of(with_demucs("never-read.safetensors"))


def test_weights_go_with_demucs_alone():
    with pytest.raises(ConfigError, match=r"audio\.demucs_weights='' with .*demucs needs a file"):
        AudioConfig(separator="demucs")
    with pytest.raises(ConfigError, match=r"audio\.demucs_weights='x' with audio\.separator=none"):
        AudioConfig(demucs_weights="x")
