"""Segments of a stream, whatever its blocks."""

from io import BytesIO

import numpy as np
import pytest
import soundfile as sf
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.audio.streaming import mono_stream, segments
from csn.errors import CorpusError


def cut(total, length, hop, min_tail, block=7):
    samples = np.arange(total, dtype=np.float32)
    blocks = [samples[i : i + block] for i in range(0, total, block)]
    *found, (said, empty) = segments(blocks, length, hop, min_tail)
    assert said == total
    assert len(empty) == 0
    for start, piece in found:
        np.testing.assert_array_equal(piece, samples[start : start + len(piece)])
        assert start + len(piece) <= total
    return [(start, len(piece)) for start, piece in found]


def test_whole_segments_and_a_tail_that_ends_with_the_track():
    assert cut(30, 10, 10, 2) == [(0, 10), (10, 10), (20, 10)]
    assert cut(32, 10, 10, 2) == [(0, 10), (10, 10), (20, 10), (22, 10)]
    assert cut(31, 10, 10, 2) == [(0, 10), (10, 10), (20, 10)]
    assert cut(32, 10, 5, 2) == [(s, 10) for s in (0, 5, 10, 15, 20, 22)]


def test_track_shorter_than_a_segment_is_one_of_its_own_length():
    assert cut(9, 10, 10, 2) == [(0, 9)]
    assert cut(1, 10, 10, 2) == []
    assert cut(0, 10, 10, 2) == []


def test_gaps_between_segments_are_no_tail():
    assert cut(29, 5, 20, 2) == [(0, 5), (20, 5)]
    assert cut(21, 5, 20, 2) == [(0, 5)]
    assert cut(22, 5, 20, 2) == [(0, 5), (17, 5)]


@given(
    total=st.integers(0, 200),
    length=st.integers(1, 30),
    hop=st.integers(1, 40),
    min_tail=st.integers(1, 20),
    block=st.integers(1, 250),
)
@settings(max_examples=200, deadline=None)
def test_blocks_do_not_matter(total, length, hop, min_tail, block):
    found = cut(total, length, hop, min_tail, block)
    assert found == cut(total, length, hop, min_tail, 1)
    whole = [(s, length) for s in range(0, total - length + 1, hop)]
    assert found[: len(whole)] == whole
    assert len(found) - len(whole) <= 1


FORMATS = {
    "wav": {"format": "WAV", "subtype": "PCM_24"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "mp3": {"format": "MP3"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("rate_hz", "channels"), [(48_000, 2), (16_000, 1), (8_000, 6)])
def test_any_format_rate_and_number_of_channels(kind, rate_hz, channels):
    if kind in ("mp3", "opus") and channels > 2:
        pytest.skip("MP3 has at most two channels; Opus takes the sixth for one of low tones")
    seconds = 9.0
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    mono = (0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    file = BytesIO()
    sf.write(file, np.repeat(mono[:, None], channels, axis=1), rate_hz, **FORMATS[kind])
    file.seek(0)
    found = np.concatenate(list(mono_stream("memory", file, 16_000)))
    assert found.dtype == np.float32
    assert abs(len(found) - seconds * 16_000) < 0.06 * 16_000  # MP3 adds a frame or two
    middle = found[32_000:96_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    peak_hz = spectrum.argmax() * 16_000 / len(middle)
    assert peak_hz == pytest.approx(440, abs=1)
    assert np.sqrt(2) * middle.std() == pytest.approx(0.3, rel=0.1)


def test_stream_is_what_resampling_at_once_gives():
    samples = np.random.default_rng(0).normal(0, 0.1, 44_100 * 20).astype(np.float32)
    file = BytesIO()
    sf.write(file, samples, 44_100, format="WAV", subtype="FLOAT")
    file.seek(0)
    found = np.concatenate(list(mono_stream("memory", file, 16_000)))
    np.testing.assert_allclose(found, soxr.resample(samples, 44_100, 16_000), atol=1e-6)


def test_file_cut_short_is_refused_after_what_there_is():
    file = BytesIO()
    sf.write(file, np.random.default_rng(0).normal(0, 0.1, 400_000), 16_000, format="FLAC")
    cut_file = BytesIO(file.getvalue()[: len(file.getvalue()) // 2])
    with pytest.raises(CorpusError, match=r"cut short|cannot be decoded"):
        list(mono_stream("memory", cut_file, 16_000))
