from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from csn import recipes
from csn.conditions import ALL, CONCEPTS
from csn.distributed.objectives import objective_of, with_facts
from csn.model.losses import masked_triplet_loss
from csn.model.mining import semi_hard_loss
from csn.records import TRACK_SCHEMA
from csn.triplets.concept_triplets import plan_concept_triplets, recordings
from csn.triplets.rules import related

NUM_TRACKS, NUM_ROWS = 9, 12


@pytest.fixture(scope="module")
def config():
    return recipes.ALL["tiny_ribecky2022"]()


@pytest.fixture(scope="module")
def found(config):
    rows = [
        {
            "track_id": f"t{place}",
            "tempo_bpm": 70.0 + 9 * (place % 5) if place else float("nan"),
            "level_db_others": [-10.0] * 40,
            "key": place % 3,
            "is_major": bool(place % 2),
            "tags": [("rock", "jazz")[place % 2], ("sad", "happy")[place // 2 % 2], "60s"],
            "tag_strengths": [100, 90, 80],
        }
        for place in range(NUM_TRACKS)
    ]
    rows[4]["tags"][2] = "80s"
    rows[5]["tags"] = ["guitar", "blues", "80s"]
    rows[6]["tags"] = ["guitar", "blues", "instrumental"]
    rows[7]["tags"] = ["instrumental", "blues", "70s"]
    table = pa.Table.from_pylist(rows, schema=TRACK_SCHEMA)
    return recordings(table, config.audio, config.similarity)


def batch_of(config, found):
    rows = plan_concept_triplets(
        found,
        range(NUM_ROWS),
        plan_index=0,
        seed=0,
        conditions=config.network.conditions,
        audio=config.audio,
        config=config.triplets,
        similarity=config.similarity,
    )
    rows = with_facts(rows, found, config.network.conditions)
    numbers = {track: place for place, track in enumerate(found.track_ids)}
    labels = objective_of(config).labels(rows, numbers)
    generator = torch.Generator().manual_seed(1)
    shape = 3 * NUM_ROWS, config.network.layout.embedding_dim
    embeddings = torch.randn(shape, generator=generator)
    return rows, embeddings, {name: torch.from_numpy(x) for name, x in labels.items()}


def track_places(rows, found):
    place = {track: i for i, track in enumerate(found.track_ids)}
    roles = [rows[f"{role}_tracks"].to_pylist() for role in ("anchor", "positive", "negative")]
    return np.array([[place[mix[0]] for mix in row] for row in zip(*roles, strict=True)]).ravel()


def test_mined_loss_is_over_the_relations_of_the_batch_s_tracks(config, found):
    rows, embeddings, labels = batch_of(config, found)
    places = track_places(rows, found)
    others = places[:, None] != places
    relations = []
    for concept in CONCEPTS:
        of = found.facts[concept][places]
        relations.append(related(concept, of[:, None], of, config.similarity))
    alike = torch.from_numpy(np.stack([a & others for a, _ in relations]))
    different = torch.from_numpy(np.stack([d for _, d in relations]))
    subspaces = embeddings.unflatten(1, (len(CONCEPTS), -1))
    expected = semi_hard_loss(subspaces, alike, different, margin=config.loss.margin)
    result = objective_of(config).loss(embeddings, labels)
    assert result.loss.item() == pytest.approx(expected.loss.item(), rel=1e-6)
    assert result.active.item() == pytest.approx(expected.active.item(), rel=1e-6)
    assert result.loss.item() > 0


def test_rows_of_tracks_add_a_loss_under_all_conditions(config, found):
    mixed = replace(config, triplets=replace(config.triplets, track_share=0.5))
    rows, embeddings, labels = batch_of(mixed, found)
    assert {"track", "concept"} == set(rows["kind"].to_pylist())
    places = torch.from_numpy(track_places(rows, found))
    same = (places[:, None] == places)[None]
    margin = config.loss.margin
    whole = semi_hard_loss(embeddings[:, None], same, ~same, margin=margin).loss.item()
    of_concepts = objective_of(config).loss(embeddings, labels).loss.item()
    result = objective_of(mixed).loss(embeddings, labels).loss.item()
    assert result == pytest.approx((6 * of_concepts + whole) / 7, rel=1e-6)


def test_without_mining_the_planned_negatives_count_each_under_its_condition(config, found):
    plain = replace(
        config,
        loss=replace(config.loss, mining="none"),
        triplets=replace(config.triplets, track_share=0.5),
    )
    rows, embeddings, labels = batch_of(plain, found)
    layout = plain.network.layout
    conditions = rows["condition"].to_pylist()
    assert ALL in conditions
    masks = np.stack(
        [
            np.ones(layout.embedding_dim) if c == ALL else layout.masks()[layout.index(c)]
            for c in conditions
        ]
    )
    anchor, positive, negative = embeddings.unflatten(0, (-1, 3)).unbind(1)
    mask = torch.from_numpy(masks).float()
    expected = masked_triplet_loss(anchor, positive, negative, mask, 0.1, "cosine").mean()
    result = objective_of(plain).loss(embeddings, labels)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-6)


def _mined_on_a_rank(rank, port_file, config, embeddings, labels, results):
    torch.set_num_threads(1)  # the threads of the process that it was forked from are not here
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{port_file}", rank=rank, world_size=2
    )
    half = NUM_ROWS // 2
    rows = slice(rank * half, (rank + 1) * half)
    own = embeddings[3 * rows.start : 3 * rows.stop].clone().requires_grad_()
    result = objective_of(config).loss(own, {name: x[rows] for name, x in labels.items()})
    result.loss.backward()
    torch.save((result.loss.detach(), own.grad), results / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forks beside threads
def test_ranks_may_look_for_negatives_in_the_whole_batch(config, found, tmp_path):
    across = replace(config, loss=replace(config.loss, mine_across_ranks=True))
    _, embeddings, labels = batch_of(across, found)
    whole = embeddings.clone().requires_grad_()
    expected = objective_of(config).loss(whole, labels).loss
    expected.backward()
    arguments = (str(tmp_path / "meet"), across, embeddings, labels, tmp_path)
    torch.multiprocessing.start_processes(
        _mined_on_a_rank, args=arguments, nprocs=2, start_method="fork"
    )
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for loss, _ in ranks:
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    # Training takes the mean of the ranks' gradients; each rank's comes from both ranks' losses.
    gradient = torch.cat([of_rank for _, of_rank in ranks]) / 2
    assert whole.grad is not None
    torch.testing.assert_close(gradient, whole.grad, rtol=1e-4, atol=1e-7)
