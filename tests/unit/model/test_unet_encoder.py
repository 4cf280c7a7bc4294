import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from csn.model.unet_encoder import UnetEncoder


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_the_source():
    # Each block: 9 weights for each pair of channels, twice; BN: a scale and a shift, twice.
    pairs = [(1, 32), (32, 64), (64, 128), (128, 256), (256, 512)]
    expected = sum(9 * (a * b + b * b) + 4 * b for a, b in pairs)
    assert count(UnetEncoder((32, 64, 128, 256, 512))) == expected == 4_713_632


@given(num_mels=st.integers(8, 40), num_frames=st.integers(1, 40), num_blocks=st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_bands_and_steps_are_halved_between_blocks_rounding_up(num_mels, num_frames, num_blocks):
    encoder = UnetEncoder(tuple(range(2, 2 + num_blocks))).eval()
    maps = encoder(torch.zeros(2, num_mels, num_frames))
    batch, channels, bands, steps = maps.shape
    assert (batch, channels) == (2, 1 + num_blocks)
    assert channels * bands == encoder.num_features(num_mels)
    for _ in range(num_blocks - 1):
        num_frames = (num_frames + 1) // 2
    assert steps == num_frames


def test_maps_are_those_of_the_same_operations_in_plain_order():
    torch.manual_seed(0)
    encoder = UnetEncoder((3, 5)).train()
    mel = torch.randn(4, 17, 13)
    weights = [p for p in encoder.parameters() if p.dim() == 4]
    assert len(weights) == 4

    def conv_bn_relu(maps, weight):
        maps = functional.conv2d(maps, weight, padding=1)
        return functional.batch_norm(maps, None, None, training=True).relu()

    maps = conv_bn_relu(conv_bn_relu(mel[:, None], weights[0]), weights[1])
    maps = functional.max_pool2d(maps, kernel_size=5, stride=2, padding=2)
    maps = conv_bn_relu(conv_bn_relu(maps, weights[2]), weights[3])
    torch.testing.assert_close(encoder(mel), maps)
