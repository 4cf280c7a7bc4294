from dataclasses import replace

import numpy as np
import pytest

from csn.corpora.generated_judgements import Factors, agreed, judged, similarity

SONG = Factors("TRA", {"rock": 90, "happy": 60, "guitar": 70, "80s": 60}, 120.0, 0, True, 600_000)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 7.0),
        ({"tempo_bpm": 62.0}, 7.0),  # twice 62 is within 5 of 120
        ({"tempo_bpm": 100.0}, 6.0),
        ({"is_major": False}, 6.0),
        ({"key": 7}, 6.0),
        ({"tags": {**SONG.tags, "rock": 50}}, 5.0),
        ({"tags": {**SONG.tags, "pop": 80}}, 6.0),
        ({"tags": {}}, 2.0),
    ],
)
def test_songs_are_as_alike_as_what_they_share(changes, expected):
    other = replace(SONG, **changes)
    assert similarity(SONG, other) == similarity(other, SONG) == expected


def test_most_votes_go_to_the_song_that_shares_more():
    far = replace(SONG, track_id="TRC", tags={"jazz": 90, "sad": 80}, tempo_bpm=97.0, key=3)
    songs = [SONG, replace(SONG, track_id="TRB"), far]
    rows = judged(np.random.default_rng(0), songs, 200, 22_050)
    nearer = [
        (int(row["song1_vote"]), int(row["song2_vote"]))[row["song2_id"] != "TRC"]
        for row in rows
        if row["anchor_id"] != "TRC"
    ]
    others = [
        (int(row["song1_vote"]), int(row["song2_vote"]))[row["song2_id"] == "TRC"]
        for row in rows
        if row["anchor_id"] != "TRC"
    ]
    assert sum(nearer) > 50 * sum(others)


@pytest.mark.parametrize(
    ("votes", "expected"), [((9, 1), [("1", "0")]), ((0, 5), [("0", "1")]), ((8, 1), [])]
)
def test_rows_without_agreement_are_left_out(votes, expected):
    row = {"triplet_id": "generated-0001", "song1_vote": str(votes[0])}
    clean = agreed([{**row, "song2_vote": str(votes[1])}])
    assert [(one["song1_vote"], one["song2_vote"]) for one in clean] == expected
