"""A generated corpus in either layout: its tracks, which of them are there, how each is made."""

from collections.abc import Sequence

import pyarrow as pa

from csn import storage
from csn.config import CorpusConfig
from csn.corpora import generated, generated_msd, lastfm

Specs = Sequence[generated.PieceSpec] | Sequence[generated_msd.SongSpec]


def specs_of(corpus: CorpusConfig) -> Specs:
    """All tracks that are to be composed."""
    if corpus.layout == "msd":
        return generated_msd.songs(corpus.generated_msd)
    return generated.pieces(corpus.generated)


def composed_ids(corpus: CorpusConfig, corpus_uri: str) -> set[str]:
    """Tracks that are whole: the file that is written last is there."""
    if corpus.layout == "msd":
        songs = storage.list_uris(corpus_uri, ".h5")
        return {uri.rsplit("/", 1)[-1].removesuffix(".h5") for uri in songs}
    return {uri.rsplit("/", 2)[-2] for uri in storage.list_uris(corpus_uri, "metadata.yaml")}


def write_tracks(block: pa.Table, *, corpus: CorpusConfig, corpus_uri: str) -> pa.Table:
    """Compose and write the tracks whose specifications are the rows of `block`; a task."""
    for row in block.to_pylist():
        if corpus.layout == "msd":
            song = generated_msd.SongSpec(**row)
            generated_msd.write_track(song, corpus.generated_msd, corpus_uri)
        else:
            generated.write_track(generated.PieceSpec(**row), corpus.generated, corpus_uri)
    return block


def is_annotated(corpus: CorpusConfig, corpus_uri: str) -> bool:
    """Whether what spans tracks is there too, if the layout has such files."""
    if corpus.layout != "msd":
        return True
    return storage.exists(storage.join(corpus_uri, lastfm.TAG_DATABASE))


def described(corpus: CorpusConfig) -> tuple[float, str]:
    """Length of a track in seconds, and what is said of all."""
    if corpus.layout == "msd":
        clips = corpus.generated_msd
        return clips.clip_s, f"{generated_msd.SAMPLE_RATE_HZ} Hz, seed {clips.seed}"
    pieces = corpus.generated
    return pieces.duration_s, f"{pieces.sample_rate_hz} Hz, seed {pieces.seed}"
