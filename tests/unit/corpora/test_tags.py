from dataclasses import replace

import numpy as np
import pytest

from csn.corpora import tags
from csn.corpora.composition import Piece, Stem, compose
from csn.corpora.soundfont import Patch

VOCABULARY = {
    "genre": "rock,pop,alternative,indie,electronic,dance,alternative rock,jazz,metal,"
    "classic rock,soul,indie rock,electronica,folk,punk,blues,hard rock,ambient,experimental,"
    "Hip-Hop,country,funk,electro,heavy metal,Progressive rock,rnb,indie pop,House",
    "mood": "beautiful,chillout,Mellow,chill,oldies,acoustic,party,easy listening,sexy,catchy,"
    "sad,happy",
    "instrument": "female vocalists,male vocalists,instrumental,female vocalist,guitar",
    "era": "60s,70s,80s,90s,00s",
}
USUAL_CUT = 50


@pytest.fixture(scope="module")
def tagged():
    rng = np.random.default_rng(7)
    tempi_bpm = rng.uniform(66, 160, 200)
    pieces = [
        compose(0, index, tempo_bpm=float(tempo_bpm), duration_s=6.0)
        for index, tempo_bpm in enumerate(tempi_bpm)
    ]
    return [tags.tags_of(piece) for piece in pieces]


def piece(*programs, kit=None, centre=60, **changed):
    """A piece of a few notes; the first program plays around `centre`, each other one lower."""
    from pretty_midi import Note

    def stem(number, program, patch):
        return Stem(f"S{number:02d}", program, patch, (Note(90, centre - 5 * number, 0.0, 1.0),))

    stems = [stem(k, program, Patch(program)) for k, program in enumerate(programs)]
    if kit is not None:
        stems.append(stem(len(stems), 128, Patch(kit, is_drum=True)))
    plain = Piece("00", 100.0, 4, 4.0, tuple(stems), key=0, mode="major", swing=0.5)
    return replace(plain, **changed)


def strong(one):
    return {tag for tag, strength in tags.tags_of(one).items() if strength > USUAL_CUT}


def test_every_tag_is_of_the_vocabulary_and_in_one_group():
    for group, words in tags.TAGS.items():
        assert set(words) <= set(VOCABULARY[group].split(","))
    words = [word for group in tags.TAGS.values() for word in group]
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("group", "fewest"), [("genre", 0.85), ("mood", 0.34), ("instrument", 0.34), ("era", 0.34)]
)
def test_a_group_covers_enough_tracks_and_no_tag_rules_it(tagged, group, fewest):
    strong = [{t for t in tags.TAGS[group] if one.get(t, 0) > USUAL_CUT} for one in tagged]
    covered = [one for one in strong if one]
    assert fewest <= len(covered) / len(tagged) < 1
    shares = {tag: sum(tag in one for one in covered) / len(covered) for tag in tags.TAGS[group]}
    assert max(shares.values()) <= 0.6
    assert sum(share > 0.1 for share in shares.values()) >= 2


def test_strengths_are_within_bounds_and_some_lie_below_the_usual_cut(tagged):
    strengths = [strength for one in tagged for strength in one.values()]
    assert min(strengths) >= tags.MIN_STRENGTH
    assert max(strengths) <= 100
    assert 0.2 < np.mean([strength <= USUAL_CUT for strength in strengths]) < 0.8


@pytest.mark.parametrize(
    ("heard", "wanted", "unwanted"),
    [
        (piece(30, 33, kit=16), {"metal", "heavy metal", "rock", "90s"}, {"jazz", "folk"}),
        (piece(0, 33, kit=32, swing=0.6), {"jazz"}, {"rock", "electronic"}),
        (piece(81, 38, kit=25, tempo_bpm=124.0), {"electronic", "House", "dance"}, {"Hip-Hop"}),
        (piece(90, 38, kit=25, tempo_bpm=88.0), {"Hip-Hop", "00s"}, {"House", "dance"}),
        (piece(24, 21), {"folk", "acoustic", "guitar"}, {"electronic", "pop"}),
        (piece(0, 33, tempo_bpm=126.0), {"happy"}, {"sad", "Mellow"}),
        (piece(0, 33, tempo_bpm=80.0, mode="dorian"), {"sad"}, {"happy", "Mellow"}),
        (piece(18, 30, beats_per_bar=3, kit=0), {"Progressive rock"}, {"dance"}),
        (piece(52, 33, centre=70), {"female vocalists"}, {"male vocalists", "instrumental"}),
        (piece(52, 33, centre=55), {"male vocalists"}, {"female vocalists"}),
        (piece(73, 33, centre=80), {"instrumental"}, {"guitar"}),
    ],
)
def test_tags_say_what_is_heard(heard, wanted, unwanted):
    assert wanted <= strong(heard)
    assert not unwanted & strong(heard)


def test_what_is_listed_but_not_rendered_gives_no_tag():
    heard = piece(0, 33)
    silent = Stem("S09", 30, None, heard.stems[0].notes)
    assert tags.tags_of(replace(heard, stems=(*heard.stems, silent))) == tags.tags_of(heard)


def test_parallel_modes_count_by_their_third():
    modes = ("major", "minor", "dorian", "mixolydian")
    assert [tags.is_major(piece(0, mode=one)) for one in modes] == [True, False, False, True]
