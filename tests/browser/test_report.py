"""The report in a real browser: nothing from outside, every figure drawn, every clip playing."""

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.image import imread

from csn import recipes
from csn.conditions import INSTRUMENTS
from csn.records import REJECT_SCHEMA, ROLES, SCORE_SCHEMA
from csn.reports.data import Clip, ReportData, Stage
from csn.reports.page import render_page

RATE_HZ = 16_000
NUM_CLIPS = 9
P1 = {
    "csn": {3.0: (96.4, 88.1, 84.7, 86.9, 91.3, 98.7), 10.0: (99.2, 93.0, 90.1, 92.4, 95.6, 100)},
    "untrained": {3.0: (61.3, 47.2, 40.8, 44.1, 52.6, 70.3), 10.0: (70.1, 55.9, 51, 53, 60.2, 79)},
    "mean_mel": {
        3.0: (66.0, 66.0, 64.1, 65.2, 66.3, 66),
        10.0: (75.2, 75.2, 74, 74.9, 75.2, 75.2),
    },
}
P2 = {
    3.0: (83.2, 44.9, 37.6, 41.0, 62.3),
    10.0: (93.8, 61.2, 52.4, 55.7, 80.1),
}
LEAK = (9.8, 14.1, 21.3, 12.6, 18.9)


def score(protocol, system, condition, focus, duration_s, percent, num_ids):
    half = 1.96 * np.sqrt(max(percent * (100 - percent), 20) / 60)
    return {
        "protocol": protocol,
        "system": system,
        "condition": condition,
        "focus": focus,
        "duration_s": duration_s,
        "k": 5,
        "num_queries": 400,
        "num_correct": round(4 * percent),
        "num_ids": num_ids,
        "accuracy": percent / 100,
        "low": max(0.0, percent - half) / 100,
        "high": min(100.0, percent + half) / 100,
        "chance": 1 / num_ids,
        "seed": 0,
    }


def sample_scores():
    rows = []
    for system, by_duration in P1.items():
        for duration_s, values in by_duration.items():
            for condition, percent in zip((*INSTRUMENTS, "all"), values, strict=True):
                rows.append(
                    score("music_id", system, condition, condition, duration_s, percent, 20)
                )
    for duration_s, values in P2.items():
        for row, condition in enumerate(INSTRUMENTS):
            for column, focus in enumerate(INSTRUMENTS):
                own = condition == focus
                percent = values[row] if own else LEAK[(row + 2 * column) % 5]
                rows.append(
                    score("pseudo_mix_id", "csn", condition, focus, duration_s, percent, 10)
                )
                percent = 19.0 + row + 3 * own
                rows.append(
                    score("pseudo_mix_id", "untrained", condition, focus, duration_s, percent, 10)
                )
        rows += [
            score("pseudo_mix_id", "mean_mel", focus, focus, duration_s, 17.5, 10)
            for focus in INSTRUMENTS
        ]
    return pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)


def sample_history(rng):
    rows = []
    for epoch in range(1, 21):
        rise = 1 - np.exp(-epoch / 5)
        row = {
            "epoch": epoch,
            "seconds": 11.0,
            "train/loss/triplet": 0.19 * (1 - 0.85 * rise) + rng.normal(0, 0.003),
            "train/active": 0.9 - 0.65 * rise,
        }
        if epoch % 2 == 0:
            for protocol, top in (("music_id", P1["csn"][3.0]), ("pseudo_mix_id", P2[3.0])):
                values = {
                    c: float(np.clip(rise * top[i] / 100 + rng.normal(0, 0.012), 0, 1))
                    for i, c in enumerate(INSTRUMENTS)
                }
                values["mean"] = float(np.mean(list(values.values())))
                row |= {f"val/{protocol}/{name}": value for name, value in values.items()}
        rows.append(row)
    return rows


def sample_embeddings(rng):
    tracks = [f"Track{1900 + place:05d}" for place in range(12)]
    found = {}
    for place, condition in enumerate(INSTRUMENTS):
        centres = rng.normal(0, 1, (len(tracks), 32))
        ids = [track for track in tracks for _ in range(20)]
        spread = 0.25 + 0.15 * place
        vectors = np.repeat(centres, 20, axis=0) + rng.normal(0, spread, (len(ids), 32))
        found[condition] = (vectors.astype(np.float32), ids)
    return found


def sample_clips(rng):
    seconds = np.arange(3 * RATE_HZ) / RATE_HZ
    clips = []
    for place, condition in enumerate(("drums", "bass", "others")):
        shared = f"the {condition} of Track{1903 + place:05d}"
        for role in ROLES:
            envelope = 0.2 + 0.8 * np.abs(np.sin(np.pi * rng.uniform(1, 3) * seconds))
            tone = 0.4 * envelope * np.sin(2 * np.pi * rng.uniform(110, 440) * seconds)
            clips.append(
                Clip(
                    title=f"{condition}: anchor and positive share {shared}",
                    role=role,
                    description=f"Track{1903 + place:05d}_Track01907({condition}), from 12.0 s",
                    waveform=tone.astype(np.float32),
                    sample_rate_hz=RATE_HZ,
                    condition=condition,
                )
            )
    return clips


def sample_data():
    rng = np.random.default_rng(0)
    uri = "s3://corpora/slakh2100-redux/test/Track01942/stems/S03.flac"
    reason = "44100 Hz expected, 16000 Hz found (is this BabySlakh? set audio.sample_rate_hz)"
    rejects = [
        {
            "track_id": "Track01942",
            "audio_uri": uri,
            "stage": "prepare",
            "reason": reason,
            "scope": "stem",
        }
    ]
    return ReportData(
        config=recipes.demo(),
        manifest={
            "git_commit": "9f1c2ab47de0",
            "config_digest": "5be1f0" * 8,
            "started_at": "2026-11-20T09:14:02+00:00",
            "finished_at": "2026-11-20T09:24:55+00:00",
            "versions": {"python": "3.11.9", "torch": "2.11.0", "ray": "2.60.0"},
        },
        counts={"train tracks": 72, "validation tracks": 12, "test tracks": 20, "segments": 1184},
        scores=sample_scores(),
        history=sample_history(rng),
        best_epoch=18,
        embeddings=sample_embeddings(rng),
        clips=sample_clips(rng),
        rejects=pa.Table.from_pylist(rejects * 3, schema=REJECT_SCHEMA),
        stages=[
            Stage("compose", 41.2, 1.73, "104 tracks"),
            Stage("prepare", 22.6, 1.73, "5 parts a track"),
            Stage("train", 341.9, 44.0, "20 epochs, 1 worker"),
            Stage("embed", 38.0, 6.2),
            Stage("evaluate", 9.4),
        ],
        warnings=["piano: 2 of 20 test tracks keep under 10 % of their segments and are left out"],
    )


@pytest.fixture(scope="session")
def report_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_page(sample_data()), encoding="utf-8")
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
    # Two leak matrices, training, validation and a t-SNE panel an instrument.
    assert images.count() == 2 + 2 + len(INSTRUMENTS)
    for image in images.all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        box = image.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 100
        assert len(image.get_attribute("alt") or "") > 30


def test_every_clip_loads_and_plays(report):
    clips = report.page.locator("audio")
    assert clips.count() == NUM_CLIPS
    for clip in clips.all():
        clip.evaluate("clip => clip.play()")
        report.page.wait_for_function("clip => clip.currentTime > 0.05", arg=clip.element_handle())
        assert clip.evaluate("clip => clip.duration") == pytest.approx(3.0, abs=0.05)
        assert clip.evaluate("clip => clip.error") is None


def test_starting_a_clip_stops_the_other(report):
    first, second = report.page.locator("audio").all()[:2]
    first.evaluate("clip => clip.play()")
    second.evaluate("clip => clip.play()")
    report.page.wait_for_function("clip => clip.paused", arg=first.element_handle())
    assert second.evaluate("clip => clip.paused") is False


def test_tables_hold_the_numbers(report):
    scores = report.page.get_by_role("region", name="P2, pseudo-mix ID, 10 s segments")
    own = scores.locator("tr", has_text="CSN, this run").locator("td")
    assert [text.split()[0] for text in own.all_inner_texts()] == [
        *(f"{percent:.1f}" for percent in P2[10.0]),
        "68.6",
    ]
    printed = scores.locator("tr", has_text="[H24] Table 2: the same, 1,200 tracks").locator("td")
    assert printed.all_inner_texts() == ["85.5", "37.1", "31.3", "44.7", "74.7", "54.7"]
    rejects = report.page.get_by_role("region", name="Rejected files")
    assert rejects.locator("tbody tr").count() == 3
    assert report.page.locator("table:not(:has(caption))").count() == 0


def test_best_of_a_column_is_bold(report):
    scores = report.page.get_by_role("region", name="P1, music ID, 3 s segments")
    weights = scores.locator("tbody td:nth-of-type(1)").evaluate_all(
        """cells => cells.map(cell =>
            [cell.innerText.split(/\\s/)[0], getComputedStyle(cell).fontWeight])"""
    )
    assert [number for number, weight in weights if int(weight) >= 600] == ["96.4"]


def test_configuration_opens(report):
    settings = report.page.get_by_text("subspace_dim")
    assert not settings.is_visible()
    report.page.get_by_text("Configuration", exact=False).first.click()
    assert settings.is_visible()


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_screen(report_path, open_page, width):
    opened = open_page(report_path, width=width)
    opened.page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    too_wide = opened.page.evaluate(
        """() => [document.documentElement, ...document.querySelectorAll(".scroll")]
            .filter(element => element.scrollWidth > element.clientWidth)
            .map(element => element.getAttribute("aria-label") || element.tagName)"""
    )
    assert too_wide == []
    assert opened.page.evaluate("document.documentElement.clientWidth") == width


def test_screenshot_of_the_whole_page_can_be_taken(report, tmp_path):
    picture = tmp_path / "report.png"
    report.page.screenshot(path=picture, full_page=True)
    pixels = imread(picture)
    assert pixels.shape[0] > 3000
    some = pixels[::25, ::25].reshape(-1, pixels.shape[2])
    assert len(np.unique(some, axis=0)) > 20
