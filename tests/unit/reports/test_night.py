"""The report of a night: its figures worked out by hand, and a page without requests."""

import json
import re
from dataclasses import replace

import pytest

from csn.config import PriceConfig
from csn.reports.night import render_night
from csn.reports.night_data import NightData, estimate, night_line

NIGHT = NightData(
    name="music",
    catalogue_uri="s3://music/",
    model_digest="0123456789ab",
    code_version="abc",
    started_at="2026-11-26T01:00:00+00:00",
    finished_at="2026-11-26T02:00:00+00:00",
    counts={"new": 1000, "unchanged": 500, "given_up": 2, "deleted": 0},
    rejected={"decode/LibsndfileError": 3},
    ignored={".txt": 2},
    tracks_done=1000,
    segments_done=80_000,
    audio_s_done=240_000.0,
    left_to_others=0,
    deaths=1,
    bytes_done=50_000_000,
    tracks=1500,
    audio_s=360_000.0,
    open_rejects=5,
    workers=4,
    cpus=4.0,
    gpus=0.0,
    stages={
        "plan": 2.0,
        "ray": 3.0,
        "startup": 5.0,
        "embed": 595.0,
        "compact": 1.0,
        "all": 606.0,
    },
    worker_seconds={
        "read": 10.0,
        "decode": 500.0,
        "blocked": 1.0,
        "wait": 200.0,
        "network": 2000.0,
        "write": 20.0,
        "all": 2300.0,
        "cpu": 2070.0,
    },
    peak_mb=700.0,
    driver_peak_mb=500.0,
    joined_shards=3,
    removed_files=30,
    prices=PriceConfig(cpu_hour=0.06, gpu_hour=2.0, gb_month=0.02),
    rejects=[
        {
            "track_id": "<b>bad</b>.wav",
            "stage": "decode",
            "error": "LibsndfileError",
            "attempts": 2,
            "message": "no audio",
        }
    ],
)


def test_rates_and_costs_are_those_worked_by_hand():
    # 240,000 s of audio in 595 s; 4 CPUs for (595 + 5) s at 0.06 an hour, for 66.67 hours.
    assert NIGHT.speed == pytest.approx(403.36, abs=0.01)
    assert NIGHT.cost_per_1000_hours == pytest.approx(4 * 0.06 * (600 / 3600) / 66.6667 * 1000)
    assert NIGHT.cpu_use == pytest.approx(0.9)
    assert NIGHT.share("network") == pytest.approx(2000 / 2300)
    assert NIGHT.limit == "the network"


def test_estimate_follows_from_the_rates():
    steps = {step.name: step.value for step in estimate(NIGHT, 100_000_000)}
    hours = 100e6 * 240 / 3600
    per_cpu = 240_000 / 595 / 4
    assert steps["audio"] == pytest.approx(hours)
    assert steps["rate of one CPU"] == pytest.approx(per_cpu)
    assert steps["CPU hours"] == pytest.approx(hours / per_cpu)
    assert steps["nodes of 16 CPUs, for 7 days"] == pytest.approx(hours / per_cpu / 16 / 168)
    assert steps["cost"] == pytest.approx(hours / per_cpu * 0.06)
    assert steps["storage"] == pytest.approx(100e6 * 50_000 / 1e9)
    on_gpus = replace(NIGHT, gpus=2.0)
    steps = {step.name: step.value for step in estimate(on_gpus, 100_000_000)}
    assert steps["cost"] == pytest.approx(hours / (240_000 / 595 / 2) * (2.0 + 2 * 0.06))


def test_night_without_work_has_no_rates():
    idle = replace(
        NIGHT, tracks_done=0, audio_s_done=0.0, rejected={}, worker_seconds={}, workers=0, cpus=0.0
    )
    assert estimate(idle) == []
    assert idle.speed is idle.cost_per_1000_hours is idle.cpu_use is idle.limit is None
    page = render_night(idle)
    assert "Nothing to do: all 1,500 tracks stand as they are." in page
    json.dumps(night_line(idle), allow_nan=False)


def test_line_says_all_in_one_object():
    line = json.loads(json.dumps(night_line(NIGHT), allow_nan=False))
    assert line["tracks"] == {
        "done": 1000,
        "skipped": 502,
        "left_to_others": 0,
        "embedded": 1500,
    }
    assert line["audio_hours"] == {"done": 66.6667, "embedded": 100.0}
    assert line["rejected"] == {"decode/LibsndfileError": 3}
    assert "/ 3600" in line["estimate_100000000_tracks"]["audio"]["how"]


def test_page_shows_it_and_asks_for_nothing_else():
    page = render_night(NIGHT)
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "&lt;b&gt;bad&lt;/b&gt;.wav" in page
    for shown in (
        "1,000 tracks, 66.67 hours",
        "403",
        "0.600",
        "decode: LibsndfileError",
        "tonight&#39;s mean",
    ):
        assert shown in page
