import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.model.inception import DenseHead, InceptionEncoder, NaiveModule, ReductionModule

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
