r"""Embed a split of a prepared corpus with a trained network, or a whole catalogue night by night.

uv run jobs/embed.py
uv run jobs/embed.py hashizume2024 --evaluation.split validation --root s3://bucket/csn
uv run jobs/embed.py demo --evaluation.checkpoint_uri csn-data/experiments/demo/checkpoints/best
uv run jobs/embed.py --checkpoint_uri s3://bucket/csn/experiments/demo/checkpoints/best \
    --catalogue_uri s3://music/ --root s3://bucket/csn
"""

from csn import cli

if __name__ == "__main__":
    cli.main("csn.distributed.nightly:embed", __doc__ or "", read=cli.embedding)
