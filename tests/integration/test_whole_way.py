"""The whole way of an experiment on a local root: what it writes, and what a second call does."""

from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from csn import storage
from csn.conditions import INSTRUMENTS, MIX
from csn.config import to_json
from csn.distributed import experiment
from csn.distributed.asked_split import asked_split
from csn.distributed.bank import load_parts, mixes_of
from csn.distributed.systems import system_digests
from csn.errors import StorageError
from csn.model import checkpoint
from csn.paths import Paths
from csn.records import CRITERIA_SCHEMA, SCORE_SCHEMA, embedding_schema

SUBSPACE_DIM = 4
SYSTEMS = ("csn", "untrained", "mean_mel")


def embeddings_of(paths, condition):
    digest = checkpoint.load(paths.best_checkpoint).digest
    folder = f"{paths.embeddings(digest)}/condition={condition}"
    return pq.read_table(next(Path(folder).glob("*.parquet")))


def test_report_is_a_page_with_every_system(finished):
    page = Path(finished.experiment("report.html")).read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert all(system in page for system in SYSTEMS)


def test_scores_have_every_system_under_both_protocols(finished):
    scores = pq.read_table(finished.experiment("scores.parquet"))
    assert scores.schema.equals(SCORE_SCHEMA)
    rows = scores.to_pylist()
    own = [row for row in rows if row["condition"] == row["focus"]]
    found = {(row["protocol"], row["system"]) for row in own}
    both = ("music_id", "pseudo_mix_id")
    by_presence = {(p, "csn") for p in ("presence", *(f"{p}_gated" for p in both))}
    assert found == {(p, s) for p in both for s in SYSTEMS} | by_presence
    assert all((row["map_at_r"] is not None) == (row["protocol"] == "music_id") for row in rows)
    for row in rows:
        if row["protocol"] != "presence":  # balanced: not the share of right answers
            assert row["accuracy"] == pytest.approx(row["num_correct"] / row["num_queries"])
            assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1


def test_criteria_compare_every_instrument_with_the_whole(finished):
    criteria = pq.read_table(finished.experiment("criteria.parquet"))
    assert criteria.schema.equals(CRITERIA_SCHEMA)
    ranked = [row for row in criteria.to_pylist() if row["kind"] == "reciprocal_rank"]
    assert {(row["a"], row["b"]) for row in ranked} == {(name, "all") for name in INSTRUMENTS}
    assert all(0 < row["value"] <= 1 for row in ranked)


def test_metrics_have_a_row_for_each_epoch(finished, tiny):
    metrics = pq.read_table(finished.experiment("metrics.parquet"))
    assert metrics["epoch"].to_pylist() == list(range(tiny.training.num_epochs))
    assert np.isfinite(metrics["train/loss/triplet"].to_numpy()).all()
    assert "val/pseudo_mix_id/mean" in metrics.column_names


def test_embeddings_have_one_folder_a_system_and_condition(finished, tiny):
    # Other experiments may lie under the same root, one that hears the mix apart or
    # separated parts among them.
    models = {f"model={digest}" for digest in system_digests(tiny, finished).values()}
    folders = Path(finished.root, "embeddings").glob("model=*/corpus=*/split=*/condition=*")
    parts = [
        folder.parts[-4:]
        for folder in folders
        if folder.parts[-4] in models
        and folder.parts[-3] == f"corpus={finished.corpus_label}"
        and folder.name != f"condition={MIX}"
    ]
    assert {model for model, *_ in parts} == models
    assert len(models) == len(SYSTEMS)
    assert {split for *_, split, _ in parts} == {"split=test"}
    assert sorted({condition for *_, condition in parts}) == sorted(
        f"condition={instrument}" for instrument in INSTRUMENTS
    )
    assert len(parts) == len(SYSTEMS) * len(INSTRUMENTS)


@pytest.mark.parametrize("condition", INSTRUMENTS)
def test_embeddings_are_plain_parquet_of_the_schema(finished, condition):
    table = embeddings_of(finished, condition)
    assert table.schema.equals(embedding_schema(SUBSPACE_DIM))
    assert table["vector"].type == pa.list_(pa.float32(), SUBSPACE_DIM)
    assert table["vector"].null_count == 0


def test_embeddings_are_read_by_pandas_with_their_partitions(finished):
    digest = checkpoint.load(finished.best_checkpoint).digest
    frame = pd.read_parquet(Path(finished.root, "embeddings", f"model={digest}"))
    assert {"corpus", "split", "condition"} <= set(frame.columns)
    assert sorted(frame["condition"].unique()) == sorted(INSTRUMENTS)
    assert set(frame["model_digest"]) == {digest}
    assert np.stack(frame["vector"].to_list()).shape == (len(frame), SUBSPACE_DIM)


@pytest.mark.parametrize("condition", INSTRUMENTS)
def test_every_track_has_the_mean_of_its_sounding_segments(finished, condition):
    frame = embeddings_of(finished, condition).to_pandas()
    mixes = frame[frame["source"] == "mix"]
    means = mixes[mixes["segment_index"] == -1].set_index("track_id")
    segments = mixes[mixes["segment_index"] >= 0]
    assert sorted(means.index) == sorted(segments["track_id"].unique())
    for track, of_track in segments.groupby("track_id"):
        sounding = of_track[of_track["sounds"]] if of_track["sounds"].any() else of_track
        expected = np.stack(sounding["vector"].to_list()).mean(axis=0)
        np.testing.assert_allclose(means["vector"][track], expected, atol=1e-5)


def test_embeddings_are_what_the_checkpoint_hears_in_the_prepared_parts(finished, tiny, tracks):
    mixes = asked_split(tiny, tracks).mixes
    network = checkpoint.load(finished.best_checkpoint).network
    rows = [0, len(mixes) // 2, len(mixes) - 1]
    waveforms = []
    for mix, duration_s in zip(
        mixes_of(mixes.take(rows)), mixes["duration_s"].take(rows).to_pylist(), strict=True
    ):
        total = np.zeros(round(duration_s * tiny.audio.sample_rate_hz))
        for part, track, start_s in zip(INSTRUMENTS, mix.tracks, mix.starts_s, strict=True):
            parts = load_parts(finished.parts(track))
            start = round(start_s * tiny.audio.sample_rate_hz)
            if part in parts.pcm:
                total += parts.pcm[part][start : start + len(total)] * parts.pcm_scale
        waveforms.append(total.astype(np.float32))
    with torch.inference_mode():
        subspaces = network.layout.split(network(torch.from_numpy(np.stack(waveforms))))
    for condition in INSTRUMENTS:
        written = np.stack(embeddings_of(finished, condition)["vector"].take(rows).to_pylist())
        np.testing.assert_allclose(subspaces[condition].numpy(), written, atol=1e-4)


def test_second_call_writes_nothing(finished, tiny, snapshot):
    before = snapshot(tiny.root)
    started = monotonic()
    report = experiment.train(tiny)
    assert report == finished.experiment("report.html")
    assert snapshot(tiny.root) == before
    assert monotonic() - started < 10  # the first call takes longer on any machine


def test_second_call_makes_what_was_lost(finished, tiny, snapshot):
    before = snapshot(tiny.root)
    scores = pq.read_table(finished.experiment("scores.parquet"))
    Path(finished.experiment("scores.parquet")).unlink()
    experiment.train(tiny)
    assert pq.read_table(finished.experiment("scores.parquet")).equals(scores)
    after = snapshot(tiny.root)
    changed = {Path(path).name for path in after if after[path] != before.get(path)}
    assert changed == {
        "scores.parquet",
        "README.md",
        "criteria.parquet",
        "warnings.json",
        "report.html",
        "manifest.json",
        "stages.json",
    }


def test_finished_experiment_is_refused_on_error(finished, tiny, snapshot):
    before = snapshot(tiny.root)
    with pytest.raises(StorageError, match=r"is there already, finished; choose another"):
        experiment.train(replace(tiny, on_existing="error"))
    assert snapshot(tiny.root) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: replace(c, seed=7), "seed was 0, now 7"),
        (
            lambda c: replace(c, loss=replace(c.loss, margin=0.5)),
            r"loss\.margin was 0\.2, now 0\.5",
        ),
        (
            lambda c: replace(
                c,
                corpus=replace(c.corpus, generated=replace(c.corpus.generated, num_test_tracks=6)),
            ),
            r"corpus\.generated was .*now .*'num_test_tracks': 6",
        ),
    ],
    ids=["seed", "nested", "corpus"],
)
def test_other_configuration_under_the_same_name_is_refused(
    finished, tiny, snapshot, change, message
):
    before = snapshot(tiny.root)
    with pytest.raises(StorageError, match=rf"of another experiment \({message}.*choose another"):
        experiment.train(change(tiny))
    assert snapshot(tiny.root) == before


def test_overwrite_starts_anew_and_learns_the_same(finished, tiny, losses):
    config = replace(tiny, name="overwritten")
    paths = Paths(config)
    # What another experiment of that name has left, half done.
    other = replace(config, loss=replace(config.loss, margin=0.5))
    storage.write_json(paths.experiment("training.json"), {"of": "another"})
    storage.write_bytes(paths.experiment("checkpoints", "best", "stray"), b"")
    storage.write_bytes(paths.experiment("config.json"), to_json(other).encode())
    with pytest.raises(StorageError, match=r"loss\.margin was 0\.5, now 0\.2"):
        experiment.train(config)

    experiment.train(replace(config, on_existing="overwrite"))
    assert not storage.exists(paths.experiment("checkpoints", "best", "stray"))
    assert losses(paths) == losses(finished)
    scores = [storage.read_table(p.experiment("scores.parquet")) for p in (paths, finished)]
    assert scores[0].equals(scores[1])


def test_other_split_is_embedded_and_scored_with_the_same_network(finished, tiny, snapshot):
    before = snapshot(tiny.root)
    config = replace(
        tiny,
        name="other-split",
        evaluation=replace(
            tiny.evaluation,
            split="validation",
            k=1,
            baselines=(),
            checkpoint_uri=finished.best_checkpoint,
        ),
    )
    folder = experiment.embed_split(config)
    assert Path(folder).name == "split=validation"
    assert (
        Path(folder).parent
        == Path(finished.embeddings(checkpoint.load(finished.best_checkpoint).digest)).parent
    )
    report = experiment.evaluate(config)
    assert Path(report).read_text()
    scores = storage.read_table(Paths(config).experiment("scores.parquet"))
    assert set(scores["system"].to_pylist()) == {"csn"}
    after = snapshot(tiny.root)
    assert {path: after[path] for path in before} == before
