r"""Score an embedded catalogue by P1, whole: whether segments' neighbours know their track.

uv run jobs/score.py --catalogue music
uv run jobs/score.py --catalogue music --num_queries 100000 --conditions drums bass \
    --root s3://bucket/csn
"""

from functools import partial

from csn import cli
from csn.config import CatalogueScoreConfig

if __name__ == "__main__":
    cli.main(
        "csn.distributed.catalogue_scores:score_catalogue",
        __doc__ or "",
        read=partial(cli.options, CatalogueScoreConfig),
    )
