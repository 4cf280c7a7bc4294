import csv
import math
from collections import Counter

import pytest

from csn.config import GeneratedMsdConfig, MsdConfig
from csn.corpora import generated_msd
from csn.corpora.annotations import Annotation
from csn.corpora.msd import (
    ClipLocation,
    MissingPreviewError,
    clip_path,
    find_clip,
    list_tracks,
    song_path,
)
from csn.corpora.song_tables import song_file
from csn.errors import CorpusError

ONE, OTHER, THIRD = "TRAAAAA128F0000001", "TRBBBBB128F0000002", "TRCCCCC128F0000003"


@pytest.fixture
def listed(tmp_path):
    """Write split lists to a corpus, and give what lists its tracks."""

    def listed(**files):
        (tmp_path / "splits").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "splits" / f"{name}.txt").write_text(text)
        return list_tracks(str(tmp_path), MsdConfig())

    return listed


def write_table(folder, text):
    (folder / "tracks.csv").write_text(text)
    return MsdConfig(splits_uri=str(folder / "tracks.csv"))


def write_song(folder, track_id, **values):
    path = folder / song_path(track_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(song_file(values))
    return path


def write_preview(folder, number):
    path = folder / clip_path(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not opened")
    return str(path)


def location(folder, number=None):
    audio_uri = str(folder / clip_path(number)) if number else ""
    return ClipLocation(ONE, "test", str(folder / song_path(ONE)), audio_uri)


def test_tracks_of_the_lists_are_given_by_split_and_id(listed, tmp_path):
    found = listed(test=f"{OTHER}\n{ONE}\n\n{ONE}\n", train=f" {THIRD} \n")
    assert [(one.split, one.track_id) for one in found] == [
        ("train", THIRD),
        ("test", ONE),
        ("test", OTHER),
    ]
    assert found[0].song_uri == f"{tmp_path}/C/C/C/{THIRD}.h5"
    assert {(one.audio_uri, one.tags) for one in found} == {("", None)}


def test_generated_corpus_is_listed_as_it_was_written(tmp_path):
    config = GeneratedMsdConfig(
        num_train_tracks=4, num_validation_tracks=2, num_test_tracks=3, clip_s=6.0, num_triplets=0
    )
    generated_msd.write_annotations(config, str(tmp_path))
    found = {one.track_id: one.split for one in list_tracks(str(tmp_path), MsdConfig())}
    assert found == {spec.track_id: spec.split for spec in generated_msd.songs(config)}


def test_validation_may_be_called_valid(listed):
    assert [one.split for one in listed(valid=ONE, test=OTHER)] == ["validation", "test"]


def test_songs_and_lists_may_lie_elsewhere(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "test.txt").write_text(ONE)
    config = MsdConfig(splits_uri=str(tmp_path / "lists"), songs_uri=str(tmp_path / "songs"))
    (found,) = list_tracks(str(tmp_path / "corpus"), config)
    assert found.song_uri == f"{tmp_path}/songs/A/A/A/{ONE}.h5"


def test_a_table_tells_previews_and_tags(tmp_path):
    config = write_table(
        tmp_path,
        "tags,split,msd_id,sevendigital_id,audio_relpath,h5_relpath\n"
        f"rock|80s,train,{ONE},7666448,,\n,valid,{OTHER},,,\npop,test,{THIRD},5,a/b.mp3,c/d.h5\n",
    )
    one, other, third = list_tracks(str(tmp_path), config)
    assert (one.audio_uri, one.tags) == (f"{tmp_path}/7/6/7666448.clip.mp3", ("rock", "80s"))
    assert (other.split, other.audio_uri, other.tags) == ("validation", "", ())
    assert (third.audio_uri, third.song_uri) == (f"{tmp_path}/a/b.mp3", f"{tmp_path}/c/d.h5")


def test_real_table_is_read(shared_fixtures):
    uri = shared_fixtures / "msd_mini.csv"
    found = list_tracks("/corpus", MsdConfig(splits_uri=str(uri)))
    assert Counter(one.split for one in found) == {"validation": 60, "test": 87}
    with uri.open(newline="") as file:
        rows = {row["msd_id"]: row for row in csv.DictReader(file)}
    for one in found:
        row = rows[one.track_id]
        assert one.audio_uri == f"/corpus/{row['audio_relpath']}"
        assert one.audio_uri == f"/corpus/{clip_path(int(row['sevendigital_id']))}"
        assert one.song_uri == f"/corpus/{row['h5_relpath']}"
        assert one.song_uri == f"/corpus/{song_path(one.track_id)}"
        assert one.tags == tuple(row["tags"].split("|"))


def test_lists_that_are_not_there_or_empty_are_refused(tmp_path, listed):
    with pytest.raises(CorpusError, match=r"splits: no list of tracks; expected train\.txt, "):
        list_tracks(str(tmp_path), MsdConfig())
    with pytest.raises(CorpusError, match="splits: no track is listed"):
        listed(test="\n")
    with pytest.raises(CorpusError, match=r"x\.csv: cannot be read .*no such file"):
        list_tracks(str(tmp_path), MsdConfig(splits_uri=str(tmp_path / "x.csv")))


@pytest.mark.parametrize("line", ["<!DOCTYPE html>", "TRAAAAA128F000000", "../../etc/passwd1234"])
def test_line_that_is_no_id_is_refused_with_its_place(listed, line):
    with pytest.raises(CorpusError, match=r"test\.txt: line 2: track '.*'.*expected an id as TR"):
        listed(test=f"{ONE}\n{line}\n")


def test_track_in_two_splits_is_refused(listed):
    with pytest.raises(CorpusError, match=rf"line 1: {ONE} is in split t\w+ too; .*remove one"):
        listed(test=ONE, train=ONE)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (f"dev,{ONE},7666448", "of split 'dev'; expected .* train, validation, test, valid"),
        (f"test,{ONE},76x", "sevendigital_id='76x'; expected digits"),
        (f"test,{ONE},-76", "sevendigital_id='-76'; expected digits"),
    ],
)
def test_row_that_cannot_be_right_is_refused_with_its_line(tmp_path, row, told):
    config = write_table(tmp_path, f"split,msd_id,sevendigital_id\n{row}\n")
    with pytest.raises(CorpusError, match=rf"tracks\.csv: line 2: .*{told}"):
        list_tracks(str(tmp_path), config)


def test_table_of_other_columns_is_refused(tmp_path):
    config = write_table(tmp_path, "split,id\n")
    with pytest.raises(CorpusError, match=r"no column msd_id, sevendigital_id; .*found split, id"):
        list_tracks(str(tmp_path), config)


def test_clip_is_found_by_the_number_in_its_song(tmp_path):
    write_song(tmp_path, ONE, track_7digitalid=7666448, tempo=97.5, key=3, mode=1)
    audio_uri = write_preview(tmp_path, 7666448)
    expected = Annotation(97.5, 3, True)
    assert find_clip(location(tmp_path), str(tmp_path), reads_song=True) == (
        audio_uri,
        expected,
        [],
    )
    found, said, rejects = find_clip(location(tmp_path), str(tmp_path), reads_song=False)
    assert (found, rejects) == (audio_uri, [])
    assert math.isnan(said.tempo_bpm)
    assert said.key is None


def test_song_is_not_needed_where_nothing_is_wanted_of_it(tmp_path):
    audio_uri = write_preview(tmp_path, 7666448)
    found, _, rejects = find_clip(location(tmp_path, 7666448), str(tmp_path), reads_song=False)
    assert (found, rejects) == (audio_uri, [])


@pytest.mark.parametrize("content", [None, b"", b"no HDF5", "half"])
def test_track_without_its_song_goes_on_if_its_preview_is_known(tmp_path, content):
    if content is not None:
        path = write_song(tmp_path, ONE, tempo=97.5)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    audio_uri = write_preview(tmp_path, 7666448)
    found, said, rejects = find_clip(location(tmp_path, 7666448), str(tmp_path), reads_song=True)
    assert found == audio_uri
    assert math.isnan(said.tempo_bpm)
    assert said.key is None
    (reject,) = rejects
    assert (reject.track_id, reject.scope, reject.stage) == (ONE, "tempo", "read")
    assert reject.audio_uri == str(tmp_path / song_path(ONE))
    assert reject.reason.startswith(f"{reject.audio_uri}: ")
    assert reject.reason.endswith("the track goes on without it")
    with pytest.raises(
        CorpusError, match=rf"{ONE}\.h5: .*the track's preview cannot be found; .*splits_uri"
    ):
        find_clip(location(tmp_path), str(tmp_path), reads_song=True)


@pytest.mark.parametrize("tempo", [0.0, math.nan])
def test_song_without_tempo_is_told_of(tmp_path, tempo):
    write_song(tmp_path, ONE, track_7digitalid=7666448, tempo=tempo, key=3, mode=0)
    write_preview(tmp_path, 7666448)
    _, said, (reject,) = find_clip(location(tmp_path), str(tmp_path), reads_song=True)
    assert math.isnan(said.tempo_bpm)
    assert (said.key, said.is_major) == (3, False)
    assert reject.scope == "tempo"
    assert f"{ONE}.h5: no tempo in it ({tempo} found)" in reject.reason


def test_preview_that_is_not_there_is_missing(tmp_path):
    write_song(tmp_path, ONE, track_7digitalid=7666448, tempo=97.5)
    for one in (location(tmp_path), location(tmp_path, 7666448)):
        with pytest.raises(
            MissingPreviewError, match=rf"/7/6/7666448\.clip\.mp3: no preview of {ONE} is there"
        ):
            find_clip(one, str(tmp_path), reads_song=True)


@pytest.mark.parametrize("number", [-1, 0, 9])
def test_song_that_names_no_preview_has_none(tmp_path, number):
    write_song(tmp_path, ONE, track_7digitalid=number, tempo=97.5)
    with pytest.raises(MissingPreviewError, match=rf"track_7digitalid={number} names no preview"):
        find_clip(location(tmp_path), str(tmp_path), reads_song=True)


def test_two_lists_of_one_split_are_refused(tmp_path, listed):
    (tmp_path / "splits" / "v2").mkdir(parents=True)
    (tmp_path / "splits" / "v2" / "train.txt").write_text(f"{THIRD}\n")
    with pytest.raises(CorpusError, match=r"train\.txt and .*train\.txt both list .* train"):
        listed(train=ONE)
    (tmp_path / "splits" / "v2" / "train.txt").unlink()
    with pytest.raises(CorpusError, match=r"valid\w*\.txt and .* both list the split validation"):
        listed(train=ONE, valid=OTHER, validation=THIRD)


def test_quotation_mark_that_is_not_closed_loses_no_tracks(tmp_path):
    rows = f'test,{ONE},"7666448\ntest,{OTHER},7666449\n'
    config = write_table(tmp_path, f"split,msd_id,sevendigital_id\n{rows}")
    with pytest.raises(CorpusError, match=r"tracks\.csv: line \d: not a row .*quotation mark"):
        list_tracks(str(tmp_path), config)
