"""What several writers of one folder need."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import ClientPayloadError, ServerDisconnectedError

from csn import shared_storage, storage
from csn.errors import StorageError


def test_of_all_that_create_a_file_one_does(tmp_path):
    uri = str(tmp_path / "folder" / "file")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: shared_storage.create(uri, b"%d" % n), range(8)))
    assert sum(made) == 1
    assert storage.read_bytes(uri) == b"%d" % made.index(True)
    assert [file.uri for file in shared_storage.list_files(str(tmp_path))] == [uri]


def test_creating_is_checked(tmp_path):
    shared_storage.check_creates(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_store_whose_first_answer_is_lost_is_no_bad_one(tmp_path, monkeypatch):
    create = shared_storage.create

    def unanswered(uri, data):
        create(uri, data)
        return create(uri, data)  # the client asks again, and finds its own

    monkeypatch.setattr(shared_storage, "create", unanswered)
    shared_storage.check_creates(str(tmp_path))
    monkeypatch.setattr(shared_storage, "create", lambda *_: True)
    storage.write_bytes(str(tmp_path / "kept"), b"")
    with pytest.raises(StorageError, match="writes over a file although"):
        shared_storage.check_creates(str(tmp_path))


@pytest.mark.parametrize("kind", [ClientPayloadError, ServerDisconnectedError])
def test_answer_that_breaks_off_is_the_store_s_fault_and_passes(kind):
    with (
        pytest.raises(StorageError) as caught,
        storage.explained("s3://bucket/key", "reading"),
    ):
        raise kind("Response payload is not completed")
    assert shared_storage.is_passing(caught.value)


def test_patience_begins_with_the_first_failure():
    calls = []

    def late():
        calls.append(1)
        if len(calls) == 1:
            time.sleep(0.6)  # longer than patience: it went well until it failed
            raise StorageError("busy") from ConnectionResetError("cut")
        return "done"

    assert shared_storage.patiently(late, 0.55) == "done"


def test_files_behind_a_name_are_listed(tmp_path):
    for name in ("0001", "0002", "0003"):
        storage.write_bytes(str(tmp_path / name), b"")
    found = shared_storage.list_files(str(tmp_path), after="0001")
    assert sorted(file.uri for file in found) == [str(tmp_path / n) for n in ("0002", "0003")]
    assert list(shared_storage.list_files(str(tmp_path / "none"))) == []


def test_only_failures_that_pass_are_waited_for():
    calls = []

    def failing():
        calls.append(1)
        if len(calls) < 3:
            raise StorageError("busy") from ConnectionResetError("cut")
        return "done"

    assert shared_storage.patiently(failing, 60) == "done"
    assert len(calls) == 3

    def missing():
        calls.append(1)
        raise StorageError("no such object") from FileNotFoundError("x")

    calls.clear()
    with pytest.raises(StorageError):
        shared_storage.patiently(missing, 60)
    assert len(calls) == 1
    calls.clear()
    with pytest.raises(StorageError, match="busy"):
        shared_storage.patiently(failing, 0.2)
