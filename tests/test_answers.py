"What a report says first: each kind of answer, from the shell"
import re
from pathlib import Path

import pytest

from conftest import gradlr

STUDY = """name = "asked"
network = "timm/test_resnet"
strategies = ["gradual"]
size = 16
batch_size = 16
source_epochs = 4
finder_steps = 30
precision = "float32"
{settings}

[[questions]]
is = "gradual"
better_than = "uniform"
in = "log_loss"

[[experiments]]
source = "digits01"
target = "digits02"
"""

def first_screen(folder:Path, settings:str)->str:
    "What the report's first paragraphs say"
    file = folder/"asked.toml"
    file.write_text(STUDY.format(settings=settings))
    result = gradlr("study", "run", file, "--out", folder/"out")
    assert result.returncode == 0, result.stderr
    page = (folder/"out"/"report.html").read_text(encoding="utf-8")
    return "\n".join(re.findall(r'<p class="lead">(.*)</p>', page))

@pytest.mark.parametrize("settings, says", [
    ("head_lrs = [0.003]\nrepeats = 2\nepochs = 6", "Grid too narrow"),
    ("head_lrs = [1e-7, 3e-7, 1e-6]\nrepeats = 2\nepochs = 1", "Senseless regime"),
    ("head_lrs = \"fair\"\nrepeats = 2\nepochs = 6", "n=2 repeats"),
    ("head_lrs = \"fair\"\nrepeats = \"until decided\"\nepochs = 6\nweights = [1.0, 0.99999]",
     "No difference that matters")], ids=["narrow", "senseless", "two repeats", "decided early"])
def test_the_first_screen_says(settings, says, tmp_path):
    lead = first_screen(tmp_path, settings)
    assert says in lead and "Is gradual better than uniform in log loss?" in lead
    status = gradlr("study", "status", tmp_path/"out").stdout
    assert "0 missing" in status and "Is gradual better than uniform in log loss?" in status
