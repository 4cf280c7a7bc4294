from csn.distributed.shared_root import _look


def test_node_that_sees_another_folder_under_the_roots_name_says_so(tmp_path):
    said = _look(str(tmp_path), str(tmp_path / ".mark"))
    assert f"{tmp_path} is another folder there, on one machine alone" in said
    assert "s3://" in said


def test_node_that_cannot_write_the_root_says_so(tmp_path):
    mark = tmp_path / "mark"
    mark.touch()
    assert "the folder cannot be written" in _look(str(mark), str(mark))


def test_node_that_sees_and_writes_the_root_says_nothing(tmp_path):
    mark = tmp_path / ".mark"
    mark.touch()
    assert _look(str(tmp_path), str(mark)) == ""
    assert list(tmp_path.iterdir()) == [mark]
