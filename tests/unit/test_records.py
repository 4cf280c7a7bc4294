from dataclasses import FrozenInstanceError, fields

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.conditions import INSTRUMENTS, MIX
from csn.records import (
    CRITERIA_SCHEMA,
    EVALUATION_MIX_SCHEMA,
    PARTS_SCHEMA,
    REJECT_SCHEMA,
    ROLES,
    SCORE_SCHEMA,
    TRACK_SCHEMA,
    TRIPLET_SCHEMA,
    Mix,
    Reject,
    Triplet,
    embedding_schema,
)

starts = st.floats(0, 1000)


@settings(max_examples=30, deadline=None)
@given(focus=st.sampled_from(INSTRUMENTS), start_s=starts)
def test_pseudo_mix_takes_one_part_of_a_and_all_else_of_b(focus, start_s):
    mix = Mix.pseudo(focus, "A", "B", start_s)
    for part in INSTRUMENTS:
        assert mix.track_of(part) == ("A" if part == focus else "B")
        assert mix.start_of(part) == start_s


@settings(max_examples=30, deadline=None)
@given(focus=st.sampled_from(INSTRUMENTS), start_s=starts)
def test_pseudo_mix_of_a_track_with_itself_is_its_mix(focus, start_s):
    assert Mix.pseudo(focus, "A", "A", start_s) == Mix.of_track("A", start_s)


def test_mix_has_a_track_and_a_start_for_every_part():
    mix = Mix.of_track("A", 1.5)
    assert mix.tracks == ("A",) * 5
    assert mix.starts_s == (1.5,) * 5


def test_mix_with_one_part_only_leaves_the_others_silent_and_keeps_its_windows():
    mix = Mix.pseudo("bass", "A", "B", 1.5)
    assert mix.only("bass").tracks == ("", "A", "", "", "")
    assert mix.only("drums").tracks == ("B", "", "", "", "")
    assert mix.only("drums").starts_s == mix.starts_s
    assert mix.only(MIX) is mix


def test_records_cannot_be_changed():
    mix = Mix.of_track("A", 0.0)
    with pytest.raises(FrozenInstanceError):
        mix.tracks = ()


def test_plan_has_a_column_for_each_field_of_a_triplet():
    columns = {field.name for field in fields(Triplet)} - set(ROLES) | {"plan_index"}
    columns |= {f"{role}_{name}" for role in ROLES for name in ("tracks", "starts_s", "sounds")}
    assert set(TRIPLET_SCHEMA.names) == columns


def test_rejects_table_has_the_fields_of_a_reject():
    assert REJECT_SCHEMA.names == [field.name for field in fields(Reject)]


def test_prepared_track_is_its_index_row_and_the_audio():
    audio = [f"pcm_{part}" for part in INSTRUMENTS]
    assert PARTS_SCHEMA.names == [*TRACK_SCHEMA.names, *audio]
    # 32-bit offsets would limit a column of a file to 2 GiB.
    assert all(PARTS_SCHEMA.field(name).type == pa.large_binary() for name in audio)


def test_every_part_has_its_levels_and_its_sounding_flag():
    assert {f"level_db_{part}" for part in INSTRUMENTS} <= set(TRACK_SCHEMA.names)
    assert {f"sounds_{part}" for part in INSTRUMENTS} <= set(EVALUATION_MIX_SCHEMA.names)
    assert f"sounds_{MIX}" in EVALUATION_MIX_SCHEMA.names


def test_embedding_has_a_vector_of_fixed_size():
    vector = embedding_schema(16).field("vector").type
    assert vector == pa.list_(pa.float32(), 16)


def test_scores_of_one_protocol_leave_the_columns_of_another_empty():
    columns = ("k", "r_precision", "map_at_r")
    assert all(SCORE_SCHEMA.field(name).nullable for name in columns)
    assert CRITERIA_SCHEMA.names == ["kind", "a", "b", "rank", "value", "seed", "num_tracks"]
    assert CRITERIA_SCHEMA.field("rank").nullable
