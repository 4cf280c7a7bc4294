import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.conditions import INSTRUMENTS, SubspaceLayout
from csn.model.losses import masked_distance, masked_triplet_loss, triplet_batch_loss

LAYOUT = SubspaceLayout(INSTRUMENTS, subspace_dim=3)
MASKS = torch.tensor(LAYOUT.masks(), dtype=torch.float32)
seeds = st.integers(0, 10_000)
conditions = st.sampled_from(INSTRUMENTS)


def embeddings(seed, batch=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, batch, LAYOUT.embedding_dim, generator=generator)


def masks_of(condition, batch=6):
    return MASKS[LAYOUT.index(condition)].expand(batch, -1)


def batch_loss(anchor, positive, negative, *, basic, interchanged, has_interchanged):
    return triplet_batch_loss(
        anchor,
        positive,
        negative,
        mask=masks_of(basic),
        interchanged_mask=masks_of(interchanged),
        has_interchanged=has_interchanged,
        margin=0.2,
    )


@given(seed=seeds, condition=conditions)
@settings(max_examples=20, deadline=None)
def test_masked_distance_is_the_distance_of_the_slices(seed, condition):
    x, y, _ = embeddings(seed)
    dims = LAYOUT.dims(condition)
    expected = (x[:, dims] - y[:, dims]).norm(dim=1)
    torch.testing.assert_close(masked_distance(x, y, masks_of(condition)), expected)
    torch.testing.assert_close(masked_distance(y, x, masks_of(condition)), expected)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_squared_distances_of_the_subspaces_add_up_to_the_whole(seed):
    x, y, _ = embeddings(seed)
    parts = [masked_distance(x, y, masks_of(condition)).square() for condition in INSTRUMENTS]
    torch.testing.assert_close(torch.stack(parts).sum(dim=0), (x - y).square().sum(dim=1))


def test_gradient_is_finite_and_zero_between_equal_embeddings():
    x = torch.ones(2, LAYOUT.embedding_dim, requires_grad=True)
    masked_distance(x, torch.ones_like(x), masks_of("drums", batch=2)).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_triplet_of_three_equal_embeddings_costs_the_margin_with_finite_gradient():
    x = torch.ones(2, LAYOUT.embedding_dim, requires_grad=True)
    loss = masked_triplet_loss(x, x.clone(), x.clone(), masks_of("bass", batch=2), margin=0.2)
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.full((2,), 0.2))
    assert x.grad is not None
    assert x.grad.isfinite().all()


@given(seed=seeds, condition=conditions)
@settings(max_examples=20, deadline=None)
def test_gradient_stays_inside_the_subspace(seed, condition):
    anchor, positive, negative = embeddings(seed)
    anchor.requires_grad_()
    masked_triplet_loss(
        anchor, positive, negative, masks_of(condition), margin=100.0
    ).sum().backward()
    inside = masks_of(condition).bool()
    assert anchor.grad is not None
    assert (anchor.grad[inside] != 0).all()
    assert (anchor.grad[~inside] == 0).all()


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_interchanged_triplets_are_basic_ones_of_the_swapped_mixes(seed):
    anchor, positive, negative = embeddings(seed)
    every, none = torch.ones(6, dtype=torch.bool), torch.zeros(6, dtype=torch.bool)
    both = batch_loss(
        anchor, positive, negative, basic="drums", interchanged="piano", has_interchanged=every
    )
    basic = batch_loss(
        anchor, positive, negative, basic="drums", interchanged="piano", has_interchanged=none
    )
    swapped = batch_loss(
        anchor, negative, positive, basic="piano", interchanged="drums", has_interchanged=none
    )
    torch.testing.assert_close(both.loss, (basic.loss + swapped.loss) / 2)
    torch.testing.assert_close(both.active, (basic.active + swapped.active) / 2)


def test_rows_without_an_interchanged_triplet_take_no_part_in_it():
    anchor, positive, negative = embeddings(seed=1)
    positive.requires_grad_()
    has_interchanged = torch.tensor([True, False, True, False, False, False])
    result = batch_loss(
        anchor,
        positive,
        negative,
        basic="drums",
        interchanged="piano",
        has_interchanged=has_interchanged,
    )
    result.loss.backward()
    assert positive.grad is not None
    reached = (positive.grad[:, LAYOUT.dims("piano")] != 0).any(dim=1)
    assert not reached[~has_interchanged].any()
    assert reached[has_interchanged].any()


def test_satisfied_triplets_give_no_loss_and_none_is_active():
    anchor, _, _ = embeddings(seed=2)
    result = batch_loss(
        anchor,
        anchor.clone(),
        anchor + 10,
        basic="drums",
        interchanged="piano",
        has_interchanged=torch.zeros(6, dtype=torch.bool),
    )
    assert result.loss == 0
    assert result.active == 0
    assert not result.active.requires_grad
