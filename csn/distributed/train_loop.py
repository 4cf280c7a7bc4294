"""What each rank of a training does: render, step, validate, report.

Conventions
-----------
Everything that an epoch draws follows from (seed, epoch), so an epoch that is repeated after a
failure gives the same losses. A checkpoint holds all that goes on: weights, optimizer, the history
of metrics, and the best weights so far. Metrics are named ``<split>/<metric>/<condition>``.

Choices
-------
Rank 0 validates alone while the others wait at the next step's gradients: a validation is a few
hundred mixes. Each rank streams its own rows: with Ray Train's split of one data set the rows that
a rank gets depend on how fast it is, and no two runs would be alike.
"""

import json
import logging
import math
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import ray
import ray.train
import ray.train.torch
import safetensors.torch
import torch
from torch import Tensor

from csn.config import from_json
from csn.distributed import cluster, metrics
from csn.distributed.bank import Bank
from csn.distributed.objectives import objective_of
from csn.distributed.plans import epoch_rows
from csn.distributed.streams import Batches, batches_of
from csn.distributed.validation import Validation
from csn.errors import TrainingError
from csn.model import checkpoint
from csn.model.losses import BatchLoss
from csn.model.network import Network, build_network
from csn.model.optimizers import WeightsOptimizer
from csn.model.step_size import Plateau, learning_rate_factor
from csn.records import ABSENT

log = logging.getLogger(__name__)

HEADLINES = {
    "val/music_id/mean": "P1",
    "val/pseudo_mix_id/mean": "P2",
    "val/concept_triplets/mean": "triplets",
}
"""Metrics by which epochs are compared, the later the rather, and their short names."""
FAULTY_AUDIO = "have audio that is none"
"""What a rank says that found the cause of a loss that is not a number."""


@dataclass(slots=True)
class Progress:
    """How far a training is; all of it is in each checkpoint."""

    next_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    best_score: float = -math.inf
    stale: int = 0
    """Validations since the best."""
    presence: dict[str, float] = field(default_factory=dict)
    """Of the best epoch: length of each subspace from which on its part is said to sound."""


class Trainer:
    """One rank's network, optimizer and place in the training."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.config = from_json(settings["config"])
        self.rows: pa.Table = ray.get(settings["rows"])
        self.bank: Bank = settings["bank"]
        self.board = settings["board"]
        context = ray.train.get_context()
        self.rank, self.num_ranks = context.get_world_rank(), context.get_world_size()
        self.device = ray.train.torch.get_device()
        workers = self.config.workers
        threads = workers.threads_per_train_worker or int(workers.cpus_per_train_worker)
        torch.set_num_threads(max(1, threads))
        torch.manual_seed(self.config.seed)
        network = build_network(self.config)
        if initial := settings["initial"]:
            network.load_state_dict(checkpoint.load(initial).network.state_dict())
        individual = self.config.network.individual
        if self.num_ranks > 1 and self.device.type == "cuda" and not individual:
            # On a CPU torch has none: there each rank normalises by its own share of the batch.
            # So do individual networks: a rank whose share lacks a part would not come to meet.
            network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        # A batch need not have a part for each of the individual networks.
        some_idle = {"find_unused_parameters": True} if individual else {}
        self.model = ray.train.torch.prepare_model(network, parallel_strategy_kwargs=some_idle)
        self.network = cast("Network", getattr(self.model, "module", self.model))
        self.optimizer = WeightsOptimizer(self.network.parameters(), self.config.optimizer)
        self.validation = Validation(self.config, settings["validation"])
        self.objective = objective_of(self.config)
        self.plateau = Plateau(self.optimizer.parts, self.config.optimizer)
        self.best_weights: dict[str, Tensor] = {}
        self.progress = Progress()
        self._restore()

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the same on every rank."""
        return self.config.num_rows // self.config.training.batch_size

    def _restore(self) -> None:
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return
        with checkpoint.as_directory() as folder:
            path = Path(folder)
            self.network.load_state_dict(safetensors.torch.load_file(path / "model.safetensors"))
            self.best_weights = safetensors.torch.load_file(path / "best.safetensors")
            # Moments go to their weights' device. Adam's step counts must not: it asks for them in
            # every step, and a GPU would be waited for each time.
            state = torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu")
            self.optimizer.load_state_dict(state["optimizer"])
            self.plateau.load_state_dict(state["plateau"])
            self.progress = Progress(**json.loads((path / "progress.json").read_text()))

    def run(self) -> None:
        """Train until the last epoch, or until validation has not got better for long enough."""
        with closing(self._stream()) as batches:
            while self.progress.next_epoch < self.config.training.num_epochs and not self._stops():
                self._go_through(batches)

    def _go_through(self, batches: Batches) -> None:
        """Train an epoch, validate where that is due, and report both."""
        epoch, started = self.progress.next_epoch, time.monotonic()
        metrics = self._train_epoch(epoch, batches)
        self._check_weights(epoch)
        last = epoch == self.config.training.num_epochs - 1
        validated = last or epoch % self.config.training.validate_every == 0
        if self.rank == 0 and validated:
            metrics |= self.validation.metrics(self.network, self.device)
        seconds = time.monotonic() - started
        metrics |= {"epoch": epoch, "ranks": self.num_ranks, "seconds": seconds}
        if self.plateau and validated:
            metrics["train/learning_rate"] = self.optimizer.learning_rate
            self._lower_step_size(metrics)
        self._note(metrics, validated=validated)
        self._report(metrics)

    def _lower_step_size(self, metrics: Mapping[str, float]) -> None:
        loss = self._of_rank_0(metrics.get("val/loss", math.nan))
        if not math.isnan(loss):  # where nothing can be asked, nothing got worse
            self.plateau.step(loss)

    def _stops(self) -> bool:
        patience = self.config.training.patience
        return bool(self._of_rank_0(patience is not None and self.progress.stale >= patience))

    def _of_rank_0(self, value: float) -> float:
        """Give every rank the value of rank 0, which alone validates."""
        shared = torch.tensor([float(value)], device=self.device)
        if self.num_ranks > 1:
            torch.distributed.broadcast(shared, src=0)
        return shared.item()

    def _train_epoch(self, epoch: int, batches: Batches) -> dict[str, float]:
        self.model.train()
        losses, active = [], []
        terms: dict[str, list[float]] = {}
        waited_s, started = batches.waited_s, time.monotonic()
        for step in range(self.steps_per_epoch):
            before_s = batches.waited_s
            batch = batches.take()
            if step < self.steps_per_epoch - 1:  # no batch may keep a whole epoch from its report
                batches.fetch()
            result = self._step(batch, epoch * self.steps_per_epoch + step)
            metrics.count("data_wait_seconds", batches.waited_s - before_s, self.config.name)
            losses.append(result.loss.item())
            active.append(result.active.item())
            for name, term in result.terms.items():
                terms.setdefault(name, []).append(term.item())
            if not math.isfinite(losses[-1]):
                raise self._not_finite(epoch, step, batch["waveforms"])
            metrics.count("mixes_rendered", batch["waveforms"].shape[:2].numel(), self.config.name)
            self._post(epoch, step, losses[-1])
        waited_s = batches.waited_s - waited_s
        return {
            f"train/loss/{self.config.loss.kind}": self._mean(losses),
            **{f"train/{name}": self._mean(values) for name, values in terms.items()},
            "train/active": self._mean(active),
            "train/waited_s": waited_s,
            "train/busy_share": 1 - waited_s / max(time.monotonic() - started, 1e-9),
        }

    def _check_weights(self, epoch: int) -> None:
        """Refuse weights that the last step made no numbers of, before a checkpoint holds them."""
        values = self.network.state_dict().values()
        if all(bool(v.isfinite().all()) for v in values if v.is_floating_point()):
            return
        whole = torch.zeros(1, 1)  # the last loss was finite, so its audio is
        raise self._not_finite(epoch, self.steps_per_epoch - 1, whole)

    def _not_finite(self, epoch: int, step: int, waveforms: Tensor) -> TrainingError:
        """Say where the loss ceased to be a number, and whose audio to look at."""
        local = self.config.training.batch_size // self.num_ranks
        rows = self._rows_of(epoch).slice(step * local, local)
        faulty = (~waveforms.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist()
        suspects = rows.take(faulty or list(range(len(rows)))).slice(0, 3)
        mixes = self.objective.mixes(suspects)
        tracks = sorted({t for mix in mixes for t in mix.tracks} - {ABSENT})
        name = suspects.schema.names[0]
        found = f"; {len(faulty)} of its {len(rows)} rows {FAULTY_AUDIO}" if faulty else ""
        kept = "the last checkpoint is kept" if epoch else "there is no checkpoint yet"
        return TrainingError(
            f"the loss is not a number at step {step} of epoch {epoch}{found}; {name} "
            f"{', '.join(map(str, suspects[name].to_pylist()))} ... of tracks "
            f"{', '.join(tracks)} ...; {kept}; look at these tracks, or lower "
            "--optimizer.learning_rate"
        )

    def _rows_of(self, epoch: int) -> pa.Table:
        return epoch_rows(
            self.rows,
            epoch,
            seed=self.config.seed,
            batch_size=self.config.training.batch_size,
            keep_batches=self.config.plan_kind == "free_mixes",
            rank=self.rank,
            num_ranks=self.num_ranks,
        )

    def _stream(self) -> Batches:
        """Give the batches of this epoch and of those after it, so that rendering never pauses."""
        epochs = range(self.progress.next_epoch, self.config.training.num_epochs)
        local = self.config.training.batch_size // self.num_ranks
        tables = map(self._rows_of, epochs)
        return Batches(batches_of(tables, self.bank, self.config, local, self.device))

    def _step(self, batch: dict[str, Tensor], step: int) -> BatchLoss:
        if not self.plateau:
            num_steps = self.steps_per_epoch * self.config.training.num_epochs
            factor = learning_rate_factor(step, num_steps, self.config.optimizer)
            self.optimizer.scale(factor)
        waveforms = batch["waveforms"]
        bf16 = self.config.training.bf16 and self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            embeddings = self.model(waveforms.flatten(0, 1), *self._heard(batch))
        result = self.objective.loss(embeddings.float(), batch)
        self.optimizer.step(result.loss)
        return result

    def _heard(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """Of each mix, which of the individual networks hears it; one network hears all."""
        if not self.config.network.individual:
            return []
        return [batch["condition"].repeat_interleave(self.objective.mixes_per_row)]

    def _mean(self, values: list[float]) -> float:
        mean = torch.tensor([float(np.mean(values))], device=self.device)
        if self.num_ranks > 1:
            torch.distributed.all_reduce(mean)
        return mean.item() / self.num_ranks

    def _note(self, metrics: dict[str, float], *, validated: bool) -> None:
        """Add an epoch to the history and keep its weights if they are the best so far."""
        progress = self.progress
        progress.history.append(metrics)
        progress.next_epoch += 1
        if self.rank != 0 or (self.validation and not validated):
            return
        score = next((metrics[name] for name in reversed(HEADLINES) if name in metrics), None)
        if score is None and progress.best_score > -math.inf:
            progress.stale += 1  # it cannot be told, and what was found before can
        elif score is None or score > progress.best_score:
            progress.best_epoch = int(metrics["epoch"])
            progress.best_score = -math.inf if score is None else score
            progress.stale = 0
            self.best_weights = self._weights()
            progress.presence = self.validation.presence
        else:
            progress.stale += 1

    def _weights(self) -> dict[str, Tensor]:
        """Copy the weights in the plain order, which is the one that files hold."""
        plain = torch.contiguous_format
        state = self.network.state_dict()
        return {name: w.detach().cpu().clone(memory_format=plain) for name, w in state.items()}

    def _post(self, epoch: int, step: int, loss: float) -> None:
        if self.rank != 0 or self.board is None:
            return
        note = f"epoch {epoch + 1}/{self.config.training.num_epochs}  loss {loss:.3f}"
        history = self.progress.history
        if said := [
            f"{n} {row[m]:.1%}" for row in history for m, n in HEADLINES.items() if m in row
        ]:
            note += f"  val {said[-1]}"
        self.board.post.remote(epoch * self.steps_per_epoch + step + 1, note)

    def _report(self, metrics: dict[str, float]) -> None:
        if self.rank != 0:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            safetensors.torch.save_file(self._weights(), path / "model.safetensors")
            safetensors.torch.save_file(self.best_weights, path / "best.safetensors")
            state = {part: getattr(self, part).state_dict() for part in ("optimizer", "plateau")}
            torch.save(state, path / "optimizer.pt")
            progress = {name: getattr(self.progress, name) for name in Progress.__slots__}
            (path / "progress.json").write_text(json.dumps(progress))
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def train_worker(settings: dict[str, Any]) -> None:
    """Train on this rank; the function that Ray Train starts on every worker."""
    cluster.quieten()
    # Ray's worker logs each report at INFO, under a logger named after its file.
    logging.getLogger().setLevel(logging.WARNING)
    Trainer(settings).run()
