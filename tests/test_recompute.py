"The answers of committed studies, computed twice: by gradlr, and by pandas alone"
import re
from pathlib import Path

import pytest
from fastcore.test import test_close as is_close
from fastcore.test import test_eq as is_equal

import recompute
from gradlr.evidence.findings import LIKE, findings
from gradlr.study.folder import read_records
from gradlr.study.results import outcomes
from gradlr.study.toml import read_study


def test_gradlr_is_not_asked(): assert not re.search("^(import|from) gradlr", Path(recompute.__file__).read_text(), re.M)

@pytest.mark.parametrize("name", ["pilot"])
def test_effects_hold(name):
    study, again = read_study(recompute.RECORDS/name/"study.toml"), recompute.answers(recompute.RECORDS/name)
    found = findings(study, outcomes(read_records(recompute.RECORDS/name)))
    is_equal(len(again), 2*len(found))
    for finding, (_, rows) in zip(found.values(), again.groupby(["is", "better_than"], sort=False), strict=True):
        for row in rows.itertuples():
            effect = finding.effects(row.outcome).loc[LIKE]
            is_close(effect["mean"], row.mean, eps=1e-6)
            is_equal(int(effect["repeats"]), row.repeats)
            if row.outcome == finding.compared.question.outcome and row.low == row.low:
                is_close(effect[["low", "high"]].tolist(), [row.low, row.high], eps=1e-6)
