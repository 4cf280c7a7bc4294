r"""Compare systems: train what is missing from each seed, score it, print the papers' tables.

uv run jobs/compare.py
uv run jobs/compare.py demo_hashizume2024 demo_hashizume2024_scratch --seeds 0 1 2
uv run jobs/compare.py hashizume2024 free_mixing --name slakh --seeds 0 1 2 \
    --corpus.uri s3://bucket/slakh2100_flac_redux --root s3://bucket/csn --workers.use_gpu True
"""

from csn import cli

if __name__ == "__main__":
    cli.main("csn.distributed.comparing:compare", __doc__ or "", read=cli.comparison)
