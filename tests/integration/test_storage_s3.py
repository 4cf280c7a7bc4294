"""Storage on a real S3 server: the same functions, and all that object storage can refuse."""

import json
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import object_store as store
import pyarrow as pa
import pytest
from botocore.exceptions import EndpointConnectionError

from csn import object_storage, storage
from csn.errors import StorageError
from csn.storage import Manifest

OTHERS = ("read_bytes", "exists", "list_uris", "list_folders", "remove", "check_writable")


def test_address_stays_as_it_is(bucket):
    assert storage.absolute(bucket) == bucket
    assert storage.join(bucket + "/", "a", "b") == f"{bucket}/a/b"


def test_written_bytes_are_read_and_replaced(bucket):
    uri = storage.join(bucket, "deep", "er", "x")
    assert not storage.exists(uri)
    storage.write_bytes(uri, b"old")
    storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"new"
    assert storage.exists(uri)
    assert storage.exists(storage.join(bucket, "deep"))
    assert not storage.exists(storage.join(bucket, "de"))


def test_empty_file_is_a_file(bucket):
    uri = storage.join(bucket, "empty")
    storage.write_bytes(uri, b"")
    assert storage.read_bytes(uri) == b""


def test_large_file_goes_up_in_parts_and_comes_back_whole(bucket):
    content = bytes(range(256)) * (410 * 1024)  # more than 100 MiB
    uri = storage.join(bucket, "large")
    storage.write_bytes(uri, content)
    assert storage.read_bytes(uri) == content
    assert storage.list_uris(bucket) == [uri]


def test_open_object_is_read_in_ranges(bucket):
    uri = storage.join(bucket, "x")
    storage.write_bytes(uri, b"0123456789")
    with storage.open_read(uri) as file:
        file.seek(4)
        assert file.read(3) == b"456"
        assert file.read() == b"789"
    with (
        pytest.raises(StorageError, match="missing: no such object"),
        storage.open_read(storage.join(bucket, "missing")),
    ):
        pass


def test_reader_never_sees_half_a_file_while_others_write(bucket):
    uri = storage.join(bucket, "x")
    contents = [bytes([i]) * 200_000 for i in range(3)]
    storage.write_bytes(uri, contents[0])
    stop = threading.Event()

    def write(content):
        while not stop.is_set():
            storage.write_bytes(uri, content)

    with ThreadPoolExecutor(len(contents)) as pool:
        writers = [pool.submit(write, content) for content in contents]
        try:
            seen = [storage.read_bytes(uri) for _ in range(40)]
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    assert set(seen) <= set(contents)


def test_json_and_manifest_round_trip(bucket):
    storage.write_json(storage.join(bucket, "x.json"), {"a": [1, "ü"]})
    assert storage.read_json(storage.join(bucket, "x.json")) == {"a": [1, "ü"]}
    manifest = Manifest.finished(storage.utc_now(), seconds={"prepare": 1.5})
    storage.write_manifest(storage.join(bucket, "manifest.json"), manifest)
    assert storage.read_manifest(storage.join(bucket, "manifest.json")) == manifest


def test_table_round_trip_keeps_the_schema(bucket):
    schema = pa.schema(
        [pa.field("pcm", pa.large_binary()), pa.field("vector", pa.list_(pa.float32(), 2))]
    )
    table = pa.table([[b"a", None], [[1, 2], [3, 4]]], schema=schema)
    uri = storage.join(bucket, "x.parquet")
    storage.write_table(uri, table, row_group_size=1)
    assert storage.read_table(uri).equals(table)
    assert storage.read_table(uri, ["vector"]).column_names == ["vector"]


def test_folder_of_tables_is_read_with_its_partitions(bucket):
    for condition, values in (("drums", [1, 2]), ("alternative rock", [3])):
        uri = storage.join(bucket, "embeddings", f"condition={condition}", "0.parquet")
        storage.write_table(uri, pa.table({"x": values}))
    table = storage.read_table(storage.join(bucket, "embeddings"), filters=[("x", ">", 1)])
    assert table.to_pydict() == {"x": [3, 2], "condition": ["alternative rock", "drums"]}


def test_listing_goes_over_many_pages(bucket):
    uris = [storage.join(bucket, "many", f"{i:03}.json") for i in range(120)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda uri: storage.write_bytes(uri, b""), uris))
    storage.write_bytes(storage.join(bucket, "many", "x.txt"), b"")
    assert storage.list_uris(bucket, ".json") == uris
    storage.remove(storage.join(bucket, "many"))
    assert storage.list_uris(bucket) == []


def test_listing_sees_what_another_process_wrote(bucket, object_store):
    folder = storage.join(bucket, "x")
    assert storage.list_uris(folder) == []
    code = f"from csn import storage; storage.write_bytes('{folder}/y', b'')"
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env=store.clean_environment() | object_store.env,
    )
    assert storage.list_uris(folder) == [storage.join(folder, "y")]
    assert storage.exists(storage.join(folder, "y"))


def test_folders_are_listed_without_files_and_markers(bucket):
    for name in ("a/x", "b/c/y", "z", "empty/"):
        storage.write_bytes(storage.join(bucket, name), b"")
    folders = [storage.join(bucket, name) for name in ("a", "b", "empty")]
    assert storage.list_folders(bucket) == folders
    assert storage.list_folders(bucket + "/") == folders
    assert len(storage.list_uris(bucket)) == 3
    assert storage.list_uris(storage.join(bucket, "b")) == [storage.join(bucket, "b/c/y")]


def test_folder_that_is_not_there_is_empty(bucket):
    missing = storage.join(bucket, "missing")
    assert storage.list_uris(missing) == []
    assert storage.list_folders(missing) == []
    storage.remove(missing)


def test_remove_reads_no_patterns_and_takes_no_neighbours(bucket):
    names = ("a*/x", "a[1]/x", "a1/x", "ab/x", "a?", "ü and space/x")
    for name in names:
        storage.write_bytes(storage.join(bucket, name), b"")
    storage.remove(storage.join(bucket, "a"))
    assert len(storage.list_uris(bucket)) == len(names)
    for name in ("a*", "a[1]", "a?", "ü and space/"):
        storage.remove(storage.join(bucket, name))
    assert storage.list_uris(bucket) == [storage.join(bucket, name) for name in ("a1/x", "ab/x")]


def test_whole_bucket_is_not_removed(bucket):
    with pytest.raises(StorageError, match="a whole bucket"):
        storage.remove(bucket + "/")


def test_writable_root_is_left_empty(bucket):
    storage.check_writable(storage.join(bucket, "root"))
    assert storage.list_uris(bucket) == []


@pytest.mark.parametrize("function", OTHERS)
def test_bucket_that_is_not_there_is_named(object_store, function):
    with pytest.raises(StorageError, match=r"s3://never-made/x: there is no bucket 'never-made'"):
        getattr(storage, function)("s3://never-made/x")


def test_object_that_is_not_there_is_named(bucket, object_store):
    host = object_store.endpoint.removeprefix("http://")
    for read in (storage.read_bytes, storage.read_json, storage.read_table):
        uri = storage.join(bucket, "missing.parquet")
        with pytest.raises(StorageError, match=f"{uri}: no such object at {host}.*root right"):
            read(uri)
    with pytest.raises(StorageError, match=r"no \*\.parquet below it"):
        storage.read_table(storage.join(bucket, "missing"))


def refusals(uri, environment):
    """Messages of every function for `uri`, in a process that has `environment` alone."""
    code = f"""
import json
from csn import storage
from csn.errors import StorageError
messages = []
for name in {OTHERS}:
    try:
        getattr(storage, name)({uri!r})
    except StorageError as error:
        messages.append(str(error))
print(json.dumps(messages))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=store.clean_environment() | {"AWS_MAX_ATTEMPTS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    messages = json.loads(done.stdout)
    assert len(messages) == len(OTHERS)
    assert all("\n" not in message and uri in message for message in messages)
    return messages


def test_wrong_secret_is_denied_and_not_shown(bucket, object_store):
    wrong = object_store.env | {"AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    for message in refusals(storage.join(bucket, "x"), wrong):
        assert "access denied by 127.0.0.1" in message
        assert "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in message
        assert "not-the-secret" not in message


def test_missing_credentials_are_named(bucket, object_store):
    without = {
        name: value
        for name, value in object_store.env.items()
        if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    for message in refusals(storage.join(bucket, "x"), without):
        assert "no credentials for 127.0.0.1" in message
        assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in message


def test_endpoint_that_does_not_answer_is_named(object_store):
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        host = f"127.0.0.1:{closed_soon.getsockname()[1]}"
    for message in refusals("s3://b/x", object_store.env | {"AWS_ENDPOINT_URL": f"http://{host}"}):
        assert f"cannot reach {host}" in message
        assert "check AWS_ENDPOINT_URL" in message


def test_endpoint_that_is_no_url_is_named(object_store):
    wrong = object_store.env | {"AWS_ENDPOINT_URL": "user:password@localhost:1"}
    for message in refusals("s3://b/x", wrong):
        assert "AWS_ENDPOINT_URL is not of the form http://host:port" in message
        assert "password" not in message


def test_password_in_the_endpoint_is_not_shown(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:password@host:9000")
    error = EndpointConnectionError(endpoint_url="http://user:password@host:9000")
    message = object_storage.explanation("b", "reading", error)
    assert "cannot reach host:9000" in message
    assert "password" not in message
