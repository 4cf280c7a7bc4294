from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csn import recipes
from csn.config import FrontendConfig, NetworkConfig, from_json, to_json
from csn.model import checkpoint
from csn.model.frontend import Frontend
from csn.model.inception import DenseHead, InceptionEncoder, NaiveModule, ReductionModule
from csn.model.network import build_mean_mel, build_network

PAPER = (64, 64, 128, 128, 256, 256, 512)
SMALL = (4, 8, 8, 12)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_the_papers_networks():
    for bands, embedding_dim, encoder, whole in (
        ((128,), 256, 3_760_224, 3_892_064),
        ((128, 384, 16), 384, 4_442_272, 4_640_032),
    ):
        built = InceptionEncoder(PAPER, bands)
        assert built.num_features == 512
        assert count(built) == encoder
        assert count(built) + count(DenseHead(512, embedding_dim)) == whole


@pytest.mark.parametrize("bands", [128, 384, 16, 8, 259])
def test_branch_ends_in_maps_of_16_by_16_and_halves_no_bands_below_16(bands):
    built = InceptionEncoder(SMALL, (bands,)).eval()
    branch = built.branches[0]
    before = branch[:-1](torch.zeros(1, 1, bands, 259))
    assert before.shape[2] >= min(bands, 16)
    assert before.shape[3] == 33
    assert branch(torch.zeros(1, 1, bands, 259)).shape == (1, 8, 16, 16)
    if bands == 128:
        assert before.shape[2] == 16  # as in the paper, without any help


@settings(deadline=None, max_examples=20)
@given(num_frames=st.integers(1, 300), num_shared=st.integers(1, 6))
def test_maps_have_one_size_whatever_the_duration(num_frames, num_shared):
    built = InceptionEncoder((4, 4, 4, *[8] * num_shared), (16, 40)).eval()
    maps = built(torch.zeros(1, 16, num_frames), torch.zeros(1, 40, num_frames))
    side = max(1, 16 // 2**num_shared)
    assert maps.shape == (1, 8, side, side)
    assert maps[0].numel() == built.num_features


def test_every_branch_counts():
    built = InceptionEncoder(SMALL, (16, 16)).eval()
    first, second = torch.rand(2, 1, 16, 30)
    both = built(first, second)
    assert not torch.equal(both, built(first, 2 * second))
    assert not torch.equal(both, built(2 * first, second))


def test_number_of_maps_must_be_that_of_the_branches():
    with pytest.raises(ValueError, match="shorter"):
        InceptionEncoder(SMALL, (16, 16))(torch.zeros(1, 16, 30))


def test_modules_put_their_paths_behind_each_other():
    maps = torch.rand(1, 6, 9, 7)
    assert NaiveModule(6, 2).eval()(maps).shape == (1, 3 * 2 + 6, 9, 7)
    assert ReductionModule(6, 2, (2, 2)).eval()(maps).shape == (1, 8, 5, 4)
    assert ReductionModule(6, 2, (1, 2)).eval()(maps).shape == (1, 8, 9, 4)


def test_naive_module_passes_the_largest_of_its_input_around_each_place():
    maps = torch.zeros(1, 1, 5, 5)
    maps[0, 0, 2, 2] = 3.0
    pooled = NaiveModule(1, 1).eval()(maps)[0, -1]
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = 3.0
    assert torch.equal(pooled, expected)


def test_head_gives_embeddings_of_mean_zero_and_deviation_one():
    embedding = DenseHead(12, 8)(torch.rand(3, 3, 2, 2))
    assert embedding.shape == (3, 8)
    torch.testing.assert_close(embedding.mean(dim=1), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        embedding.std(dim=1, correction=0), torch.ones(3), rtol=0, atol=1e-2
    )


SETTINGS = {
    "one-branch": FrontendConfig(window=512, hop=256, num_mels=32, standardise=True),
    "three-branches": FrontendConfig(
        branches=("mel", "tempogram", "cens"),
        window=512,
        hop=256,
        num_mels=32,
        compression="log1p10",
        standardise=True,
    ),
}
every_setting = pytest.mark.parametrize("frontend", SETTINGS.values(), ids=SETTINGS)


def experiment(frontend):
    network = NetworkConfig(encoder="inception", channels=SMALL, subspace_dim=3)
    return replace(recipes.tiny(), frontend=frontend, network=network)


def network(frontend, seed=0):
    torch.manual_seed(seed)
    return build_network(experiment(frontend))


def noise(batch=3, num_samples=16_000):
    return 0.1 * torch.randn(batch, num_samples, generator=torch.Generator().manual_seed(0))


@every_setting
@pytest.mark.parametrize("num_samples", [512, 16_000, 160_000])
def test_network_of_any_length_gives_one_finite_float32_embedding_a_mix(frontend, num_samples):
    embedding = network(frontend).eval()(noise(2, num_samples))
    assert embedding.shape == (2, 15)
    assert embedding.dtype == torch.float32
    assert embedding.isfinite().all()


@every_setting
@pytest.mark.parametrize("gain", [1.0, 0.0])
def test_every_weight_of_the_network_gets_a_finite_gradient_on_noise_and_on_silence(
    frontend, gain
):
    built = network(frontend).train()
    weight = torch.arange(15.0)
    (built(gain * noise()) * weight).square().sum().backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert gain == 0 or parameter.grad.any(), name


@every_setting
def test_network_does_not_mix_examples_in_evaluation(frontend):
    built = network(frontend).eval()
    with torch.no_grad():
        torch.testing.assert_close(built(noise())[1:2], built(noise()[1:2]), rtol=1e-4, atol=1e-4)


@every_setting
def test_network_under_autocast_gives_float32_close_to_its_own(frontend):
    built = network(frontend).eval()
    plain = built(noise())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = built(noise())
    assert embedding.dtype == torch.float32
    torch.testing.assert_close(embedding, plain, rtol=0.1, atol=0.1)


@every_setting
def test_network_comes_back_from_its_checkpoint(frontend, tmp_path):
    config = experiment(frontend)
    assert from_json(to_json(config)) == config
    built = network(frontend).eval()
    digest = checkpoint.save(str(tmp_path), built, config)
    loaded = checkpoint.load(str(tmp_path))
    assert torch.equal(loaded.network(noise()), built(noise()))
    other = replace(config, frontend=replace(frontend, compression="db", floor=1e-4))
    assert checkpoint.save(str(tmp_path), built, other) != digest


def test_mean_mel_hears_the_mel_branch_whatever_the_network_hears():
    frontend = replace(SETTINGS["three-branches"], branches=("cens", "tempogram"))
    config = experiment(frontend)
    mel = Frontend(replace(frontend, branches=("mel",)), config.audio.sample_rate_hz)(noise())
    found = build_mean_mel(config)(noise())
    torch.testing.assert_close(found, mel["mel"].mean(dim=-1))
