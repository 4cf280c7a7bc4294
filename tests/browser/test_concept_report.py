"""The report of a network of concepts in a real browser."""

import made_up_triplets
import numpy as np
import pytest

from csn import recipes
from csn.conditions import CONCEPTS
from csn.records import ROLES
from csn.reports.data import Clip, ReportData, Stage
from csn.reports.page import render_page

RATE_HZ = 22_050


def sample_history():
    rows = []
    for epoch in range(12):
        rise = 1 - np.exp(-epoch / 4)
        values = {name: 0.52 + rise * (0.4 - 0.05 * i) for i, name in enumerate(CONCEPTS)}
        values["mean"] = float(np.mean(list(values.values())))
        rows.append(
            {"epoch": epoch, "train/loss/triplet": 0.1 - 0.06 * rise, "train/active": 0.8}
            | {f"val/concept_triplets/{name}": value for name, value in values.items()}
            | {"val/loss": 0.1 - 0.04 * rise}
        )
    return rows


def sample_clips():
    seconds = np.arange(3 * RATE_HZ) / RATE_HZ
    return [
        Clip(
            title=f"{concept}: anchor and positive are alike in {concept}, the negative is not",
            role=role,
            description=f"TRAAA{place}{column}128F0000000, from 12.0 s",
            waveform=(0.3 * np.sin(2 * np.pi * (200 + 30 * place) * seconds)).astype(np.float32),
            sample_rate_hz=RATE_HZ,
            condition=concept,
        )
        for place, concept in enumerate(CONCEPTS)
        for column, role in enumerate(ROLES)
    ]


@pytest.fixture(scope="session")
def report_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("concepts") / "report.html"
    data = ReportData(
        config=recipes.ALL["demo_ribecky2022"](),
        manifest={"finished_at": "2026-11-26T09:24:55+00:00"},
        counts={"train tracks": 160, "validation tracks": 30, "test tracks": 60},
        scores=made_up_triplets.scores(CONCEPTS),
        history=sample_history(),
        best_epoch=9,
        clips=sample_clips(),
        stages=[Stage("train", 341.9, 44.0), Stage("evaluate", 9.4)],
        warnings=["human_triplets: 160 of 160 are of our own making; no person judged them"],
    )
    path.write_text(render_page(data), encoding="utf-8")
    return path


@pytest.fixture
def report(report_path, open_page):
    """The report on a desk's screen."""
    return open_page(report_path)


def test_report_asks_for_nothing_and_has_no_errors(report):
    report.page.wait_for_load_state("networkidle")
    assert report.requests == []
    assert report.errors == []


def test_every_figure_is_drawn_and_described(report):
    images = report.page.locator("img")
    # The Kiviat diagram, subspaces against concepts, training and validation.
    assert images.count() == 4
    for image in images.all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        assert len(image.get_attribute("alt") or "") > 30


def test_sections_are_those_of_concepts(report):
    assert report.page.locator("main h2").all_inner_texts() == [
        "Human triplets",
        "What each subspace hears",
        "Training",
        "Listen",
        "Rejects",
        "The run",
    ]
    links = report.page.locator("nav a").evaluate_all("all => all.map(one => one.hash.slice(1))")
    assert all(report.page.locator(f"#{link}").count() == 1 for link in links)
    assert len(links) == 6
    text = report.page.locator("body").inner_text()
    for absent in ("P1", "P2", "pseudo-mix", "Slakh", "[H24] "):
        assert absent not in text.partition("Configuration")[0]


def test_tables_hold_ours_and_the_printed_numbers(report):
    regions = report.page.get_by_role("region")
    names = [region.get_attribute("aria-label") for region in regions.all()]
    assert names[:4] == [
        "[R22] Table 1: human triplets by network",
        "[R22] Table 2: human triplets by the best subsets of conditions",
        "[R22] Table 2: human triplets by each condition alone",
        "Triplets of each concept, by the rules of training",
    ]
    networks = regions.first.locator("tbody tr").all_inner_texts()
    assert networks[0].split()[:6] == ["CSN,", "this", "run", "6", "yes", "96"]
    assert networks[2].split()[:6] == ["mean", "mel", "spectrum", *["\N{EN DASH}"] * 3]
    best = regions.nth(1).locator("tbody tr")
    assert best.count() == 6 + 1 + 6
    assert "[R22]: without tempo" in best.nth(8).inner_text()
    assert regions.nth(3).locator("tbody tr").count() == 5


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_screen(report_path, open_page, width):
    opened = open_page(report_path, width=width)
    too_wide = opened.page.evaluate(
        """() => [document.documentElement, ...document.querySelectorAll(".scroll")]
            .filter(element => element.scrollWidth > element.clientWidth)
            .map(element => element.getAttribute("aria-label") || element.tagName)"""
    )
    assert too_wide == []
