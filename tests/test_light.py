"What reads settings and records alone starts without the libraries that train and draw"
import os
import subprocess
import sys

import pytest

from conftest import gradlr

HEAVY = {"torch", "fastai", "matplotlib"}
LIGHT = ("errors", "files", "machine", "engines", "clusters", "arrays", "images.samples", "images.archives", "images.folders",
         "images.survey", "trial.plan",
         "rates.schedules", "rates.strategies", "rates.optimizers", "networks.architectures",
         "statistics.search", "study.settings", "study.toml", "study.plan", "study.folder", "study.progress", "study.results",
         "statistics.intervals", "statistics.verdicts", "statistics.sequential", "evidence.tables", "evidence.answers",
         "transfer.predictors", "command.types", "command.study", "command.questions", "command.trial", "cli", "shell")
DRAWING = ("rates.figures", "evidence.figures", "evidence.report") # These draw, so they may import matplotlib

def imported(module:str)->set[str]:
    "The heavy libraries that a fresh interpreter has after importing a module of gradlr"
    code = f"import sys; import gradlr.{module}; print(*(name for name in {sorted(HEAVY)} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())

@pytest.mark.parametrize("module", LIGHT)
def test_imports_nothing_heavy(module):
    assert imported(module) == set()

@pytest.mark.parametrize("module", DRAWING)
def test_draws_without_torch(module):
    assert imported(module) <= {"matplotlib"}

@pytest.mark.parametrize("typed", ["", "--help", "--version", "study", "study run --help", "study show demo",
                                   "list samples", "list strategies", "list networks", "list predictors",
                                   "study run demo --jobs none"])
def test_what_computes_nothing_answers_at_once(typed):
    "In seconds of the processor, since others may be at work"
    before = os.times()
    gradlr(*typed.split())
    seconds = sum(os.times()[2:4]) - sum(before[2:4])
    assert seconds < 1.5, seconds

def test_would_be_seen():
    "A module that trains does import them"
    assert {"torch", "fastai"} <= imported("rates.learners")
