import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from csn.config import EvaluationConfig
from csn.errors import ProtocolError
from csn.evaluation import music_id
from csn.evaluation.scores import (
    MeanScore,
    means,
    music_id_scores,
    pseudo_mix_id_scores,
    score_table,
)
from csn.records import SCORE_SCHEMA, embedding_schema

CONFIG = EvaluationConfig(durations_s=(3.0,), num_resamples=50)
DIM = 3
NUM_TRACKS = 4
NUM_SEGMENTS = 6


def row(source, focus, tracks, segment_index, vector, *, sounds=True, duration_s=3.0):
    return {
        "track_id": tracks[0],
        "segment_index": segment_index,
        "start_s": max(segment_index, 0) * duration_s,
        "duration_s": duration_s,
        "source": source,
        "focus": focus,
        "focus_track_id": tracks[0],
        "backing_track_id": tracks[1],
        "sounds": sounds,
        "model_digest": "0" * 8,
        "vector": np.asarray(vector, dtype=np.float32),
    }


def table_of(rows):
    return pa.Table.from_pylist(rows, schema=embedding_schema(DIM))


def place(rng, index):
    """About the point of one track; tracks are far apart."""
    return 10.0 * np.eye(NUM_TRACKS)[index][:DIM] + 0.1 * rng.standard_normal(DIM)


def mix_rows(seed, *, told_apart=True, silent=()):
    """Segments of the four tracks, whose vectors tell the track, or nothing."""
    rng = np.random.default_rng(seed)
    return [
        row(
            "mix",
            "",
            (f"t{a}",) * 2,
            i,
            place(rng, a if told_apart else 0),
            sounds=a not in silent,
        )
        for a in range(NUM_TRACKS)
        for i in range(-1, NUM_SEGMENTS)
    ]


def pseudo_rows(seed, condition, hears, *, sounds=lambda focus, a, i: True):
    """Each focus with each pair of four tracks; `condition` hears those parts and no others."""
    rng = np.random.default_rng(seed)
    rows = []
    for focus in ("drums", "bass"):
        for a in range(NUM_TRACKS):
            for version in range(3):
                b = (a + version) % NUM_TRACKS
                heard = {"drums": b, "bass": b, focus: a}[hears]
                rows += [
                    row(
                        "pseudo_mix",
                        focus,
                        (f"t{a}", f"t{b}"),
                        i,
                        place(rng, heard),
                        sounds=condition == focus and sounds(focus, a, i),
                    )
                    for i in range(NUM_SEGMENTS)
                ]
    return rows


def by_question(scores):
    return {(r["condition"], r["focus"], r["duration_s"]): r for r in scores.rows}


def test_music_id_scores_each_condition_and_the_whole():
    tables = {
        "drums": table_of(mix_rows(0)),
        "bass": table_of(mix_rows(1, told_apart=False)),
    }
    scores = music_id_scores(tables, system="csn", config=CONFIG, seed=7)
    found = by_question(scores)
    assert scores.messages == []
    assert [key[0] for key in found] == ["drums", "bass", "all"]
    drums = found["drums", "drums", 3.0]
    assert drums == {
        "protocol": "music_id",
        "system": "csn",
        "condition": "drums",
        "focus": "drums",
        "duration_s": 3.0,
        "k": 5,
        "num_queries": NUM_TRACKS * NUM_SEGMENTS,
        "num_correct": NUM_TRACKS * NUM_SEGMENTS,
        "num_ids": NUM_TRACKS,
        "num_missing": None,
        "accuracy": 1.0,
        "low": 1.0,
        "high": 1.0,
        "chance": 0.25,
        "r_precision": 1.0,
        "map_at_r": 1.0,
        "seed": 7,
    }
    assert found["bass", "bass", 3.0]["accuracy"] < 0.7
    assert found["all", "all", 3.0]["accuracy"] == 1.0  # the drums' far places decide


def test_all_is_the_subspaces_side_by_side():
    tables = {"drums": table_of(mix_rows(0)), "bass": table_of(mix_rows(1, told_apart=False))}
    tables["drums"] = tables["drums"].set_column(
        10, "vector", pa.array(np.zeros((28, 3)).tolist(), pa.list_(pa.float32(), DIM))
    )
    found = by_question(music_id_scores(tables, system="csn", config=CONFIG, seed=0))
    # Zeros add nothing to any distance, so the whole asks the bass alone.
    assert found["all", "all", 3.0]["num_correct"] == found["bass", "bass", 3.0]["num_correct"]
    rows = [r for r in mix_rows(1, told_apart=False) if r["segment_index"] >= 0]
    expected = music_id.accuracy(
        np.stack([r["vector"] for r in rows]), np.array([r["track_id"] for r in rows])
    )
    assert found["bass", "bass", 3.0]["num_correct"] == expected.sum()


def test_silent_segments_take_no_part_but_any_sounding_part_counts_for_the_whole():
    tables = {
        "drums": table_of(mix_rows(0, silent=(0,))),
        "bass": table_of(mix_rows(1, silent=(0, 1))),
    }
    found = by_question(music_id_scores(tables, system="csn", config=CONFIG, seed=0))
    assert [r["num_ids"] for r in found.values()] == [3, 2, 3]
    assert [r["num_queries"] for r in found.values()] == [18, 12, 18]


def test_tracks_that_hardly_sound_are_left_out():
    rows = mix_rows(0, silent=(3,))
    rows[-1]["sounds"] = True  # one of six segments of t3
    for share, num_ids in ((0.1, 4), (0.2, 3)):
        config = EvaluationConfig(durations_s=(3.0,), min_sounding_share=share, num_resamples=9)
        scores = music_id_scores({"drums": table_of(rows)}, system="csn", config=config, seed=0)
        assert {r["num_ids"] for r in scores.rows} == {num_ids}


def test_order_of_rows_and_chunks_changes_no_score():
    tables = {"drums": table_of(mix_rows(0)), "bass": table_of(mix_rows(1, told_apart=False))}
    rng = np.random.default_rng(0)
    shuffled = {name: table.take(rng.permutation(len(table))) for name, table in tables.items()}
    chunked = {
        name: pa.concat_tables([t.slice(0, 5), t.slice(5, 9), t.slice(14)])
        for name, t in shuffled.items()
    }
    one, other = (
        music_id_scores(t, system="csn", config=CONFIG, seed=0) for t in (tables, chunked)
    )
    assert one == other


def test_durations_are_scored_apart_and_track_means_not_at_all():
    rows = mix_rows(0) + [
        row("mix", "", (f"t{a}",) * 2, i, place(np.random.default_rng(0), 0), duration_s=10.0)
        for a in range(NUM_TRACKS)
        for i in range(3)
    ]
    config = EvaluationConfig(durations_s=(3.0, 10.0), num_resamples=9)
    scores = music_id_scores({"drums": table_of(rows)}, system="csn", config=config, seed=0)
    assert [(r["duration_s"], r["num_queries"]) for r in scores.rows] == [
        (3.0, 24), (3.0, 24), (10.0, 12), (10.0, 12),
    ]  # fmt: skip


def test_rows_of_other_sources_are_not_scored():
    rows = mix_rows(0)
    others = [{**r, "source": "triplet", "backing_track_id": "t9"} for r in rows]
    one, other = (
        music_id_scores({"drums": table_of(of)}, system="csn", config=CONFIG, seed=0)
        for of in (rows, rows + others)
    )
    assert one == other


@pytest.mark.parametrize(
    ("protocol", "num_others"), [(music_id_scores, 23), (pseudo_mix_id_scores, 66)]
)
def test_k_is_the_configs(protocol, num_others):
    # When all others vote, a track's own are outnumbered: 5 to 6, and 12 to 18.
    tables = {"drums": table_of(mix_rows(0) + pseudo_rows(0, "drums", hears="drums"))}
    for k, accuracy in ((5, 1.0), (num_others, 0.0)):
        config = EvaluationConfig(k=k, durations_s=(3.0,), num_resamples=9)
        score = protocol(tables, system="csn", config=config, seed=0).rows[0]
        assert (score["k"], score["accuracy"]) == (k, accuracy)


def test_a_condition_that_cannot_be_scored_does_not_lose_the_others():
    tables = {
        "drums": table_of(mix_rows(0)),
        "guitar": table_of(mix_rows(1, silent=range(NUM_TRACKS))),
    }
    scores = music_id_scores(tables, system="csn", config=CONFIG, seed=0)
    assert [r["condition"] for r in scores.rows] == ["drums", "all"]
    assert scores.messages == [
        "music_id of guitar at 3 s (asked of guitar): 0 track(s) with sounding segments found, at "
        "least 2 needed (use a split with more tracks in which the part sounds)"
    ]


def test_nothing_to_score_is_refused():
    tables = {"drums": table_of(mix_rows(0))}
    with pytest.raises(ProtocolError, match=r"no pseudo_mix segment with focus drums .* of 3 s"):
        pseudo_mix_id_scores(tables, system="csn", config=CONFIG, seed=0)
    config = EvaluationConfig(durations_s=(5.0,))
    with pytest.raises(ProtocolError, match=r"music_id of drums at 5 s .* has durations of 3 s"):
        music_id_scores(tables, system="csn", config=config, seed=0)
    for protocol in (music_id_scores, pseudo_mix_id_scores):
        with pytest.raises(ProtocolError, match="no table of embeddings given"):
            protocol({}, system="csn", config=CONFIG, seed=0)


def test_tables_of_different_segments_are_not_joined():
    tables = {"drums": table_of(mix_rows(0)), "bass": table_of(mix_rows(1)[:-1])}
    scores = music_id_scores(tables, system="csn", config=CONFIG, seed=0)
    assert [r["condition"] for r in scores.rows] == ["drums", "bass"]
    assert len(scores.messages) == 1
    assert (
        "the table of bass has 23 segments, the same 24 as in the table of drums"
        in (scores.messages[0])
    )


def test_a_segment_that_is_there_twice_is_refused():
    rows = mix_rows(0)
    with pytest.raises(
        ProtocolError, match="segment 5 of t3 with t3 is twice in the table of drums"
    ):
        music_id_scores(
            {"drums": table_of([*rows, rows[-1]])}, system="csn", config=CONFIG, seed=0
        )


def test_another_table_is_refused():
    with pytest.raises(ProtocolError, match=r"columns track_id, and no source"):
        music_id_scores(
            {"drums": pa.table({"track_id": ["t0"]})}, system="csn", config=CONFIG, seed=0
        )
    plain = table_of(mix_rows(0))
    plain = plain.set_column(10, "vector", plain["vector"].cast(pa.list_(pa.float32())))
    with pytest.raises(ProtocolError, match="fixed_size_list without gaps needed"):
        music_id_scores({"drums": plain}, system="csn", config=CONFIG, seed=0)


def test_leak_matrix_tells_which_part_a_subspace_hears():
    tables = {
        "drums": table_of(pseudo_rows(0, "drums", hears="drums")),
        "bass": table_of(pseudo_rows(1, "bass", hears="drums")),  # it leaks
    }
    scores = pseudo_mix_id_scores(tables, system="csn", config=CONFIG, seed=0)
    found = {key[:2]: r["accuracy"] for key, r in by_question(scores).items()}
    assert list(found) == [
        ("drums", "drums"), ("bass", "drums"), ("drums", "bass"), ("bass", "bass"),
    ]  # fmt: skip
    assert found["drums", "drums"] == found["bass", "drums"] == 1.0
    # Hearing the background alone: only A_A's like answers rightly, and it is the removed one.
    assert found["drums", "bass"] == found["bass", "bass"] == 0.0
    assert {r["num_ids"] for r in scores.rows} == {NUM_TRACKS}


def test_leak_matrix_asks_where_the_focused_part_sounds():
    def sounds(focus, a, i):
        return i < (4 if focus == "drums" else 2)

    tables = {
        name: table_of(pseudo_rows(0, name, hears=name, sounds=sounds))
        for name in ("drums", "bass")
    }
    found = by_question(pseudo_mix_id_scores(tables, system="csn", config=CONFIG, seed=0))
    num_queries = {key[:2]: r["num_queries"] for key, r in found.items()}
    assert num_queries == {
        ("drums", "drums"): 48, ("bass", "drums"): 48,
        ("drums", "bass"): 24, ("bass", "bass"): 24,
    }  # fmt: skip


def test_a_focus_that_never_sounds_is_said_once():
    tables = {
        name: table_of(
            pseudo_rows(0, name, hears=name, sounds=lambda focus, a, i: focus == "drums")
        )
        for name in ("drums", "bass")
    }
    scores = pseudo_mix_id_scores(tables, system="csn", config=CONFIG, seed=0)
    assert {r["focus"] for r in scores.rows} == {"drums"}
    assert len(scores.messages) == 1
    assert scores.messages[0].startswith(
        "pseudo_mix_id of bass at 3 s (asked of drums, bass): 0 track(s)"
    )


def test_the_same_seed_gives_the_same_rows_and_systems_meet_the_same_draws():
    tables = {"bass": table_of(mix_rows(1, told_apart=False))}
    ours, again, other, reseeded = (
        music_id_scores(tables, system=system, config=CONFIG, seed=seed).rows
        for system, seed in (("csn", 0), ("csn", 0), ("untrained", 0), ("csn", 1))
    )
    assert ours == again
    assert [r["low"] for r in other] == [r["low"] for r in ours]
    assert [(r["low"], r["high"]) for r in reseeded] != [(r["low"], r["high"]) for r in ours]
    assert ours[0]["low"] < ours[0]["accuracy"] < ours[0]["high"]


def test_score_table_has_the_schema_and_survives_parquet(tmp_path):
    tables = {
        name: table_of(mix_rows(0) + pseudo_rows(1, name, hears=name))
        for name in ("drums", "bass")
    }
    scores = [
        *music_id_scores(tables, system="csn", config=CONFIG, seed=0).rows,
        *pseudo_mix_id_scores(tables, system="csn", config=CONFIG, seed=0).rows,
    ]
    assert all(list(r) == SCORE_SCHEMA.names for r in scores)
    pq.write_table(score_table(scores), tmp_path / "scores.parquet")
    read = pq.read_table(tmp_path / "scores.parquet")
    assert read.schema.equals(SCORE_SCHEMA)
    assert read.to_pylist() == scores


def test_means_are_over_instruments_in_their_own_subspace():
    def score(protocol, condition, focus, accuracy, duration_s=3.0):
        return {
            "protocol": protocol, "system": "csn", "condition": condition, "focus": focus,
            "duration_s": duration_s, "accuracy": accuracy,
        }  # fmt: skip

    rows = [
        score("music_id", "drums", "drums", 0.5),
        score("music_id", "bass", "bass", 0.75),
        score("music_id", "all", "all", 1.0),
        score("pseudo_mix_id", "drums", "drums", 0.25),
        score("pseudo_mix_id", "bass", "drums", 1.0),
        score("music_id", "drums", "drums", 0.125, duration_s=10.0),
    ]
    assert means(rows) == [
        MeanScore("music_id", "csn", 3.0, 0.625, 2),
        MeanScore("pseudo_mix_id", "csn", 3.0, 0.25, 1),
        MeanScore("music_id", "csn", 10.0, 0.125, 1),
    ]


def test_means_leave_out_the_network_of_the_mix():
    tables = {"drums": table_of(mix_rows(0)), "mix": table_of(mix_rows(1, told_apart=False))}
    scores = music_id_scores(tables, system="csn", config=CONFIG, seed=0)
    assert [r["condition"] for r in scores.rows] == ["drums", "mix", "all"]
    (mean,) = means(scores.rows)
    assert (mean.accuracy, mean.num_conditions) == (1.0, 1)


def test_ranks_are_left_empty_where_no_track_has_two_segments():
    rows = [row("mix", "", (f"t{a}",) * 2, 0, [float(a), 0, 0]) for a in range(7)]
    (found, _) = music_id_scores(
        {"drums": table_of(rows)}, system="csn", config=CONFIG, seed=0
    ).rows
    assert (found["r_precision"], found["map_at_r"]) == (None, None)


def rays(condition_far, num_tracks=3):
    """Tracks that differ in direction alone; lengths go up to `condition_far`, alike for all."""
    rng = np.random.default_rng(3)
    lengths = np.linspace(1.0, condition_far, NUM_SEGMENTS)
    return table_of(
        [
            row("mix", "", (f"t{a}",) * 2, i, lengths[i] * (np.eye(DIM)[a] + 0.3 * noise))
            for a in range(num_tracks)
            for i, noise in enumerate(rng.random((NUM_SEGMENTS, DIM)))
        ]
    )


def test_what_is_learnt_by_cosine_is_ranked_by_cosine():
    tables = {"drums": rays(100.0), "bass": rays(100.0)}
    asked = {"system": "csn", "config": EvaluationConfig(durations_s=(3.0,), k=3), "seed": 0}
    by_cosine = by_question(music_id_scores(tables, **asked, metric="cosine"))
    by_euclid = by_question(music_id_scores(tables, **asked))
    for name in ("drums", "all"):
        cosine, euclid = (found[name, name, 3.0] for found in (by_cosine, by_euclid))
        assert cosine["accuracy"] == cosine["r_precision"] == cosine["map_at_r"] == 1.0
        assert euclid["accuracy"] < 0.8
        assert euclid["map_at_r"] < 0.8


def test_no_condition_outweighs_another_in_the_whole_by_cosine():
    # Bass tells nothing, and is a thousand times as long.
    silent = np.random.default_rng(5)
    long = [
        row("mix", "", (f"t{a}",) * 2, i, 1000 * silent.normal(size=DIM))
        for a in range(3)
        for i in range(NUM_SEGMENTS)
    ]
    tables = {"drums": rays(1.0), "bass": table_of(long)}
    asked = {"system": "csn", "config": EvaluationConfig(durations_s=(3.0,), k=3), "seed": 0}
    found = by_question(music_id_scores(tables, **asked, metric="cosine"))
    alone = by_question(music_id_scores({"bass": tables["bass"]}, **asked, metric="cosine"))
    assert found["all", "all", 3.0]["accuracy"] > alone["bass", "bass", 3.0]["accuracy"] + 0.2


def test_pseudo_mixes_are_ranked_by_cosine_where_that_is_learnt():
    lengths = np.geomspace(1.0, 1000.0, NUM_SEGMENTS)
    rows = [
        row("pseudo_mix", "drums", (f"t{a}", f"t{b}"), i, lengths[i] * np.eye(DIM)[a])
        for a in range(3)
        for b in range(3)
        for i in range(NUM_SEGMENTS)
    ]
    noisy = [one | {"vector": one["vector"] + np.float32(0.2)} for one in rows]
    asked = {"system": "csn", "config": CONFIG, "seed": 0}
    (cosine,) = pseudo_mix_id_scores({"drums": table_of(noisy)}, **asked, metric="cosine").rows
    (euclid,) = pseudo_mix_id_scores({"drums": table_of(noisy)}, **asked).rows
    assert cosine["accuracy"] > euclid["accuracy"]


def test_a_focus_without_mixes_is_told_by_its_reason():
    tables = {name: table_of(pseudo_rows(0, name, name)) for name in ("drums", "bass")}
    tables["guitar"] = tables["drums"]
    reason = "1 tracks have a sounding guitar part, 10 are needed"
    scores = pseudo_mix_id_scores(
        tables, system="csn", config=CONFIG, seed=0, lacking={("guitar", 3.0): reason}
    )
    assert [message for message in scores.messages if "of guitar" in message] == [
        f"pseudo_mix_id of guitar at 3 s (asked of drums, bass, guitar): {reason}"
    ]
