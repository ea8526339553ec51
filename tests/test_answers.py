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
{judged}

[[experiments]]
source = "digits01"
target = "digits02"
"""

def first_screen(folder:Path, settings:str, judged:str)->str:
    "What the report's first paragraphs say"
    file = folder/"asked.toml"
    file.write_text(STUDY.format(settings=settings, judged=judged))
    result = gradlr("study", "run", file, "--out", folder/"out")
    assert result.returncode == 0, result.stderr
    page = (folder/"out"/"report.html").read_text(encoding="utf-8")
    return "\n".join(re.findall(r'<p class="lead">(.*)</p>', page))

LOSS = 'in = "log_loss"'
# two ways of nearly the same rates do not differ by most of the images
WIDE = 'in = "accuracy"\nmargin = 80.0'

@pytest.mark.parametrize("settings, judged, says", [
    ("head_lrs = [0.003]\nrepeats = 2\nepochs = 6", LOSS, "Grid too narrow"),
    ("head_lrs = [1e-7, 3e-7, 1e-6]\nrepeats = 2\nepochs = 1", LOSS, "Senseless regime"),
    ("head_lrs = \"fair\"\nrepeats = 2\nepochs = 6", LOSS, "n=2 repeats"),
    ("head_lrs = \"fair\"\ncentre = 0.01\nrepeats = \"until decided\"\nepochs = 12", WIDE, "n=4 repeats")],
    ids=["narrow", "senseless", "two repeats", "decided early"])
def test_the_first_screen_says(settings, judged, says, tmp_path):
    lead = first_screen(tmp_path, settings, judged)
    assert says in lead and "Is gradual better than uniform in" in lead
    assert ("No difference that matters" in lead) == (judged == WIDE)
    status = gradlr("study", "status", tmp_path/"out").stdout
    assert "0 missing" in status and "Is gradual better than uniform in" in status
