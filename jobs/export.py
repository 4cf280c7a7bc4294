"""Write a trained network as one ONNX file, front end and all, and check it against the network.

uv run --extra onnx jobs/export.py
uv run --extra onnx jobs/export.py --checkpoint_uri s3://bucket/csn/experiments/demo/checkpoints/best
"""

from functools import partial

from csn import cli
from csn.config import ExportConfig

if __name__ == "__main__":
    cli.main("csn.model.export:export", __doc__ or "", read=partial(cli.options, ExportConfig))
