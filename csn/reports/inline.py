"""Figures and sounds as ``data:`` URIs, so that a page needs no other file.

Choices
-------
Figures are SVG: sharp on any screen, small, and their letters are set in the reader's typeface.
Sounds are 16-bit FLAC, which every current browser plays.
"""

import base64
import io
import re

import matplotlib
import numpy as np
import soundfile
from matplotlib.figure import Figure

TYPEFACE = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
CSS_FONT_FAMILY = re.compile(r"font-family: [^;\"]*")


def figure_uri(figure: Figure) -> str:
    """Encode `figure` as an SVG data URI; the same figure always gives the same one."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "csn"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = CSS_FONT_FAMILY.sub(f"font-family: {TYPEFACE}", buffer.getvalue())
    return _data_uri("image/svg+xml", svg.encode())


def audio_uri(waveform: np.ndarray, sample_rate_hz: int) -> str:
    """Encode a mono waveform as a FLAC data URI, turned down where it would clip."""
    finite = np.nan_to_num(np.asarray(waveform, dtype=np.float64), posinf=0.0, neginf=0.0)
    peak = float(np.abs(finite).max(initial=0.0))
    buffer = io.BytesIO()
    soundfile.write(
        buffer, finite / max(1.0, peak), sample_rate_hz, format="FLAC", subtype="PCM_16"
    )
    return _data_uri("audio/flac", buffer.getvalue())


def waveform_path(waveform: np.ndarray, num_bins: int = 120, height: float = 40.0) -> str:
    """Outline of a waveform's peaks as SVG path data, `num_bins` wide and `height` high."""
    finite = np.nan_to_num(np.asarray(waveform, dtype=np.float64), posinf=0.0, neginf=0.0)
    bins = np.array_split(np.abs(finite), num_bins)
    peaks = np.array([part.max(initial=0.0) for part in bins])
    half = height / 2
    reach = np.maximum(half * peaks / max(1e-9, peaks.max()), 0.4)
    top = [f"{x + 0.5:g},{half - y:.1f}" for x, y in enumerate(reach)]
    bottom = [f"{x + 0.5:g},{half + y:.1f}" for x, y in enumerate(reach)]
    return f"M{' L'.join([*top, *reversed(bottom)])} Z"


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
