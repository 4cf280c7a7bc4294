import math

import pytest

from csn.config import (
    AudioConfig,
    CorpusConfig,
    EvaluationConfig,
    ExperimentConfig,
    FrontendConfig,
    GeneratedConfig,
    GeneratedMsdConfig,
    LossConfig,
    MixingConfig,
    NetworkConfig,
    OptimizerConfig,
    StartConfig,
    TrainingConfig,
    TripletConfig,
    WorkerConfig,
    from_json,
    to_json,
)
from csn.errors import ConfigError


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        (GeneratedConfig, {"num_train_tracks": -1}, r"corpus\.generated\.num_train_tracks=-1"),
        (GeneratedConfig, {"num_validation_tracks": -1}, "num_validation_tracks=-1"),
        (GeneratedConfig, {"num_test_tracks": -2}, "num_test_tracks=-2"),
        (GeneratedConfig, {"duration_s": 4.9}, r"corpus\.generated\.duration_s=4\.9"),
        (GeneratedMsdConfig, {"num_train_tracks": -1}, r"generated_msd\.num_train_tracks=-1"),
        (GeneratedMsdConfig, {"num_triplets": -1}, r"generated_msd\.num_triplets=-1"),
        (GeneratedMsdConfig, {"seed": -1}, r"generated_msd\.seed=-1"),
        (GeneratedMsdConfig, {"num_test_tracks": 2}, r"num_test_tracks=2 must be at least 3"),
        (GeneratedMsdConfig, {"clip_s": 4.9}, r"corpus\.generated_msd\.clip_s=4\.9"),
        (CorpusConfig, {"name": ""}, r"corpus\.name=''"),
        (CorpusConfig, {"name": "a/b"}, r"corpus\.name='a/b'"),
        (CorpusConfig, {"max_reject_fraction": -0.1}, r"corpus\.max_reject_fraction=-0\.1"),
        (CorpusConfig, {"max_reject_fraction": 1.1}, r"corpus\.max_reject_fraction=1\.1"),
        (CorpusConfig, {"num_train_tracks": 0}, r"corpus\.num_train_tracks=0"),
        (CorpusConfig, {"num_validation_tracks": 0}, r"corpus\.num_validation_tracks=0"),
        (CorpusConfig, {"num_test_tracks": -1}, r"corpus\.num_test_tracks=-1"),
        (AudioConfig, {"sample_rate_hz": 7_999}, r"audio\.sample_rate_hz=7999"),
        (AudioConfig, {"segment_s": 0.0}, r"audio\.segment_s=0\.0"),
        (AudioConfig, {"level_hop_s": 0.7}, r"audio\.level_hop_s=0\.7"),
        (AudioConfig, {"level_hop_s": 0.0}, r"audio\.level_hop_s=0\.0"),
        # It divides the segment, but not its quarters.
        (AudioConfig, {"level_hop_s": 0.5}, r"audio\.level_hop_s=0\.5"),
        (TripletConfig, {"num_triplets": 0}, r"triplets\.num_triplets=0"),
        (TripletConfig, {"num_plans": 0}, r"triplets\.num_plans=0"),
        (TripletConfig, {"tempo_group_bpm": 0.0}, r"triplets\.tempo_group_bpm=0\.0"),
        (TripletConfig, {"min_group_tracks": 3}, r"triplets\.min_group_tracks=3.*four tracks"),
        (FrontendConfig, {"hop": 0}, r"frontend\.hop=0"),
        (FrontendConfig, {"hop": 4096}, r"frontend\.hop=4096.*frontend\.window=2048"),
        (FrontendConfig, {"num_mels": 7}, r"frontend\.num_mels=7"),
        (FrontendConfig, {"floor": 0.0}, r"frontend\.floor=0\.0"),
        (FrontendConfig, {"branches": ()}, r"frontend\.branches=\(\) must be one or more"),
        (FrontendConfig, {"branches": ("mel", "mel")}, r"'mel'\) must be one or more different"),
        (NetworkConfig, {"encoder": "inception", "channels": (8, 8, 8)}, r"four or more"),
        (NetworkConfig, {"encoder": "inception", "channels": (8, 8, 8, 6)}, r"multiples of 4"),
        (
            NetworkConfig,
            {"encoder": "inception", "pooling": "mean_std"},
            r"network\.pooling=mean_std is for unet and strided",
        ),
        (
            ExperimentConfig,
            {"name": "x", "frontend": FrontendConfig(branches=("mel", "cens"))},
            r"network\.encoder=unet takes one branch.*mel, cens.*inception",
        ),
        (NetworkConfig, {"channels": (8,)}, r"network\.channels=\(8,\)"),
        (NetworkConfig, {"channels": (8, 0)}, r"network\.channels=\(8, 0\)"),
        (NetworkConfig, {"conditions": ("drums", "flute")}, r"network\.conditions.*flute.*others"),
        (NetworkConfig, {"conditions": ()}, "conditions"),
        (NetworkConfig, {"conditions": ("bass", "bass")}, "conditions"),
        (NetworkConfig, {"subspace_dim": 0}, "subspace_dim=0"),
        (LossConfig, {"margin": 0.0}, r"loss\.margin=0\.0"),
        (LossConfig, {"margin": float("nan")}, r"loss\.margin=nan"),
        (LossConfig, {"presence_norm": 0.0}, r"loss\.presence_norm=0\.0"),
        (LossConfig, {"presence_weight": -0.5}, r"loss\.presence_weight=-0\.5"),
        (LossConfig, {"target_weight": -0.1}, r"loss\.target_weight=-0\.1"),
        (LossConfig, {"mine_across_ranks": True}, r"mine_across_ranks=True .* loss\.mining=none"),
        (StartConfig, {"teacher_epochs": 0}, r"start\.teacher_epochs=0"),
        (StartConfig, {"teacher_triplets": 0}, r"start\.teacher_triplets=0"),
        (StartConfig, {"teacher_batch_size": 0}, r"start\.teacher_batch_size=0"),
        (StartConfig, {"pretraining_epochs": 0}, r"start\.pretraining_epochs=0"),
        (StartConfig, {"pretraining_mixes": 0}, r"start\.pretraining_mixes=0"),
        (StartConfig, {"learning_rate": 0.0}, r"start\.learning_rate=0\.0"),
        (StartConfig, {"num_tracks": 1}, r"start\.num_tracks=1 must be 2 or more, or none"),
        (
            StartConfig,
            {"initial_checkpoint_uri": "best", "pretraining": "random_subsets"},
            r"initial_checkpoint_uri=best and start\.pretraining=random_subsets exclude",
        ),
        (NetworkConfig, {"conditions": ("drums", "mix")}, r"mix; .*\(and mix, with network\.ind"),
        (
            NetworkConfig,
            {"conditions": ("drums", "flute"), "individual": True},
            r"names flute; there are drums, bass, piano, guitar, others, mix$",
        ),
        (OptimizerConfig, {"learning_rate": 0.0}, r"optimizer\.learning_rate=0\.0"),
        (OptimizerConfig, {"decay_fraction": -0.1}, r"optimizer\.decay_fraction=-0\.1"),
        (OptimizerConfig, {"decay_fraction": 1.5}, r"optimizer\.decay_fraction=1\.5"),
        (TrainingConfig, {"num_epochs": 0}, r"training\.num_epochs=0"),
        (TrainingConfig, {"batch_size": 0}, r"training\.batch_size=0"),
        (TrainingConfig, {"validate_every": 0}, r"training\.validate_every=0"),
        (TrainingConfig, {"validation_segments": 0}, r"training\.validation_segments=0"),
        (TrainingConfig, {"patience": 0}, r"training\.patience=0"),
        (EvaluationConfig, {"k": 0}, r"evaluation\.k=0"),
        (EvaluationConfig, {"num_versions": 1}, r"evaluation\.num_versions=1"),
        (EvaluationConfig, {"durations_s": ()}, r"evaluation\.durations_s"),
        (WorkerConfig, {"num_train_workers": 0}, r"workers\.num_train_workers=0"),
        (WorkerConfig, {"cpus_per_train_worker": 0.0}, r"workers\.cpus_per_train_worker=0\.0"),
        (ExperimentConfig, {"name": ""}, r"name=''"),
        (ExperimentConfig, {"name": "a/b"}, r"name='a/b'"),
        (ExperimentConfig, {"name": ".."}, r"name='\.\.' must be letters"),
        (ExperimentConfig, {"name": "x", "seed": -1}, r"seed=-1 must be"),
        (
            ExperimentConfig,
            {"name": "x", "loss": LossConfig(margin=math.inf)},
            r"loss\.margin=inf",
        ),
        (
            ExperimentConfig,
            {"name": "x", "evaluation": EvaluationConfig(durations_s=(3.1,))},
            r"durations_s=3\.1 must be 4 or more times",
        ),
        (EvaluationConfig, {"durations_s": (3.0, 3.0)}, r"different lengths"),
        (EvaluationConfig, {"num_resamples": 0}, r"evaluation\.num_resamples=0"),
        (AudioConfig, {"max_track_s": 1.0}, r"audio\.max_track_s=1\.0"),
        (TripletConfig, {"min_gap_s": -1.0}, r"triplets\.min_gap_s=-1\.0"),
        (WorkerConfig, {"max_failures": -1}, r"workers\.max_failures=-1"),
        (WorkerConfig, {"gpus_per_worker": 0.0}, r"workers\.gpus_per_worker=0\.0"),
        (WorkerConfig, {"gpus_per_worker": 1.5}, r"workers\.gpus_per_worker=1\.5"),
        (
            WorkerConfig,
            {"gpus_per_worker": 0.5, "num_train_workers": 2},
            r"cannot share a GPU; give each 1",
        ),
        (
            WorkerConfig,
            {"min_train_workers": 2},
            r"min_train_workers=2 must be between 1 and .*=1",
        ),
        (WorkerConfig, {"min_train_workers": 0}, r"workers\.min_train_workers=0"),
        (WorkerConfig, {"wait_for_nodes_s": -1.0}, r"workers\.wait_for_nodes_s=-1\.0"),
        (OptimizerConfig, {"final_ratio": 2.0}, r"optimizer\.final_ratio=2\.0"),
        (ExperimentConfig, {"name": "x", "root": ""}, "root"),
    ],
)
def test_impossible_value_is_refused_by_its_name(part, values, message):
    with pytest.raises(ConfigError, match=message):
        part(**values)


def test_unknown_branch_of_the_front_end_is_refused_wherever_it_comes_from():
    text = to_json(ExperimentConfig(name="x")).replace('"mel"', '"cqt"')
    with pytest.raises(ConfigError, match=r"frontend\.branches\.0.*'mel', 'tempogram' or 'cens'"):
        from_json(text)
    config = FrontendConfig()
    object.__setattr__(config, "branches", ("mel", "cqt"))  # past the type checks of the tests
    with pytest.raises(ConfigError, match="names cqt; there are mel, tempogram, cens"):
        config.__post_init__()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"triplets": TripletConfig(hop_s=0.1)},
            r"triplets\.hop_s=0\.1.*audio\.level_hop_s=0\.25",
        ),
        ({"triplets": TripletConfig(hop_s=0.3)}, r"triplets\.hop_s=0\.3"),
        # 64 rows of a batch, but 100 triplets are 50 rows.
        (
            {"triplets": TripletConfig(num_triplets=100)},
            r"training\.batch_size=64 is larger than the 50 plan rows",
        ),
        (
            {"loss": LossConfig(kind="contrastive"), "mixing": MixingConfig(num_mixes=50)},
            r"training\.batch_size=64 must be between 4.* and mixing\.num_mixes=50",
        ),
        (
            {
                "loss": LossConfig(kind="contrastive"),
                "training": TrainingConfig(batch_size=3),
            },
            r"training\.batch_size=3 must be between 4",
        ),
        (
            {"workers": WorkerConfig(num_train_workers=3)},
            r"training\.batch_size=64 must be a multiple of workers\.num_train_workers=3",
        ),
        (
            {"workers": WorkerConfig(num_train_workers=4, min_train_workers=2)},
            r"batch_size=64 cannot be dealt to 3 ranks alike, which workers\.min_train_workers=2",
        ),
        (
            {"network": NetworkConfig(individual=True), "loss": LossConfig(target_weight=0.1)},
            r"network\.individual learns from triplets .* loss\.target_weight=0\.1",
        ),
        (
            {"network": NetworkConfig(individual=True), "loss": LossConfig(presence_weight=0.5)},
            r"network\.individual learns from triplets .* loss\.presence_weight=0\.5",
        ),
        (
            {"network": NetworkConfig(individual=True), "loss": LossConfig(kind="contrastive")},
            r"network\.individual learns from triplets .* loss\.kind=contrastive",
        ),
        *(
            (
                {"network": NetworkConfig(unit_subspaces=True), "loss": loss},
                r"network\.unit_subspaces makes every subspace 1 long.*set it to False",
            )
            for loss in (
                LossConfig(presence_weight=0.5),
                LossConfig(target_weight=0.1),
                LossConfig(kind="target"),
            )
        ),
        (
            {"triplets": TripletConfig(track_share=0.2)},
            r"triplets\.track_share=0\.2 is for concepts, not for network\.conditions=drums",
        ),
        (
            {"start": StartConfig(teachers_uri="there")},
            r"start\.teachers_uri=there: nothing here learns from teachers",
        ),
        ({"frontend": FrontendConfig(window=132_301)}, r"frontend\.window=132301 is longer"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ExperimentConfig(name="x", **values)
