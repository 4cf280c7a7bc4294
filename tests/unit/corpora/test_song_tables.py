import io

import h5py
import numpy as np
import pytest

from csn.corpora.song_tables import TABLES, song_fields, song_file


def read(data):
    with h5py.File(io.BytesIO(data)) as h5:
        return {path: h5[path][:] for path in TABLES}


def test_tables_have_one_row_and_their_fields_in_alphabetical_order():
    for path, rows in read(song_file({})).items():
        assert rows.shape == (1,)
        assert list(rows.dtype.names) == sorted(rows.dtype.names) == list(TABLES[path])


def test_values_go_to_the_table_that_has_the_field_and_the_rest_is_not_known():
    tables = read(song_file({"tempo": 97.5, "key": 11, "year": 1984, "title": b"A"}))
    analysis, metadata = tables["analysis/songs"][0], tables["metadata/songs"][0]
    assert (analysis["tempo"], analysis["key"], analysis["mode"]) == (97.5, 11, 0)
    assert (metadata["title"], metadata["artist_name"]) == (b"A", b"")
    assert metadata["artist_7digitalid"] == -1
    assert np.isnan(metadata["song_hotttnesss"])
    assert tables["musicbrainz/songs"]["year"] == [1984]


def test_the_same_values_give_the_same_bytes():
    assert song_file({"tempo": 97.5}) == song_file({"tempo": 97.5})


def test_a_field_that_no_table_has_is_refused_by_its_name():
    with pytest.raises(KeyError, match="no table has a field tempo_bpm"):
        song_file({"tempo_bpm": 97.5})


def test_fields_are_read_as_they_were_written():
    values = {"tempo": 97.5, "key": 11, "mode": 1, "track_7digitalid": 7666448, "year": 1984}
    fields = song_fields(song_file(values | {"title": "Für Elise".encode()}))
    assert {name: fields[name] for name in values} == values
    assert all(type(fields[name]) is type(value) for name, value in values.items())
    assert fields["title"] == "Für Elise"
    assert fields.keys() == {name for table in TABLES.values() for name in table}


def test_tables_and_fields_may_be_lacking():
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5["analysis/songs"] = np.array([(4,)], [("key", "<i4")])
    assert song_fields(file.getvalue()) == {"key": 4}


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", "half", "no tables", "no rows"])
def test_file_without_what_is_read_is_refused(content):
    if content == "half":
        content = song_file({})[:4_000]
    elif content in ("no tables", "no rows"):
        file = io.BytesIO()
        with h5py.File(file, "w") as h5:
            rows = np.zeros(0, [("key", "<i4")])
            h5["other" if content == "no tables" else "analysis/songs"] = rows
        content = file.getvalue()
    with pytest.raises(ValueError, match=r"not a whole HDF5 file|none of the tables"):
        song_fields(content)


TEXT = h5py.string_dtype()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("analysis/songs/of_one", np.zeros(1)),  # a group where the table belongs
        ("analysis/songs", np.array((4,), [("key", "<i4")])),  # no list of rows
        ("analysis/songs", np.zeros((2, 2), [("key", "<i4")])),
        ("analysis/songs", np.array(["97"], TEXT)),
    ],
)
def test_table_of_another_form_is_none(name, value):
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5[name] = value
    with pytest.raises(ValueError, match="none of the tables"):
        song_fields(file.getvalue())


def test_text_of_any_length_is_text():
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5["analysis/songs"] = np.array([("fast", 3)], [("tempo", TEXT), ("key", "<i4")])
    assert song_fields(file.getvalue()) == {"tempo": "fast", "key": 3}
