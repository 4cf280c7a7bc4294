"""Mixes that were drawn here, written as the lists of others, train and score as they did."""

from dataclasses import replace
from pathlib import Path

import pytest

from csn import storage
from csn.conditions import INSTRUMENTS
from csn.distributed import training
from csn.distributed.asked_split import asked_split
from csn.distributed.plans import plan_rows
from csn.distributed.progress import Stages
from csn.errors import CorpusError, ProtocolError
from csn.paths import Paths
from csn.records import ROLES


def numbers(values):
    return ", ".join(str(value) for value in values)


def groups(tracks, starts_s, hop_s):
    """Tracks and segments of a mix, as a list has them."""
    return numbers(int(name.removeprefix("Track")) for name in tracks), numbers(
        round(start_s / hop_s) for start_s in starts_s
    )


def triplet_line(row, hop_s):
    found = [groups(row[f"{r}_tracks"], row[f"{r}_starts_s"], hop_s) for r in ROLES]
    conditions = row["condition"], row["interchanged_condition"]
    return "; ".join(
        [
            *(tracks for tracks, _ in found),
            *(segments for _, segments in found),
            *[numbers([1] * len(INSTRUMENTS))] * len(ROLES),
            numbers(INSTRUMENTS.index(condition) for condition in conditions),
        ]
    )


@pytest.fixture(scope="module")
def drawn(tiny, tracks):
    """A short training on one plan."""
    config = replace(
        tiny,
        name="drawn",
        triplets=replace(tiny.triplets, num_plans=1),
        training=replace(tiny.training, num_epochs=2),
    )
    fit(config, tracks)
    return config


@pytest.fixture(scope="module")
def triplets_uri(drawn, tmp_path_factory):
    hop_s = drawn.triplets.hop_s
    rows = storage.read_table(Paths(drawn).plan).to_pylist()
    path = tmp_path_factory.mktemp("lists") / "triplets.lst"
    path.write_text("\n".join(triplet_line(row, hop_s) for row in rows))
    return str(path)


def fit(config, tracks):
    return training.fit(config, tracks, Stages(Paths(config).experiment("stages.json")))


def on_list(config, uri, **changes):
    """Configure a training on a list; of the plan that `drawn` draws nothing is left."""
    triplets = replace(
        config.triplets, list_uri=uri, tempo_group_bpm=1e-3, max_merge_bpm=0.0, **changes
    )
    return replace(config, name="listed", triplets=triplets)


def test_listed_triplets_train_as_the_same_drawn_ones_do(drawn, triplets_uri, tracks, losses):
    listed = on_list(drawn, triplets_uri)
    fit(listed, tracks)
    assert losses(Paths(listed)) == losses(Paths(drawn))
    mine, theirs = (storage.read_table(Paths(c).plan).to_pylist() for c in (listed, drawn))
    assert mine == [row | {"tempo_group": ""} for row in theirs]


def test_a_list_of_another_number_of_triplets_says_which(drawn, triplets_uri, tracks, tmp_path):
    listed = replace(on_list(drawn, triplets_uri, num_triplets=50), name="miscounted")
    with pytest.raises(
        CorpusError, match=r"32 lines found, 25 expected .*num_triplets 64 .*interchanged True"
    ):
        plan_rows(listed, tracks, Stages(Paths(listed).experiment("stages.json")))
    # Swapped, the lines would be triplets of their own.
    path = tmp_path / "one_by_one.lst"
    lines = Path(triplets_uri).read_text().splitlines()
    path.write_text("\n".join(line.rpartition(",")[0] for line in lines))
    alone = replace(listed, triplets=replace(listed.triplets, list_uri=str(path)))
    with pytest.raises(CorpusError, match=r"num_triplets 32 .*interchanged False"):
        plan_rows(alone, tracks, Stages(Paths(alone).experiment("stages.json")))


def pseudo_mix_line(row):
    tracks, segments = groups(row["tracks"], row["starts_s"], row["duration_s"])
    named = numbers(
        int(row[name].removeprefix("Track")) for name in ("track_id", "backing_track_id")
    )
    return "; ".join([str(INSTRUMENTS.index(row["focus"])), tracks, segments, named])


def test_listed_pseudo_mixes_are_asked_as_the_same_drawn_ones_are(tiny, tracks, tmp_path):
    asked = asked_split(tiny, tracks).mixes
    lines = [pseudo_mix_line(row) for row in asked.to_pylist() if row["source"] == "pseudo_mix"]
    path = tmp_path / "pseudo_mixes.lst"
    path.write_text("\n".join(lines))
    listed = replace(tiny, seed=5, evaluation=replace(tiny.evaluation, pseudo_mixes_uri=str(path)))
    found = asked_split(listed, tracks)
    assert found.mixes.equals(asked)
    assert not found.lacking

    # Of the bass alone: the others are named, and where there is no bass, it is refused.
    path.write_text("\n".join(line for line in lines if line.startswith("1;")))
    found = asked_split(listed, tracks)
    assert set(found.mixes["focus"].to_pylist()) == {"", "bass"}
    assert {focus for focus, _ in found.lacking} == set(INSTRUMENTS) - {"bass"}
    network = replace(listed.network, conditions=("drums", "piano"))
    with pytest.raises(ProtocolError, match=r"of drums and piano: .*no line in which it sounds"):
        asked_split(replace(listed, network=network), tracks)
