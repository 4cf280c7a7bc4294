import math
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from csn import recipes
from csn.conditions import INSTRUMENTS
from csn.evaluation.criteria import Distances
from csn.records import CRITERIA_SCHEMA, REJECT_SCHEMA
from csn.reports.data import Clip, ReportData, Stage
from csn.reports.page import render_page

EVIL = '<script>alert("x")</script>'


@pytest.fixture
def bare():
    """A report of which nothing but the configuration is known."""
    return ReportData(config=recipes.demo())


def rejects(count, track_id="Track00001"):
    row = {
        "track_id": track_id,
        "audio_uri": f"folder/{track_id}.flac",
        "stage": "prepare",
        "reason": f"{track_id} is cut short",
        "scope": "stem",
    }
    return pa.Table.from_pylist([row] * count, schema=REJECT_SCHEMA)


def words(html):
    """What a reader sees of a page, on one line."""
    body = html[html.index("<body>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_page_with_nothing_to_show_says_so(bare):
    html = render_page(bare)
    assert html.startswith("<!doctype html>")
    assert html.count('class="empty"') == 2 + 8
    assert "://" not in html


def test_page_forbids_every_request(bare):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', render_page(bare))
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")


def test_headline_holds_means_against_the_untrained_network_and_chance(bare, score, table):
    rows = [
        score("music_id", "csn", name, 0.8 + place / 100) for place, name in enumerate(INSTRUMENTS)
    ]
    rows += [score("music_id", "untrained", name, 0.45, chance=0.05) for name in INSTRUMENTS]
    rows += [
        score("pseudo_mix_id", "csn", name, 0.6, duration_s=10.0) for name in ("drums", "bass")
    ]
    text = words(render_page(replace(bare, scores=table(rows))))
    assert "82.0 % untrained 45.0 % chance 10.0 % Mean over 5 of 5 subspaces, 3 s" in text
    assert "60.0 % chance 10.0 % Mean over 2 of 5 subspaces, 10 s" in text


def test_scores_stand_beside_what_the_papers_print(bare, score, table):
    rows = [
        score("music_id", system, "drums", accuracy, duration_s=10.0)
        for system, accuracy in (("csn", 0.912), ("untrained", 0.4))
    ]
    html = render_page(replace(bare, scores=table(rows)))
    assert re.search(r'<td class="number best">91\.2', html)
    assert re.search(r'<td class="number">40\.0', html)
    assert "86.2–96.2" in words(html)  # noqa: RUF001
    assert "[H24] Table 1: CSN 89.69 84.45 85.70 86.26 84.86 [86.19]" in words(html)
    assert "on another corpus (Slakh2100): not comparable one to one" in words(html)


@pytest.mark.parametrize("missing", [None, math.nan])
def test_scores_that_are_missing_are_dashes(bare, score, table, missing):
    rows = [
        score("music_id", "csn", "drums", 0.5, low=missing, high=missing, chance=missing),
        score("music_id", "csn", "bass", missing),
    ]
    html = render_page(replace(bare, scores=table(rows)))
    assert "nan" not in words(html).lower()
    assert "of 1" in words(html)


def test_what_a_user_supplies_is_escaped(bare, score, table):
    history = [{"epoch": 0, f"train/loss/{EVIL}": 0.5}]
    data = replace(
        bare,
        config=replace(bare.config, root=EVIL),
        manifest={"git_commit": EVIL, "versions": {EVIL: EVIL}},
        counts={EVIL: 3, "segments": 1184.0},
        scores=table([score("music_id", EVIL, "drums", 0.5)]),
        history=history,
        embeddings={"drums": (np.random.default_rng(0).normal(size=(12, 3)), [EVIL] * 12)},
        clips=[Clip(EVIL, EVIL, EVIL, np.ones(80, np.float32), 8_000, condition=EVIL)],
        rejects=rejects(1, track_id=EVIL),
        stages=[Stage(EVIL, 1.0, 1.0, EVIL)],
        warnings=[EVIL],
    )
    html = render_page(data)
    assert html.count("<script>") == 1
    assert html.count("&lt;script&gt;alert(") >= 14
    assert "1,184 segments" in words(html)


def test_only_the_first_rejects_are_listed(bare):
    html = render_page(replace(bare, rejects=rejects(51)))
    assert "51 files could not be used and were left out; the first 50 are listed." in words(html)
    assert html.count("is cut short") == 50
    assert "1 file could not be used and was left out." in words(
        render_page(replace(bare, rejects=rejects(1)))
    )


def test_clips_are_grouped_by_triplet_until_the_page_is_full(bare):
    noise = np.random.default_rng(0).uniform(-1, 1, 400_000).astype(np.float32)
    clips = [
        Clip(f"triplet {number}", role, "noise", noise, 44_100, condition="drums")
        for number in range(3)
        for role in ("anchor", "positive", "negative")
    ]
    html = render_page(replace(bare, clips=clips))
    assert html.count("<audio") == 3
    assert html.count('class="triplet"') == 1
    assert "6 more clips left out" in words(html)
    assert len(html) < 6_000_000


def test_curves_of_one_epoch_with_gaps_are_drawn(bare):
    row = {"epoch": 0, "train/loss/triplet": 0.2, "train/active": None, "val/music_id/mean": 0.5}
    html = render_page(replace(bare, history=[row], best_epoch=0))
    assert "loss/triplet from 0.2 to 0.2." in html
    assert "music_id/mean from 0.5 to 0.5." in html
    assert "others, on generated-demo: trained for 1 epoch, epoch 0 kept." in words(html)


def test_leaks_are_told_in_words(bare, score, table):
    rows = [
        score("pseudo_mix_id", "csn", "drums", 0.8),
        score("pseudo_mix_id", "csn", "drums", 0.3, focus="bass"),
        score("pseudo_mix_id", "csn", "bass", 0.6, focus="drums"),
        score("pseudo_mix_id", "csn", "bass", 0.2),
        score("pseudo_mix_id", "csn", "bass", 0.1, focus="piano"),
    ]
    html = render_page(replace(bare, scores=table(rows)))
    assert (
        "drums subspace: drums 80.0, bass 30.0; bass subspace: drums 60.0, bass 20.0, piano 10.0"
        in html
    )
    assert "best in 1 of 2 subspaces; chance is 10.0 %." in words(html)


def test_stages_show_their_throughput(bare):
    html = render_page(
        replace(bare, stages=[Stage("train", 1_200.0, 3_000.0), Stage("rest", 0.5)])
    )
    text = words(html)
    assert "train 1,200.0 3,000 2.50" in text
    assert "rest 0.5 – –" in text  # noqa: RUF001
    assert "all 1,200.5" in text


def test_settings_that_differ_from_the_papers_are_marked(bare):
    html = render_page(bare)
    assert "<div class=changed><dt>num_mels</dt><dd>128</dd>" in html
    assert "<div><dt>margin</dt><dd>0.2</dd>" in html
    assert "<div><dt>durations_s</dt><dd>3.0, 10.0</dd>" in html


def test_origin_is_flattened_and_dated(bare):
    manifest = {"finished_at": "2026-11-20T09:24:55+00:00", "versions": {"torch": "2.11.0"}}
    html = render_page(replace(bare, manifest=manifest))
    assert "<dt>versions.torch</dt><dd>2.11.0</dd>" in html
    assert "20 November 2026, 09:24 UTC" in words(html)


def test_page_shows_criteria_and_presence_where_there_are_any(bare, score, table):
    found = Distances(np.array(list("abcd")), 1.0 - np.eye(4))
    row = {"a": "drums", "b": "all", "rank": None, "seed": 0, "num_tracks": 4}
    rows = [
        row | {"kind": "pearson", "value": -0.001},
        row | {"kind": "spearman", "value": -0.25},
        *[row | {"kind": "reciprocal_rank", "value": 1 / r, "rank": r} for r in (1, 2, 3)],
    ]
    scores = [score(p, "csn", "drums", 0.7) for p in ("presence", "music_id", "music_id_gated")]
    scores[1] |= {"r_precision": 0.31, "map_at_r": 0.21}
    shown = replace(
        bare,
        scores=table(scores),
        criteria=pa.Table.from_pylist(rows, schema=CRITERIA_SCHEMA),
        distances={"drums": found, "all": found},
    )
    text = words(render_page(shown))
    assert "drums · 0.00 whole \N{MINUS SIGN}0.25 ·" in text
    assert "mean of one over their rank by the whole embedding" in text
    assert "drums 1.00 0.50 0.33" in text
    assert "on the 4 tracks in which both parts sound" in text
    assert "31.0 / 21.0" in text
    assert "P1 gated 70.0" in text
    assert "Presence" not in words(render_page(bare))


def test_page_of_concepts_with_nothing_to_show_says_so():
    html = render_page(ReportData(config=recipes.ALL["demo_ribecky2022"]()))
    # Two headlines; human triplets, triplets of concepts, training, clips, rejects, times.
    assert html.count('class="empty"') == 2 + 6
    assert "P1, music ID" not in words(html)
    assert "Printed" not in words(html)


def test_headlines_of_concepts_are_triplets(score, table):
    rows = [
        score("human_triplets", "csn", "all", 0.8, focus="human", num_missing=7),
        score("human_triplets", "untrained", "all", 0.6, focus="human"),
        score("concept_triplets", "csn", "genre", 0.9),
        score("concept_triplets", "csn", "genre", 0.1, focus="key"),
        score("concept_triplets", "csn", "key", 0.7),
    ]
    data = ReportData(config=recipes.ALL["demo_ribecky2022"](), scores=table(rows))
    text = words(render_page(data))
    assert "80.0 % untrained 60.0 % chance 50.0 % By the whole embedding, over 100 tri" in text
    assert "; 7 more lack a track." in text
    assert "80.0 % chance 50.0 % Mean over 2 of 6 concepts, each in its own subspace." in text
