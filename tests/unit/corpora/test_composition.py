from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from csn.conditions import INSTRUMENTS
from csn.corpora.composition import Piece, compose
from csn.corpora.slakh import instrument_of

NEVER_RENDERED = {38, 39, 55, 62, 63, *range(96, 128)}
MOST = {"drums": 1, "bass": 1, "piano": 2, "guitar": 3, "others": 5}


def content(piece: Piece):
    """All of a piece in values that compare."""
    notes = [
        [(one.start, one.end, one.pitch, one.velocity) for one in stem.notes]
        for stem in piece.stems
    ]
    stems = [(stem.stem_id, stem.program, stem.patch) for stem in piece.stems]
    return piece.uuid, piece.length_s, piece.beats_per_bar, stems, notes


def bar_s(piece):
    return piece.beats_per_bar * 60 / piece.tempo_bpm


@pytest.fixture(scope="module")
def corpus():
    return [compose(3, index, tempo_bpm=100.0, duration_s=60.0) for index in range(80)]


def stems_of(piece, instrument=None):
    return [
        stem
        for stem in piece.stems
        if stem.patch and instrument in (None, str(instrument_of(stem.program)))
    ]


def test_a_piece_depends_on_seed_and_index_alone(corpus):
    again = compose(3, 17, tempo_bpm=100.0, duration_s=60.0)
    assert content(again) == content(corpus[17])


@pytest.mark.parametrize(("seed", "index"), [(4, 17), (3, 18)])
def test_another_seed_or_index_is_another_piece(corpus, seed, index):
    other = content(compose(seed, index, tempo_bpm=100.0, duration_s=60.0))
    assert all(mine != its for mine, its in zip(content(corpus[17])[3:], other[3:], strict=True))
    assert content(corpus[17])[0] != other[0]


def test_players_of_a_piece_draw_from_streams_of_their_own(corpus):
    patches = [stem.patch.peak_hz for piece in corpus for stem in stems_of(piece)]
    assert len(set(patches)) == len(patches)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_each_instrument_has_its_number_of_stems_and_is_absent_at_times(corpus, instrument):
    counts = Counter(len(stems_of(piece, instrument)) for piece in corpus)
    assert 1 <= counts[0] <= 15
    assert max(counts) <= MOST[instrument]
    assert instrument in ("drums", "bass") or len(counts) > 2


def test_only_programs_that_slakh_rendered_have_a_sound(corpus):
    programs = {stem.program for piece in corpus for stem in stems_of(piece)}
    assert programs <= {*range(96), 128} - NEVER_RENDERED
    assert len(programs) > 60
    unrendered = {stem.program for piece in corpus for stem in piece.stems if not stem.patch}
    assert unrendered
    assert unrendered <= NEVER_RENDERED


def test_drums_alone_play_the_drum_bank(corpus):
    stems = [stem for piece in corpus for stem in stems_of(piece)]
    assert all(stem.patch.is_drum == (stem.program == 128) for stem in stems)
    assert all(stem.patch.program == stem.program for stem in stems if stem.program != 128)
    assert len({stem.patch.program for stem in stems if stem.program == 128}) > 4


def test_stem_numbers_rise_and_have_gaps(corpus):
    numbers = [[int(stem.stem_id[1:]) for stem in piece.stems] for piece in corpus]
    assert all(sorted(set(one)) == one for one in numbers)
    assert any(one != list(range(len(one))) for one in numbers)


def test_pieces_have_three_instruments_or_more_and_five_to_six_stems_on_average(corpus):
    present = [{instrument_of(stem.program) for stem in stems_of(piece)} for piece in corpus]
    assert min(map(len, present)) >= 3
    assert 5 <= np.mean([len(stems_of(piece)) for piece in corpus]) <= 6.3


@pytest.mark.parametrize(("tempo_bpm", "duration_s"), [(72.0, 5.0), (132.0, 12.0), (84.0, 250.0)])
def test_a_piece_is_as_long_as_whole_bars_fit(tempo_bpm, duration_s):
    piece = compose(0, 1, tempo_bpm=tempo_bpm, duration_s=duration_s)
    assert duration_s - bar_s(piece) < piece.length_s <= duration_s
    assert all(stem.notes for stem in stems_of(piece))


def test_notes_lie_in_the_piece_and_none_overlaps_another_of_its_pitch(corpus):
    for piece in corpus:
        for stem in piece.stems:
            last = {}
            for one in sorted(stem.notes, key=lambda n: n.start):
                assert 0 <= one.start < one.end <= piece.length_s
                assert one.start >= last.get(one.pitch, 0)
                last[one.pitch] = one.end


@pytest.mark.parametrize(
    ("instrument", "lowest", "highest"),
    [("drums", 35, 76), ("bass", 28, 64), ("piano", 31, 108), ("guitar", 40, 91)],
)
def test_each_instrument_stays_in_its_range(corpus, instrument, lowest, highest):
    pitches = [n.pitch for piece in corpus for s in stems_of(piece, instrument) for n in s.notes]
    assert lowest <= min(pitches)
    assert max(pitches) <= highest


def test_players_enter_late_rest_for_bars_and_still_play_most_of_the_piece(corpus):
    late, rests, shares = 0, 0, []
    for piece in corpus:
        starts = [np.array([one.start for one in stem.notes]) for stem in stems_of(piece)]
        first = min(one.min() for one in starts)
        late += any(one.min() - first > 3 * bar_s(piece) for one in starts)
        rests += any(np.diff(np.sort(one)).max() > 2.5 * bar_s(piece) for one in starts)
        bars = [len(np.unique((one - first) // bar_s(piece))) for one in starts]
        shares += [count * bar_s(piece) / piece.length_s for count in bars]
    assert late > len(corpus) / 3
    assert rests > len(corpus) / 3
    assert 0.65 < np.mean(shares) < 0.9
    assert min(shares) > 0.25


def test_some_pieces_begin_with_bars_of_silence(corpus):
    onsets_s = [min(stem.notes[0].start for stem in stems_of(piece)) for piece in corpus]
    assert sum(onset > 1 for onset in onsets_s) > 20
    assert sum(onset < 0.1 for onset in onsets_s) > 20


SCALES = {
    "major": {0, 2, 4, 5, 7, 9, 11},
    "minor": {0, 2, 3, 5, 7, 8, 10},
    "dorian": {0, 2, 3, 5, 7, 9, 10},
    "mixolydian": {0, 2, 4, 5, 7, 9, 10},
}


def test_a_piece_tells_the_key_and_mode_of_which_its_notes_are(corpus):
    assert {piece.mode for piece in corpus} == set(SCALES)
    assert {piece.key for piece in corpus} == set(range(12))
    for piece in corpus:
        pitched = [one for one in stems_of(piece) if one.program not in (128, *range(29, 40))]
        degrees = Counter((n.pitch - piece.key) % 12 for s in pitched for n in s.notes)
        inside = sum(degrees[degree] for degree in SCALES[piece.mode])
        assert inside == degrees.total()


def test_a_third_of_the_pieces_swings_and_no_more_than_a_triplet(corpus):
    swung = [piece.swing for piece in corpus if piece.swing != 0.5]
    assert len(corpus) / 5 < len(swung) < len(corpus) / 2
    assert 0.56 <= min(swung) <= max(swung) <= 0.67


def bars_of(piece, stem):
    """A drummer's bars, each as the set of its (sixteenth, pitch)."""
    step_s = bar_s(piece) / (4 * piece.beats_per_bar)
    bars = {}
    for one in stem.notes:
        step = round((one.start - stem.notes[0].start) / step_s)
        bar, place = divmod(step, 4 * piece.beats_per_bar)
        bars.setdefault(bar, set()).add((place, one.pitch))
    return [frozenset(one) for one in bars.values()]


def overlap(one, other):
    return len(one & other) / len(one | other)


def test_a_drummer_is_nearer_to_himself_than_to_others_and_never_a_loop(corpus):
    bars = [bars_of(piece, stem) for piece in corpus for stem in stems_of(piece, "drums")]
    assert all(len(set(own)) >= 4 for own in bars)
    within = [overlap(own[k], own[k + 2]) for own in bars for k in range(len(own) - 2)]
    across = [
        overlap(own[k], other[k])
        for own, other in pairwise(bars)
        for k in range(min(len(own), len(other)))
    ]
    assert np.mean(within) > 0.5 > 3 * np.mean(across)
