import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csn.audio import mp3
from csn.audio.activity import levels_db
from csn.audio.clips import PART, prepare_clip
from csn.config import AudioConfig
from csn.errors import CorpusError
from csn.records import Stem, Track

RATE_HZ = 22_050
AUDIO = AudioConfig(sample_rate_hz=RATE_HZ)


@pytest.fixture
def track_of(tmp_path):
    """Write samples to a file, and give the track whose clip it is."""

    def track_of(samples, name="x.flac", rate_hz=RATE_HZ, **options):
        uri = str(tmp_path / name)
        soundfile.write(uri, samples, rate_hz, **options)
        stem = Stem("clip", PART, uri, 0)
        return Track("TRAAAAA128F0000000", "made-up", "test", math.nan, 1.0, (stem,))

    return track_of


def noise(seconds, peak=0.5, rate_hz=RATE_HZ):
    rng = np.random.default_rng(0)
    return (peak * rng.uniform(-1, 1, round(seconds * rate_hz))).astype(np.float32)


def test_a_clip_is_one_part_that_begins_where_its_file_begins(track_of):
    samples = np.concatenate([np.zeros(RATE_HZ, np.float32), noise(4.0)])
    prepared = prepare_clip(track_of(samples), AUDIO)
    assert prepared.onset_s == 0.0
    assert prepared.warnings == []
    assert list(prepared.parts.pcm) == list(prepared.levels_db) == [PART]
    pcm = prepared.parts.pcm[PART]
    assert pcm.dtype == np.int16
    assert pcm / 32_768 == pytest.approx(samples, abs=1 / 32_768)
    expected = levels_db(samples, RATE_HZ, AUDIO.level_hop_s)
    assert prepared.levels_db[PART] == pytest.approx(expected, abs=0.01)
    assert prepared.parts.pcm_scale == 1 / 32_768


def test_clipping_is_a_warning(track_of):
    loud = np.clip(noise(4.0, peak=2.0), -1, 1)
    prepared = prepare_clip(track_of(loud), AUDIO)
    (warning,) = prepared.warnings
    assert warning.endswith("% clipped")
    assert 49 < float(warning.split()[0]) < 51


def test_what_goes_beyond_full_scale_is_scaled_and_not_cut(track_of):
    samples = noise(4.0)
    samples[1_000] = 1.6
    prepared = prepare_clip(track_of(samples, "x.wav", subtype="FLOAT"), AUDIO)
    assert prepared.parts.pcm_scale == pytest.approx(1.6 / 32_768)
    assert prepared.parts.pcm[PART] * prepared.parts.pcm_scale == pytest.approx(samples, abs=1e-4)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.99])
def test_clip_shorter_than_a_segment_is_refused(track_of, seconds):
    with pytest.raises(
        CorpusError, match=rf"x\.flac: {seconds:.2f} s long, at least 3 s expected, .*segment"
    ):
        prepare_clip(track_of(noise(seconds)), AUDIO)


def test_clip_of_one_segment_is_prepared(track_of):
    prepared = prepare_clip(track_of(noise(3.0)), AUDIO)
    assert prepared.parts.num_samples == 3 * RATE_HZ


@pytest.mark.parametrize("peak", [0.0, 5e-5])
def test_silence_is_refused(track_of, peak):
    with pytest.raises(CorpusError, match=r"x\.flac: silent; expected a peak above 0\.0001"):
        prepare_clip(track_of(noise(4.0, peak)), AUDIO)


def test_a_long_clip_is_cut_with_a_warning(track_of):
    audio = AudioConfig(sample_rate_hz=RATE_HZ, max_track_s=4.0)
    prepared = prepare_clip(track_of(noise(6.0)), audio)
    assert prepared.parts.num_samples == 4 * RATE_HZ
    assert prepared.warnings == ["cut to its first 4.0 of 6.0 s"]


def test_stereo_mp3_of_another_rate_is_one_part_at_the_wanted_rate(track_of):
    left = noise(4.0, rate_hz=44_100)
    track = track_of(np.stack([left, left], axis=1), "x.mp3", 44_100, bitrate_mode="VARIABLE")
    prepared = prepare_clip(track, AUDIO)
    assert prepared.parts.sample_rate_hz == RATE_HZ
    assert prepared.parts.num_samples == pytest.approx(4 * RATE_HZ, abs=1)


def test_missing_file_is_refused_by_its_address(tmp_path):
    stem = Stem("clip", PART, str(tmp_path / "x.mp3"), 0)
    track = Track("TRAAAAA128F0000000", "made-up", "test", math.nan, 1.0, (stem,))
    with pytest.raises(CorpusError, match=r"x\.mp3: no such file"):
        prepare_clip(track, AUDIO)


def test_mp3_that_ends_inside_a_frame_is_a_warning(track_of):
    track = track_of(noise(5.0), "x.mp3", format="MP3")
    path = Path(track.stems[0].audio_uri)
    data = path.read_bytes()
    told = mp3.Frame.of(data[:4])  # the frame that tells how many follow
    path.write_bytes(data[told.size : len(data) // 4 * 3 + 1])
    warning = prepare_clip(track, AUDIO).warnings[-1]  # the encoder may have clipped as well
    assert warning.startswith("ends inside an MP3 frame after 3.")
