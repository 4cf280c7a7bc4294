"""Every knob of an experiment; the defaults are the papers'.

Conventions
-----------
Frozen dataclasses whose fields' docstrings are the ``--help`` texts. ``__post_init__`` checks and
never changes. Values that a paper leaves open and a
follow-up's public code fills in are marked [LAB].
"""

from csn.config.catalogue import (
    CatalogueConfig,
    EmbedderConfig,
    PriceConfig,
    SegmentConfig,
)
from csn.config.catalogue_score import CatalogueScoreConfig
from csn.config.data import (
    AudioConfig,
    CorpusConfig,
    GeneratedConfig,
    GeneratedMsdConfig,
    MixingConfig,
    MsdConfig,
    SimilarityConfig,
    TripletConfig,
)
from csn.config.experiment import ExperimentConfig, from_json, to_json
from csn.config.export import ExportConfig
from csn.config.learning import (
    FrontendConfig,
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    StartConfig,
    TrainingConfig,
)
from csn.config.running import EvaluationConfig, WorkerConfig
from csn.config.search import SearchConfig, parsed_weights

__all__ = [
    "AudioConfig",
    "CatalogueConfig",
    "CatalogueScoreConfig",
    "CorpusConfig",
    "EmbedderConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "ExportConfig",
    "FrontendConfig",
    "GeneratedConfig",
    "GeneratedMsdConfig",
    "LossConfig",
    "MixingConfig",
    "MsdConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "PriceConfig",
    "SearchConfig",
    "SegmentConfig",
    "SimilarityConfig",
    "StartConfig",
    "TrainingConfig",
    "TripletConfig",
    "WorkerConfig",
    "from_json",
    "parsed_weights",
    "to_json",
]
