"""The whole way with corpus and root on a real S3 server: the same results as on a local disk."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from csn import storage
from csn.conditions import INSTRUMENTS
from csn.distributed import experiment
from csn.model import checkpoint
from csn.paths import Paths


@pytest.fixture(scope="module")
def s3_root(object_store, s3_client):
    """Make a bucket for this file's tests."""
    s3_client.create_bucket(Bucket="whole-way")
    return "s3://whole-way"


@pytest.fixture(scope="module")
def on_s3(s3_root, tiny, finished):
    """Go the whole way from a corpus in a bucket to a root in it."""
    corpus = Path(finished.corpus)
    # What is read, and no more: neither the mixes nor the stems' own MIDI.
    files = [
        path
        for pattern in ("metadata.yaml", "all_src.mid", "*.flac")
        for path in corpus.rglob(pattern)
        if path.name != "mix.flac"
    ]
    uri = storage.join(s3_root, "corpora", "uploaded")
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda path: storage.write_bytes(
                    storage.join(uri, path.relative_to(corpus).as_posix()), path.read_bytes()
                ),
                files,
            )
        )
    config = replace(
        tiny, root=storage.join(s3_root, "root"), corpus=replace(tiny.corpus, uri=uri)
    )
    experiment.train(config)
    return config


def objects(s3_client, bucket):
    pages = s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {
        item["Key"]: (item["ETag"], item["LastModified"])
        for page in pages
        for item in page.get("Contents", ())
    }


def test_prepared_tracks_are_those_of_the_local_corpus(on_s3, finished, tracks):
    paths = Paths(on_s3)
    assert paths.prepared.startswith("s3://whole-way/root/prepared/")
    assert storage.read_table(paths.tracks).sort_by("track_id").equals(tracks)
    for track in tracks["track_id"].to_pylist()[::5]:
        theirs = storage.read_table(paths.parts(track))
        assert theirs.equals(storage.read_table(finished.parts(track)))


def test_losses_and_scores_are_those_of_the_local_run(on_s3, finished, losses):
    paths = Paths(on_s3)
    assert losses(paths) == losses(finished)
    here, there = (p.experiment("scores.parquet") for p in (finished, paths))
    assert storage.read_table(there).equals(storage.read_table(here))


def test_embeddings_are_those_of_the_local_run_and_read_by_arrow(on_s3, finished, object_store):
    paths = Paths(on_s3)
    digest = checkpoint.load(paths.best_checkpoint).digest
    assert digest == checkpoint.load(finished.best_checkpoint).digest
    bucket = fs.S3FileSystem(
        endpoint_override=object_store.endpoint.removeprefix("http://"), scheme="http"
    )
    for condition in INSTRUMENTS:
        here = pq.read_table(f"{finished.embeddings(digest)}/condition={condition}")
        there = pq.read_table(
            f"{paths.embeddings(digest)}/condition={condition}".removeprefix("s3://"),
            filesystem=bucket,
        )
        assert pa.types.is_fixed_size_list(there["vector"].type)
        assert there.select(here.column_names).equals(here)


def test_report_is_written(on_s3):
    page = storage.read_bytes(Paths(on_s3).experiment("report.html")).decode()
    assert "mean_mel" in page


def test_nothing_partial_is_left(on_s3, s3_client):
    names = list(objects(s3_client, "whole-way"))
    assert not [name for name in names if "partial" in name]


def test_second_call_writes_nothing(on_s3, s3_client):
    before = objects(s3_client, "whole-way")
    experiment.train(on_s3)
    experiment.prepare(on_s3)
    assert objects(s3_client, "whole-way") == before


def test_corpus_is_composed_in_a_bucket_as_on_a_disk(s3_root, tiny, finished, local_ray):
    sizes = {f"num_{split}_tracks": 0 for split in ("validation", "test")}
    generated = replace(tiny.corpus.generated, num_train_tracks=1, **sizes)
    config = replace(
        tiny,
        root=storage.join(s3_root, "composed"),
        corpus=replace(tiny.corpus, generated=generated),
    )
    experiment.prepare(config)
    there = Paths(config).corpus
    names = [uri.removeprefix(there + "/") for uri in storage.list_uris(there)]
    assert "train/Track00001/mix.flac" in names
    local = replace(config, root=str(Path(finished.root) / "composed-beside"))
    experiment.prepare(local)
    here = Paths(local).corpus
    assert names == [uri.removeprefix(here + "/") for uri in storage.list_uris(here)]
    for name in names:
        assert storage.read_bytes(f"{there}/{name}") == storage.read_bytes(f"{here}/{name}")
    theirs, ours = (storage.read_table(Paths(c).parts("Track00001")) for c in (config, local))
    assert theirs.equals(ours)
