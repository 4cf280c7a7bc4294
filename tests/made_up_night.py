"""A night with figures of our own, for tests of its report."""

from csn.config import PriceConfig
from csn.reports.night_data import NightData

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
    audio_s_worked=240_000.0,
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
