import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.audio.decode import BLOCK_FRAMES, MAX_CLIPPED_SHARE, decode
from csn.errors import CorpusError, StorageError

RATE_HZ = 16_000
LONG_S = 1e6


def tone(frequency_hz, seconds, rate_hz=RATE_HZ, amplitude=0.5):
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    """Write samples to a file, and give its address."""

    def write(name, samples, rate_hz=RATE_HZ, subtype="PCM_16"):
        uri = str(tmp_path / name)
        soundfile.write(uri, samples, rate_hz, subtype=subtype)
        return uri

    return write


@pytest.mark.parametrize("name", ["x.flac", "x.wav"])
def test_16_bit_samples_come_back_as_they_are(write, name):
    pcm = np.random.default_rng(0).integers(-32_000, 32_000, RATE_HZ).astype(np.int16)
    decoded = decode(write(name, pcm), RATE_HZ, LONG_S)
    assert decoded.samples.dtype == np.float32
    assert np.array_equal(decoded.samples * 32_768, pcm)
    assert (decoded.source_rate_hz, decoded.duration_s, decoded.clipped_share) == (RATE_HZ, 1.0, 0)


@pytest.mark.parametrize("frequency_hz", [100.0, 1_000.0, 6_000.0])
def test_resampled_tone_keeps_its_frequency_and_level(write, frequency_hz):
    uri = write("x.wav", tone(frequency_hz, 2.0, 44_100), 44_100)
    decoded = decode(uri, RATE_HZ, LONG_S)
    assert decoded.source_rate_hz == 44_100
    assert len(decoded.samples) == 2 * RATE_HZ
    middle = slice(RATE_HZ // 2, 3 * RATE_HZ // 2)
    expected = tone(frequency_hz, 2.0)[middle]
    assert np.abs(decoded.samples[middle] - expected).max() < 2e-3


def test_what_the_new_rate_cannot_hold_is_filtered_out(write):
    uri = write("x.wav", tone(12_000.0, 2.0, 44_100), 44_100)
    middle = decode(uri, RATE_HZ, LONG_S).samples[2_000:-2_000]
    assert np.abs(middle).max() < 1e-3


def test_resampling_in_blocks_leaves_no_seam(write):
    # Long enough for three blocks; each sample is compared with the tone's own.
    seconds = 2.5 * BLOCK_FRAMES / 44_100
    decoded = decode(write("x.wav", tone(440.0, seconds, 44_100), 44_100), RATE_HZ, LONG_S)
    inner = slice(200, len(decoded.samples) - 200)
    assert np.abs(decoded.samples - tone(440.0, seconds))[inner].max() < 2e-3


def test_channels_are_averaged(write):
    left, right = tone(440.0, 1.0), tone(660.0, 1.0)
    decoded = decode(write("x.wav", np.stack([left, right], axis=1)), RATE_HZ, LONG_S)
    assert decoded.samples == pytest.approx((left + right) / 2, abs=1e-4)


def test_opposite_channels_are_silent(write):
    left = tone(440.0, 0.1)
    uri = write("x.wav", np.stack([left, -left], axis=1), subtype="FLOAT")
    assert not decode(uri, RATE_HZ, LONG_S).samples.any()


@settings(max_examples=40, deadline=None)
@given(seconds=st.floats(0.001, 3.0), rate_hz=st.sampled_from([16_000, 22_050, 44_100, 48_000]))
def test_length_in_seconds_is_kept(tmp_path_factory, seconds, rate_hz):
    uri = str(tmp_path_factory.mktemp("length") / "x.wav")
    num_samples = max(1, round(seconds * rate_hz))
    soundfile.write(uri, np.zeros(num_samples, np.float32), rate_hz)
    decoded = decode(uri, RATE_HZ, LONG_S)
    assert abs(len(decoded.samples) - num_samples * RATE_HZ / rate_hz) <= 1
    assert decoded.duration_s == pytest.approx(num_samples / rate_hz)


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 44_100])
def test_no_more_is_given_than_asked_for(write, rate_hz):
    uri = write("x.flac", tone(440.0, 3.0, rate_hz), rate_hz)
    decoded = decode(uri, RATE_HZ, 1.25)
    assert len(decoded.samples) == 1.25 * RATE_HZ
    assert decoded.duration_s == 3.0


def test_no_more_is_read_than_asked_for(write):
    uri = write("x.flac", tone(440.0, 10.0))
    whole = Path(uri).read_bytes()
    Path(uri).write_bytes(whole[: len(whole) // 2])
    # What is missing lies behind the limit, so it is never met.
    assert len(decode(uri, RATE_HZ, 1.0).samples) == RATE_HZ
    with pytest.raises(CorpusError):
        decode(uri, RATE_HZ, 10.0)


@pytest.mark.parametrize("name", ["x.flac", "x.wav"])
def test_memory_does_not_grow_with_the_file(write, name):
    # Noise does not compress: 12 MB on the disk, of which 1 s is asked for.
    noise = np.random.default_rng(0).integers(-9_000, 9_000, 6_000_000).astype(np.int16)
    uri = write(name, noise)
    assert Path(uri).stat().st_size > 10_000_000
    del noise
    decode(uri, RATE_HZ, 0.1)
    tracemalloc.start()
    try:
        decoded = decode(uri, RATE_HZ, 1.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(decoded.samples) == RATE_HZ
    assert peak < 1_000_000


def test_memory_is_the_samples_and_a_few_blocks(write):
    # 40 s of stereo at three times the rate: whole, it would take 15 MB as floats.
    noise = np.zeros((2 * 20 * 48_000, 2), np.int16)
    uri = write("x.wav", noise, 48_000)
    del noise
    tracemalloc.start()
    try:
        decoded = decode(uri, RATE_HZ, LONG_S)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert decoded.samples.nbytes == 40 * 4 * RATE_HZ
    assert peak < 10_000_000


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("name", ["x.flac", "x.wav"])
def test_file_cut_short_is_refused(write, name, share):
    uri = write(name, tone(440.0, 2.0))
    whole = Path(uri).read_bytes()
    Path(uri).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CorpusError, match=rf"{name}: .*(cut short|cannot be decoded).*again"):
        decode(uri, RATE_HZ, LONG_S)


def test_wav_cut_short_is_refused_with_both_lengths(write):
    uri = write("x.wav", tone(440.0, 2.0))
    Path(uri).write_bytes(Path(uri).read_bytes()[:32_044])
    with pytest.raises(CorpusError, match="32044 bytes found, its header says 64044"):
        decode(uri, RATE_HZ, LONG_S)


def test_wav_of_unknown_length_is_read_to_its_end(write):
    # Programs that write to a pipe cannot go back and correct the header.
    uri = write("x.wav", tone(440.0, 1.0))
    data = bytearray(Path(uri).read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    Path(uri).write_bytes(data)
    assert len(decode(uri, RATE_HZ, LONG_S).samples) == RATE_HZ


def test_flac_with_fewer_samples_than_its_header_says_is_refused(write):
    uri = write("x.flac", tone(440.0, 1.0))
    data = bytearray(Path(uri).read_bytes())
    data[22:26] = (3 * RATE_HZ).to_bytes(4, "big")  # the number of samples in STREAMINFO
    Path(uri).write_bytes(data)
    with pytest.raises(CorpusError, match=r"x\.flac: (ends after 1\.00 s, .* 3\.00 s|cannot be)"):
        decode(uri, RATE_HZ, LONG_S)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"fLaC", b"not audio at all" * 100])
def test_file_that_is_no_audio_is_refused(tmp_path, data):
    uri = str(tmp_path / "x.flac")
    Path(uri).write_bytes(data)
    with pytest.raises(CorpusError, match=r"x\.flac: .*(cannot be decoded|cut short)"):
        decode(uri, RATE_HZ, LONG_S)


def test_damaged_file_is_refused(write):
    uri = write("x.flac", tone(440.0, 2.0))
    data = bytearray(Path(uri).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    Path(uri).write_bytes(data)
    with pytest.raises(CorpusError, match=r"x\.flac: cannot be decoded"):
        decode(uri, RATE_HZ, LONG_S)


def test_missing_file_is_a_fault_of_storage(tmp_path):
    with pytest.raises(StorageError, match=r"x\.flac: no such file"):
        decode(str(tmp_path / "x.flac"), RATE_HZ, LONG_S)


class BadSector(io.FileIO):
    """A file on a broken disk: beyond its first 20,000 bytes it cannot be read."""

    def readinto(self, buffer):
        if self.tell() >= 20_000:
            raise OSError(5, "Input/output error")
        return super().readinto(buffer)


@pytest.mark.parametrize("name", ["x.flac", "x.wav"])
def test_disk_that_fails_is_not_taken_for_a_file_cut_short(write, monkeypatch, capfd, name):
    uri = write(name, np.random.default_rng(0).integers(-9_000, 9_000, 100_000).astype(np.int16))
    monkeypatch.setattr(Path, "open", lambda path, _: io.BufferedReader(BadSector(str(path))))
    with pytest.raises(StorageError, match=r"reading failed .*Input/output error"):
        decode(uri, RATE_HZ, LONG_S)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(write, value):
    samples = tone(440.0, 1.0)
    samples[12_345] = value
    with pytest.raises(CorpusError, match=r"x\.wav: holds values that are not numbers"):
        decode(write("x.wav", samples, subtype="FLOAT"), RATE_HZ, LONG_S)


def test_clipped_file_is_refused(write):
    with pytest.raises(CorpusError, match=r"x\.flac: clipped \(\d+\.\d % .*at most 1 % expected"):
        decode(write("x.flac", 4 * tone(440.0, 1.0)), RATE_HZ, LONG_S)


def test_a_few_samples_at_full_scale_are_counted(write):
    samples = tone(440.0, 1.0)
    samples[:80] = 1.0
    samples[80:160] = -1.0
    decoded = decode(write("x.flac", samples), RATE_HZ, LONG_S)
    assert decoded.clipped_share == 160 / RATE_HZ <= MAX_CLIPPED_SHARE


def test_lower_rate_than_wanted_is_refused_with_a_hint(write):
    uri = write("x.wav", tone(440.0, 1.0))
    hint = r"16000 Hz found, at least 44100 Hz expected .*BabySlakh.*--audio.sample_rate_hz 16000"
    with pytest.raises(CorpusError, match=hint):
        decode(uri, 44_100, LONG_S)


def test_file_without_samples_is_empty(write):
    decoded = decode(write("x.wav", np.zeros(0, np.float32)), RATE_HZ, LONG_S)
    assert len(decoded.samples) == 0
    assert decoded.duration_s == 0.0
