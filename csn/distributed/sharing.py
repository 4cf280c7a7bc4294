"""What several trials of a sweep need, made once: plans, teachers, pre-training.

Conventions
-----------
Each has a name that carries the digest of all it depends on, and lies below ``experiments/`` by
that name. Whoever needs it asks the one `Maker` of the sweep, who makes it at the first call and
lets every other wait for the same work: no two trials make one thing at a time, and a trial that
ends early takes nothing down with it.

Choices
-------
A trial that waits holds no train workers yet, so what is made for it has room in its stead.
"""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import ray

from csn import curriculum, storage
from csn.config import ExperimentConfig, StartConfig, from_json, to_json
from csn.distributed import cluster
from csn.distributed.progress import Stages
from csn.paths import Paths

PLANNED_PARTS = ("seed", "corpus", "audio", "triplets", "mixing", "similarity")


def plan_name(config: ExperimentConfig) -> str:
    """Name of the plan of `config`, the same for all configurations that draw the same rows."""
    training, triplets = config.training, config.triplets
    known = {
        name: value
        for name, value in Paths(config).training_fields.items()
        if name.partition(".")[0] in PLANNED_PARTS
    }
    known["triplets.num_plans"] = min(triplets.num_plans, training.num_epochs)
    drawn = [config.plan_kind, config.network.conditions, training.batch_size, known]
    return f"plan-{storage.digest(drawn)}"


def copy_plan(config: ExperimentConfig) -> None:
    """Give `config` the plan that stands under its `plan_name`, where it has none yet."""
    own = Paths(config).plan
    if not storage.exists(own):
        shared = Paths(replace(config, name=plan_name(config))).plan
        storage.write_bytes(own, storage.read_bytes(shared))


class Maker:
    """Starts what is asked for once; an actor of its own, as long as a sweep runs."""

    def __init__(self, tracks: list[ray.ObjectRef]) -> None:
        # In a list, since a bare reference would be replaced by what it stands for.
        self._tracks = tracks[0]
        self._begun: dict[str, ray.ObjectRef] = {}

    async def plan(self, config_json: str) -> None:
        """Draw the plan of a configuration."""
        config = from_json(config_json)
        await self._once(replace(config, name=plan_name(config)), _plan)

    async def train_before(self, config_json: str) -> None:
        """Train all that a configuration builds on."""
        for earlier in curriculum.before(from_json(config_json)):
            await self.train_before(to_json(earlier))
            await self._once(earlier, _train)

    async def _once(self, config: ExperimentConfig, work: Any) -> None:
        task: Any = ray.remote(num_cpus=0, max_retries=1)(work)
        if config.name not in self._begun:
            self._begun[config.name] = task.remote(to_json(config), self._tracks)
        try:
            await self._begun[config.name]
        except Exception:
            self._begun.pop(config.name, None)  # the next who needs it tries again
            raise


def _plan(config_json: str, tracks: pa.Table) -> None:
    # imports torch, which whoever waits can spare
    from csn.distributed.plans import note_tracks, plan_rows

    cluster.quieten()
    config = from_json(config_json)
    note_tracks(replace(config, start=StartConfig()), tracks)  # no plan depends on networks
    plan_rows(config, tracks, _stages(config))


def _train(config_json: str, tracks: pa.Table) -> None:
    from csn.distributed.plans import note_tracks
    from csn.distributed.training import fit

    cluster.quieten()
    config = from_json(config_json)
    note_tracks(config, tracks)
    fit(config, tracks, _stages(config))


def _stages(config: ExperimentConfig) -> Stages:
    return Stages(Paths(config).experiment("stages.json"))
