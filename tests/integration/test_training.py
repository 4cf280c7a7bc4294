"""Training on Ray, against the same training written down plainly: losses, ranks, failures."""

import json
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch

from csn import storage
from csn.conditions import INSTRUMENTS
from csn.distributed import training
from csn.distributed.bank import load_bank
from csn.distributed.plans import epoch_rows, plan_rows, split_of
from csn.distributed.progress import Stages
from csn.distributed.streams import render_rows, rendered
from csn.distributed.validation import Validation, validation_set
from csn.errors import CsnError, TrainingError
from csn.model import checkpoint
from csn.model.losses import triplet_batch_loss
from csn.model.network import build_network
from csn.model.step_size import learning_rate_factor
from csn.paths import Paths
from csn.records import ROLES

CPU = torch.device("cpu")
NUM_PLAIN_EPOCHS = 4


def fit(config, tracks):
    return training.fit(config, tracks, Stages(Paths(config).experiment("stages.json")))


def epoch_losses(history):
    return [row["train/loss/triplet"] for row in history]


def plain_waveforms(rows, paths, config):
    """Render the mixes of plan rows from the prepared files with nothing but sums of slices."""
    num_samples = round(config.audio.segment_s * config.audio.sample_rate_hz)
    tables = {}
    found = np.zeros((len(rows), len(ROLES), num_samples))
    for i, row in enumerate(rows.to_pylist()):
        for j, role in enumerate(ROLES):
            mix = zip(INSTRUMENTS, row[f"{role}_tracks"], row[f"{role}_starts_s"], strict=True)
            for part, track, start_s in mix:
                if track not in tables:
                    (tables[track],) = storage.read_table(paths.parts(track)).to_pylist()
                pcm = tables[track][f"pcm_{part}"]
                if pcm is not None:
                    start = round(start_s * config.audio.sample_rate_hz)
                    piece = np.frombuffer(pcm, "<i2")[start : start + num_samples]
                    found[i, j] += piece * tables[track]["pcm_scale"]
    return found


def plain_losses(config, rows, paths, num_ranks=1):
    """Train as a page of PyTorch does it; each of `num_ranks` normalises its own share of a batch.

    The mean of the ranks' losses has the mean of their gradients. Gives the first epochs' losses.
    """
    torch.manual_seed(config.seed)
    network = build_network(config)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.optimizer.learning_rate)
    masks = torch.from_numpy(config.network.layout.masks()).float()
    local = config.training.batch_size // num_ranks
    num_steps = config.triplets.num_rows // config.training.batch_size
    history = []
    for epoch in range(NUM_PLAIN_EPOCHS):
        shares = [
            epoch_rows(
                rows,
                epoch,
                seed=config.seed,
                batch_size=config.training.batch_size,
                rank=rank,
                num_ranks=num_ranks,
            )
            for rank in range(num_ranks)
        ]
        losses = []
        for step in range(num_steps):
            place = (epoch * num_steps + step, num_steps * config.training.num_epochs)
            factor = learning_rate_factor(*place, config.optimizer)
            optimizer.param_groups[0]["lr"] = config.optimizer.learning_rate * factor
            optimizer.zero_grad()
            batches = [share.slice(step * local, local) for share in shares]
            of_ranks = [plain_loss(network, batch, paths, config, masks) for batch in batches]
            loss = torch.stack(of_ranks).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        history.append(float(np.mean(losses)))
    return history


def plain_loss(network, batch, paths, config, masks):
    waveforms = torch.from_numpy(plain_waveforms(batch, paths, config)).float()
    anchor, positive, negative = network(waveforms.flatten(0, 1)).unflatten(0, (-1, 3)).unbind(1)
    places = [
        [INSTRUMENTS.index(c) for c in batch[name].to_pylist()]
        for name in ("condition", "interchanged_condition")
    ]
    return triplet_batch_loss(
        anchor,
        positive,
        negative,
        mask=masks[places[0]],
        interchanged_mask=masks[places[1]],
        has_interchanged=torch.ones(len(batch), dtype=torch.bool),
        margin=config.loss.margin,
    ).loss


@pytest.fixture(scope="module")
def planned(finished):
    return storage.read_table(finished.experiment("triplets.parquet"))


@pytest.fixture(scope="module")
def plain(tiny, finished, planned):
    return plain_losses(tiny, planned, finished)


@pytest.fixture(scope="module")
def other_seed(tiny, finished, planned):
    return plain_losses(replace(tiny, seed=1), planned, finished)


@pytest.fixture
def train_workers(descendants):
    """Give what watches, during its block, which processes train, and lets something be done."""

    @contextmanager
    def watched(then=lambda seen: None):
        seen = []
        ended = threading.Event()

        def watch():
            while not ended.wait(0.03):
                for pid, name in descendants(os.getpid()).items():
                    if "RayTrainWorker" in name and pid not in seen:
                        seen.append(pid)
                then(seen)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()

    return watched


def test_rendering_through_ray_is_the_sum_of_slices(tiny, finished, planned):
    rows = planned.slice(0, 24)
    names = {t for role in ROLES for row in rows[f"{role}_tracks"].to_pylist() for t in row}
    bank = load_bank(finished, names)
    expected = plain_waveforms(rows, finished, tiny)
    assert np.abs(expected).max() > 0.01

    direct = render_rows(rows, bank, tiny)
    np.testing.assert_allclose(direct["waveforms"], expected, atol=1e-6)
    batches = list(rendered([rows], bank, tiny, 8, CPU))
    assert [len(batch["waveforms"]) for batch in batches] == [8, 8, 8]
    streamed = torch.cat([batch["waveforms"] for batch in batches])
    assert streamed.dtype == torch.float32
    np.testing.assert_allclose(streamed.numpy(), expected, atol=1e-6)
    for column, name in (
        ("condition", "condition"),
        ("interchanged", "interchanged_condition"),
    ):
        places = torch.cat([batch[column] for batch in batches]).tolist()
        assert [INSTRUMENTS[place] for place in places] == rows[name].to_pylist()


def test_horizon_of_a_bank_leaves_what_is_drawn(tiny, finished, planned, tracks):
    rows = planned.slice(0, 24)
    _, found = plan_rows(tiny, tracks, Stages(finished.experiment("none.json")))
    names = {t for role in ROLES for row in rows[f"{role}_tracks"].to_pylist() for t in row}
    short = load_bank(finished, names, training._horizons_s(tiny, found))
    np.testing.assert_array_equal(
        render_rows(rows, short, tiny)["waveforms"],
        render_rows(rows, load_bank(finished, names), tiny)["waveforms"],
    )


def test_losses_are_those_of_plain_torch(finished, losses, plain, other_seed):
    # Sums in another order: rounding, which Adam's first steps make a few times larger.
    assert losses(finished)[:NUM_PLAIN_EPOCHS] == pytest.approx(plain, rel=1e-3)
    assert other_seed != pytest.approx(plain, rel=1e-2)


def test_two_ranks_learn_as_one_but_for_the_statistics_of_batches(
    tiny, finished, planned, tracks, plain, other_seed
):
    config = replace(
        tiny,
        name="two-ranks",
        workers=replace(tiny.workers, num_train_workers=2, cpus_per_train_worker=0.5),
        # The first epochs alone, in which the step size does not fall yet.
        training=replace(tiny.training, num_epochs=NUM_PLAIN_EPOCHS),
        optimizer=replace(tiny.optimizer, decay_fraction=0.0),
    )
    found = epoch_losses(fit(config, tracks).history)
    # Each rank normalises its own half of a batch, and nothing else is different.
    assert found == pytest.approx(plain_losses(tiny, planned, finished, num_ranks=2), rel=1e-3)
    # 24 mixes have nearly the statistics of 48, until the two trainings have drifted apart: in
    # the first epochs they are within 3 %, where another seed is 8 % and more away.
    assert found == pytest.approx(plain, rel=0.03)
    assert found != pytest.approx(other_seed, rel=0.06)


def test_worker_that_dies_costs_nothing_but_time(
    tiny, finished, tracks, losses, train_workers, noted_history
):
    config = replace(tiny, name="killed-worker")

    def kill_first(seen):
        if len(seen) == 1 and not killed and noted_history(Paths(config).experiment()):
            os.kill(seen[0], signal.SIGKILL)
            killed.append(noted_history(Paths(config).experiment()))

    killed = []
    with train_workers(kill_first) as seen:
        trained = fit(config, tracks)
    (kept,) = killed
    assert 1 <= len(kept) < tiny.training.num_epochs
    assert len(seen) == 2  # another took its place
    # It went on from what was noted: those epochs' times are still the first worker's.
    found = trained.history
    assert [row["seconds"] for row in found[: len(kept)]] == [row["seconds"] for row in kept]
    assert [row["epoch"] for row in found] == list(range(tiny.training.num_epochs))
    assert epoch_losses(found) == losses(finished)
    assert trained.digest == checkpoint.load(finished.best_checkpoint).digest


def test_list_of_checkpoints_that_a_kill_cut_short_is_discarded(finished, tmp_path):
    (notes,) = Path(finished.experiment("checkpoints")).glob("run-*/*_snapshot.json")
    copy = tmp_path / notes.name
    copy.write_bytes(notes.read_bytes())
    training.discard_torn_notes(str(tmp_path))
    assert copy.read_bytes() == notes.read_bytes()
    for size in (700, 0):
        copy.write_bytes(notes.read_bytes()[:size])
        training.discard_torn_notes(str(tmp_path))
        assert not copy.exists()
    training.discard_torn_notes(str(tmp_path))


def test_loss_that_is_no_number_names_step_and_tracks_and_is_not_tried_again(
    tiny, finished, tracks, tmp_path, train_workers
):
    faulty = finished_root_with_a_faulty_track(finished, tmp_path, "Track00003")
    with train_workers() as seen, pytest.raises(TrainingError) as caught:
        fit(replace(tiny, root=faulty), tracks)
    message = str(caught.value)
    assert message.startswith("the loss is not a number at step 0 of epoch 0; ")
    assert "there is no checkpoint yet" in message
    assert "Track00003" in message
    assert "lower --optimizer.learning_rate" in message
    assert "\n" not in message
    assert len(seen) == 1


def test_epoch_without_numbers_replaces_neither_the_best_nor_the_last_checkpoint(
    tiny, finished, planned, tracks, tmp_path, noted_history
):
    root = finished_root_with_a_faulty_track(finished, tmp_path, "Track00003")
    config = replace(tiny, name="poisoned-later", root=root)
    # The first epoch has only other tracks.
    used = [[n for role in ROLES for n in row[f"{role}_tracks"]] for row in planned.to_pylist()]
    sound = planned.filter(pa.array(["Track00003" not in names for names in used]))
    first = pa.concat_tables([sound] * tiny.num_rows).slice(0, tiny.num_rows)
    write_plan(config, first, planned.slice(0, tiny.num_rows))
    with pytest.raises(TrainingError, match=r"of epoch 1; .*the last checkpoint is kept"):
        fit(config, tracks)
    assert [row["epoch"] for row in noted_history(Paths(config).experiment())] == [0]
    (kept,) = Path(Paths(config).experiment()).glob("checkpoints/run-*/checkpoint_*/")
    progress = json.loads((kept / "progress.json").read_text())
    assert (progress["next_epoch"], progress["best_epoch"]) == (1, 0)
    for name in ("model", "best"):
        weights = safetensors.torch.load_file(kept / f"{name}.safetensors")
        assert all(weight.isfinite().all() for weight in weights.values())
    assert training.read_finished(Paths(config)) is None


def test_epoch_is_kept_whose_next_one_cannot_be_rendered(tiny, planned, tracks, noted_history):
    config = replace(tiny, name="cut-short")
    first = planned.slice(0, tiny.num_rows)
    place = planned.schema.get_field_index("anchor_starts_s")
    field = planned.schema.field(place)
    late = [[start + 1e4 for start in starts] for starts in first["anchor_starts_s"].to_pylist()]
    write_plan(config, first, first.set_column(place, field, pa.array(late, field.type)))
    with pytest.raises(CsnError, match="Track"):
        fit(config, tracks)
    assert [row["epoch"] for row in noted_history(Paths(config).experiment())] == [0]


def write_plan(config, *epochs):
    """Write a plan of which each epoch has rows of its own."""
    place = epochs[0].schema.get_field_index("plan_index")
    field = epochs[0].schema.field(place)
    plan = pa.concat_tables(
        rows.set_column(place, field, pa.array([index] * len(rows), field.type))
        for index, rows in enumerate(epochs)
    )
    storage.write_table(Paths(config).plan, plan)


def finished_root_with_a_faulty_track(finished, folder, track):
    """Link the prepared corpus below `folder`, one of its tracks with samples that are none."""
    prepared = Path(finished.prepared)
    parts = folder / prepared.relative_to(finished.root) / "parts"
    parts.mkdir(parents=True)
    for file in (prepared / "parts").iterdir():
        (parts / file.name).symlink_to(file)
    (parts / f"{track}.parquet").unlink()
    table = storage.read_table(finished.parts(track))
    place = table.schema.get_field_index("pcm_scale")
    nan = pa.array([float("nan")], table.schema.field(place).type)
    storage.write_table(
        str(parts / f"{track}.parquet"), table.set_column(place, table.schema.field(place), nan)
    )
    return str(folder)


def test_training_stops_when_validation_gets_no_better(tiny, finished, tracks):
    config = replace(
        tiny,
        name="patient",
        training=replace(tiny.training, num_epochs=30, patience=2),
    )
    trained = fit(config, tracks)
    scores = [row["val/pseudo_mix_id/mean"] for row in trained.history]
    best = int(np.argmax(scores))
    assert trained.best_epoch == best
    assert len(scores) == best + 1 + 2 < 30
    network = checkpoint.load(trained.uri).network
    chosen = validation_set(config, split_of(tracks, "validation"))
    found = Validation(config, chosen).metrics(network, CPU)
    expected = {n: v for n, v in trained.history[best].items() if n.startswith("val/")}
    assert found == pytest.approx(expected)
