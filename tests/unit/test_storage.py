"""Storage in local folders."""

import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csn import storage
from csn.errors import StorageError
from csn.storage import Manifest


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


def names_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture
def manifest():
    return Manifest.finished(
        "2026-01-02T03:04:05+00:00", config_digest="0123456789ab", counts={"tracks": 3}
    )


def test_local_path_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("data/x") == str(tmp_path / "data/x")
    assert storage.absolute("~/x") == str(Path.home() / "x")


@pytest.mark.parametrize(
    "uri", ["", "gs://bucket/x", "file:///x", "s3:/bucket/x", "s3://", "s3:x"]
)
def test_address_of_another_kind_is_refused(uri):
    with pytest.raises(StorageError, match="expected"):
        storage.absolute(uri)


def test_colon_in_a_local_name_is_no_scheme(folder):
    uri = storage.join(folder, "a:b", "c")
    storage.write_bytes(uri, b"x")
    assert storage.read_bytes(uri) == b"x"
    assert storage.absolute("take:2") == str(Path.cwd() / "take:2")


def test_join_does_not_double_slashes():
    assert storage.join("data/", "x", "y.json") == "data/x/y.json"
    assert storage.join("/", "x") == "/x"


def test_written_bytes_are_read_and_replaced(folder):
    uri = storage.join(folder, "deep", "er", "x")
    assert not storage.exists(uri)
    storage.write_bytes(uri, b"old")
    storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"new"
    assert storage.exists(uri)
    assert storage.exists(storage.join(folder, "deep"))


def test_reader_never_sees_half_a_file_while_others_write(folder):
    uri = storage.join(folder, "x")
    contents = [bytes([i]) * 200_000 for i in range(4)]
    storage.write_bytes(uri, contents[0])
    stop = threading.Event()

    def write(content):
        while not stop.is_set():
            storage.write_bytes(uri, content)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    try:
        seen = [storage.read_bytes(uri) for _ in range(300)]
        listed = [storage.list_uris(folder) for _ in range(50)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert set(seen) <= set(contents)
    assert all(names == [uri] for names in listed)


def test_failed_write_leaves_the_old_file_and_nothing_else(folder, monkeypatch):
    uri = storage.join(folder, "x")
    storage.write_bytes(uri, b"old")

    def full_disk(path, data):
        with path.open("wb") as file:
            file.write(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"old"
    assert names_in(folder) == ["x"]


def test_open_file_is_read_in_ranges(folder):
    uri = storage.join(folder, "x")
    storage.write_bytes(uri, b"0123456789")
    with storage.open_read(uri) as file:
        file.seek(4)
        assert file.read(3) == b"456"
    with (
        pytest.raises(StorageError, match="missing: no such file"),
        storage.open_read(storage.join(folder, "missing")),
    ):
        pass


def test_json_round_trip(folder):
    uri = storage.join(folder, "x.json")
    storage.write_json(uri, {"names": ["a", "ü"], "value": 1.5, "none": None})
    assert storage.read_json(uri) == {"names": ["a", "ü"], "value": 1.5, "none": None}


def test_broken_json_is_named(folder):
    uri = storage.join(folder, "x.json")
    storage.write_bytes(uri, b'{"a": ')
    with pytest.raises(StorageError, match=r"x\.json: not a JSON file"):
        storage.read_json(uri)


def test_table_round_trip_keeps_the_schema(folder):
    schema = pa.schema(
        [
            pa.field("pcm", pa.large_binary()),
            pa.field("vector", pa.list_(pa.float32(), 2)),
            pa.field("starts_s", pa.list_(pa.float64())),
        ]
    )
    table = pa.table([[b"a", None], [[1, 2], [3, 4]], [[0.5], []]], schema=schema)
    uri = storage.join(folder, "x.parquet")
    storage.write_table(uri, table, row_group_size=1)
    assert storage.read_table(uri).equals(table)
    assert pq.ParquetFile(uri).num_row_groups == 2


def test_folder_of_tables_is_read_in_the_order_of_names(folder):
    for name, values in (("b", [3]), ("a", [1, 2]), ("c", [])):
        table = pa.table({"x": pa.array(values, pa.int64())})
        storage.write_table(storage.join(folder, f"{name}.parquet"), table)
    storage.write_bytes(storage.join(folder, "manifest.json"), b"{}")
    assert storage.read_table(folder).to_pydict() == {"x": [1, 2, 3]}
    assert storage.read_table(folder + "/").num_rows == 3


def test_folders_that_name_values_become_columns_of_strings(folder):
    for split in ("test", "train"):
        for seed in ("1", "02"):
            uri = storage.join(folder, f"split={split}", f"seed={seed}", "0.parquet")
            storage.write_table(uri, pa.table({"x": [len(split)]}))
    table = storage.read_table(folder, columns=["seed", "x"], filters=[("split", "==", "train")])
    assert table.to_pydict() == {"seed": ["02", "1"], "x": [5, 5]}


def test_columns_and_rows_are_chosen(folder):
    uri = storage.join(folder, "x.parquet")
    storage.write_table(uri, pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]}))
    assert storage.read_table(uri, ["b"], [("a", ">", 1)]).to_pydict() == {"b": ["y", "z"]}


def test_folder_without_tables_is_an_error(folder):
    with pytest.raises(StorageError, match=r"no \*\.parquet below it"):
        storage.read_table(folder)


@pytest.mark.parametrize("columns", [None, ["missing"]])
def test_file_that_is_no_such_table_is_named(folder, columns):
    uri = storage.join(folder, "x.parquet")
    if columns:
        storage.write_table(uri, pa.table({"a": [1]}))
    else:
        storage.write_bytes(uri, b"not parquet")
    with pytest.raises(StorageError, match=r"x\.parquet: not a table as expected"):
        storage.read_table(uri, columns)


def test_listing_is_sorted_recursive_and_filtered(folder):
    for name in ("b.wav", "a/c.wav", "a/b/c.wav", "a/x.mid"):
        storage.write_bytes(storage.join(folder, name), b"")
    wavs = storage.list_uris(folder, ".wav")
    assert wavs == [storage.join(folder, name) for name in ("a/b/c.wav", "a/c.wav", "b.wav")]
    assert len(storage.list_uris(folder)) == 4
    assert storage.list_folders(folder) == [storage.join(folder, "a")]


def test_linked_files_and_folders_are_listed(tmp_path):
    storage.write_bytes(str(tmp_path / "real" / "x.flac"), b"")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "y.flac").symlink_to(tmp_path / "real" / "x.flac")
    (tmp_path / "corpus" / "train").symlink_to(tmp_path / "real")
    corpus = str(tmp_path / "corpus")
    assert storage.list_folders(corpus) == [storage.join(corpus, "train")]
    assert storage.join(corpus, "y.flac") in storage.list_uris(corpus)


def test_folder_that_is_not_there_is_empty(folder):
    missing = storage.join(folder, "missing")
    assert storage.list_uris(missing) == []
    assert storage.list_folders(missing) == []


def test_remove_takes_files_folders_and_what_is_not_there(folder):
    for name in ("a/b", "a/c/d", "e"):
        storage.write_bytes(storage.join(folder, name), b"")
    for name in ("a", "e", "never"):
        storage.remove(storage.join(folder, name))
    assert names_in(folder) == []


def test_remove_of_a_link_leaves_what_it_points_to(tmp_path):
    storage.write_bytes(str(tmp_path / "real" / "x"), b"")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    storage.remove(str(tmp_path / "link"))
    assert names_in(tmp_path) == ["real"]
    assert storage.exists(str(tmp_path / "real" / "x"))


def test_missing_file_says_what_to_try(folder):
    with pytest.raises(StorageError, match=r"missing: no such file.*root right"):
        storage.read_bytes(storage.join(folder, "missing"))


def test_writable_root_is_made_and_left_empty(folder):
    root = storage.join(folder, "new", "root")
    storage.check_writable(root)
    assert names_in(root) == []


def test_root_below_a_file_is_refused(folder):
    storage.write_bytes(storage.join(folder, "file"), b"")
    root = storage.join(folder, "file", "root")
    with pytest.raises(StorageError, match="file/root: the folder cannot be written"):
        storage.check_writable(root)


def test_root_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root may write anywhere, so be nobody for a moment
    try:
        with pytest.raises(StorageError, match=r"cannot be written.*Permission denied"):
            storage.check_writable(str(tmp_path))
    finally:
        os.seteuid(me)


@dataclass(frozen=True)
class Knobs:
    margin: float = 0.2
    names: tuple[str, ...] = ("drums", "bass")
    parent: "Knobs | None" = None


def test_digest_is_the_same_on_every_machine():
    # printf '{"margin":0.2,"names":["drums","bass"],"parent":{...,"parent":null}}' | sha256sum
    assert storage.digest(Knobs(parent=Knobs(margin=0.5))) == "e248d8271af0"
    assert len(storage.digest(None)) == 12


def test_equal_values_have_equal_digests():
    assert storage.digest(Knobs(margin=1)) == storage.digest(Knobs(margin=1.0))
    assert storage.digest({"b": 1, "a": [2]}) == storage.digest({"a": (2,), "b": 1})


@given(st.floats(0, 1), st.floats(0, 1))
def test_different_values_have_different_digests(a, b):
    assert (storage.digest(Knobs(a)) == storage.digest(Knobs(b))) == (a == b)


def test_manifest_round_trip(folder, manifest):
    uri = storage.join(folder, "manifest.json")
    storage.write_manifest(uri, manifest)
    assert storage.read_manifest(uri) == manifest


def test_manifest_names_versions_and_times(manifest):
    assert set(manifest.versions) == {"python", "csn", "ray", "torch", "numpy"}
    assert all(manifest.versions.values())
    assert manifest.started_at < manifest.finished_at
    assert manifest.finished_at.endswith("+00:00")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": {"tracks": "3"}}, "counts.tracks"),
        ({"config_digest": 5}, "config_digest"),
        ({"added_later": 1}, "added_later"),
        ({"git_commit": None}, "git_commit"),
    ],
)
def test_manifest_of_another_form_is_refused(folder, manifest, change, message):
    uri = storage.join(folder, "manifest.json")
    storage.write_manifest(uri, replace(manifest))
    storage.write_json(uri, storage.read_json(uri) | change)
    with pytest.raises(StorageError, match=rf"not a manifest of this version \(.*{message}"):
        storage.read_manifest(uri)
