from dataclasses import replace

import pytest
import torch

from csn import recipes
from csn.conditions import INSTRUMENTS
from csn.config import FrontendConfig, NetworkConfig
from csn.model.network import (
    ConditionalNetwork,
    MeanMel,
    PoolingHead,
    build_mean_mel,
    build_network,
)

SAMPLE_RATE_HZ = 16_000
FRONTEND = FrontendConfig(window=1024, hop=512, num_mels=32)
SMALL = NetworkConfig(encoder="strided", channels=(4, 8, 8), subspace_dim=3)
KINDS = {
    "unet": replace(SMALL, encoder="unet"),
    "unet-mean_std": replace(SMALL, encoder="unet", pooling="mean_std"),
    "strided": SMALL,
    "strided-mean_std": replace(SMALL, pooling="mean_std"),
}
every_kind = pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)


def network(config=SMALL, frontend=FRONTEND, seed=0):
    torch.manual_seed(seed)
    return ConditionalNetwork(config, frontend, SAMPLE_RATE_HZ, config.layout)


def noise(batch=3, duration_s=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch, int(duration_s * SAMPLE_RATE_HZ), generator=generator)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_unet_of_the_papers_has_10_million_parameters():
    built = build_network(recipes.hashizume2024())
    assert built.head.linear.in_features == 8_704
    assert built.head.linear.out_features == 640
    assert count(built) == 10_284_832


def test_strided_network_of_the_lab_has_7_million_parameters():
    config = NetworkConfig(encoder="strided", channels=(16, 32, 64, 128, 256, 640))
    built = ConditionalNetwork(config, FrontendConfig(), 44_100, config.layout)
    assert built.head.linear.in_features == 3_200
    assert count(built) == 7_235_312


@every_kind
@pytest.mark.parametrize("duration_s", [0.064, 1.0, 3.0, 10.0])
def test_any_length_gives_one_finite_float32_embedding_a_mix(config, duration_s):
    embedding = network(config).eval()(noise(2, duration_s))
    assert embedding.shape == (2, 15)
    assert embedding.dtype == torch.float32
    assert embedding.isfinite().all()


@every_kind
def test_embedding_does_not_depend_on_the_rest_of_the_batch_in_evaluation(config):
    built = network(config).eval()
    with torch.no_grad():
        torch.testing.assert_close(built(noise())[1:2], built(noise()[1:2]), rtol=1e-4, atol=1e-5)


@every_kind
def test_every_weight_learns_and_gradients_are_finite(config):
    built = network(config).train()
    built(noise()).square().sum().backward()
    for name, weight in built.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


@every_kind
def test_gradients_are_finite_on_silence(config):
    built = network(config, replace(FRONTEND, standardise=True)).train()
    built(torch.zeros(3, SAMPLE_RATE_HZ)).square().sum().backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in built.parameters())


def test_embedding_is_not_normalised():
    norms = network().eval()(noise()).norm(dim=1)
    assert (norms - 1).abs().min() > 0.01


def test_same_seed_gives_the_same_weights_and_another_one_others():
    first, again, other = network(seed=1), network(seed=1), network(seed=2)
    weights = [net.head.linear.weight for net in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_under_autocast_the_encoder_runs_in_bfloat16_and_the_embedding_is_float32():
    built = network().eval()
    seen = {}
    built.encoder.register_forward_hook(lambda *call: seen.update(encoder=call[2].dtype))
    plain = built(noise())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = built(noise())
    assert seen["encoder"] == torch.bfloat16
    assert embedding.dtype == torch.float32
    torch.testing.assert_close(embedding, plain, rtol=0.05, atol=0.05)


def test_subspaces_are_the_slices_of_the_layout():
    embedding = torch.arange(30.0).reshape(2, 15)
    parts = network().layout.split(embedding)
    assert tuple(parts) == INSTRUMENTS
    assert torch.equal(parts["bass"], embedding[:, 3:6])
    assert torch.equal(torch.cat(list(parts.values()), dim=1), embedding)


def test_mean_pooling_by_hand():
    head = PoolingHead(num_features=2, embedding_dim=2, pooling="mean")
    identity(head, 2)
    maps = torch.tensor([[[[1.0, 3.0]], [[5.0, 6.0]]]])
    torch.testing.assert_close(head(maps), torch.tensor([[2.0, 5.5]]))


def test_mean_std_pooling_by_hand():
    head = PoolingHead(num_features=2, embedding_dim=4, pooling="mean_std")
    identity(head, 4)
    maps = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    # Deviations of [1, 3] and of [5, 5], the latter at the root of what keeps its slope finite.
    torch.testing.assert_close(
        head(maps), torch.tensor([[2.0, 5.0, 1.0, 1e-5**0.5]]), rtol=0, atol=1e-4
    )


def test_mean_std_pooling_has_a_finite_gradient_where_nothing_varies():
    head = PoolingHead(num_features=2, embedding_dim=4, pooling="mean_std")
    maps = torch.ones(1, 2, 1, 5, requires_grad=True)
    head(maps).sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_pooling_takes_features_channel_by_channel():
    head = PoolingHead(num_features=4, embedding_dim=4, pooling="mean")
    identity(head, 4)
    maps = torch.arange(4.0).reshape(1, 2, 2, 1).to(memory_format=torch.channels_last)
    torch.testing.assert_close(head(maps), torch.tensor([[0.0, 1.0, 2.0, 3.0]]))


def identity(head, size):
    """Make the linear layer of `head` pass what it gets."""
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(size))
        head.linear.bias.zero_()


def test_mean_mel_is_the_front_end_averaged_over_time():
    config = replace(recipes.tiny(), network=SMALL)
    baseline = build_mean_mel(config).eval()
    assert isinstance(baseline, MeanMel)
    vector = baseline(noise())
    mel = build_network(config).frontend(noise())["mel"]
    torch.testing.assert_close(vector, mel.sum(dim=2) / mel.shape[2])
    assert not list(baseline.parameters())


def test_convolutions_lie_channels_last():
    weights = [p for p in network().encoder.parameters() if p.dim() == 4]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


def test_unit_subspaces_have_length_one_and_the_direction_of_raw_ones():
    raw, unit = network(), network(replace(SMALL, unit_subspaces=True))
    unit.load_state_dict(raw.state_dict())
    waveform = noise()
    raw.eval()
    unit.eval()
    expected, found = (net.layout.split(net(waveform)) for net in (raw, unit))
    for condition in INSTRUMENTS:
        lengths = torch.linalg.vector_norm(expected[condition], dim=-1, keepdim=True)
        torch.testing.assert_close(found[condition], expected[condition] / lengths)
