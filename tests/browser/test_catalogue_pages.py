"""The pages of a night and of a search in a real browser."""

import pyarrow as pa
import pytest
from made_up_night import NIGHT

from csn.reports.night import render_night
from csn.reports.search import render_search
from csn.search.ranking import SearchResult

CONDITIONS = ("drums", "bass", "guitar")


def found():
    rows = []
    for place in range(10):
        name = f"album/{'a long name ' * 6}{place}.flac" if place % 2 else f"track {place}"
        row = {"track_id": name, "uri": f"s3://music/{name}", "distance": 0.1 * (place + 1)}
        for column, condition in enumerate(CONDITIONS):
            row[f"distance_{condition}"] = 0.05 * (place + 1) * (column + 1)
            row[f"presence_{condition}"] = None if place == 3 else 0.5
        rows.append(row | {"genre": None if place == 2 else "rock <b>and</b> roll"})
    return SearchResult(
        catalogue="music",
        model_digest="0123456789ab",
        query="blue/monday.flac",
        weights={"drums": 1.0, "bass": 0.2},
        where="year > 1990",
        is_gated=True,
        metric="euclidean",
        table=pa.Table.from_pylist(rows),
        num_tracks=1_000_000,
        num_searched=420_000,
        seconds=1.25,
        recall=0.9,
        exact_s=9.5,
        messages=("guitar is not heard in the query",),
    )


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, page in (("night", render_night(NIGHT)), ("search", render_search(found()))):
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["night", "search"])
def test_page_asks_for_nothing_and_has_no_errors(paths, open_page, name):
    opened = open_page(paths / f"{name}.html")
    opened.page.wait_for_load_state("networkidle")
    assert opened.requests == []
    assert opened.errors == []
    for link in opened.page.locator("nav a").all():
        assert opened.page.locator(link.get_attribute("href")).count() == 1


@pytest.mark.parametrize("name", ["night", "search"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_itself_is_never_wider_than_the_screen(paths, open_page, name, width):
    root = open_page(paths / f"{name}.html", width=width).page.locator("html")
    assert root.evaluate("it => it.scrollWidth <= it.clientWidth")


def test_night_draws_where_the_time_went_and_tells_what_failed(paths, open_page):
    page = open_page(paths / "night.html").page
    (image,) = page.locator("img").all()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert len(image.get_attribute("alt")) > 30
    rejected = page.get_by_role("region", name="Rejects").locator("tbody tr")
    assert rejected.all_inner_texts() == ["<b>bad</b>.wav\tdecode\tLibsndfileError\t2\tno audio"]
    stages = page.get_by_role("region", name="Stages").locator("tbody tr")
    assert [row.split("\t")[:2] for row in stages.all_inner_texts()][-1] == ["all", "606.0"]


def test_bars_of_a_search_are_as_long_as_its_distances(paths, open_page):
    page = open_page(paths / "search.html").page
    rows = page.locator("tbody tr")
    assert rows.count() == 10
    # Of each column the greatest distance fills its track: row 5 of 10 fills half of it.
    shares = (
        rows.nth(4)
        .locator(".bar")
        .evaluate_all(
            "bars => bars.map(bar => bar.firstElementChild.offsetWidth / bar.offsetWidth)"
        )
    )
    assert shares == pytest.approx([0.5] * (1 + len(CONDITIONS)), abs=0.02)
    # What does not count is in grey, and what the catalogue says is text and no markup.
    grey = page.locator("th.unweighted").all_inner_texts()
    assert [text.strip() for text in grey] == ["guitar"]
    assert "rock <b>and</b> roll" in rows.nth(0).inner_text()
    assert "90 % of the 10 nearest" in page.get_by_role("note").inner_text()
