"The answers of committed studies, computed twice: by gradlr, and by pandas alone"
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastcore.test import test_close as is_close
from fastcore.test import test_eq as is_equal

import recompute
from gradlr.evidence.findings import LIKE, findings
from gradlr.statistics.verdicts import effect_like_these
from gradlr.study.folder import read_records
from gradlr.study.questions import clusters_of
from gradlr.study.results import outcomes
from gradlr.study.toml import read_study

README = (Path(__file__).parents[1]/"README.md").read_text(encoding="utf-8")

def test_gradlr_is_not_asked(): assert not re.search("^(import|from) gradlr", Path(recompute.__file__).read_text(), re.M)

@pytest.mark.parametrize("name", ["pilot", "imagenet", "ways"])
def test_effects_hold(name):
    study, again = read_study(recompute.RECORDS/name/"study.toml"), recompute.answers(recompute.RECORDS/name)
    found = findings(study, outcomes(read_records(recompute.RECORDS/name)))
    is_equal(len(again), 2*len(found))
    for finding, (_, rows) in zip(found.values(), again.groupby(["is", "better_than"], sort=False), strict=True):
        for row in rows.itertuples():
            effect = finding.effects(row.outcome).loc[LIKE]
            is_close(effect["mean"], row.mean, eps=1e-6)
            is_equal(int(effect["repeats"]), row.repeats)

@pytest.mark.parametrize("name", ["imagenet", "ways"])
def test_what_is_decided_holds(name):
    study = read_study(recompute.RECORDS/name/"study.toml")
    found = findings(study, outcomes(read_records(recompute.RECORDS/name))).values()
    for finding, row in zip(found, recompute.decided(recompute.RECORDS/name).itertuples(), strict=True):
        is_close(finding.decided[["mean", "low", "high"]].astype(float), [row.mean, row.low, row.high], eps=1e-4)
        is_equal(finding.decided["repeats"], row.repeats)

def in_words(*values:float)->list[str]: return [f"{value:.1f}".replace("-", "−") for value in values]

def test_the_landing_page_says_what_pandas_finds():
    decided, like = recompute.decided(recompute.RECORDS/"imagenet"), recompute.answers(recompute.RECORDS/"imagenet").iloc[0]
    answered, beside_fine_tune = decided.iloc[0], decided.iloc[1]
    mean, low, high = in_words(answered["mean"], answered["low"], answered["high"])
    assert f"On these sixteen targets yes: +{mean} points of accuracy ({low} to {high}, n = {answered['repeats']:.0f} repeats)" in README
    mean, low, high = in_words(like["mean"], like["low"], like["high"])
    assert f"For targets like these cannot tell yet: +{mean} points ({low} to {high})" in README
    mean, low, high = in_words(beside_fine_tune["mean"], beside_fine_tune["low"], beside_fine_tune["high"])
    assert f"beside fastai's `fine_tune` at its best rate: {mean} points ({low} to {high})" in README

def test_targets_that_share_classes_are_one_and_intervals_are_the_same():
    file = recompute.RECORDS/"imagenet"/"study.toml"
    study, again = read_study(file), tomllib.loads(file.read_text())
    question, pairs = study.questions[0], [(e.source, e.target) for e in study.experiments]
    labels = recompute.clusters(again, pairs)
    is_equal(labels, clusters_of(study, question))
    assert 2 < len(set(labels)) < len(pairs)
    changes = pd.DataFrame(np.random.default_rng(0).normal(1, 2, (4, len(pairs))), columns=pd.MultiIndex.from_tuples(pairs))
    effect = effect_like_these(changes, labels, level=1 - 0.8*0.05/5)
    is_close([effect.mean, effect.low, effect.high], recompute.like_these(changes, labels, 5), eps=1e-9)
