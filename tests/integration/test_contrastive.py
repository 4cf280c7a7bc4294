"""Freely mixed batches on Ray: their plan, both placements, ranks, and what counts beside it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from csn import storage
from csn.config import LossConfig, MixingConfig
from csn.distributed import experiment, training
from csn.distributed.bank import load_bank
from csn.distributed.objectives import objective_of
from csn.distributed.plans import epoch_rows, plan_rows, split_of
from csn.distributed.progress import Stages
from csn.distributed.streams import batches_of, render_rows
from csn.model.losses import contrastive_loss
from csn.model.network import build_network
from csn.model.step_size import learning_rate_factor
from csn.paths import Paths
from csn.triplets.free_mixing import plan_mixes
from csn.triplets.planning import candidates

CPU = torch.device("cpu")
BATCH_SIZE = 16
NUM_EPOCHS = 3


@pytest.fixture(scope="module")
def free(tiny):
    return replace(
        tiny,
        name="free",
        mixing=MixingConfig(num_mixes=4 * BATCH_SIZE + 5),  # the rest fills no batch
        loss=LossConfig(kind="contrastive"),
        training=replace(tiny.training, num_epochs=NUM_EPOCHS, batch_size=BATCH_SIZE),
        optimizer=replace(tiny.optimizer, decay_fraction=0.0),
    )


@pytest.fixture(scope="module")
def planned(free, tracks):
    rows, _ = plan_rows(free, tracks, Stages(Paths(free).experiment("stages.json")))
    return rows


@pytest.fixture(scope="module")
def bank(free, planned):
    names = {t for row in planned["tracks"].to_pylist() for t in row} - {""}
    return load_bank(Paths(free), names)


def losses_of(config, tracks):
    trained = training.fit(config, tracks, Stages(Paths(config).experiment("stages.json")))
    return [row["train/loss/contrastive"] for row in trained.history]


def rows_of(planned, config, epoch, rank=0, num_ranks=1):
    return epoch_rows(
        planned,
        epoch,
        seed=config.seed,
        batch_size=BATCH_SIZE,
        rank=rank,
        num_ranks=num_ranks,
        keep_batches=True,
    )


def test_plan_is_the_one_of_pure_planning(free, tracks, planned):
    found = candidates(split_of(tracks, "train"), free.audio, free.triplets)
    expected = [
        plan_mixes(
            found,
            range(4),
            plan_index=index,
            batch_size=BATCH_SIZE,
            seed=free.seed,
            audio=free.audio,
            config=free.mixing,
        )
        for index in range(NUM_EPOCHS)
    ]
    assert planned.equals(pa.concat_tables(expected))


def test_batches_keep_together_in_every_epoch_and_are_shared_by_ranks(free, planned):
    together = rows_of(planned, free, 1)["mix_id"].to_numpy().reshape(-1, BATCH_SIZE)
    firsts = together[:, 0]
    np.testing.assert_array_equal(together, firsts[:, None] + np.arange(BATCH_SIZE))
    assert sorted(firsts) == [0, 16, 32, 48]
    halves = [
        rows_of(planned, free, 1, rank, 2)["mix_id"].to_numpy().reshape(-1, BATCH_SIZE // 2)
        for rank in range(2)
    ]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), together)


def test_both_placements_give_the_same_batches(free, tiny, planned, bank, finished):
    triplets = storage.read_table(finished.plan)
    names = {t for mix in objective_of(tiny).mixes(triplets) for t in mix.tracks}
    for config, rows, parts in (
        (free, planned, bank),
        (tiny, triplets, load_bank(finished, names)),
    ):
        rows = rows.slice(0, 2 * BATCH_SIZE + 3)  # the last three fill no batch
        expected = render_rows(rows.slice(0, 2 * BATCH_SIZE), parts, config)
        for placement in ("workers", "device"):
            placed = replace(config, workers=replace(config.workers, placement=placement))
            batches = list(batches_of([rows], parts, placed, BATCH_SIZE, CPU))
            assert len(batches) == 2
            for name, values in expected.items():
                found = torch.cat([batch[name] for batch in batches]).numpy()
                np.testing.assert_allclose(found, values, atol=1e-6)


def plain_losses(config, planned, bank, num_ranks=1):
    """Train as a page of PyTorch does it; each rank normalises its own share of a batch."""
    torch.manual_seed(config.seed)
    network = build_network(config)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.optimizer.learning_rate)
    num_steps = config.num_rows // BATCH_SIZE
    history = []
    for epoch in range(NUM_EPOCHS):
        rows, losses = rows_of(planned, config, epoch), []
        for step in range(num_steps):
            place = (epoch * num_steps + step, num_steps * NUM_EPOCHS)
            factor = learning_rate_factor(*place, config.optimizer)
            optimizer.param_groups[0]["lr"] = config.optimizer.learning_rate * factor
            batch = render_rows(rows.slice(step * BATCH_SIZE, BATCH_SIZE), bank, config)
            shares = torch.from_numpy(batch["waveforms"]).flatten(0, 1).chunk(num_ranks)
            embeddings = torch.cat([network(share) for share in shares])
            loss = contrastive_loss(
                embeddings.unflatten(1, (5, -1)),
                torch.from_numpy(batch["tracks"]),
                torch.from_numpy(batch["starts_s"]),
                temperature=config.loss.temperature,
                min_gap_s=config.audio.segment_s + config.triplets.min_gap_s,
            ).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        history.append(float(np.mean(losses)))
    return history


def test_losses_are_those_of_plain_torch_wherever_mixes_are_rendered(free, tracks, planned, bank):
    expected = plain_losses(free, planned, bank)
    for placement in ("workers", "device"):
        config = replace(
            free,
            name=f"free-{placement}",
            workers=replace(free.workers, placement=placement),
        )
        assert losses_of(config, tracks) == pytest.approx(expected, rel=1e-3)


def test_two_ranks_contrast_the_whole_batch(free, tracks, planned, bank):
    config = replace(
        free,
        name="free-two-ranks",
        workers=replace(free.workers, num_train_workers=2, cpus_per_train_worker=0.5),
    )
    expected = plain_losses(free, planned, bank, num_ranks=2)
    assert losses_of(config, tracks) == pytest.approx(expected, rel=1e-3)


def test_targets_and_presence_count_beside_the_contrast(free, finished, tmp_path):
    config = replace(
        free,
        name="free-with-all",
        root=str(tmp_path),
        corpus=replace(free.corpus, uri=finished.corpus),
        network=replace(free.network, unit_subspaces=False),
        loss=LossConfig(
            kind="contrastive", distance="cosine", target_weight=0.5, presence_weight=0.25
        ),
        start=replace(free.start, teacher_epochs=1),
        training=replace(free.training, num_epochs=1),
    )
    experiment.train(config)
    (epoch,) = storage.read_table(Paths(config).experiment("metrics.parquet")).to_pylist()
    # The network is new, and its teachers' targets have length 1: far from all of them.
    assert 0.1 < epoch["train/target"] < 10
    assert epoch["train/presence"] > 0
    scores = storage.read_table(Paths(config).experiment("scores.parquet")).to_pylist()
    assert {"presence", "pseudo_mix_id_gated"} <= {row["protocol"] for row in scores}
