from csn import recipes
from csn.reports.data import ReportData
from csn.reports.model_card import card_text


def test_card_says_which_network_what_data_and_what_scores(score, table):
    rows = [
        score("music_id", "csn", "drums", 0.9123),
        score("music_id", "mean_mel", "drums", 0.2),
    ]
    data = ReportData(
        config=recipes.demo(),
        manifest={
            "checkpoint_digest": "0123456789ab",
            "finished_at": "2026-01-02T03:04:05+00:00",
            "git_commit": "abc",
        },
        counts={"train tracks": 72, "test tracks": 20},
        scores=table(rows),
        history=({"epoch": 0}, {"epoch": 1}),
        best_epoch=1,
    )
    card = card_text(data)
    assert "`0123456789ab`" in card
    assert "72 train tracks, 20 test tracks. Trained for 2 epochs, epoch 1 kept." in card
    assert "scored at 2026-01-02T03:04:05+00:00 (code: abc)" in card
    assert "91.2" in card
    assert "mean_mel" not in card
    assert "drums, bass, piano, guitar, others" in card
