from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from csn.conditions import ALL, CONCEPTS, INSTRUMENTS
from csn.config import AudioConfig, SimilarityConfig, TripletConfig
from csn.errors import CorpusError
from csn.records import TRACK_SCHEMA
from csn.triplets.concept_triplets import (
    check_concepts,
    draw_threes,
    plan_concept_triplets,
    recordings,
)
from csn.triplets.rules import related

AUDIO, CONFIG, SIMILARITY = AudioConfig(), TripletConfig(interchanged=False), SimilarityConfig()
GENRES, MOODS, ERAS = ("rock", "jazz", "House"), ("sad", "happy"), ("60s", "80s")


def tracks(num=12, seconds=12.0, **changes):
    """Tracks of which everything is known, loud from the third second on."""
    levels = [-100.0] * 12 + [-10.0] * (round(seconds / 0.25) - 12)
    rows = [
        {
            "track_id": f"t{place:02d}",
            "tempo_bpm": 60.0 + 10 * (place % 4),
            "level_db_others": levels,
            "key": place % 3,
            "is_major": place % 2 == 0,
            "tags": [GENRES[place % 3], MOODS[place % 2], "guitar", ERAS[place // 6 % 2]],
            "tag_strengths": [100, 90, 80 if place % 4 else 10, 70],
        }
        | changes
        for place in range(num)
    ]
    # All would have the one tag of instruments otherwise, and nobody would be different.
    for row in rows[::3]:
        row["tags"] = [*row["tags"][:2], "instrumental", row["tags"][3]]
    return pa.Table.from_pylist(rows, schema=TRACK_SCHEMA)


@pytest.fixture(scope="module")
def found():
    return recordings(tracks(), AUDIO, SIMILARITY)


def planned(found, row_ids, config=CONFIG, seed=5):
    return plan_concept_triplets(
        found,
        row_ids,
        plan_index=0,
        seed=seed,
        conditions=CONCEPTS,
        audio=AUDIO,
        config=config,
        similarity=SIMILARITY,
    ).to_pylist()


def test_every_row_holds_under_its_concept(found):
    place = {track: i for i, track in enumerate(found.track_ids)}
    for row in planned(found, range(60)):
        names = [row[f"{role}_tracks"][0] for role in ("anchor", "positive", "negative")]
        anchor, positive, negative = (place[name] for name in names)
        of = found.facts[row["condition"]]
        assert related(row["condition"], of[anchor], of[positive], SIMILARITY)[0]
        assert related(row["condition"], of[anchor], of[negative], SIMILARITY)[1]
        assert anchor != positive


def test_concepts_take_turns(found):
    conditions = [row["condition"] for row in planned(found, range(12))]
    assert conditions == [*CONCEPTS, *CONCEPTS]


def test_mixes_are_whole_clips_from_one_window_that_sounds(found):
    for row in planned(found, range(30)):
        for role in ("anchor", "positive", "negative"):
            assert len(set(row[f"{role}_tracks"])) == len(set(row[f"{role}_starts_s"])) == 1
            assert len(row[f"{role}_tracks"]) == len(INSTRUMENTS)
            # The three silent seconds make a quarter of a segment silent until 2.25 s.
            assert 2.25 <= row[f"{role}_starts_s"][0] <= 9.0


def test_rows_do_not_depend_on_who_draws_them_with_whom(found):
    together = planned(found, range(24))
    assert planned(found, [7]) + planned(found, [20]) == [together[7], together[20]]
    assert planned(found, range(24), seed=6) != together


def test_track_triplets_hold_under_all_conditions_and_do_not_overlap(found):
    rows = planned(found, range(200), replace(CONFIG, track_share=0.3))
    of_tracks = [row for row in rows if row["kind"] == "track"]
    assert 30 < len(of_tracks) < 90
    for row in of_tracks:
        assert row["condition"] == ALL
        assert row["anchor_tracks"] == row["positive_tracks"] != row["negative_tracks"]
        assert abs(row["anchor_starts_s"][0] - row["positive_starts_s"][0]) >= AUDIO.segment_s


def test_threes_are_the_same_for_the_same_seed(found):
    drawn = draw_threes(found, "mood", 50, seed=1, config=SIMILARITY)
    assert drawn == draw_threes(found, "mood", 50, seed=1, config=SIMILARITY)
    assert drawn != draw_threes(found, "mood", 50, seed=2, config=SIMILARITY)
    assert len(set(drawn)) > 25


def test_tracks_that_never_sound_are_left_out():
    table = pa.concat_tables([tracks(4), tracks(1, level_db_others=[-100.0] * 48, track_id="x")])
    assert "x" not in recordings(table, AUDIO, SIMILARITY).track_ids


def test_too_few_tracks_are_refused():
    with pytest.raises(CorpusError, match=r"0 of 4 prepared tracks sound for 3 s; .* needs 3"):
        recordings(tracks(4, seconds=2.5), AUDIO, SIMILARITY)


def test_concept_of_fewer_than_two_tracks_is_refused_with_what_remains():
    found = recordings(tracks(key=None, tempo_bpm=float("nan")), AUDIO, SIMILARITY)
    message = r"tempo is known of 0, key is known of 0; .*--network.conditions genre mood instr"
    with pytest.raises(CorpusError, match=message):
        check_concepts(found, CONCEPTS, split="train")
    check_concepts(found, CONCEPTS[:4], split="train")


def test_concept_without_anybody_different_is_refused():
    found = recordings(tracks(tempo_bpm=100.0), AUDIO, SIMILARITY)
    with pytest.raises(CorpusError, match="condition tempo: known of 12 of 12 tracks, and in"):
        draw_threes(found, "tempo", 1, seed=0, config=SIMILARITY)


def test_clips_too_short_for_two_segments_have_no_track_triplets():
    found = recordings(tracks(seconds=7.0), AUDIO, SIMILARITY)
    with pytest.raises(CorpusError, match="no track sounds in two segments"):
        planned(found, range(5), replace(CONFIG, track_share=1.0))


def test_nearly_unknown_tags_fall_below_the_threshold():
    strict = recordings(tracks(), AUDIO, SimilarityConfig(min_tag_strength=85))
    assert np.count_nonzero(strict.facts["mood"]) == 12
    assert np.count_nonzero(strict.facts["era"]) == 0


def test_between_segments_of_one_track_lies_the_gap(found):
    config = replace(CONFIG, track_share=1.0, min_gap_s=1.0)
    for row in planned(found, range(100), config):
        apart_s = abs(row["anchor_starts_s"][0] - row["positive_starts_s"][0])
        assert apart_s >= AUDIO.segment_s + 1.0
