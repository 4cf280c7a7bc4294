"""The README's snippet for listeners' answers runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from csn import recipes
from csn.model import checkpoint
from csn.model.network import build_network

REPOSITORY = Path(__file__).parents[2]
HEADER = (
    "ex_name,subject_id,reference,sample_a,sample_b,"
    "answer_timbre,answer_rhythm,answer_melody,answer_total,choice_time"
)
TRIALS = [("X_1-1", "A_2-2", "B_3-3"), ("X_4-1", "A_5-2", "B_6-3")]


def snippet():
    """Give the README's only Python block that scores answers."""
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if "listening" in block]
    return found


# librosa's loader tries a library that imports modules on their way out of Python.
@pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning")
def test_listeners_answers_are_scored_as_the_readme_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = recipes.tiny()
    torch.manual_seed(0)
    checkpoint.save("csn-data/experiments/demo/checkpoints/best", build_network(config), config)
    rng = np.random.default_rng(0)
    lines = [HEADER]
    for instrument in ("bass", "mix"):
        for place, names in enumerate(TRIALS):
            clips = [f"set1/{place}/{instrument}/{name}.wav" for name in names]
            waves = [rng.normal(size=4 * 22_050) * 0.1 for _ in clips]
            waves[1] = waves[0] + 0.001 * waves[1]  # what all listeners choose is the nearer one
            for clip, wave in zip(clips, waves, strict=True):
                Path("inst-sim-abx", clip).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(Path("inst-sim-abx", clip), wave, 22_050)
            lines += [f"ex1,s{n},{','.join(clips)},A+,A+,A+,A+,20000" for n in range(4)]
    Path("inst-sim-abx", "answers.csv").write_text("\n".join(lines) + "\n")
    exec(compile(snippet(), "README.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in said] == [["bass", "XAB"], ["mix", "XAB"]]
    assert all("rate=1.0" in line for line in said), said
