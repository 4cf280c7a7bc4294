"""Which tracks a catalogue has tonight."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from csn.catalogue.listing import listed
from csn.errors import CorpusError, StorageError


def test_folder_is_listed_at_any_depth_by_names_of_any_kind(tmp_path):
    names = ["b.wav", "a dir/x y.FLAC", "ünï/曲.mp3", "a..b/..c.ogg", f"{'n' * 240}.wav"]
    for name in [*names, "notes.txt", "cover.jpg", "README"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    found = listed(f"{tmp_path}/")
    assert found.tracks["track_id"].to_pylist() == sorted(names)
    assert found.tracks["uri"].to_pylist() == [str(tmp_path / name) for name in sorted(names)]
    assert set(found.tracks["size"].to_pylist()) == {5}
    assert found.ignored == {".txt": 1, ".jpg": 1, "without ending": 1}
    assert found.carried == []


def test_digest_changes_with_the_file_and_not_without(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"1234")
    digests = [listed(str(tmp_path)).tracks["source_digest"][0].as_py() for _ in range(2)]
    os.utime(file, ns=(1, 1))
    digests.append(listed(str(tmp_path)).tracks["source_digest"][0].as_py())
    file.write_bytes(b"12345")
    os.utime(file, ns=(1, 1))
    digests.append(listed(str(tmp_path)).tracks["source_digest"][0].as_py())
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_what_cannot_be_tried_says_why(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "song.m4a").write_bytes(b"1")
    (tmp_path / "good.ogg").write_bytes(b"1")
    with open(os.fsencode(tmp_path) + b"/not \xff utf8.wav", "wb") as file:  # noqa: PTH123
        file.write(b"1")
    rows = {r["track_id"]: r["fault"] for r in listed(str(tmp_path)).tracks.to_pylist()}
    assert rows.pop("good.ogg") == ""
    assert "0 bytes" in rows["empty.wav"]
    assert "AAC" in rows["song.m4a"]
    assert "UTF-8" in rows["not \\xff utf8.wav"]


def test_no_audio_is_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(CorpusError, match=r"no audio here \(1 \.txt\).*is the address right"):
        listed(str(tmp_path))
    with pytest.raises(CorpusError, match="nothing at all"):
        listed(str(tmp_path / "missing"))


def write_manifest(tmp_path, **columns):
    uri = str(tmp_path / "list.parquet")
    pq.write_table(pa.table(columns), uri)
    return uri


def test_manifest_names_files_wherever_they_lie(tmp_path):
    for name in ("x/a.wav", "y/b.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"123")
    uris = [str(tmp_path / name) for name in ("y/b.wav", "x/a.wav", "x/none.wav", "z/none.wav")]
    uri = write_manifest(tmp_path, track_id=[4, 3, 2, 1], uri=uris, genre=["p", "q", "r", "s"])
    found = listed(uri)
    assert found.carried == ["genre"]
    rows = found.tracks.to_pylist()
    assert [row["track_id"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["genre"] for row in rows] == ["s", "r", "q", "p"]
    assert ["no such file" in row["fault"] for row in rows] == [True, True, False, False]
    in_folder = listed(str(tmp_path)).tracks.to_pylist()
    assert {r["source_digest"] for r in in_folder} == {r["source_digest"] for r in rows[2:]}


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"track_id": ["a"], "path": ["x"]}, "no column uri, found track_id, path"),
        ({"track_id": ["a", "a"], "uri": ["x", "y"]}, "'a' is there more than once"),
        ({"track_id": ["a", None], "uri": ["x", "y"]}, "1 rows without a track_id"),
        ({"track_id": ["a"], "uri": ["x"], "vector": [1]}, "vector have names that the output"),
    ],
)
def test_manifest_that_is_none_is_refused(tmp_path, columns, fault):
    with pytest.raises(CorpusError, match=fault):
        listed(write_manifest(tmp_path, **columns))


def test_address_that_is_none_is_told_of_without_its_signature(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"123")
    signed = "https://bucket.store/b.wav?X-Amz-Signature=secret"
    uris = [str(tmp_path / "a.wav"), signed, "", "gs://bucket/d.wav"]
    rows = listed(write_manifest(tmp_path, track_id=list("abcd"), uri=uris)).tracks.to_pylist()
    assert [row["fault"] for row in rows] == [
        "",
        "'https://bucket.store/b.wav': expected a local path or s3://bucket/key; correct the "
        "manifest",
        "'': expected a local path or s3://bucket/key; correct the manifest",
        "'gs://bucket/d.wav': expected a local path or s3://bucket/key; correct the manifest",
    ]
    assert "secret" not in str(rows)


def test_manifest_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "list.parquet").write_text("no table")
    with pytest.raises(StorageError, match="not a table as expected"):
        listed(str(tmp_path / "list.parquet"))
