"""MP3 as it is found: of any bitrate and number of channels, without its length, cut short."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from csn.audio import mp3
from csn.audio.decode import decode
from csn.errors import CorpusError

RATE_HZ = 22_050
LONG_S = 1e6
LENGTH_S = 6.0
MODES = ("CONSTANT", "AVERAGE", "VARIABLE")


def music(rate_hz=RATE_HZ, amplitude=0.4):
    """Notes that change, and noise: so that frames of a variable bitrate differ in size."""
    times_s = np.arange(round(LENGTH_S * rate_hz)) / rate_hz
    loud = 0.3 + 0.7 * (times_s % 1.0)
    noise = np.random.default_rng(0).standard_normal(len(times_s)) * 0.1 * (times_s > 3)
    return (amplitude * loud * (np.sin(2 * np.pi * 440 * times_s) + noise)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    """Write samples to an MP3, and give its address."""

    def write(samples, rate_hz=RATE_HZ, mode="CONSTANT", name="x.mp3"):
        uri = str(tmp_path / name)
        soundfile.write(uri, samples, rate_hz, format="MP3", bitrate_mode=mode)
        return uri

    return write


def without_length(uri):
    """Take away the frame that tells how many follow, as many an encoder has none."""
    path = Path(uri)
    data = path.read_bytes()
    first = mp3.Frame.of(data[:4])
    assert data[first.tag_place :][:4] in (b"Xing", b"Info")
    path.write_bytes(data[first.size :])
    return uri


def heard(decoded, samples):
    """Whether what was decoded is `samples`, wherever the encoder's padding has put it."""
    size = len(decoded.samples) + len(samples)
    one, other = np.fft.rfft(decoded.samples, size), np.fft.rfft(samples, size)
    best = np.fft.irfft(one * other.conj(), size).max()
    return best > 0.9 * np.linalg.norm(decoded.samples) * np.linalg.norm(samples)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate_hz", [RATE_HZ, 44_100, 48_000, 16_000, 8_000])
def test_samples_come_back_in_their_place(write, mode, rate_hz):
    samples = music(rate_hz)
    decoded = decode(write(samples, rate_hz, mode), rate_hz, LONG_S)
    assert decoded.source_rate_hz == rate_hz
    assert decoded.duration_s == pytest.approx(LENGTH_S)
    assert len(decoded.samples) == len(samples)
    assert np.corrcoef(decoded.samples, samples)[0, 1] > 0.95


@pytest.mark.parametrize("mode", MODES)
def test_stereo_is_averaged(write, mode):
    left = music()
    decoded = decode(write(np.stack([left, 0.5 * left], axis=1), mode=mode), RATE_HZ, LONG_S)
    assert np.corrcoef(decoded.samples, left)[0, 1] > 0.95
    assert np.abs(decoded.samples).max() == pytest.approx(0.75 * np.abs(left).max(), rel=0.2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [RATE_HZ, 44_100])
def test_file_that_does_not_tell_its_length_is_heard_to_its_end(
    write, mode, num_channels, rate_hz, capfd
):
    samples = np.tile(music(rate_hz)[:, None], num_channels)
    uri = without_length(write(samples, rate_hz, mode))
    decoded = decode(uri, rate_hz, LONG_S)
    # Encoders pad both ends, and no frame says by how much; the first may need one before it.
    assert LENGTH_S - 0.06 < len(decoded.samples) / rate_hz < LENGTH_S + 0.15
    assert heard(decoded, samples[:, 0])
    assert capfd.readouterr().err == ""


def test_no_more_of_such_a_file_is_given_than_asked_for(write):
    decoded = decode(without_length(write(music(), mode="VARIABLE")), RATE_HZ, 2.5)
    assert len(decoded.samples) == 2.5 * RATE_HZ
    assert LENGTH_S < decoded.duration_s < LENGTH_S + 0.15


def test_tags_before_and_behind_are_passed_over(write):
    uri = without_length(write(music(), mode="VARIABLE"))
    frames = Path(uri).read_bytes()
    before = b"ID3\x03\x00\x00\x00\x00\x02\x10" + bytes(2 * 128 + 16)
    Path(uri).write_bytes(before + frames + b"TAG" + bytes(125))
    assert heard(decode(uri, RATE_HZ, LONG_S), music())
    with Path(uri).open("rb") as file:
        stream = mp3.scan(uri, file)
        assert file.tell() == 0
    assert (stream.start, stream.said_frames) == (len(before), None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_file_cut_short_is_refused_with_both_lengths(write, mode, share, capfd):
    uri = write(music(), mode=mode)
    whole = Path(uri).read_bytes()
    Path(uri).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        CorpusError, match=r"x\.mp3: ends after [\d.]+ s, .*6\.\d+ s; .* cut short"
    ):
        decode(uri, RATE_HZ, LONG_S)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("is_told", [True, False])
def test_damaged_file_is_refused(write, is_told):
    uri = write(music()) if is_told else without_length(write(music()))
    data = bytearray(Path(uri).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3_000] = bytes(3_000)
    Path(uri).write_bytes(data)
    with pytest.raises(
        CorpusError, match=r"x\.mp3: (ends after|cannot be decoded \(no MP3 frame)"
    ):
        decode(uri, RATE_HZ, LONG_S)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html><body>404 not found</body></html>",
        b"a text that somebody named so\n" * 200,
        b"ID3\x03\x00\x00\x00\x00\x00\x10" + bytes(100),
        b"ID3",
        b"\xff\xfb\x90\x64",
        b"\xff\xfb\x90\x64" + b"and then no more frames" * 300,
    ],
    ids=["empty", "page", "text", "tag alone", "half a tag", "header alone", "one frame"],
)
def test_file_of_that_name_which_is_none_is_refused(tmp_path, data):
    uri = str(tmp_path / "x.mp3")
    Path(uri).write_bytes(data)
    with pytest.raises(CorpusError, match=r"x\.mp3: cannot be decoded .*copy it again"):
        decode(uri, RATE_HZ, LONG_S)


def test_8_bit_wav_is_read(tmp_path):
    uri = str(tmp_path / "x.wav")
    soundfile.write(uri, music(), RATE_HZ, subtype="PCM_U8")
    assert decode(uri, RATE_HZ, LONG_S).samples == pytest.approx(music(), abs=1 / 100)


def test_clipping_is_refused_or_only_counted(write):
    loud = np.clip(8 * music(), -1, 1)
    uri = write(loud)
    with pytest.raises(CorpusError, match="clipped"):
        decode(uri, RATE_HZ, LONG_S)
    assert decode(uri, RATE_HZ, LONG_S, max_clipped_share=1.0).clipped_share > 0.01


def test_file_without_its_length_that_ends_inside_a_frame_is_told_of(write):
    uri = without_length(write(music()))
    assert not decode(uri, RATE_HZ, LONG_S).is_torn
    Path(uri).write_bytes(Path(uri).read_bytes()[:-100])
    assert decode(uri, RATE_HZ, LONG_S).is_torn
