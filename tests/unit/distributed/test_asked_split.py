"""What the evaluated split must hold, found before any training."""

import logging
from dataclasses import replace

import prepared_tracks
import pytest

from csn import recipes
from csn.conditions import INSTRUMENTS
from csn.distributed.asked_split import asked_split
from csn.errors import CorpusError, ProtocolError

CONFIG = recipes.tiny()


def tracks(num, length_s=24.0, *, parts=INSTRUMENTS, lacking=()):
    """As many test tracks of one tempo; those numbered in `lacking` have no guitar."""
    without = [part for part in parts if part != "guitar"]
    return prepared_tracks.table(
        *[
            prepared_tracks.whole(f"T{n}", length_s, without if n in lacking else parts)
            | {"split": "test"}
            for n in range(num)
        ]
    )


def evaluated(config=CONFIG, **options):
    return replace(config, evaluation=replace(config.evaluation, **options))


def test_all_is_asked_of_a_split_that_has_enough():
    asked = asked_split(evaluated(durations_s=(3.0,)), tracks(5))
    assert not asked.lacking
    assert set(asked.mixes["source"].to_pylist()) == {"mix", "pseudo_mix"}


def test_a_split_without_tracks():
    with pytest.raises(CorpusError, match=r"split validation of .* has no prepared track"):
        asked_split(evaluated(split="validation"), tracks(5))


@pytest.mark.parametrize(
    ("num", "length_s", "found"),
    [
        (1, 24.0, "8 sounding segments of 1 tracks found"),
        (2, 6.0, "4 sounding segments of 2 tracks found"),
    ],
    ids=["one track", "no more than k segments"],
)
@pytest.mark.parametrize("recipe", ["tiny_hashizume2022", "tiny_free_mixing"])
def test_too_little_for_p1_is_refused_with_what_is_needed(recipe, num, length_s, found):
    config = evaluated(recipes.ALL[recipe](), durations_s=(3.0,))
    with pytest.raises(ProtocolError, match="too small for P1") as caught:
        asked_split(config, tracks(num, length_s))
    assert found in str(caught.value)
    assert "more than k=5 segments of at least 2 tracks are needed" in str(caught.value)
    assert "lower --evaluation.k" in str(caught.value)


def test_too_few_tracks_for_the_ten_of_p2_are_refused_with_what_is_needed():
    with pytest.raises(ProtocolError, match="too small for P2") as caught:
        asked_split(evaluated(num_focus_tracks=10), tracks(9))
    assert (
        "9 tracks have a sounding drums part and 3 others of their tempo, 10 are needed; add "
        "tracks or raise --triplets.tempo_group_bpm or lower --evaluation.num_focus_tracks"
    ) in str(caught.value)
    assert "no other condition or length has enough either" in str(caught.value)


def test_no_tempo_group_for_p2_is_refused():
    config = replace(CONFIG, triplets=replace(CONFIG.triplets, min_group_tracks=9))
    with pytest.raises(ProtocolError, match="too small for P2: none of 5 tracks is in a tempo"):
        asked_split(config, tracks(5))


def test_individual_networks_are_asked_no_p2():
    config = evaluated(recipes.ALL["tiny_hashizume2022"](), num_focus_tracks=10)
    assert set(asked_split(config, tracks(4)).mixes["source"].to_pylist()) == {"mix"}


def test_what_one_condition_lacks_is_told_at_once(caplog):
    config = evaluated(durations_s=(3.0,), num_focus_tracks=3)
    with caplog.at_level(logging.WARNING):
        asked = asked_split(config, tracks(5, lacking=(1, 2, 3, 4)))
    reason = (
        "1 tracks have a sounding guitar part and 3 others of their tempo, 3 are needed; add "
        "tracks or raise --triplets.tempo_group_bpm or lower --evaluation.num_focus_tracks"
    )
    assert asked.lacking == {("guitar", 3.0): reason}
    assert f"pseudo_mix_id of guitar at 3 s: {reason}" in caplog.text
    assert "music_id of guitar at 3 s: 8 sounding segments of 1 tracks found, more" in caplog.text
    assert "of drums" not in caplog.text
    assert "guitar" not in set(asked.mixes["focus"].to_pylist())
