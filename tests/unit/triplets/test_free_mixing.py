from collections import Counter

import numpy as np
import prepared_tracks as made
import pytest

from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig, MixingConfig, TripletConfig
from csn.errors import CorpusError
from csn.records import ABSENT, MIX_SCHEMA
from csn.triplets.free_mixing import MIN_SOUNDING, plan_mixes
from csn.triplets.planning import candidates

AUDIO = AudioConfig(sample_rate_hz=made.SAMPLE_RATE_HZ)
BATCH_SIZE = 16


def corpus(rest_share=0.3, num_tracks=12, num_frames=160, tempi_bpm=(120.0, 90.0), **needed):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(num_tracks):
        sounding = {
            part: np.repeat(rng.random(num_frames // 16) >= rest_share, 16).tolist()
            for part in INSTRUMENTS
            if (part, number) != ("guitar", 2)  # one track has no guitar
        }
        tempo_bpm = tempi_bpm[number % len(tempi_bpm)]
        rows.append(made.track(f"Track{number:05d}", sounding, tempo_bpm=tempo_bpm))
    return candidates(made.table(*rows), AUDIO, TripletConfig(hop_s=0.5), **needed)


FOUND = corpus()


def planned(batch_ids, *, seed=0, config=MixingConfig(), found=FOUND, batch_size=BATCH_SIZE):  # noqa: B008
    return plan_mixes(
        found,
        batch_ids,
        plan_index=0,
        batch_size=batch_size,
        seed=seed,
        audio=AUDIO,
        config=config,
    )


def test_a_batch_is_the_same_whoever_draws_it():
    together = planned([0, 1, 2, 3])
    assert together.schema == MIX_SCHEMA
    assert planned([2]).equals(together.slice(2 * BATCH_SIZE, BATCH_SIZE))
    assert together["mix_id"].to_pylist() == list(range(4 * BATCH_SIZE))
    assert not planned([2], seed=1).equals(planned([2]))


def test_every_part_that_is_heard_sounds_in_its_window():
    for row in planned(range(6)).to_pylist():
        assert len(set(row["starts_s"])) == 1
        frame = round(row["starts_s"][0] / AUDIO.level_hop_s)
        heard = [place for place, track in enumerate(row["tracks"]) if track != ABSENT]
        assert len(heard) >= MIN_SOUNDING
        for place in heard:
            assert FOUND.sounding[row["tracks"][place]][place][frame]


def test_a_batch_is_of_one_tempo_group_unless_any_is_asked_for():
    groups = {group.name: set(group.track_ids) for group in FOUND.groups}
    assert len(groups) == 2
    for batch in range(6):
        rows = planned([batch]).to_pylist()
        (name,) = {row["tempo_group"] for row in rows}
        assert {t for row in rows for t in row["tracks"]} - {ABSENT} <= groups[name]
    mixed = planned(range(3), config=MixingConfig(tempo="any")).to_pylist()
    used = {t for row in mixed for t in row["tracks"]} - {ABSENT}
    assert all(used & tracks for tracks in groups.values())


def test_tracks_in_no_tempo_group_are_mixed_where_any_tempo_is_asked_for():
    alone = corpus(tempi_bpm=[60.0 + 10 * number for number in range(12)], need_groups=False)
    assert alone.groups == ()
    mixed = planned(range(6), config=MixingConfig(tempo="any"), found=alone).to_pylist()
    assert len({t for row in mixed for t in row["tracks"]} - {ABSENT}) == 12


def test_every_track_gives_each_part_at_least_twice_where_nothing_rests():
    always = corpus(rest_share=0.0)
    for batch in range(4):
        rows = planned([batch], found=always).to_pylist()
        for place, part in enumerate(INSTRUMENTS):
            counts = Counter(row["tracks"][place] for row in rows)
            counts.pop(ABSENT, None)
            having = {t for t in always.sounding if always.sounding[t][place].any()}
            assert set(counts) <= having
            assert min(counts.values()) >= 2, part
            assert max(counts.values()) - min(counts.values()) <= 1


def test_parts_of_a_mix_come_from_tracks_of_their_own():
    # Were they tied, most mixes would hear one track in all parts; by chance that is rare.
    rows = planned(range(10)).to_pylist()
    distinct = [len(set(row["tracks"]) - {ABSENT}) for row in rows]
    assert np.mean(distinct) > 2.5


def test_small_batches_draw_on_fewer_tracks():
    rows = planned([0], batch_size=6, found=corpus(rest_share=0.0)).to_pylist()
    assert len({row["tracks"][0] for row in rows}) == 3


def test_tracks_that_never_sound_together_are_refused():
    rows = []
    for number in range(4):
        mask = np.zeros(160, bool)
        mask[40 * number : 40 * number + 36] = True
        rows.append(made.track(f"Track{number:05d}", {"drums": mask.tolist()}, tempo_bpm=100.0))
    found = candidates(made.table(*rows), AUDIO, TripletConfig(hop_s=0.5))
    with pytest.raises(CorpusError, match=r"100 bpm: .*sound together"):
        planned([0], found=found)


def test_mixes_of_a_batch_share_as_many_windows_as_their_turn_has():
    config = MixingConfig(batch_windows=(2, 0, 4))
    rows = planned(range(6), config=config).to_pylist()
    for batch in range(6):
        starts = [
            row["starts_s"][0] for row in rows[batch * BATCH_SIZE : (batch + 1) * BATCH_SIZE]
        ]
        counts = Counter(starts)
        num = (2, 0, 4)[batch % 3]
        if num:
            assert set(counts.values()) <= {k * BATCH_SIZE // num for k in range(1, num + 1)}
            assert len(counts) <= num
        else:
            assert len(counts) > 4
    alone = [row for b in range(6) for row in planned([b], config=config).to_pylist()]
    assert rows == alone


def test_every_part_that_shares_a_window_sounds_in_it_before_several_backgrounds():
    for row in planned(range(8), config=MixingConfig(batch_windows=(2,))).to_pylist():
        frame = round(row["starts_s"][0] / AUDIO.level_hop_s)
        heard = [place for place, track in enumerate(row["tracks"]) if track != ABSENT]
        assert len(heard) >= MIN_SOUNDING
        for place in heard:
            assert FOUND.sounding[row["tracks"][place]][place][frame]
    always = corpus(rest_share=0.0)
    rows = planned([0], found=always, config=MixingConfig(batch_windows=(2,))).to_pylist()
    for place in range(len(INSTRUMENTS)):
        for half in (rows[: BATCH_SIZE // 2], rows[BATCH_SIZE // 2 :]):
            times = Counter(row["tracks"][place] for row in half)
            assert min(times.values()) >= 2


def test_tracks_of_other_lengths_share_windows():
    short, long = made_of(40), made_of(160)
    found = candidates(made.table(*short, *long), AUDIO, TripletConfig(hop_s=0.5))
    rows = planned(range(12), found=found, config=MixingConfig(batch_windows=(2,))).to_pylist()
    assert max(row["starts_s"][0] for row in rows) > 10  # beyond the short ones


def made_of(num_frames):
    """Four tracks of one length in which all sounds, all of one tempo."""
    return [
        made.track(f"T{num_frames}-{number}", dict.fromkeys(INSTRUMENTS, [True] * num_frames))
        for number in range(4)
    ]
