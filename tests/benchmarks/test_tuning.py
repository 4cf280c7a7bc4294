"""What a sweep costs beside its trainings: two trials at a time, and the way to a step."""

from dataclasses import replace
from typing import Any

from csn.search_space import Sweep, read_search_space

GOAL = 0.87
"""1 / 1.15: two trials at a time may take 1.15 x as long as their share of the CPUs demands."""
SPACE = """# How far?
metric = "val/pseudo_mix_id/mean"
num_samples = 2
[space]
"loss.margin" = { grid = [0.2, 0.3] }
"""


def test_two_trials_at_a_time(composed: Any, record: Any) -> None:
    from csn import storage
    from csn.distributed import tuning
    from csn.distributed.trials import sweep_uri
    from csn.paths import Paths

    # Each train worker has half a CPU: two of them and what renders are 2 CPUs.
    base = replace(
        composed,
        training=replace(composed.training, num_epochs=6, validate_every=6, patience=None),
        workers=replace(composed.workers, cpus_per_train_worker=0.5, threads_per_train_worker=1),
    )
    space = read_search_space("margin", SPACE).of(base)
    seconds: dict[int, list[float]] = {}
    overheads: dict[int, list[float]] = {1: [], 2: []}
    for at_a_time in (1, 2):
        sweep = Sweep(
            name=f"at-a-time-{at_a_time}",
            recipe="benchmarks",
            config=base,
            space=space,
            num_samples=2,
            search="grid",
            scheduler="none",
            max_concurrent=at_a_time,
            final_seeds=(),
        )
        tuning.tune_recipe(sweep)
        trials = storage.read_table(sweep_uri(sweep, "trials.parquet")).to_pylist()
        seconds[at_a_time] = [trial["seconds"] for trial in trials]
        for trial in trials:
            paths = Paths(replace(base, name=f"{sweep.name}-{trial['trial_id']}"))
            epochs = storage.read_table(paths.experiment("metrics.parquet"))["seconds"]
            overheads[at_a_time].append(trial["seconds"] - sum(epochs.to_pylist()))
    # One trial alone has the machine; of two each has half.
    alone, together = sum(seconds[1]) / 2, max(seconds[2])
    record(
        "tune_concurrency",
        2 * alone / together,
        GOAL,
        f"a trial takes {alone:.1f} s alone, {together:.1f} s beside another",
    )
    alone_s, beside_s = (sum(found) / len(found) for found in overheads.values())
    record(
        "tune_overhead",
        20 / ((alone_s + beside_s) / 2),
        1.0,
        f"a trial takes {alone_s:.1f} s beside its epochs, of at most 20, and {beside_s:.1f} s "
        "where two start at once on the same cores: actor, plan, workers, export",
    )
