import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from csn.model.strided_encoder import StridedEncoder


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_the_source():
    # Each layer: 25 weights for each pair of channels; BN: a scale and a shift.
    pairs = [(1, 16), (16, 32), (32, 64), (64, 128), (128, 256), (256, 640)]
    expected = sum(25 * a * b + 2 * b for a, b in pairs)
    assert count(StridedEncoder((16, 32, 64, 128, 256, 640))) == expected == 5_186_672


@given(num_mels=st.integers(8, 40), num_frames=st.integers(1, 40), num_layers=st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_bands_and_steps_are_halved_by_each_layer_rounding_up(num_mels, num_frames, num_layers):
    encoder = StridedEncoder(tuple(range(2, 2 + num_layers))).eval()
    maps = encoder(torch.zeros(2, num_mels, num_frames))
    batch, channels, bands, steps = maps.shape
    assert (batch, channels) == (2, 1 + num_layers)
    assert channels * bands == encoder.num_features(num_mels)
    for _ in range(num_layers):
        num_frames = (num_frames + 1) // 2
    assert steps == num_frames


def test_maps_are_those_of_the_same_operations_in_plain_order():
    torch.manual_seed(0)
    encoder = StridedEncoder((3, 5)).train()
    mel = torch.randn(4, 17, 13)
    maps = mel[:, None]
    weights = [p for p in encoder.parameters() if p.dim() == 4]
    assert len(weights) == 2
    for weight in weights:
        maps = functional.conv2d(maps, weight, stride=2, padding=2)
        maps = functional.batch_norm(maps, None, None, training=True)
        maps = functional.leaky_relu(maps, 0.2)
    torch.testing.assert_close(encoder(mel), maps)


def test_later_layers_keep_the_steps_where_asked():
    encoder = StridedEncoder((4, 8, 8, 8), time_layers=2)
    maps = encoder(torch.zeros(1, 64, 90))
    assert maps.shape == (1, 8, 4, 23)
    assert [layer[0].kernel_size for layer in encoder.layers] == [(5, 5), (5, 5), (3, 3), (3, 3)]
    assert encoder.num_features(num_mels=64) == 8 * 4
