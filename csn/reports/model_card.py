"""A model card: what lies beside a checkpoint for those who find it there.

Source
------
Mitchell et al. 2019, *Model cards for model reporting*: what it is, what it learnt from, what it
scores and what it is not for.
"""

import pyarrow as pa

from csn.records import OURS
from csn.reports.data import ReportData
from csn.reports.tables import score_text

FILE = "README.md"


def card_text(data: ReportData) -> str:
    """Write the card of the network that `data` is the report of, as Markdown."""
    config, network, corpus = data.config, data.config.network, data.config.corpus
    source = corpus.uri or "composed and rendered by this library"
    counts = ", ".join(f"{count} {what}" for what, count in data.counts.items())
    epochs = f"{len(data.history)} epochs, epoch {data.best_epoch} kept"
    vectors = "length 1" if network.unit_subspaces else "any length"
    is_ours = [system == OURS for system in data.scores["system"].to_pylist()]
    scores = score_text(data.scores.filter(pa.array(is_ours)))
    code = data.manifest["git_commit"] or "not known"
    return f"""# {config.name}: a conditional similarity network

It hears music and gives a vector for each of {", ".join(network.conditions)}: two recordings are
alike under one of them when their vectors of it are near ({config.loss.distance} distance).

| | |
|---|---|
| digest | `{data.manifest["checkpoint_digest"]}` |
| sample rate | {config.audio.sample_rate_hz} Hz, mono |
| segments learnt from | {config.audio.segment_s:g} s |
| vectors | {network.subspace_dim} dimensions each, of {vectors} |
| encoder | {network.encoder}, channels {" ".join(map(str, network.channels))} |
| loss | {config.loss.kind}, seed {config.seed} |

## Use

```python
import csn

embedder = csn.load("this folder")  # local or s3://
vectors = embedder.embed(waveform, sample_rate_hz)  # any rate and channels
```

`model.safetensors` holds the weights, `config.json` every setting; nothing is pickled.

## Data

Corpus `{corpus.name}`, {source}: {counts}. Trained for {epochs}.

## Scores

On the split `{config.evaluation.split}`, scored at {data.manifest["finished_at"]} (code: {code}):

```
{scores}
```

## Bear in mind

Scores are of this corpus; other music, other recordings and other mixes may score lower. Distances
of different networks cannot be compared with each other, nor can their vectors.
"""
