import pytest

from csn import storage
from csn.distributed.tuning import _is_restorable

STATES = ("experiment_state-2026-11-27_01-00-00.json", "experiment_state-2026-11-27_02-00-00.json")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "tune"
    folder.mkdir()
    (folder / "tuner.pkl").write_bytes(b"whatever")
    return folder


def test_sweep_goes_on_from_a_whole_state(folder):
    (folder / STATES[0]).write_text("{}")
    assert _is_restorable(str(folder))


def test_state_that_was_cut_short_leaves_the_one_before_it(folder):
    (folder / STATES[0]).write_text("{}")
    (folder / STATES[1]).write_text('{"trial_data": [')
    assert _is_restorable(str(folder))
    assert not (folder / STATES[1]).exists()


@pytest.mark.parametrize("state", [None, '{"trial_data": ['])
def test_sweep_without_a_whole_state_begins_anew(folder, state):
    if state is not None:
        (folder / STATES[0]).write_text(state)
    assert not _is_restorable(str(folder))
    assert not storage.list_uris(str(folder))
