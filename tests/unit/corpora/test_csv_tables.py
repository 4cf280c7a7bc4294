import pytest

from csn.corpora.csv_tables import read_rows
from csn.errors import CorpusError


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "x.csv").write_text(text)
        return read_rows(str(tmp_path / "x.csv"), ["a", "b"])

    return read


def test_rows_have_their_lines_and_columns_any_order(read):
    rows = read('\ufeffb,c,a\n1,,"two\nlines"\n\n2,x,\n')
    assert rows == [
        (3, {"a": "two\nlines", "b": "1", "c": ""}),
        (5, {"a": "", "b": "2", "c": "x"}),
    ]


@pytest.mark.parametrize("row", ["1", "1,2,3"])
def test_row_of_another_number_of_cells_is_refused_with_its_line(read, row):
    with pytest.raises(CorpusError, match=r"x\.csv: line 3: another number of values"):
        read(f"a,b\n1,2\n{row}\n")


@pytest.mark.parametrize(
    "text", ['a,"b\n1,2\n', 'a,b\n"1,2\n3,4\n', f'a,b\n"{"1" * 200_000}",2\n']
)
def test_what_is_no_row_is_refused(read, text):
    with pytest.raises(CorpusError, match=r"x\.csv: line \d+: not a row of a CSV file"):
        read(text)


def test_missing_columns_are_named(read):
    with pytest.raises(CorpusError, match=r"no column b; expected a, b, found a, c"):
        read("a,c\n1,2\n")
