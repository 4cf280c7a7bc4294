from dataclasses import replace

import pytest
import torch

from csn import recipes
from csn.conditions import INSTRUMENTS, MIX
from csn.config import FrontendConfig, NetworkConfig
from csn.distributed.systems import embedded_by
from csn.model.network import (
    ConditionalNetwork,
    IndividualNetworks,
    build_mean_mel,
    build_network,
)

SAMPLE_RATE_HZ = 8_000
FRONTEND = FrontendConfig(window=512, hop=256, num_mels=32)
CONDITIONS = (*INSTRUMENTS, MIX)
SMALL = NetworkConfig(
    encoder="strided", channels=(4, 8), subspace_dim=3, conditions=CONDITIONS, individual=True
)


def networks(config=SMALL):
    torch.manual_seed(0)
    return IndividualNetworks(config, FRONTEND, SAMPLE_RATE_HZ)


def noise(batch=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch, SAMPLE_RATE_HZ, generator=generator)


def test_configuration_says_whether_there_is_one_network_or_one_a_condition():
    one = build_network(recipes.tiny_sized(recipes.hashizume2024()))
    many = build_network(recipes.tiny_sized(recipes.hashizume2022()))
    assert isinstance(one, ConditionalNetwork)
    assert isinstance(many, IndividualNetworks)
    assert tuple(many.networks) == CONDITIONS
    assert many.layout.embedding_dim == 4 * len(CONDITIONS)


def test_each_network_draws_weights_of_its_own():
    built = networks()
    weights = [network.head.linear.weight for network in built.networks.values()]
    assert len({weight.detach().sum().item() for weight in weights}) == len(CONDITIONS)


@pytest.mark.parametrize("unit", [False, True])
def test_embedding_is_that_of_one_network_and_zero_elsewhere(unit):
    built = networks(replace(SMALL, unit_subspaces=unit)).eval()
    waveform = noise()
    for place, condition in enumerate(CONDITIONS):
        embedding = built(waveform, torch.full((6,), place))
        parts = built.layout.split(embedding)
        torch.testing.assert_close(parts.pop(condition), built.networks[condition](waveform))
        assert not any(part.any() for part in parts.values())


def test_rows_of_mixed_conditions_are_each_heard_by_their_own_network():
    built = networks().eval()
    waveform, places = noise(), torch.tensor([3, 0, 5, 3, 1, 0])
    together = built(waveform, places)
    for row, place in enumerate(places):
        alone = built(waveform[row : row + 1], place[None])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_network_that_hears_nothing_of_a_batch_learns_nothing_from_it():
    built = networks().train()
    before = {name: buffer.clone() for name, buffer in built.named_buffers()}
    built(noise(), torch.tensor([0, 0, 0, 5, 5, 5])).square().sum().backward()
    for condition, network in built.networks.items():
        heard = condition in ("drums", MIX)
        for weight in network.parameters():
            assert (weight.grad is not None) == heard
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                unchanged = torch.equal(buffer, before[f"networks.{condition}.{name}"])
                assert unchanged == (not heard)


def test_weights_learn_from_the_mixes_of_their_own_condition_alone():
    waveform, places = noise(), torch.tensor([0, 1, 0, 1, 0, 1])
    gradients = []
    for others in (1.0, 3.0):  # how loud the bass is
        built = networks().eval()
        built(waveform * (1 + (others - 1) * places)[:, None], places).square().sum().backward()
        gradients.append(built.networks["drums"].head.linear.weight.grad)
    torch.testing.assert_close(*gradients)


def test_system_of_one_network_embeds_the_whole_mix():
    built = build_network(recipes.tiny()).eval()
    waveform, asked = noise(2), []

    def heard(condition):
        asked.append(condition)
        return waveform

    assert torch.equal(embedded_by(built, CONDITIONS, heard), built(waveform))
    baseline = build_mean_mel(recipes.tiny()).eval()
    assert torch.equal(embedded_by(baseline, CONDITIONS, heard), baseline(waveform))
    assert asked == [MIX, MIX]


def test_system_of_individual_networks_embeds_each_part_by_its_own():
    built = networks().eval()
    waveforms = {condition: noise(2, seed) for seed, condition in enumerate(CONDITIONS)}
    parts = built.layout.split(embedded_by(built, CONDITIONS, waveforms.__getitem__))
    assert tuple(parts) == CONDITIONS
    for condition, part in parts.items():
        expected = built.networks[condition](waveforms[condition])
        torch.testing.assert_close(part, expected)
