"""From a track of which only the whole is known (a preview clip) to its one part.

Conventions
-----------
A clip is a `PreparedTrack` whose one part is `others`. It begins where its file begins: it was cut
out of a longer piece, so it has no onset to align.

Choices
-------
Commercial music is mastered up to full scale and beyond, so clipping is a warning here; of a
composed stem it is a fault. Stereo is averaged to mono, as everywhere.
"""

import numpy as np

from csn.audio.activity import levels_db
from csn.audio.decode import decode
from csn.audio.parts import FULL_SCALE, SILENT_PEAK, Parts, PreparedTrack, quantised
from csn.conditions import Instrument
from csn.config import AudioConfig
from csn.errors import CorpusError, StorageError
from csn.records import Track

PART = str(Instrument.OTHERS)
"""The part that a clip is."""


def prepare_clip(track: Track, audio: AudioConfig) -> PreparedTrack:
    """Decode the one file of `track` and measure it.

    Raises
    ------
    CorpusError
        It cannot be decoded, is shorter than a segment, or nothing sounds in it.
    """
    (stem,) = track.stems
    rate = audio.sample_rate_hz
    try:
        decoded = decode(stem.audio_uri, rate, audio.max_track_s, max_clipped_share=1.0)
    except StorageError as error:
        raise CorpusError(str(error)) from error
    samples = decoded.samples
    if len(samples) < round(audio.segment_s * rate):
        raise CorpusError(
            f"{stem.audio_uri}: {len(samples) / rate:.2f} s long, at least {audio.segment_s:g} s "
            "expected, which is one segment; leave the track out, or lower --audio.segment_s"
        )
    peak = float(np.abs(samples).max())
    if peak < SILENT_PEAK:
        raise CorpusError(
            f"{stem.audio_uri}: silent; expected a peak above {SILENT_PEAK}; leave the track out "
            "or copy it again"
        )
    warnings = []
    if decoded.clipped_share > 0:
        warnings.append(f"{100 * decoded.clipped_share:.3f} % clipped")
    if decoded.is_torn:
        warnings.append(f"ends inside an MP3 frame after {decoded.duration_s:.2f} s; cut short?")
    if decoded.duration_s > audio.max_track_s:
        warnings.append(f"cut to its first {audio.max_track_s} of {decoded.duration_s:.1f} s")
    # What was near full scale before it became an MP3 may be beyond it after: scale, do not clip.
    scale = max(1.0, peak) / FULL_SCALE
    levels = {PART: levels_db(samples, rate, audio.level_hop_s)}
    parts = Parts({PART: quantised(samples, scale)}, scale, rate)
    return PreparedTrack(track, parts, 0.0, levels, warnings)
