r"""Decode a corpus, join its stems into parts, and write them as Parquet.

uv run jobs/prepare.py
uv run jobs/prepare.py hashizume2024 --corpus.uri s3://bucket/slakh2100_flac_redux \
    --root s3://bucket/csn
"""

from csn import cli

if __name__ == "__main__":
    cli.main("csn.distributed.experiment:prepare", __doc__ or "")
