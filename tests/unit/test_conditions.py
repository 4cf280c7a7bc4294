import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.conditions import INSTRUMENTS, Instrument, SubspaceLayout
from csn.errors import ConfigError

numbers = st.integers(1, 8)
dims = st.integers(1, 16)


def layout_of(number, dim):
    return SubspaceLayout(tuple(f"c{i}" for i in range(number)), dim)


def test_instruments_are_in_the_order_of_the_paper():
    assert INSTRUMENTS == ("drums", "bass", "piano", "guitar", "others")
    assert [str(instrument) for instrument in Instrument] == list(INSTRUMENTS)


def test_five_subspaces_of_128_make_640_dimensions():
    layout = SubspaceLayout(INSTRUMENTS, 128)
    assert layout.embedding_dim == 640
    assert layout.dims("drums") == slice(0, 128)
    assert layout.dims("others") == slice(512, 640)


@settings(max_examples=50, deadline=None)
@given(number=numbers, dim=dims)
def test_masks_partition_the_dimensions(number, dim):
    layout = layout_of(number, dim)
    masks = layout.masks()
    assert masks.shape == (number, layout.embedding_dim) == (number, number * dim)
    assert set(np.unique(masks)) <= {0.0, 1.0}
    assert (masks.sum(axis=0) == 1).all()


@settings(max_examples=50, deadline=None)
@given(number=numbers, dim=dims)
def test_mask_is_one_on_the_dimensions_that_the_condition_owns(number, dim):
    layout = layout_of(number, dim)
    for condition, mask in zip(layout.conditions, layout.masks(), strict=True):
        assert mask[layout.dims(condition)].all()
        assert mask.sum() == dim


def test_unknown_condition_is_refused_with_the_known_ones():
    layout = SubspaceLayout(("drums", "bass"), 2)
    with pytest.raises(
        ConfigError, match="unknown condition 'flute'; this layout has drums, bass"
    ):
        layout.dims("flute")


@pytest.mark.parametrize("conditions", [(), ("drums", "bass", "drums")])
def test_conditions_must_be_different_names(conditions):
    with pytest.raises(ConfigError, match="must be one or more different names"):
        SubspaceLayout(conditions, 2)


def test_subspace_without_dimensions_is_refused():
    with pytest.raises(ConfigError, match="subspace_dim=0 must be at least 1"):
        SubspaceLayout(("drums",), 0)
