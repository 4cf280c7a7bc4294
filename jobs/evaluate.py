"""Score a trained network beside the baselines (P1 and P2 of [H24]), and write its report.

uv run jobs/evaluate.py
uv run jobs/evaluate.py hashizume2024 --evaluation.durations_s 3 10 --root s3://bucket/csn
"""

from csn import cli
from csn.distributed import experiment

if __name__ == "__main__":
    cli.main(experiment.evaluate, __doc__ or "")
