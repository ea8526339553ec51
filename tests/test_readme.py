"The README says what the records say"
from pathlib import Path

import pandas as pd
from gradlr.report import answers
from gradlr.study import read_records, results

HERE = Path(__file__).parent.parent

def test_every_answer_is_in_the_readme():
    readme = (HERE/"README.md").read_text()
    told = answers(results(read_records(HERE/"data"/"results"/"small"))).query("where == 'all experiments'")
    assert len(told) == 3
    for row in told.itertuples(): assert f"| {row.question} | **{row.answer}** | {row.evidence} |" in readme

def test_errors_of_the_distances_are_in_the_readme():
    pairs = ["experiment", "source", "target"]
    found, printed = (pd.read_csv(HERE/"data"/"results"/"distances"/f"{name}.csv").groupby(pairs)["distance"].mean() for name in ("distances", "printed"))
    errors = (100*(found[printed.index]/printed - 1).abs()).groupby("experiment").mean().round(1)
    assert f"to {errors['emnist01 → emnist02']} and {errors['cifar01 → cifar02']} %" in (HERE/"README.md").read_text()
