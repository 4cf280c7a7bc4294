import base64
import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

from csn.reports.inline import audio_uri, figure_uri, waveform_path


def decoded(uri, media_type):
    head, content = uri.split(",", 1)
    assert head == f"data:{media_type};base64"
    return base64.b64decode(content)


def small_figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().set_title("a <b> & c")
    return figure


def test_figure_is_an_svg_whose_letters_are_text():
    root = ET.fromstring(decoded(figure_uri(small_figure()), "image/svg+xml"))
    texts = [
        "".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")
    ]
    assert "a <b> & c" in texts
    assert b"DejaVu" not in decoded(figure_uri(small_figure()), "image/svg+xml")


def test_same_figure_gives_the_same_uri():
    assert figure_uri(small_figure()) == figure_uri(small_figure())


def test_audio_comes_back_as_it_went_in():
    waveform = 0.5 * np.sin(np.arange(8000) / 20).astype(np.float32)
    found, rate = soundfile.read(io.BytesIO(decoded(audio_uri(waveform, 16_000), "audio/flac")))
    assert rate == 16_000
    np.testing.assert_allclose(found, waveform, atol=2**-15)


def test_audio_beyond_full_scale_is_turned_down_and_gaps_are_silent():
    waveform = np.array([0.0, 4.0, -2.0, np.nan, np.inf], dtype=np.float32)
    found, _ = soundfile.read(io.BytesIO(decoded(audio_uri(waveform, 8_000), "audio/flac")))
    np.testing.assert_allclose(found, [0, 1, -0.5, 0, 0], atol=2**-14)


def test_outline_rises_where_the_sound_is_loud():
    loud_end = np.concatenate([np.zeros(500), np.ones(500)])
    corners = waveform_path(loud_end, num_bins=2, height=10.0).strip("MZ ").split(" L")
    assert corners == ["0.5,4.6", "1.5,0.0", "1.5,10.0", "0.5,5.4"]


@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros(100), np.full(100, np.nan)])
def test_outline_of_silence_is_a_flat_line(waveform):
    assert "nan" not in waveform_path(waveform)
    assert waveform_path(waveform).count("19.6") == 120
