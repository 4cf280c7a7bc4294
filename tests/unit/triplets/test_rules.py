import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from csn.conditions import CONCEPTS
from csn.config import SimilarityConfig
from csn.records import TRACK_SCHEMA
from csn.triplets.rules import facts_of, related

CONFIG = SimilarityConfig()
RELATIVE = SimilarityConfig(relative_keys=True)
C_MAJOR, C_MINOR, A_MINOR, A_MAJOR, G_MAJOR, E_MINOR, UNKNOWN = 1, 0, 18, 19, 15, 8, -1


def track(name, **known):
    return {"track_id": name, "tempo_bpm": float("nan")} | known


def relation(concept, one, other, config=CONFIG):
    found = related(concept, np.array(one), np.array(other), config)
    return tuple(bool(of) for of in found)


def test_facts_are_read_from_prepared_tracks():
    rows = [
        track("a", tags=["rock", "80s", "sad"], tag_strengths=[100, 60, 50], key=0, is_major=True),
        track("b", tags=["pop", "rock"], tag_strengths=[51, 20], tempo_bpm=120.0),
        track("c", tempo_bpm=0.0, key=9, is_major=False),
    ]
    facts = facts_of(pa.Table.from_pylist(rows, schema=TRACK_SCHEMA), CONFIG)
    assert tuple(facts) == CONCEPTS
    assert facts["genre"].tolist() == [1, 2, 0]
    assert facts["mood"].tolist() == [0, 0, 0]  # 50 is not above 50
    assert facts["era"].tolist() == [4, 0, 0]
    assert facts["tempo"][1] == 120
    assert np.isnan(facts["tempo"][[0, 2]]).all()  # the real files say 0 for not known
    assert facts["key"].tolist() == [C_MAJOR, UNKNOWN, A_MINOR]


@pytest.mark.equation("R22", "3.3")
@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (120, 125, True),
        (120, 125.5, False),
        (60, 120, True),
        (60, 124.9, True),
        (62.6, 120, False),
        (40, 160, True),
        (100, 150, False),
        (160, 78, True),
        (30, 240, True),
    ],
)
def test_tempi_are_alike_within_5_bpm_and_in_octaves(one, other, alike):
    assert relation("tempo", one, other) == (alike, not alike)
    assert relation("tempo", other, one) == (alike, not alike)


@pytest.mark.equation("R22", "3.3")
@pytest.mark.parametrize(
    ("one", "other", "alike", "with_relative"),
    [
        (C_MAJOR, C_MAJOR, True, True),
        (C_MAJOR, C_MINOR, True, True),
        (C_MAJOR, A_MINOR, False, True),
        (A_MINOR, A_MAJOR, True, True),
        (G_MAJOR, E_MINOR, False, True),
        (C_MAJOR, G_MAJOR, False, False),
        (C_MINOR, A_MINOR, False, False),
    ],
)
def test_parallel_keys_are_alike_and_relative_ones_where_asked(one, other, alike, with_relative):
    assert relation("key", one, other) == (alike, not alike)
    assert relation("key", one, other, RELATIVE) == (with_relative, not with_relative)


@pytest.mark.parametrize(("one", "other"), [(0b11, 0b110), (1, 1)])
def test_one_tag_in_common_is_alike(one, other):
    assert relation("genre", one, other) == (True, False)


@pytest.mark.parametrize(
    ("concept", "known", "unknown"),
    [("mood", 3, 0), ("tempo", 100.0, float("nan")), ("key", C_MAJOR, UNKNOWN)],
)
def test_what_is_not_known_is_neither_alike_nor_different(concept, known, unknown):
    for one, other in [(known, unknown), (unknown, known), (unknown, unknown)]:
        assert relation(concept, one, other, RELATIVE) == (False, False)


@pytest.mark.parametrize("concept", CONCEPTS)
@given(data=st.data())
def test_arrays_and_tensors_are_related_alike_and_symmetrically(concept, data):
    values = {
        "tempo": st.one_of(st.floats(30, 300), st.just(float("nan"))),
        "key": st.integers(-1, 23),
    }.get(concept, st.integers(0, 31))
    known = np.array(data.draw(st.lists(values, min_size=2, max_size=6)))
    alike, different = related(concept, known[:, None], known, RELATIVE)
    assert not (alike & different).any()
    assert (alike == alike.T).all()
    assert (different == different.T).all()
    tensor = torch.from_numpy(known)
    same = related(concept, tensor[:, None], tensor, RELATIVE)
    assert [of.numpy().tolist() for of in same] == [alike.tolist(), different.tolist()]
