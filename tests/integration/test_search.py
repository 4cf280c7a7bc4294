"""A search by tasks on a real Ray, in a catalogue on a real object store."""

import json
from dataclasses import replace

import catalogue_files
import numpy as np
import pytest
import soundfile

import csn
from csn import recipes, storage
from csn.config import SearchConfig
from csn.errors import ConfigError, StorageError

NUM = 40
SECONDS = 4.0


@pytest.fixture(scope="module")
def checkpoint_uri(object_store, s3_client):
    """Write a small network with new weights, which tells what sounds."""
    import torch

    from csn.model import checkpoint
    from csn.model.network import build_network

    s3_client.create_bucket(Bucket="search")
    config = recipes.tiny()
    config = replace(config, network=replace(config.network, unit_subspaces=False))
    torch.manual_seed(0)
    uri = "s3://search/checkpoint"
    checkpoint.save(uri, build_network(config), config)
    norms = dict.fromkeys(config.network.conditions, 1e-6) | {"bass": 1e6}  # never heard
    storage.write_json(storage.join(uri, checkpoint.PRESENCE), norms)
    return uri


@pytest.fixture(scope="module")
def embedder(checkpoint_uri):
    return csn.load(checkpoint_uri)


@pytest.fixture(scope="module")
def waveforms(embedder):
    rng = np.random.default_rng(0)
    size = (NUM, round(SECONDS * embedder.sample_rate_hz))
    return (rng.normal(size=size) * rng.uniform(0.01, 0.3, size=(NUM, 1))).astype(np.float32)


@pytest.fixture(scope="module")
def vectors(embedder, waveforms):
    found = [embedder.embed(one, embedder.sample_rate_hz) for one in waveforms]
    return {name: np.stack([one[name] for one in found]) for name in embedder.conditions}


@pytest.fixture(scope="module")
def snapshot(vectors, checkpoint_uri, embedder):
    presence = {name: np.linalg.norm(found, axis=1) for name, found in vectors.items()}
    files = catalogue_files.write_shards(
        "s3://search/catalogues/music",
        vectors,
        presence=presence,
        carried={"genre": ["rock" if place % 4 else "jazz" for place in range(NUM)]},
        dead=["track 000001", "long gone"],
    )
    return catalogue_files.snapshot_of(
        files,
        vectors,
        checkpoint_uri=checkpoint_uri,
        model_digest=embedder.digest,
        thresholds=embedder.thresholds,
    )


@pytest.fixture
def look(snapshot, local_ray, monkeypatch):
    """Give what searches the catalogue, with a task a shard."""
    from csn.distributed import catalogue_search, cluster, shard_tasks

    monkeypatch.setattr(shard_tasks, "ROWS_PER_TASK", 1)

    def search(query, **options):
        config = SearchConfig(query=query, catalogue="music", **options)
        with cluster.joined():
            return catalogue_search.search_in(snapshot, config, {}, "s3://search/index")

    return search


def expected(vectors, place, weights):
    squares = [
        w * np.square(vectors[n] - vectors[n][place]).sum(axis=1) for n, w in weights.items()
    ]
    distances = np.sqrt(np.sum(squares, axis=0) / sum(weights.values()))
    distances[place] = np.inf
    return distances


def test_track_finds_its_nearest_by_the_weights(look, vectors):
    found = look("track 000007", weights="drums=1,piano=0.2", top_k=NUM)
    distances = expected(vectors, 7, {"drums": 1, "piano": 0.2})
    order = np.argsort(distances)[:-1]
    assert found.table["track_id"].to_pylist() == [f"track {n:06}" for n in order]
    np.testing.assert_allclose(found.table["distance"], distances[order], rtol=1e-4)
    bass = np.linalg.norm(vectors["bass"] - vectors["bass"][7], axis=1)
    np.testing.assert_allclose(found.table["distance_bass"], bass[order], rtol=1e-4)
    assert (found.num_tracks, found.num_searched) == (NUM, NUM - 1)


def test_filter_leaves_other_tracks_out(look, vectors):
    found = look("track 000007", weights="drums=1", where="genre == 'jazz'", top_k=3)
    distances = expected(vectors, 7, {"drums": 1})
    order = [n for n in np.argsort(distances) if n % 4 == 0][:3]
    assert found.table["track_id"].to_pylist() == [f"track {n:06}" for n in order]
    assert found.num_searched == NUM // 4


def test_recording_of_another_rate_finds_the_track_that_it_is(
    look, waveforms, embedder, tmp_path, vectors
):
    path = tmp_path / "a query.wav"
    stereo = np.stack([waveforms[5], waveforms[5]], axis=1)
    soundfile.write(path, stereo, embedder.sample_rate_hz, subtype="FLOAT")
    found = look(str(path), weights="drums=1")
    assert found.table["track_id"][0].as_py() == "track 000005"
    assert found.table["distance"][0].as_py() < 1e-4
    assert found.num_searched == NUM


def test_gate_leaves_out_what_is_not_heard_in_the_query_and_says_so(look):
    found = look("track 000007", weights="drums=1,bass=1", gate=True)
    assert dict(found.weights) == {"drums": 1.0}
    assert found.messages[0].startswith("bass is not heard in the query")
    with pytest.raises(ConfigError, match="weigh another instrument, or set --gate False"):
        look("track 000007", weights="bass=1", gate=True)


def test_what_cannot_be_searched_is_refused_in_words(look, snapshot, tmp_path):
    with pytest.raises(ConfigError, match=r"neither a track of music .* nor an audio file"):
        look("no such track")
    with pytest.raises(ConfigError, match="names harp; music is embedded by drums, bass"):
        look("track 000007", weights="harp=1")
    with pytest.raises(ConfigError, match="names gerne; the catalogue carries"):
        look("track 000007", where="gerne == 'jazz'")
    with pytest.raises(ConfigError, match="neither a track"):
        look("long gone")
    from csn.distributed import catalogue_search

    config = SearchConfig(query="track 000007", catalogue="music")
    with pytest.raises(StorageError, match="no track is committed yet"):
        catalogue_search.search_in(replace(snapshot, files=()), config, {}, "")


def test_nothing_found_is_said_and_written(look, tmp_path, capsys):
    from csn.distributed.catalogue_search import write_result

    found = look("track 000007", where="genre == 'polka'")
    page = write_result(found, str(tmp_path))
    assert "No track was found." in storage.read_bytes(page).decode()
    told = json.loads(capsys.readouterr().out)
    assert told["results"] == []
    assert told["messages"] == ["no track is left to search in: where and gate let none through"]


def test_result_is_written_as_a_page_and_as_a_line_of_json(look, tmp_path, capsys):
    from csn.distributed.catalogue_search import write_result

    page = write_result(look("track 000007", weights="drums=1", top_k=2), str(tmp_path))
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told == storage.read_json(storage.join(str(tmp_path), "result.json"))
    first = told["results"][0]
    assert first["rank"] == 1
    assert first["distances"]["drums"] == first["distance"]
    assert first["carried"].keys() == {"genre"}
    html = storage.read_bytes(page).decode()
    assert first["track_id"] in html
    assert "Read this first" not in html


@pytest.fixture(scope="module")
def unit_snapshot(local_ray, tmp_path_factory):
    """A catalogue of vectors of length 1, large enough that an index does not ask all."""
    import torch

    from csn.model import checkpoint
    from csn.model.network import build_network

    folder = str(tmp_path_factory.mktemp("unit"))
    config = recipes.tiny()
    config = replace(config, network=replace(config.network, unit_subspaces=True))
    torch.manual_seed(0)
    checkpoint.save(storage.join(folder, "checkpoint"), build_network(config), config)
    rng = np.random.default_rng(0)
    found = {name: rng.normal(size=(4_000, 6)) for name in ("drums", "bass")}
    found = {n: v / np.linalg.norm(v, axis=1, keepdims=True) for n, v in found.items()}
    files = catalogue_files.write_shards(
        folder,
        found,
        num_shards=2,
        carried={"year": range(4_000)},
        dead=["long gone", "track 000001"],
    )
    return catalogue_files.snapshot_of(
        files, found, checkpoint_uri=storage.join(folder, "checkpoint")
    )


def test_index_finds_what_comparing_with_all_does_and_says_how_much(
    unit_snapshot, tmp_path, monkeypatch
):
    pytest.importorskip("faiss", reason="the extra index is not installed")
    from csn.distributed import catalogue_search, cluster, ranking

    monkeypatch.setattr(ranking, "NUM_CANDIDATES", 300)
    asked = SearchConfig(
        query="track 000007",
        catalogue="music",
        weights="drums=1,bass=0.2",
        where="year >= 100",
        method="index",
    )
    with cluster.joined():
        found = catalogue_search.search_in(unit_snapshot, asked, {}, str(tmp_path))
    assert len(list(tmp_path.glob("*.faiss"))) == 2
    assert found.recall is not None
    assert found.recall >= 0.9
    assert found.num_searched == 4_000 - 100
    with cluster.joined():
        exact = catalogue_search.search_in(
            unit_snapshot, replace(asked, method="exact"), {}, str(tmp_path)
        )
    assert exact.recall is None
    both = set(found.table["track_id"].to_pylist()) & set(exact.table["track_id"].to_pylist())
    assert len(both) == round(found.recall * 10)
    assert "of the 10 nearest, against all tracks compared in" in search_text(found)


def search_text(result):
    from csn.reports import search

    return search.search_text(result)


def test_what_a_night_embeds_is_searched_and_scored(tmp_path, local_ray, capsys):
    from catalogue_audio import write_catalogue, write_network

    from csn.config import CatalogueConfig, CatalogueScoreConfig, EmbedderConfig
    from csn.distributed import catalogue_scores, catalogue_search, nightly

    write_network(tmp_path / "network")
    names = write_catalogue(tmp_path / "music")
    root = str(tmp_path / "root")
    nightly.embed_catalogue(
        CatalogueConfig(
            checkpoint_uri=str(tmp_path / "network"),
            catalogue_uri=str(tmp_path / "music"),
            root=root,
            workers=EmbedderConfig(num_workers=1, shard_tracks=5),
        )
    )
    capsys.readouterr()
    own = str(tmp_path / "music" / names[3])  # as a recording: its own vector is the nearest
    page = catalogue_search.search(SearchConfig(query=own, catalogue="music", root=root))
    found = json.loads(capsys.readouterr().out)["results"]
    assert found[0]["uri"].endswith(names[3])
    assert found[0]["distance"] < 1e-3
    assert storage.exists(page)
    catalogue_search.search(
        SearchConfig(query=found[0]["track_id"], catalogue="music", root=root, weights="drums=1")
    )
    as_track = json.loads(capsys.readouterr().out)
    assert as_track["num_searched"] == len(names) - 1
    scores = catalogue_scores.score_catalogue(
        CatalogueScoreConfig(catalogue="music", root=root, k=2, num_resamples=10)
    )
    rows = storage.read_table(scores).to_pylist()
    assert {row["condition"] for row in rows} == set(as_track["results"][0]["distances"])
