"""Where things land under the root.

Conventions
-----------
Folders of results carry a digest of what they were made from, so that a result is either reused or
made anew, never mistaken for another's.
"""

from dataclasses import asdict, dataclass, fields

from csn import storage
from csn.config import ExperimentConfig

TRAINING_PARTS = (
    "seed",
    "corpus",
    "audio",
    "triplets",
    "mixing",
    "similarity",
    "frontend",
    "network",
    "start",
    "loss",
    "optimizer",
    "training",
)
"""Fields of a configuration that change what is learnt."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Addresses of all that one experiment reads and writes."""

    config: ExperimentConfig

    @property
    def root(self) -> str:
        """Root, as any worker understands it."""
        return storage.absolute(self.config.root)

    @property
    def corpus(self) -> str:
        """The corpus: the one that is named, or the one composed under the root."""
        if self.config.corpus.uri:
            return storage.absolute(self.config.corpus.uri)
        name = f"{self.config.corpus.name}-{storage.digest(self._composed)}"
        return storage.join(self.root, "corpora", name)

    @property
    def _composed(self) -> dict[str, object]:
        """Say what a composed corpus depends on."""
        corpus = self.config.corpus
        return asdict(corpus.generated_msd if corpus.layout == "msd" else corpus.generated)

    @property
    def corpus_digest(self) -> str:
        """Names what preparing depends on: which corpus, and how it is decoded."""
        corpus = self.config.corpus
        made_from = self._named_corpus or self._composed
        read_by = asdict(corpus.msd) if corpus.layout == "msd" else corpus.exclude_known_faults
        return storage.digest([corpus.name, made_from, read_by, asdict(self.config.audio)])

    @property
    def _named_corpus(self) -> str:
        """One text for all ways to write the address of one corpus; empty where it is composed."""
        return self.corpus.rstrip("/") if self.config.corpus.uri else ""

    @property
    def corpus_label(self) -> str:
        """Name and digest of the prepared corpus, as folder names carry it."""
        return f"{self.config.corpus.name}-{self.corpus_digest}"

    @property
    def prepared(self) -> str:
        """Folder of the prepared corpus."""
        return storage.join(self.root, "prepared", self.corpus_label)

    def parts(self, track_id: str = "") -> str:
        """Folder of prepared parts, or one track's file."""
        folder = storage.join(self.prepared, "parts")
        return storage.join(folder, f"{track_id}.parquet") if track_id else folder

    def rejects(self, track_id: str = "") -> str:
        """Folder of rejects, or the file of one track's."""
        folder = storage.join(self.prepared, "rejects")
        return storage.join(folder, f"{track_id}.parquet") if track_id else folder

    @property
    def tracks(self) -> str:
        """Table of all prepared tracks, without audio."""
        return storage.join(self.prepared, "tracks.parquet")

    def experiment(self, *names: str) -> str:
        """Folder of the experiment, or what lies below it."""
        return storage.join(self.root, "experiments", self.config.name, *names)

    @property
    def plan(self) -> str:
        """Table of all that the experiment's training draws on."""
        is_of_triplets = self.config.plan_kind.endswith("triplets")
        return self.experiment("triplets.parquet" if is_of_triplets else "mixes.parquet")

    @property
    def best_checkpoint(self) -> str:
        """Folder of the network that is embedded: the one named, or the experiment's best."""
        named = self.config.evaluation.checkpoint_uri
        return storage.absolute(named) if named else self.experiment("checkpoints", "best")

    def embeddings(self, model_digest: str) -> str:
        """Folder of one model's embeddings of the evaluated split."""
        return storage.join(
            self.root,
            "embeddings",
            f"model={model_digest}",
            f"corpus={Paths(self.config.evaluated).corpus_label}",
            f"split={self.config.evaluation.split}",
        )

    @property
    def training_digest(self) -> str:
        """Names what the trained network depends on."""
        return storage.digest(self.training_fields)

    @property
    def training_fields(self) -> dict[str, object]:
        """Every field that the trained network depends on, by its dotted name."""
        flat: dict[str, object] = {}
        for name in TRAINING_PARTS:
            value = getattr(self.config, name)
            if name == "seed":
                flat[name] = value
                continue
            flat |= {f"{name}.{f.name}": getattr(value, f.name) for f in fields(value)}
        named = flat["corpus.uri"] = self._named_corpus
        flat["corpus.generated"] = None if named else self._composed
        flat["corpus.msd"] = asdict(self.config.corpus.msd)
        for other in ("generated_msd", "max_reject_fraction"):
            del flat[f"corpus.{other}"]
        return flat
