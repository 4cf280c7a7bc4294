import json
import sqlite3
from contextlib import closing

import pytest

from csn import storage
from csn.config import GeneratedMsdConfig
from csn.corpora import generated_msd, lastfm
from csn.corpora.lastfm import Tags, check_vocabulary, read_tags
from csn.errors import CorpusError

TAGS = {
    "TRAAAAA128F0000001": {"rock": 100, "Seen Live": 90, "HIP-HOP": 40, "80s": 51},
    "TRAAAAA128F0000002": {"hip-hop": 20, "Hip-Hop": 70, "hip-Hop": 3},
    "TRAAAAA128F0000003": {"seen live": 100},
    "TRAAAAA128F0000004": {},
}
NOT_THERE = "TRBBBBB128F0000009"
EXPECTED = {
    "TRAAAAA128F0000001": {"rock": 100.0, "Hip-Hop": 40.0, "80s": 51.0},
    "TRAAAAA128F0000002": {"Hip-Hop": 70.0},
}


def write_database(path, tags, has_index=False):
    words = sorted({word for track in tags.values() for word in track})
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE tids (tid TEXT); CREATE TABLE tags (tag TEXT);"
            "CREATE TABLE tid_tag (tid INT, tag INT, val FLOAT);"
        )
        database.executemany("INSERT INTO tids VALUES (?)", [(track,) for track in tags])
        database.executemany("INSERT INTO tags VALUES (?)", [(word,) for word in words])
        for number, track in enumerate(tags.values(), 1):
            rows = [(number, words.index(word) + 1, val) for word, val in track.items()]
            database.executemany("INSERT INTO tid_tag VALUES (?, ?, ?)", rows)
        if has_index:
            database.executescript("CREATE INDEX a ON tid_tag(tid); CREATE INDEX b ON tids(tid);")
        database.commit()
    return str(path)


def write_json_files(folder, tags):
    for number, (track_id, words) in enumerate(tags.items()):
        # As it is unpacked: train and test lie apart.
        path = folder / ("lastfm_train", "lastfm_test")[number % 2] / "/".join(track_id[2:5])
        path.mkdir(parents=True, exist_ok=True)
        pairs = [[word, str(val)] for word, val in words.items()]
        content = {"artist": "x", "similars": [], "tags": pairs, "track_id": track_id}
        (path / f"{track_id}.json").write_text(json.dumps(content))
    return str(folder)


@pytest.mark.parametrize("has_index", [False, True])
def test_database_gives_the_tags_we_know_of_the_tracks_that_are_wanted(tmp_path, has_index):
    uri = write_database(tmp_path / "lastfm_tags.db", TAGS, has_index)
    assert read_tags(uri, [*TAGS, NOT_THERE]).strengths == EXPECTED
    one = "TRAAAAA128F0000002"
    assert read_tags(uri, [one]).strengths == {one: EXPECTED[one]}
    assert read_tags(uri, []).strengths == {}
    assert [path.name for path in tmp_path.iterdir()] == ["lastfm_tags.db"]


def test_database_whose_address_has_odd_signs_is_opened(tmp_path):
    folder = tmp_path / "a b?c#d%20"
    folder.mkdir()
    uri = write_database(folder / "x.sqlite", TAGS)
    assert read_tags(uri, list(TAGS)).strengths == EXPECTED


def test_json_files_say_the_same_at_any_depth(tmp_path):
    tags = read_tags(write_json_files(tmp_path, TAGS), [*TAGS, NOT_THERE])
    assert tags.strengths == EXPECTED
    assert tags.faults == {}


def test_generated_database_has_the_tags_that_were_composed(tmp_path):
    config = GeneratedMsdConfig(
        num_train_tracks=3, num_validation_tracks=1, num_test_tracks=3, clip_s=6.0, num_triplets=9
    )
    uri = generated_msd.write_annotations(config, str(tmp_path))
    assert uri == lastfm.find(str(tmp_path), "")
    specs = generated_msd.songs(config)
    tags = read_tags(uri, [spec.track_id for spec in specs])
    for spec in specs:
        composed = generated_msd.tags_of(generated_msd.composed(spec, config))
        assert tags.strengths[spec.track_id] == composed


def test_tags_of_a_corpus_are_found_unless_others_are_named(tmp_path):
    corpus = str(tmp_path)
    assert lastfm.find(corpus, "") == ""
    assert lastfm.find(corpus, "elsewhere.db") == "elsewhere.db"
    write_json_files(tmp_path / "lastfm", TAGS)
    assert lastfm.find(corpus, "") == storage.join(corpus, "lastfm")
    write_database(tmp_path / "lastfm_tags.db", TAGS)
    assert lastfm.find(corpus, "") == storage.join(corpus, "lastfm_tags.db")


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_file_that_is_no_such_database_is_refused(tmp_path, content):
    (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(
        CorpusError,
        match=r"x\.db: (no table tids|cannot be read \(.*\)); expected Last\.FM's sqlite",
    ):
        read_tags(str(tmp_path / "x.db"), list(TAGS))


def test_database_that_is_cut_short_is_refused(tmp_path):
    many = {f"TRAAAAA128F{n:07X}": {"rock": 100, f"word {n}": 1} for n in range(2_000)}
    uri = write_database(tmp_path / "x.db", many)
    content = (tmp_path / "x.db").read_bytes()
    (tmp_path / "x.db").write_bytes(content[: len(content) // 2])
    with pytest.raises(CorpusError, match=r"x\.db: cannot be read \(.*malformed"):
        read_tags(uri, list(many))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DROP TABLE tid_tag", "no table tid_tag"),
        ("ALTER TABLE tid_tag RENAME COLUMN val TO strength", "no column val in table tid_tag"),
        ("DROP TABLE tids", "no table tids"),
    ],
)
def test_database_of_other_tables_is_refused_with_what_is_lacking(tmp_path, statement, told):
    uri = write_database(tmp_path / "x.db", TAGS)
    with closing(sqlite3.connect(uri)) as database:
        database.execute(statement)
    with pytest.raises(CorpusError, match=rf"x\.db: {told}; expected .*tids, tags and tid_tag"):
        read_tags(uri, list(TAGS))


def test_tags_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"x\.db: no such file; expected Last\.FM's sqlite file"):
        read_tags(str(tmp_path / "x.db"), list(TAGS))
    with pytest.raises(CorpusError, match=r"nowhere: no tags; expected .* folder of its JSON"):
        read_tags(str(tmp_path / "nowhere"), list(TAGS))


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"tags": 3}', '{"tags": [["rock"]]}', '{"tags": [["rock", "x"]]}']
)
def test_json_file_that_cannot_be_understood_is_the_fault_of_its_track(tmp_path, text):
    uri = write_json_files(tmp_path, TAGS)
    (damaged,) = tmp_path.rglob("TRAAAAA128F0000001.json")
    damaged.write_text(text)
    tags = read_tags(uri, list(TAGS))
    assert set(tags.strengths) == {"TRAAAAA128F0000002"}
    (fault,) = tags.faults.items()
    assert fault[0] == "TRAAAAA128F0000001"
    assert fault[1].startswith(f"{damaged}: cannot be understood (")


@pytest.mark.parametrize("form", ["database", "json"])
def test_another_vocabulary_is_refused_with_examples(tmp_path, form):
    foreign = {track_id: {"rockish": 90, "jazzy": 80, "loud": 70, "d": 1} for track_id in TAGS}
    write = write_database if form == "database" else write_json_files
    uri = write(tmp_path / "x.db" if form == "database" else tmp_path, foreign)
    tags = read_tags(uri, list(TAGS))
    assert len(tags.examples) == 3
    found = ", ".join(tags.examples)
    with pytest.raises(
        CorpusError,
        match=f"tags of another vocabulary, .*found {found}, and for none of 4 tracks one of the "
        "50 .*--corpus.msd.tags_uri",
    ):
        check_vocabulary(uri, tags, len(TAGS))


def test_vocabulary_is_ours_if_any_track_has_a_tag_of_ours():
    check_vocabulary("x", Tags({"TRA": {"rock": 1.0}}), 100)
    check_vocabulary("x", Tags(), 0)
    with pytest.raises(CorpusError, match="found no tag at all"):
        check_vocabulary("x", Tags(), 1)


def test_tags_in_a_bucket_are_those_on_the_disk(tmp_path, bucket):
    path = write_database(tmp_path / "lastfm_tags.db", TAGS)
    uri = storage.join(bucket, "lastfm_tags.db")
    storage.write_bytes(uri, (tmp_path / "lastfm_tags.db").read_bytes())
    assert lastfm.find(bucket, "") == uri
    assert read_tags(uri, list(TAGS)) == read_tags(path, list(TAGS))
    with pytest.raises(CorpusError, match=r"y\.db: no such object"):
        read_tags(storage.join(bucket, "y.db"), list(TAGS))
    write_json_files(tmp_path / "json", TAGS)
    for file in (tmp_path / "json").rglob("*.json"):
        name = str(file.relative_to(tmp_path / "json"))
        storage.write_bytes(storage.join(bucket, "lastfm", name), file.read_bytes())
    assert read_tags(storage.join(bucket, "lastfm"), list(TAGS)).strengths == EXPECTED


@pytest.mark.parametrize("strength", [None, "abc", b"\xff"])
def test_strength_that_is_no_number_is_the_fault_of_its_track(tmp_path, strength):
    whole, faulty, *_ = TAGS
    tags = {whole: TAGS[whole], faulty: {"Hip-Hop": strength}}
    uri = write_database(tmp_path / "lastfm_tags.db", tags)
    found = read_tags(uri, list(tags))
    assert found.strengths == {whole: EXPECTED[whole]}
    assert "is no number" in found.faults[faulty]
