"""The report of a night: its figures worked out by hand, and a page without requests."""

import json
import re
from dataclasses import replace

import pytest
from made_up_night import NIGHT

from csn.reports.night import render_night
from csn.reports.night_data import estimate, night_line


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


def test_what_another_run_had_committed_first_is_in_the_rates_alone():
    half = replace(NIGHT, tracks_done=500, audio_s_done=120_000.0, bytes_done=25_000_000)
    assert half.speed == NIGHT.speed
    assert half.cost_per_1000_hours == NIGHT.cost_per_1000_hours
    assert half.hours_done == NIGHT.hours_done / 2
    values = [[step.value for step in estimate(night)] for night in (half, NIGHT)]
    assert values[0] == pytest.approx(values[1])


def test_night_without_work_has_no_rates():
    idle = replace(
        NIGHT,
        **dict.fromkeys(("tracks_done", "audio_s_done", "audio_s_worked", "workers", "cpus"), 0),
        rejected={},
        worker_seconds={},
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
