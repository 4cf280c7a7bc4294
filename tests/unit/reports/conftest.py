"""Small score tables, written by hand."""

import pyarrow as pa
import pytest

from csn.records import SCORE_SCHEMA


@pytest.fixture
def score():
    """Make one row of scores from what a test cares about."""

    def make(protocol, system, condition, accuracy, *, focus=None, duration_s=3.0, **values):
        row = {
            "protocol": protocol,
            "system": system,
            "condition": condition,
            "focus": condition if focus is None else focus,
            "duration_s": duration_s,
            "k": 5,
            "num_queries": 100,
            "num_correct": 0,
            "num_ids": 10,
            "accuracy": accuracy,
            "low": None if accuracy is None else max(0.0, accuracy - 0.05),
            "high": None if accuracy is None else min(1.0, accuracy + 0.05),
            "chance": 0.1,
            "r_precision": None,
            "map_at_r": None,
            "seed": 0,
        }
        return row | values

    return make


@pytest.fixture
def table():
    """Rows of scores as the table that travels."""
    return lambda rows: pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)
