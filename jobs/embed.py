"""Embed a split of a prepared corpus with a trained network, one folder a condition.

uv run jobs/embed.py
uv run jobs/embed.py hashizume2024 --evaluation.split validation --root s3://bucket/csn
uv run jobs/embed.py demo --evaluation.checkpoint_uri csn-data/experiments/demo/checkpoints/best
"""

from csn import cli
from csn.distributed import experiment

if __name__ == "__main__":
    cli.main(experiment.embed_split, __doc__ or "")
