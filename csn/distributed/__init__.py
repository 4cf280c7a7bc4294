"""The only floor that imports Ray.

Ray reads some of its settings once, when it is imported: they have to stand in the environment
before, so this is the one place where importing has an effect. What a user has set stays.
"""

import os

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Every line of a worker would be printed twice.
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Ray Train notes reports at this interval, and a short epoch waits for it.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3",
    # A worker process that pauses for a second would be ended wherever more processes live than
    # there are CPUs, and the next task would wait seconds for another that imports all anew.
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
if not os.environ.get("RAY_ADDRESS"):
    # Under `uv run`, Ray would copy the project folder, data and all, and build a second virtual
    # environment for its workers, which on this machine have the first. On a cluster they do not.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    # One process more for every training would look out for this machine to be taken away.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
