"The README says what the landing notebook and the records say"
import re
import sys
from pathlib import Path

import pandas as pd
from gradlr.evidence.answers import answers
from gradlr.study.folder import read_records
from gradlr.study.results import results

HERE = Path(__file__).parent.parent
sys.path.insert(0, str(HERE/"docs"))
from readme import readme

README = (HERE/"README.md").read_text()

def test_it_is_made_from_the_landing_notebook(): assert README == readme(), "make it anew: .venv/bin/python docs/readme.py"

def test_every_answer_is_in_it():
    told = answers(results(read_records(HERE/"data"/"results"/"small")))
    assert len(told.query("where == 'all experiments'")) == 3 and len(told.query("question == 'Which source is best?'")) == 2
    for row in told.query("where == 'all experiments'").itertuples(): assert f"| {row.question} | **{row.answer}** | {row.evidence} |" in README
    for row in told.query("question == 'Which source is best?'").itertuples(): assert f"for {row.where}? | **{row.answer}** | {row.evidence} |" in README

def test_errors_of_the_distances_are_in_it():
    pairs = ["experiment", "source", "target"]
    found, printed = (pd.read_csv(HERE/"data"/"results"/"distances"/f"{name}.csv").groupby(pairs)["distance"].mean() for name in ("distances", "printed"))
    errors = (100*(found[printed.index]/printed - 1).abs()).groupby("experiment").mean().round(1)
    assert f"to {errors['emnist01 → emnist02']} and {errors['cifar01 → cifar02']} %" in README

def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) >= 10
    for link in links: assert (HERE/link).is_file(), link
