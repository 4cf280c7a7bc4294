import csv
import re
import sqlite3
from dataclasses import replace

import h5py
import numpy as np
import pytest
import soundfile

from csn.config import GeneratedMsdConfig
from csn.corpora import generated, generated_msd
from csn.corpora.tags import tags_of

CONFIG = GeneratedMsdConfig(
    num_train_tracks=3,
    num_validation_tracks=1,
    num_test_tracks=4,
    clip_s=6.0,
    num_triplets=40,
    seed=3,
)
NUM_RENDERED = 3


@pytest.fixture(scope="module")
def specs():
    return generated_msd.songs(CONFIG)


@pytest.fixture(scope="module")
def corpus(specs, tmp_path_factory):
    """Folder of the corpus, of which the first few tracks are rendered."""
    folder = tmp_path_factory.mktemp("msd")
    for spec in specs[:NUM_RENDERED]:
        uri = generated_msd.write_track(spec, CONFIG, str(folder))
        assert uri == str(folder / generated_msd.song_path(spec.track_id))
    uri = generated_msd.write_annotations(CONFIG, str(folder))
    assert uri == str(folder / "lastfm_tags.db")
    return folder


def bytes_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def song(corpus, spec):
    """The one row of each table of a track's h5 file."""
    with h5py.File(corpus / generated_msd.song_path(spec.track_id)) as h5:
        return {name: h5[f"{name}/songs"][0] for name in ("metadata", "analysis", "musicbrainz")}


def triplets(corpus, form):
    with (corpus / f"dim-sim/{form}-dim-sim.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_ids_look_like_real_ones_and_none_comes_twice():
    many = generated_msd.songs(replace(CONFIG, num_train_tracks=3_000))
    ids = [spec.track_id for spec in many]
    numbers = [spec.sevendigital_id for spec in many]
    assert all(re.fullmatch(r"TR[A-Z]{5}128F[0-9A-F]{7}", one) for one in ids)
    assert all(1_000_000 <= number < 10_000_000 for number in numbers)
    # The letters alone tell the tracks of one seed apart.
    assert len({one[:7] for one in ids}) == len(set(numbers)) == len(many)
    assert len({generated_msd.song_path(one)[:5] for one in ids}) > 2_000


def test_ids_and_tempi_follow_the_seed(specs):
    assert generated_msd.songs(CONFIG) == specs
    other = generated_msd.songs(replace(CONFIG, seed=4))
    assert not {one.track_id for one in specs} & {one.track_id for one in other}
    assert {one.tempo_bpm for one in specs} != {one.tempo_bpm for one in other}
    assert all(66 <= one.tempo_bpm <= 160 for one in specs)


def test_clips_and_songs_lie_where_the_real_ones_lie(corpus, specs):
    for spec in specs[:NUM_RENDERED]:
        digits, letters = str(spec.sevendigital_id), spec.track_id[2:5]
        assert (corpus / digits[0] / digits[1] / f"{digits}.clip.mp3").is_file()
        assert (corpus / "/".join(letters) / f"{spec.track_id}.h5").is_file()


def test_a_clip_is_the_mix_as_mono_mp3(corpus, specs):
    for spec in specs[:NUM_RENDERED]:
        path = corpus / generated_msd.clip_path(spec.sevendigital_id)
        info = soundfile.info(path)
        assert (info.format, info.channels, info.samplerate) == ("MP3", 1, 22_050)
        piece = generated_msd.composed(spec, CONFIG)
        mix = generated.rendered(piece, 22_050)[0].sum(axis=0) / 32_768
        heard = soundfile.read(path)[0]
        assert len(heard) == len(mix) == round(piece.length_s * 22_050)
        assert np.corrcoef(heard, mix)[0, 1] > 0.95
        assert np.abs(heard).max() > 0.3


def test_a_song_file_tells_what_the_piece_is(corpus, specs):
    for spec in specs[:NUM_RENDERED]:
        piece, tables = generated_msd.composed(spec, CONFIG), song(corpus, spec)
        analysis = tables["analysis"]
        assert analysis["tempo"] == piece.tempo_bpm == spec.tempo_bpm
        assert analysis["key"] == piece.key
        assert analysis["mode"] == (piece.mode in ("major", "mixolydian"))
        assert analysis["time_signature"] == piece.beats_per_bar
        assert 0.2 < analysis["key_confidence"] <= 1
        assert analysis["mode_confidence"] in (0.5, 1)
        assert analysis["track_id"].decode() == spec.track_id
        assert analysis["duration"] == piece.length_s
        assert tables["metadata"]["track_7digitalid"] == spec.sevendigital_id
        assert np.isnan(tables["metadata"]["artist_latitude"])


@pytest.mark.parametrize(
    ("tags", "first"), [({"60s": 51}, 1960), ({"70s": 60, "00s": 80, "80s": 50}, 2000)]
)
def test_the_year_lies_in_the_decade_of_the_strongest_era(specs, tags, first):
    assert first <= generated_msd._year(specs[0], tags) < first + 10
    assert generated_msd._year(specs[0], {"80s": 50, "rock": 90}) == 0


def test_the_tag_database_has_each_track_s_tags_with_their_strengths(corpus, specs):
    connection = sqlite3.connect(corpus / "lastfm_tags.db")
    rows = connection.execute(
        "SELECT tids.tid, tags.tag, tid_tag.val FROM tid_tag, tids, tags "
        "WHERE tids.ROWID = tid_tag.tid AND tags.ROWID = tid_tag.tag"
    ).fetchall()
    connection.close()
    expected = {
        (spec.track_id, tag, strength)
        for spec in specs
        for tag, strength in tags_of(generated_msd.composed(spec, CONFIG)).items()
    }
    assert set(rows) == expected
    assert len(rows) == len(expected)


def test_split_lists_name_every_track_once(corpus, specs):
    for split in ("train", "validation", "test"):
        ids = (corpus / "splits" / f"{split}.txt").read_text().splitlines()
        assert ids == [spec.track_id for spec in specs if spec.split == split]


def test_triplets_are_of_the_test_split_and_marked_as_generated(corpus, specs):
    rows = triplets(corpus, "raw")
    length = {
        spec.track_id: round(generated_msd.composed(spec, CONFIG).length_s * 22_050)
        for spec in specs
        if spec.split == "test"
    }
    assert len(rows) == CONFIG.num_triplets
    for row in rows:
        assert row["triplet_id"].startswith("generated-")
        assert len({row[f"{one}_id"] for one in ("anchor", "song1", "song2")}) == 3
        for one in ("anchor", "song1", "song2"):
            start = int(row[f"{one}_start_samples"])
            assert 0 <= start <= length[row[f"{one}_id"]] - 3 * 22_050
            assert float(row[f"{one}_start_seconds"]) == pytest.approx(start / 22_050, abs=6e-4)


def test_clean_triplets_are_the_raw_ones_on_which_votes_agree(corpus):
    raw = {row["triplet_id"]: row for row in triplets(corpus, "raw")}
    clean = triplets(corpus, "clean")
    assert 0 < len(clean) < len(raw)
    for row in clean:
        votes = [int(raw[row["triplet_id"]][f"song{k}_vote"]) for k in (1, 2)]
        assert max(votes) >= 0.9 * sum(votes)
        assert [row["song1_vote"], row["song2_vote"]] == (
            ["1", "0"] if votes[0] > votes[1] else ["0", "1"]
        )


def test_the_same_seed_writes_the_same_bytes_over_what_was_there(corpus, specs, tmp_path):
    for spec in specs[:NUM_RENDERED]:
        stale = tmp_path / generated_msd.song_path(spec.track_id)
        stale.parent.mkdir(parents=True, exist_ok=True)
        stale.write_bytes(b"of an older corpus")
        generated_msd.write_track(spec, CONFIG, str(tmp_path))
    generated_msd.write_annotations(CONFIG, str(tmp_path))
    assert bytes_of(tmp_path) == bytes_of(corpus)


def test_the_song_file_is_gone_before_a_clip_is_written_and_comes_after_it(
    specs, tmp_path, monkeypatch
):
    spec, written = specs[0], []
    generated_msd.write_track(spec, CONFIG, str(tmp_path))
    write_bytes = generated_msd.storage.write_bytes

    def fails_at_the_clip(uri, data):
        written.append(uri)
        if uri.endswith(".mp3"):
            raise KeyboardInterrupt
        write_bytes(uri, data)

    monkeypatch.setattr(generated_msd.storage, "write_bytes", fails_at_the_clip)
    with pytest.raises(KeyboardInterrupt):
        generated_msd.write_track(spec, CONFIG, str(tmp_path))
    assert len(written) == 1
    assert not list(tmp_path.rglob("*.h5"))


def test_without_triplets_there_are_no_lists_of_them(tmp_path):
    config = replace(CONFIG, num_test_tracks=0, num_triplets=0)
    generated_msd.write_annotations(config, str(tmp_path))
    assert not (tmp_path / "dim-sim").exists()
    assert (tmp_path / "lastfm_tags.db").exists()
