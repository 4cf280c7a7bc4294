"""Tiny systems side by side: what a comparison writes, resumes, and says of one that fails."""

import logging
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray

from csn import recipes, storage
from csn.config import to_json
from csn.distributed import comparing, training
from csn.errors import ConfigError, CorpusError, MissingSeedsError
from csn.evaluation.comparison import COMPARED_CRITERIA_SCHEMA, COMPARED_SCHEMA, Comparison
from csn.paths import Paths

RECIPES = ("tiny_hashizume2024_scratch", "tiny_hashizume2022")


@pytest.fixture(scope="module")
def comparison(tiny, tracks, tmp_path_factory):
    """Two recipes from two seeds, on the session's corpus."""
    configs = {}
    for name in RECIPES:
        config = recipes.ALL[name]()
        configs[name] = replace(
            config,
            root=tiny.root,
            training=replace(config.training, num_epochs=1),
            evaluation=replace(config.evaluation, durations_s=(3.0,)),
        )
    return Comparison("two", configs, (0, 1))


@pytest.fixture(scope="module")
def page(comparison):
    return Path(comparing.compare(comparison))


def test_scores_hold_every_recipe_and_seed(page, comparison):
    scores = pq.read_table(page.with_name("scores.parquet"))
    assert scores.schema.equals(COMPARED_SCHEMA)
    found = {(row["recipe"], row["seed"]) for row in scores.to_pylist()}
    assert found == {(recipe, seed) for recipe in RECIPES for seed in (0, 1)}
    baselines = {
        r["recipe"] for r in scores.to_pylist() if r["system"] in ("untrained", "mean_mel")
    }
    assert baselines == {RECIPES[0]}


def test_criteria_are_those_of_every_recipe_over_the_seeds(page):
    criteria = pq.read_table(page.with_name("criteria.parquet"))
    assert criteria.schema.equals(COMPARED_CRITERIA_SCHEMA)
    assert set(criteria["recipe"].to_pylist()) == set(RECIPES)
    assert set(criteria["kind"].to_pylist()) == {"pearson", "spearman", "reciprocal_rank"}
    assert criteria["seed"].null_count == len(criteria)


def test_page_links_to_reports_that_exist(page, comparison):
    text = page.read_text()
    for entry in comparison.entries():
        href = f"../../experiments/{entry.name}/report.html"
        assert f'href="{href}"' in text
        assert (page.parent / href).resolve().is_file()


def test_page_shows_ranks_and_presence_of_every_recipe_that_has_them(page):
    _, _, further = page.read_text().partition("What no paper prints")
    for title in ("R-precision", "MAP@R", "Presence, by the length", "gating by presence"):
        _, found, table = further.partition(title)
        assert found, title
        assert RECIPES[0] in table.partition("</table>")[0], title
    assert f"{RECIPES[0]}, gated" in further


def test_second_call_trains_nothing(page, comparison, snapshot, monkeypatch):
    folder = str(Path(comparison.root, "experiments"))
    before = snapshot(folder)

    def refused(*_):
        raise AssertionError("an experiment was run again")

    monkeypatch.setattr(comparing.experiment, "train", refused)
    assert comparing.compare(comparison) == str(page)
    assert snapshot(folder) == before


@pytest.fixture
def training_refused(monkeypatch):
    def refused(*_):
        raise AssertionError("a network was trained again")

    monkeypatch.setattr(training, "_run", refused)


def test_resumed_comparison_scores_only_what_is_missing(
    page, comparison, snapshot, training_refused
):
    *finished, interrupted = [Paths(e.config).experiment() for e in comparison.entries()]
    before = [snapshot(folder) for folder in finished]
    Path(interrupted, "manifest.json").unlink()
    Path(interrupted, "report.html").unlink()
    assert comparing.compare(comparison) == str(page)
    assert Path(interrupted, "report.html").is_file()
    assert [snapshot(folder) for folder in finished] == before


def test_baselines_stay_whichever_recipes_are_named(
    page, comparison, snapshot, training_refused, monkeypatch
):
    individual = {RECIPES[1]: comparison.recipes[RECIPES[1]]}
    alone = comparing.compare(replace(comparison, name="alone", recipes=individual))
    systems = {"csn", "untrained", "mean_mel"}
    assert set(pq.read_table(Path(alone).with_name("scores.parquet"))["system"].to_pylist()) == (
        systems
    )
    folder = str(Path(comparison.root, "experiments"))
    before = snapshot(folder)
    monkeypatch.setattr(comparing.experiment, "train", None)  # nobody calls it
    assert comparing.compare(comparison) == str(page)
    assert snapshot(folder) == before
    scores = pq.read_table(page.with_name("scores.parquet")).to_pylist()
    assert {row["recipe"] for row in scores if row["system"] != "csn"} == {RECIPES[0]}


def test_corpus_that_cannot_be_had_fails_its_own_systems_alone(page, comparison, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    joint, individual = (comparison.recipes[name] for name in RECIPES)
    broken = replace(individual, corpus=replace(individual.corpus, uri=str(empty)))
    some = Comparison("corpora", {RECIPES[1]: broken, RECIPES[0]: joint}, (0,))
    with pytest.raises(MissingSeedsError, match="1 of 2 experiments failed") as caught:
        comparing.compare(some)
    assert f"{RECIPES[1]}-seed0: {empty}: no track found" in str(caught.value)
    scores = pq.read_table(page.parents[1] / "corpora" / "scores.parquet")
    assert set(scores["recipe"].to_pylist()) == {RECIPES[0]}
    with pytest.raises(CorpusError, match="no track found"):
        comparing.compare(Comparison("none", {RECIPES[1]: broken}, (0,)))


def test_experiments_are_driven_by_tasks(page, comparison):
    # They are finished, so that the tasks find nothing to do.
    entries = comparison.entries()
    ended = dict(comparing._ended_apart(entries, 3))
    assert ended == {entry.name: "" for entry in entries}
    assert ray.is_initialized()


@pytest.mark.parametrize("in_the_way", ["for_good", "at_first"])
def test_what_failed_beside_others_is_tried_once_more_alone(page, comparison, caplog, in_the_way):
    # Finished experiments but one, whose folder is another's; until that is taken away, or not.
    *others, blocked = comparison.entries()
    name = f"blocked-{in_the_way}"
    config = replace(blocked.config, name=name)
    paths = Paths(config)
    storage.write_bytes(paths.experiment("config.json"), b"{}")
    storage.write_bytes(paths.experiment("checkpoints", "note"), b"learnt")

    class TakeAway(logging.Handler):
        def emit(self, record):
            if "once more" in record.getMessage():
                storage.remove(paths.experiment())

    remedy = TakeAway()
    logger = logging.getLogger("csn.distributed.comparing")
    if in_the_way == "at_first":
        logger.addHandler(remedy)
    try:
        with caplog.at_level(logging.INFO):
            failed = comparing._run_all([*others, replace(blocked, config=config)], 3)
    finally:
        logger.removeHandler(remedy)
    (told,) = [r.getMessage() for r in caplog.records if "once more" in r.getMessage()]
    assert told == f"once more, one at a time: {name}"
    assert set(failed) == ({name} if in_the_way == "for_good" else set())


def test_one_that_fails_is_named_and_the_others_are_kept(page, comparison):
    # A folder of another experiment stands where the first seed's network should be trained.
    partly = replace(comparison, name="partly", seeds=(0, 7))
    _, _, blocked, other = partly.entries()
    theirs = replace(blocked.config, loss=replace(blocked.config.loss, margin=0.9))
    paths = Paths(theirs)
    storage.write_bytes(paths.experiment("config.json"), to_json(theirs).encode())
    storage.write_bytes(paths.experiment("checkpoints", "note"), b"learnt")
    with pytest.raises(MissingSeedsError) as caught:
        comparing.compare(partly)
    message = str(caught.value)
    assert message.startswith("1 of 4 experiments failed")
    assert f"{blocked.name}: " in message
    assert "loss.margin was 0.9" in message
    assert f"{blocked.recipe} lacks seed 7: its means are over 1 of 2 seeds, in " in message
    assert "the same command makes what is missing" in message
    scores = pq.read_table(page.parents[1] / "partly" / "scores.parquet").to_pylist()
    found = {(row["recipe"], row["seed"]) for row in scores}
    assert found == {(blocked.recipe, 0), (other.recipe, 0), (other.recipe, 7)}
    text = (page.parents[1] / "partly" / "report.html").read_text()
    assert f"{blocked.recipe} lacks seed 7: its means are over 1 of 2 seeds" in text
    assert "failed" in text


def test_what_can_never_run_is_refused_before_anything_starts(comparison, tmp_path):
    configs = {
        name: replace(config, root=str(tmp_path), workers=replace(config.workers, use_gpu=True))
        for name, config in comparison.recipes.items()
    }
    with pytest.raises(ConfigError) as caught:
        comparing.compare(replace(comparison, recipes=configs))
    assert all(name in str(caught.value) for name in RECIPES)
    assert not list(tmp_path.iterdir())
