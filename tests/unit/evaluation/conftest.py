import pytest


@pytest.fixture
def written(tmp_path):
    """Give what writes a list of lines, each of groups, and its address."""

    def write(*lines):
        (tmp_path / "some.lst").write_text("\n".join("; ".join(line) for line in lines))
        return str(tmp_path / "some.lst")

    return write
