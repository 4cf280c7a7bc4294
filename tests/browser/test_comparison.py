"""The page of a comparison in a real browser: nothing from outside, every figure, every table."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from csn import recipes
from csn.conditions import INSTRUMENTS, MIX
from csn.evaluation.comparison import Comparison, compared_table
from csn.evaluation.criteria import centroid_distances
from csn.evaluation.criteria_scores import criteria_rows
from csn.records import SCORE_SCHEMA
from csn.reports.comparison import ComparedRun, ComparisonData, render_comparison
from csn.reports.data import Stage

RECIPES = (
    "demo_free_mixing",
    "demo_hashizume2024",
    "demo_hashizume2024_scratch",
    "demo_hashizume2022",
)
SEEDS = (0, 1, 2)


def score(protocol, condition, focus, duration_s, accuracy, seed, system="csn"):
    return {
        "protocol": protocol,
        "system": system,
        "condition": condition,
        "focus": focus,
        "duration_s": duration_s,
        "accuracy": accuracy,
        "chance": 0.1,
        "seed": seed,
    }


def scores_of(place, recipe, seed):
    individual = recipes.ALL[recipe]().network.individual
    rows = []
    for duration_s in (3.0, 10.0):
        level = 0.7 - 0.08 * place + 0.01 * seed + 0.01 * duration_s
        for column, name in enumerate((*INSTRUMENTS, *([MIX] if individual else []))):
            of = score("music_id", name, name, duration_s, level - 0.03 * column, seed)
            rows.append(of | {"r_precision": level - 0.2, "map_at_r": level - 0.3})
            rows += [
                score("music_id", name, name, duration_s, 0.4, seed, system)
                for system in (("untrained", "mean_mel") if place == 0 else ())
            ]
        for name in () if individual else INSTRUMENTS:
            for focus in INSTRUMENTS:
                value = level - 0.1 if name == focus else 0.15 + 0.02 * seed
                rows.append(score("pseudo_mix_id", name, focus, duration_s, value, seed))
    return pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)


def sample_data():
    configs = {name: recipes.ALL[name]() for name in RECIPES}
    places = [(p, recipe, seed) for seed in SEEDS for p, recipe in enumerate(RECIPES)]
    done = [(p, recipe, seed) for p, recipe, seed in places if (p, seed) != (2, 2)]
    runs = []
    for _, recipe, seed in done:
        stages = [Stage("train", 300.0 + seed), Stage("embed", 20.0)]
        built_on = ()
        if recipe == "demo_hashizume2024":
            stages += [Stage("teachers: plan", 10.0), Stage("teachers: train", 90.0)]
            stages += [Stage("pretraining: train", 90.0)]
            built_on = (f"teachers-{seed}", f"pretraining-{seed}")
        href = f"../../experiments/{recipe}-seed{seed}/report.html"
        runs.append(ComparedRun(recipe, seed, href, stages, built_on))
    places = np.random.default_rng(0).normal(size=(1 + len(INSTRUMENTS), 40, 4))
    tracks = np.repeat([f"track-{n}" for n in range(10)], 4)
    criteria = {
        name: centroid_distances(vectors, tracks)
        for name, vectors in zip((*INSTRUMENTS, MIX), places, strict=True)
    }
    return ComparisonData(
        comparison=Comparison("systems", configs, SEEDS),
        scores=compared_table([(r, scores_of(p, r, s)) for p, r, s in done]),
        distances={RECIPES[3]: criteria},
        criteria=[
            {"recipe": RECIPES[3], **row} for row in criteria_rows(criteria, seed=None).rows
        ],
        runs=runs,
        failures={f"{RECIPES[2]}-seed2": "the loss is <not> a number"},
        warnings=["demo_free_mixing-seed0: piano: 2 of 20 test tracks are left out"],
        finished_at="2026-11-20T09:24:55+00:00",
    )


@pytest.fixture(scope="session")
def page_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("comparison") / "report.html"
    path.write_text(render_comparison(sample_data()), encoding="utf-8")
    return path


@pytest.fixture
def opened(page_path, open_page):
    """The page on a desk's screen."""
    return open_page(page_path)


def test_page_asks_for_nothing_and_has_no_errors(opened):
    opened.page.wait_for_load_state("networkidle")
    assert opened.requests == []
    assert opened.errors == []


def test_every_figure_is_drawn_and_described(opened):
    images = opened.page.locator("img")
    # Two bar charts, a leak matrix for each network that hears mixes, six criteria of one recipe.
    assert images.count() == 2 + 3 + 6
    for image in images.all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        box = image.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 100
        assert len(image.get_attribute("alt") or "") > 30


def test_tables_hold_ours_and_the_printed_numbers(opened):
    table = opened.page.get_by_role(
        "region", name="[H24] Table 2: P2, pseudo-mix ID, 10 s segments"
    )
    rows = table.locator("tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows[:4]] == [*RECIPES[:3], "chance"]
    ours = table.locator("tr", has_text=RECIPES[0]).locator("td").all_inner_texts()
    # Seeds 0.70, 0.71, 0.72.
    assert [text.split() for text in ours] == [["71.0", "\N{PLUS-MINUS SIGN}", "1.0"]] * 6
    printed = table.locator("tr", has_text="the same, 1,200 tracks").locator("td")
    assert printed.all_inner_texts() == ["85.5", "37.1", "31.3", "44.7", "74.7", "54.7"]
    assert "another corpus" in table.inner_text()
    regions = opened.page.get_by_role("region").all()
    assert len(regions) == 1 + 2 + 2 + 3 + 1  # [H22] 1, [H24] 1 and 2, [H22] 2a, 2b, 3, compute


def test_what_no_paper_prints_is_folded_away(opened):
    details = opened.page.locator("details")
    tables = details.locator("table")
    assert tables.count() == 4  # R-precision and MAP@R, at 3 and at 10 s
    assert not tables.first.is_visible()
    details.locator("summary").click()
    row = tables.first.locator("tr", has=opened.page.get_by_text(RECIPES[0], exact=True))
    # Seeds 0.53, 0.54, 0.55 at 3 s.
    assert row.locator("td").first.inner_text().split() == ["54.0", "\N{PLUS-MINUS SIGN}", "1.0"]


def test_compute_counts_what_goes_before(opened):
    compute = opened.page.get_by_role("region", name="Compute")
    cells = compute.locator("tr", has=opened.page.get_by_text(RECIPES[1], exact=True))
    texts = cells.locator("td").all_inner_texts()
    assert texts == ["100.0", "90.0", "301.0", "20.0", "511.0"]


def test_what_failed_and_what_is_missing_comes_first(opened):
    note = opened.page.get_by_role("note").inner_text()
    assert "the loss is <not> a number" in note
    assert f"{RECIPES[2]} lacks seed 2: its means are over 2 of 3 seeds." in note


def test_every_run_links_to_its_own_report(opened):
    links = opened.page.locator(".systems a")
    assert links.count() == len(RECIPES) * len(SEEDS) - 1
    assert links.first.get_attribute("href") == (
        "../../experiments/demo_free_mixing-seed0/report.html"
    )


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_screen(page_path, open_page, width):
    opened = open_page(page_path, width=width)
    opened.page.locator("summary").click()
    too_wide = opened.page.evaluate(
        """() => [document.documentElement, ...document.querySelectorAll(".scroll")]
            .filter(element => element.scrollWidth > element.clientWidth)
            .map(element => element.getAttribute("aria-label") || element.tagName)"""
    )
    assert too_wide == []


def test_page_can_be_looked_at(page_path, open_page):
    for width in (390, 1280):
        picture = page_path.with_name(f"{width}.png")
        page = open_page(page_path, width=width).page
        page.locator("summary").click()
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 50_000
