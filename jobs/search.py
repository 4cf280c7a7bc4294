r"""Search an embedded catalogue by some instruments of a track of it, or of any recording.

uv run jobs/search.py --catalogue music --query "blue/monday.flac" --weights drums=1,bass=0.2
uv run jobs/search.py --catalogue music --query loop.wav --weights drums=1 \
    --where "genre == 'rock' and year >= 1990" --gate True --root s3://bucket/csn
"""

from functools import partial

from csn import cli
from csn.config import SearchConfig

if __name__ == "__main__":
    cli.main(
        "csn.distributed.catalogue_search:search",
        __doc__ or "",
        read=partial(cli.options, SearchConfig),
    )
