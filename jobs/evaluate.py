"""Score a trained network beside the baselines, and write its report.

Instruments are asked P1 and P2 ([H24]); concepts, triplets of tracks ([R22]), human and by rule.

uv run jobs/evaluate.py
uv run jobs/evaluate.py hashizume2024 --evaluation.durations_s 3 10 --root s3://bucket/csn
"""

from csn import cli

if __name__ == "__main__":
    cli.main("csn.distributed.experiment:evaluate", __doc__ or "")
