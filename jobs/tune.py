r"""Search for better values of a recipe's fields: trials from a space, by Ray Tune.

uv run jobs/tune.py
uv run jobs/tune.py hashizume2024 --space tune_spaces/loss.toml --num_samples 16 \
    --corpus.uri s3://bucket/slakh2100_flac_redux --root s3://bucket/csn --workers.use_gpu True
uv run jobs/tune.py ribecky2022 --space tune_spaces/branches.toml --search grid \
    --scheduler none --max_concurrent 2 --final_seeds 0 1 2
"""

from csn import cli

if __name__ == "__main__":
    cli.main("csn.distributed.tuning:tune_recipe", __doc__ or "", read=cli.sweep)
