"""The page of a comparison of concepts in a real browser, alone and beside instruments."""

import made_up_triplets
import pyarrow as pa
import pytest

from csn import recipes
from csn.conditions import INSTRUMENTS
from csn.evaluation.comparison import Comparison, compared_table
from csn.records import SCORE_SCHEMA
from csn.reports.comparison import ComparedRun, ComparisonData, render_comparison
from csn.reports.data import Stage

RECIPES = ("demo_ribecky2022", "demo_ribecky2022_mel", "demo_ribecky2022_tags")
SEEDS = (0, 1, 2)


def of_instruments(seed):
    rows = [
        {
            "protocol": protocol,
            "system": "csn",
            "condition": name,
            "focus": name,
            "duration_s": 3.0,
            "accuracy": 0.6,
            "chance": 0.1,
            "seed": seed,
        }
        for protocol in ("music_id", "pseudo_mix_id")
        for name in INSTRUMENTS
    ]
    return pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)


def sample_data(*others):
    configs = {name: recipes.ALL[name]() for name in (*RECIPES, *others)}
    scores = [
        (
            name,
            made_up_triplets.scores(
                config.network.conditions,
                seed=seed,
                noise=0.5 + 0.2 * place,
                baselines=place == 0,
            )
            if config.network.of_concepts
            else of_instruments(seed),
        )
        for seed in SEEDS
        for place, (name, config) in enumerate(configs.items())
    ]
    runs = [
        ComparedRun(name, seed, f"../../experiments/{name}-seed{seed}/report.html", stages)
        for name in configs
        for seed in SEEDS
        for stages in [[Stage("train", 300.0 + seed), Stage("embed", 20.0)]]
    ]
    return ComparisonData(
        comparison=Comparison("concepts", configs, SEEDS),
        scores=compared_table(scores),
        runs=runs,
        finished_at="2026-11-26T09:24:55+00:00",
    )


@pytest.fixture(scope="session")
def page_path(tmp_path_factory):
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
    # The Kiviat diagram, and subspaces against concepts for each recipe.
    assert images.count() == 1 + len(RECIPES)
    assert "untrained: genre" in (images.first.get_attribute("alt") or "")
    for image in images.all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_tables_are_those_of_r22(opened):
    regions = opened.page.get_by_role("region")
    titles = [region.get_attribute("aria-label") for region in regions.all()]
    assert [title.partition(":")[0] for title in titles] == [
        "[R22] Table 1",
        "[R22] Table 2",
        "[R22] Table 2",
        "Triplets of each concept, by the rules of training",
        "Compute",
    ]
    rows = [row.split() for row in regions.first.locator("tbody tr").all_inner_texts()]
    assert [row[:4] for row in rows[:4]] == [
        ["demo_ribecky2022", "6", "yes", "96"],
        ["demo_ribecky2022_mel", "6", "no", "96"],
        ["demo_ribecky2022_tags", "4", "yes", "64"],
        ["untrained", "6", "yes", "96"],
    ]
    assert len(rows[0]) == len(rows[-1]) - 1 == 10  # "± 6.1", and "[R22] proposed"
    assert [row[:3] for row in rows[4:]][1] == ["Printed", "in", "[R22],"]
    four = regions.nth(2).locator("tr", has_text="_tags").locator("td").all_inner_texts()
    assert [text.strip() for text in four[4:6]] == ["\N{EN DASH}"] * 2


def test_page_of_concepts_alone_has_nothing_of_instruments(opened):
    text = opened.page.locator("body").inner_text()
    for absent in ("P1", "P2", "[H22]", "[H24]", "five instruments", "How far apart"):
        assert absent not in text


def test_both_kinds_stand_on_one_page(tmp_path, open_page):
    path = tmp_path / "both.html"
    path.write_text(render_comparison(sample_data("demo_free_mixing")), encoding="utf-8")
    opened = open_page(path)
    titles = [
        region.get_attribute("aria-label").partition(":")[0]
        for region in opened.page.get_by_role("region").all()
    ]
    assert titles[:4] == ["[H24] Table 1", "[H24] Table 2", "[R22] Table 1", "[R22] Table 2"]
    assert opened.page.locator(".bars figure").count() == 3
    assert opened.page.locator("#criteria").count() == 1
    text = opened.page.locator("#systems").inner_text()
    assert "beside demo_free_mixing and demo_ribecky2022" in text


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_screen(page_path, open_page, width):
    opened = open_page(page_path, width=width)
    too_wide = opened.page.evaluate(
        """() => [document.documentElement, ...document.querySelectorAll(".scroll")]
            .filter(element => element.scrollWidth > element.clientWidth)
            .map(element => element.getAttribute("aria-label") || element.tagName)"""
    )
    assert too_wide == []
