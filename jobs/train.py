r"""Train one experiment, the whole way: corpus, plan, network, embeddings, scores, report.

uv run jobs/train.py
uv run jobs/train.py hashizume2024 --corpus.uri s3://bucket/slakh2100_flac_redux \
    --root s3://bucket/csn
ray job submit --working-dir . -- python jobs/train.py hashizume2024 --root s3://bucket/csn
"""

from csn import cli

if __name__ == "__main__":
    cli.main("csn.distributed.experiment:train", __doc__ or "")
