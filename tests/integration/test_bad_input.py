"""Bad input as a user meets it: status 2, and one line that says what is wrong and what to try."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import object_store as store
import pytest
import yaml

from csn import cli, storage
from csn.corpora.slakh import instrument_of

JOBS = {
    "prepare": "csn.distributed.experiment:prepare",
    "train": "csn.distributed.experiment:train",
    "embed": "csn.distributed.experiment:embed_split",
    "evaluate": "csn.distributed.experiment:evaluate",
}


@pytest.fixture
def refusal(monkeypatch, capfd):
    """Give what runs a job as its command line does, and returns the one line it says."""

    def refused(job, *options):
        monkeypatch.setattr(sys, "argv", [f"{job}.py", *map(str, options)])
        with pytest.raises(SystemExit) as left:
            cli.main(JOBS[job], "")
        said = capfd.readouterr().err
        assert left.value.code == 2, said
        return one_line(said)

    return refused


def one_line(said):
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said
    assert "Traceback" not in said
    return errors[0].removeprefix("error: ")


@pytest.fixture
def options(tiny_options, tiny, tracks):
    """Give the options of an experiment on the session's corpus, which is prepared."""
    return [*tiny_options, "--root", tiny.root]


def linked_corpus(source, target, splits=("train", "validation", "test"), without=None):
    """Link a corpus' tracks, but for the stems of one instrument."""
    for split in splits:
        for track in (Path(source) / split).iterdir():
            folder = target / split / track.name
            folder.mkdir(parents=True)
            (folder / "stems").symlink_to(track / "stems")
            (folder / "all_src.mid").symlink_to(track / "all_src.mid")
            metadata = yaml.safe_load((track / "metadata.yaml").read_text())
            metadata["stems"] = {
                stem: entry
                for stem, entry in metadata["stems"].items()
                if instrument_of(128 if entry["is_drum"] else entry["program_num"]) != without
            }
            (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return str(target)


@pytest.mark.parametrize("job", ["prepare", "train"])
def test_root_in_a_bucket_that_is_not_there(refusal, object_store, tiny_options, job):
    line = refusal(job, *tiny_options, "--root", "s3://never-made/root")
    assert "there is no bucket 'never-made' at 127.0.0.1" in line
    assert "make it, or correct the name" in line


def test_corpus_in_a_bucket_that_is_not_there(refusal, options):
    line = refusal("prepare", *options, "--corpus.uri", "s3://never-made/slakh")
    assert "s3://never-made/slakh: there is no bucket 'never-made'" in line


def test_no_credentials(bucket, object_store, tiny_options, repository):
    environment = store.clean_environment() | {
        name: value
        for name, value in object_store.env.items()
        if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    done = subprocess.run(
        [sys.executable, "jobs/train.py", *tiny_options, "--root", bucket],
        cwd=repository,
        env=environment | {"AWS_MAX_ATTEMPTS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    line = one_line(done.stderr)
    assert "no credentials for 127.0.0.1" in line
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in line


def test_folder_that_holds_no_corpus(refusal, options, tmp_path):
    line = refusal("prepare", *options, "--corpus.uri", tmp_path)
    assert f"{tmp_path}: no track found; expected Slakh2100's layout" in line


def test_split_without_tracks_is_refused_before_training(refusal, options, finished, tmp_path):
    corpus = linked_corpus(finished.corpus, tmp_path / "corpus", splits=("train", "validation"))
    root = tmp_path / "root"
    line = refusal("train", *options, "--root", root, "--corpus.uri", corpus)
    assert "split test of generated-tiny has no prepared track" in line
    assert "--evaluation.split" in line
    assert not (root / "experiments" / "tiny" / "checkpoints").exists()


def test_too_few_tracks_for_p2_are_refused_before_training(refusal, options, finished):
    few = ("--name", "few", "--evaluation.num_focus_tracks", 10)
    line = refusal("train", *options, *few)
    assert "split test of generated-tiny is too small for P2: drums at 3 s: " in line
    remedies = "raise --triplets.tempo_group_bpm or lower --evaluation.num_focus_tracks"
    assert f"10 are needed; add tracks or {remedies}" in line
    assert not Path(finished.root, "experiments", "few", "checkpoints").exists()


def test_corpus_without_an_instrument(refusal, options, finished, tmp_path):
    corpus = linked_corpus(finished.corpus, tmp_path / "corpus", without="guitar")
    root = tmp_path / "root"
    line = refusal("train", *options, "--root", root, "--corpus.uri", corpus)
    assert "condition guitar: sounds in 0 tracks of a tempo group" in line
    assert "leave it out with --network.conditions drums bass piano others" in line


def test_corpus_with_a_file_that_cannot_be_read(refusal, options, finished, tmp_path):
    corpus = linked_corpus(finished.corpus, tmp_path / "corpus", splits=("validation",))
    (metadata, *_) = sorted(Path(corpus).rglob("metadata.yaml"))
    metadata.write_text("stems: [")
    line = refusal("prepare", *options, "--root", tmp_path / "root", "--corpus.uri", corpus)
    assert "1 of 4 tracks were rejected, at most 0.0% expected" in line
    assert f"{metadata}: cannot be understood" in line


def test_tempo_groups_that_are_too_small(refusal, options):
    line = refusal("train", *options, "--name", "small-groups", "--triplets.min_group_tracks", 9)
    assert (
        "split test of generated-tiny is too small for P2: none of 5 tracks is in a tempo" in line
    )
    # What was refused has learnt nothing: the corrected command needs no new name.
    line = refusal("train", *options, "--name", "small-groups", "--workers.num_train_workers", 4)
    assert "4 train workers x 1 CPUs + 1 to render = 5 CPUs, the cluster has 2 CPUs" in line
    assert "lower --workers.cpus_per_train_worker" in line


@pytest.mark.parametrize(
    ("job", "result"),
    [
        ("prepare", "manifest.json"),
        ("train", "report.html"),
        ("embed", "split=test/_manifest.json"),
        ("evaluate", "report.html"),
    ],
)
def test_result_that_is_there_already(refusal, options, finished, snapshot, job, result):
    before = snapshot(finished.root)
    line = refusal(job, *options, "--on_existing", "error")
    assert f"{result} is there already, finished; choose another --name" in line
    assert snapshot(finished.root) == before


def test_experiment_of_that_name_that_is_another(refusal, options, finished):
    line = refusal("train", *options, "--loss.margin", 0.5)
    assert "is of another experiment (loss.margin was 0.2, now 0.5)" in line


@pytest.mark.parametrize("job", ["embed", "evaluate"])
def test_network_that_was_never_trained(refusal, options, job):
    line = refusal(job, *options, "--name", "never-trained")
    assert "never-trained/checkpoints/best: no checkpoint here" in line
    assert "has training finished, and is the root right?" in line


def test_network_of_another_front_end(refusal, options, finished):
    line = refusal(
        "embed",
        *options,
        "--evaluation.checkpoint_uri",
        finished.best_checkpoint,
        "--frontend.num_mels",
        64,
    )
    assert f"{finished.best_checkpoint} hears 16000 Hz" in line


def test_network_of_other_subspaces(refusal, options, finished):
    line = refusal(
        "embed",
        *options,
        "--evaluation.checkpoint_uri",
        finished.best_checkpoint,
        "--network.subspace_dim",
        5,
    )
    assert f"{finished.best_checkpoint} has 4 dimensions for each of drums, bass" in line
    assert "this configuration 5" in line


@pytest.mark.parametrize(
    ("options_of_start", "said"),
    [
        (
            ("--start.initial_checkpoint_uri", "{}", "--network.channels", 4, 8, 16),
            "is a network of strided (4, 8, 8) (time halved by 3 layers), pooling mean_std, this "
            "configuration one of "
            "strided (4, 8, 16)",
        ),
        (
            ("--start.initial_checkpoint_uri", "{}", "--frontend.num_mels", 64),
            "hears 16000 Hz through",
        ),
        (
            ("--start.teachers_uri", "{}", "--loss.target_weight", 0.1),
            "is one network for drums, bass, piano, guitar, others; teachers are individual",
        ),
    ],
    ids=["another form", "another front end", "no teachers"],
)
def test_networks_to_start_from_that_do_not_fit(
    refusal, options, finished, options_of_start, said
):
    uri = finished.best_checkpoint
    named = [uri if option == "{}" else option for option in options_of_start]
    line = refusal("train", *options, "--name", "from-another", *named)
    assert f"{uri} {said}" in line


def test_segments_longer_than_any_track(refusal, options):
    line = refusal("train", *options, "--name", "long", "--evaluation.durations_s", 60)
    assert "no track has a segment of 60 s that sounds" in line
    assert "lower --evaluation.durations_s" in line


def test_prepared_file_that_was_cut_short(refusal, options, finished, tmp_path):
    prepared = Path(finished.prepared)
    copy = tmp_path / prepared.relative_to(finished.root)
    shutil.copytree(prepared, copy, copy_function=os.link)
    (tmp_path / "corpora").symlink_to(Path(finished.root, "corpora"))
    damaged = copy / "parts" / "Track00014.parquet"  # of the test split
    content = damaged.read_bytes()
    damaged.unlink()  # a link to the session's own
    damaged.write_bytes(content[: len(content) // 2])
    line = refusal(
        "embed",
        *options,
        *("--root", tmp_path, "--evaluation.checkpoint_uri", finished.best_checkpoint),
    )
    assert line.startswith(f"{damaged}: not a table as expected")
    assert line.count("not a table") == 1, line


def test_unknown_option(refusal):
    line = refusal("train", "tiny", "--loss.margn", 0.5)
    assert "--loss.margn" in line
    assert "recipe tiny; see --help" in line


def test_storage_is_asked_before_anything_starts(refusal, tiny_options, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"")
    line = refusal("train", *tiny_options, "--root", file)
    assert "the folder cannot be written" in line
    assert storage.read_bytes(str(file)) == b""


def test_cluster_that_is_not_there(repository, tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{held.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "jobs/prepare.py", "tiny", "--root", str(tmp_path)],
            cwd=repository,
            env=store.clean_environment() | {"RAY_ADDRESS": address},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"no cluster can be joined at RAY_ADDRESS={address}" in one_line(done.stderr)
