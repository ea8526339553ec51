"The README says what the records say"
from pathlib import Path

from gradlr.report import answers
from gradlr.study import read_records, results

HERE = Path(__file__).parent.parent

def test_every_answer_is_in_the_readme():
    readme = (HERE/"README.md").read_text()
    told = answers(results(read_records(HERE/"data"/"results"/"small"))).query("where == 'all experiments'")
    assert len(told) == 3
    for row in told.itertuples(): assert f"| {row.question} | **{row.answer}** | {row.evidence} |" in readme
