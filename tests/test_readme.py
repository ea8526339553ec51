"The README says what the landing notebook and the records say"
import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from gradlr.trial.answer import shown
from gradlr.trial.plan import lead, read_attempts, winner
from walk import first_lines

HERE = Path(__file__).parent.parent
sys.path.insert(0, str(HERE/"docs"))
from readme import readme

README = (HERE/"README.md").read_text(encoding="utf-8")

def test_it_is_made_from_the_landing_notebook(): assert readme() == README, "make it anew: .venv/bin/python docs/readme.py"

def opening(page):
    first, *_ = json.loads(page.read_text(encoding="utf-8"))["cells"]
    title, answer = "".join(first["source"]).split("\n\n> ")
    return f"[{title.removeprefix('# ')}](nbs/analysis/{page.name})", answer.strip()

PAGES = HERE/"nbs"/"analysis"

@pytest.mark.parametrize("name", ["trial", "budget", "predictors", "gradual_rates", "strategies", "batch_norm", "optimisers", "search", "thesis", "fair_comparison", "distances", "components"])
def test_what_was_found_is_in_it(name): assert "| {} | {} |".format(*opening(PAGES/f"{name}.ipynb")) in README

def test_errors_of_the_distances_are_in_it():
    def mean_distances(name):
        table = pd.read_csv(HERE/"data"/"results"/"distances"/f"{name}.csv")
        return table.groupby(["experiment", "source", "target"])["distance"].mean()
    ours, printed = mean_distances("distances"), mean_distances("printed")
    errors = (100*(ours[printed.index]/printed - 1).abs()).groupby("experiment").mean().round(1)
    assert len(errors) == 4 and f"hold on fresh samples, to {errors.min()} to {errors.max()} %:" in README

def test_the_trial_that_it_shows_is_in_the_records():
    trained = read_attempts(HERE/"data"/"results"/"trial")
    found, best = lead(trained), winner(trained)
    printed = (HERE/"data"/"results"/"trial"/"answer.txt").read_text(encoding="utf-8")
    assert printed.strip() in README and f"head's rate {best.head_lr:.2g}." in printed
    assert f"it is {100*found.ahead:.1f} points ahead of {found.rival}; " in printed
    assert f"differences under {100*found.noise:.0f} points" in printed
    for row in shown(trained).to_string().splitlines(): assert row in printed

def test_what_new_images_say_of_trials_is_in_the_records():
    shares = pd.read_csv(HERE/"data"/"results"/"trial"/"beside_fine_tune.csv").groupby("by")["accuracy"].agg(["mean", "size"])
    trial, as_long = (round(100*shares.loc[by, "mean"]) for by in ("gradlr try", "fine_tune, in the same time"))
    assert f"classified {trial} % of new images correctly, over five draws" in README and (shares["size"] == 5).all()
    assert f"for as long, {as_long} %" in README

def test_its_first_lines_are_a_newcomers_way():
    assert [line.split()[:2] for line in first_lines(README)] == [["pip", "install"], ["gradlr", "try"], ["gradlr", "predict"]]

def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) >= 10
    for link in links: assert (HERE/link).is_file(), link
