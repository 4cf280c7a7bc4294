import pyarrow as pa

from csn.catalogue.snapshot import together


def table(**columns):
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def test_numbers_go_together_as_numbers_and_what_is_missing_is_null():
    found = together([table(a=[1], year=[1999]), table(a=[2]), table(a=[3], year=[1999.5])])
    assert found.to_pydict() == {"a": [1, 2, 3], "year": [1999.0, None, 1999.5]}


def test_numbers_and_text_go_together_as_text():
    found = together([table(a=[1], year=["late"]), table(a=[2]), table(a=[3], year=[1999])])
    assert found.to_pydict() == {"a": [1, 2, 3], "year": ["late", None, "1999"]}
    assert found.schema.field("a").type == pa.int64()
