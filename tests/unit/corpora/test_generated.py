from dataclasses import replace

import numpy as np
import pyloudnorm
import pytest
import soundfile
import yaml

from csn.config import GeneratedConfig, TripletConfig
from csn.corpora import generated, slakh
from csn.corpora.composition import compose
from csn.triplets.tempo_groups import tempo_groups

CONFIG = GeneratedConfig(
    num_train_tracks=12, num_validation_tracks=4, num_test_tracks=5, duration_s=12.0, seed=1
)
KEYS = {
    "UUID",
    "audio_dir",
    "lmd_midi_dir",
    "midi_dir",
    "normalization_factor",
    "normalized",
    "overall_gain",
    "stems",
    "target_peak",
}
UNRENDERED_KEYS = {
    "audio_rendered",
    "inst_class",
    "is_drum",
    "midi_program_name",
    "midi_saved",
    "plugin_name",
    "program_num",
}


def has_unrendered_stem(spec):
    piece = compose(
        CONFIG.seed, spec.index, tempo_bpm=spec.tempo_bpm, duration_s=CONFIG.duration_s
    )
    return any(stem.patch is None for stem in piece.stems)


@pytest.fixture(scope="module")
def spec():
    return next(one for one in generated.pieces(CONFIG) if has_unrendered_stem(one))


@pytest.fixture(scope="module")
def track(spec, tmp_path_factory):
    """Folder of one written track, of which one stem was not rendered."""
    corpus = tmp_path_factory.mktemp("corpus")
    uri = generated.write_track(spec, CONFIG, str(corpus))
    folder = corpus / spec.split / spec.track_id
    assert uri == str(folder)
    return folder


@pytest.fixture(scope="module")
def metadata(track):
    return yaml.safe_load((track / "metadata.yaml").read_text())


def bytes_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stem_ids(metadata, *, rendered):
    return {name for name, stem in metadata["stems"].items() if stem["audio_rendered"] is rendered}


def test_tracks_are_numbered_through_the_splits():
    specs = generated.pieces(CONFIG)
    assert [one.track_id for one in specs] == [f"Track{k:05d}" for k in range(1, 22)]
    assert [one.index for one in specs] == list(range(21))
    assert [one.split for one in specs] == ["train"] * 12 + ["validation"] * 4 + ["test"] * 5


@pytest.mark.parametrize(
    ("num_tracks", "num_groups"), [(4, 1), (5, 1), (12, 2), (20, 3), (72, 6), (300, 6)]
)
@pytest.mark.parametrize("seed", range(3))
def test_a_split_falls_into_tempo_groups_of_four_or_more(num_tracks, num_groups, seed):
    config = replace(CONFIG, num_test_tracks=num_tracks, seed=seed)
    tempi = {s.track_id: s.tempo_bpm for s in generated.pieces(config) if s.split == "test"}
    groups, left_out = tempo_groups(tempi, TripletConfig())
    assert not left_out
    assert len(groups) == num_groups
    assert min(len(group.track_ids) for group in groups) >= 4
    for group in groups:
        assert group.tempo_bpm in generated.TEMPO_CENTRES_BPM
        assert all(abs(tempi[one] - group.tempo_bpm) < 1 for one in group.track_ids)


def test_a_split_may_be_empty_and_tempi_follow_the_seed():
    assert all(s.split != "train" for s in generated.pieces(replace(CONFIG, num_train_tracks=0)))
    assert generated.pieces(CONFIG) == generated.pieces(CONFIG)
    assert generated.pieces(CONFIG) != generated.pieces(replace(CONFIG, seed=2))


def test_a_track_has_slakhs_files_and_an_unrendered_stem_has_none(track, metadata):
    rendered = stem_ids(metadata, rendered=True)
    assert stem_ids(metadata, rendered=False)
    assert set(bytes_of(track)) == {
        "all_src.mid",
        "metadata.yaml",
        "mix.flac",
        *(f"MIDI/{name}.mid" for name in rendered),
        *(f"stems/{name}.flac" for name in rendered),
    }


def test_metadata_has_slakhs_keys_and_values(spec, metadata):
    assert set(metadata) == KEYS
    assert metadata["audio_dir"] == f"{spec.track_id}/stems"
    assert metadata["normalization_factor"] == -13.0
    assert metadata["target_peak"] == -1.0
    assert 0 < metadata["overall_gain"] < 1
    assert len(metadata["UUID"]) == 32
    for stem in metadata["stems"].values():
        if stem["audio_rendered"]:
            assert set(stem) == {*UNRENDERED_KEYS, "integrated_loudness"}
            assert -60 < stem["integrated_loudness"] < 0
            assert stem["plugin_name"].startswith("TimGM6mb.sf2:")
        else:
            assert set(stem) == UNRENDERED_KEYS
            assert stem["plugin_name"] == "None"
            assert not stem["midi_saved"]


def test_metadata_is_written_last(spec):
    piece = compose(1, spec.index, tempo_bpm=spec.tempo_bpm, duration_s=6.0)
    assert list(generated._files(piece, spec.track_id, 8_000))[-1] == "metadata.yaml"


def test_the_same_seed_writes_the_same_bytes_over_what_was_there(track, spec, tmp_path):
    again = tmp_path / spec.split / spec.track_id
    (again / "stems").mkdir(parents=True)
    (again / "stems" / "S99.flac").write_bytes(b"of an older corpus")
    generated.write_track(spec, CONFIG, str(tmp_path))
    assert bytes_of(again) == bytes_of(track)


def test_another_seed_writes_another_track(track, spec, tmp_path):
    generated.write_track(spec, replace(CONFIG, seed=2), str(tmp_path))
    other = bytes_of(tmp_path / spec.split / spec.track_id)
    same = {name for name, data in bytes_of(track).items() if other.get(name) == data}
    assert not same


def audio_of(path):
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.channels) == ("FLAC", "PCM_16", 1)
    assert info.samplerate == CONFIG.sample_rate_hz
    return soundfile.read(path, dtype="int16")[0].astype(np.int64)


def test_the_mix_is_the_sum_of_the_stems_and_peaks_at_one_db_below_full_scale(track):
    stems = np.stack([audio_of(path) for path in sorted((track / "stems").iterdir())])
    mix = audio_of(track / "mix.flac")
    assert np.array_equal(stems.sum(axis=0), mix)
    assert 20 * np.log10(np.abs(mix).max() / 32_768) == pytest.approx(-1, abs=0.02)
    assert np.abs(stems).max() < 32_767
    assert stems.any(axis=1).all()
    assert abs(len(mix) / CONFIG.sample_rate_hz - CONFIG.duration_s) < 4


def test_stems_are_equally_loud(track, metadata):
    meter = pyloudnorm.Meter(CONFIG.sample_rate_hz)
    for path in (track / "stems").iterdir():
        before_gain = audio_of(path) / 32_768 / metadata["overall_gain"]
        assert meter.integrated_loudness(before_gain) == pytest.approx(-13, abs=0.1)


def test_a_silent_stem_stays_silent_and_does_not_disturb_the_others():
    stems = np.zeros((2, 16_000), np.float32)
    stems[1] = 0.1 * np.sin(np.arange(16_000) * 0.2)
    samples, loudness, gain = generated._levelled(stems, 16_000)
    assert not samples[0].any()
    assert loudness[0] == generated.SILENT_LUFS
    assert np.isfinite(gain)
    assert np.abs(samples[1]).max() == pytest.approx(32_768 * 10 ** (-1 / 20), abs=2)


def test_our_reader_reads_it(track, spec, metadata):
    (location,) = slakh.list_tracks(str(track.parents[1]))
    assert (location.track_id, location.split) == (spec.track_id, spec.split)
    read, rejects = slakh.read_track(location, "generated")
    assert not rejects
    assert read.tempo_bpm == pytest.approx(spec.tempo_bpm, abs=0.01)
    assert read.tempo_stability == pytest.approx(1)
    assert {stem.stem_id for stem in read.stems} == stem_ids(metadata, rendered=True)


@pytest.mark.filterwarnings("ignore")  # mirdata's imports warn of much that is not ours
def test_mirdata_reads_it(track, spec, metadata, tmp_path):
    from mirdata.datasets import slakh as mirdata_slakh

    (tmp_path / "slakh2100_flac_redux").symlink_to(track.parents[1])
    rendered = stem_ids(metadata, rendered=True)
    home = f"slakh2100_flac_redux/{spec.split}/{spec.track_id}"
    files = {"metadata": (f"{home}/metadata.yaml", ""), "mix": (f"{home}/mix.flac", "")}
    stems = {
        f"{spec.track_id}-{name}": {
            "audio": (f"{home}/stems/{name}.flac", ""),
            "midi": (f"{home}/MIDI/{name}.mid", ""),
            "metadata": (f"{home}/metadata.yaml", ""),
        }
        for name in rendered
    }
    multitracks = {
        spec.track_id: {**files, "midi": (f"{home}/all_src.mid", ""), "tracks": list(stems)}
    }
    index = {"version": "2100-redux", "tracks": stems, "multitracks": multitracks}
    read = mirdata_slakh.MultiTrack(
        spec.track_id,
        str(tmp_path),
        "slakh",
        index,
        mirdata_slakh.Track,
        lambda: {},
    )
    assert (read.split, read.uuid, read.normalized) == (spec.split, metadata["UUID"], True)
    for name in rendered:
        stem, entry = read.tracks[f"{spec.track_id}-{name}"], metadata["stems"][name]
        group = str(slakh.instrument_of(entry["program_num"]))
        assert stem.mixing_group == (None if group == "others" else group)
        assert stem.instrument == entry["inst_class"]
        assert stem.notes is not None or entry["is_drum"]
    samples, rate_hz = mirdata_slakh.load_audio(read.mix_path)
    assert read.midi.get_end_time() <= len(samples) / rate_hz
