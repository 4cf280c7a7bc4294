"""Threads that read ahead."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from catalogue_audio import write_sound

from csn.audio.streaming import mono_stream
from csn.catalogue.reading import (
    MESSAGE_CHARACTERS,
    Begun,
    Cutting,
    Ended,
    Failed,
    Piece,
    Seconds,
    Source,
    read_ahead,
    told,
)
from csn.errors import CorpusError

CUTTING = Cutting(sample_rate_hz=16_000, length=8_000, hop=8_000, min_tail=4_000)


@contextmanager
def reading(paths, num_threads=2):
    sources = [Source(str(path), path.stat().st_size if path.exists() else 1) for path in paths]
    with (
        ThreadPoolExecutor(num_threads) as pool,
        read_ahead(
            sources,
            CUTTING,
            pool=pool,
            num_threads=num_threads,
            piece_s=2.0,
            patience_s=0,
            seconds=Seconds(),
        ) as queue,
    ):
        yield queue


def all_items(paths):
    items = {place: [] for place in range(len(paths))}
    with reading(paths) as queue:
        ends = 0
        while ends < len(paths):
            item = queue.get(timeout=30)
            items[item.place].append(item)
            ends += isinstance(item, Ended | Failed)
    return items


def test_pieces_are_the_track_in_its_order(tmp_path):
    paths = [tmp_path / f"{n}.flac" for n in range(4)]
    for n, path in enumerate(paths):
        write_sound(path, 5.1 + n, n, rate_hz=22_050)
    for place, items in all_items(paths).items():
        with paths[place].open("rb") as file:
            samples = np.concatenate(list(mono_stream("", file, 16_000)))
        assert isinstance(items[0], Begun)
        assert items[-1] == Ended(place, len(samples))
        starts = [start for item in items[1:-1] for start in item.starts]
        assert starts == list(range(0, len(samples) - 8_000 + 1, 8_000))
        assert all(len(item.starts) <= 4 for item in items[1:-1])
        waves = np.concatenate([item.waveforms for item in items[1:-1]])
        np.testing.assert_array_equal(waves, [samples[s : s + 8_000] for s in starts])


def test_what_cannot_be_read_or_decoded_is_that_track_s_fault_alone(tmp_path):
    (tmp_path / "text.wav").write_text("nothing")
    write_sound(tmp_path / "good.wav", 2.0)
    items = all_items([tmp_path / "none.wav", tmp_path / "text.wav", tmp_path / "good.wav"])
    assert [(i[-1].stage, i[-1].is_ours) for i in (items[0], items[1])] == [
        ("read", False),
        ("decode", False),
    ]
    assert isinstance(items[2][-1], Ended)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_few_pieces_wait_however_long_the_track(tmp_path, num_threads):
    write_sound(tmp_path / "long.wav", 120, rate_hz=16_000)
    paths = [tmp_path / "long.wav"] * 6
    before = threading.active_count()
    with reading(paths, num_threads) as queue:
        threading.Event().wait(0.5)
        assert queue.qsize() <= 4 * num_threads
        assert isinstance(queue.get(), Begun)
        assert isinstance(queue.get(), Begun | Piece)
    assert threading.active_count() == before  # whoever leaves early is not waited for


def test_long_address_is_cut_in_its_middle_and_the_reason_stays():
    name, message = told(CorpusError(f"no such file (s3://music/{'x' * 900}); correct it"))
    assert name == "CorpusError"
    assert message.startswith("no such file (s3://music/xxx")
    assert message.endswith("xxx); correct it")
    assert " ... " in message
    assert len(message) <= MESSAGE_CHARACTERS
    assert told(CorpusError("a\n b  c")) == ("CorpusError", "a b c")
