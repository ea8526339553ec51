"The answers of committed studies, computed twice: by gradlr, and by pandas alone"
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastcore.test import test_close as is_close
from fastcore.test import test_eq as is_equal
from scipy import stats

import recompute
from gradlr.evidence.findings import LIKE, findings
from gradlr.statistics.verdicts import effect_like_these
from gradlr.study.folder import read_records
from gradlr.study.questions import clusters_of
from gradlr.study.results import outcomes
from gradlr.study.toml import read_study

README = (Path(__file__).parents[1]/"README.md").read_text(encoding="utf-8")

def test_gradlr_is_not_asked(): assert not re.search("^(import|from) gradlr", Path(recompute.__file__).read_text(), re.M)

@pytest.mark.parametrize("name", ["pilot", "imagenet", "finer", "ways", "batch_norm", "budget", "sources", "thesis64", "search", "optimisers"])
def test_effects_hold(name):
    study, again = read_study(recompute.RECORDS/name/"study.toml"), recompute.answers(recompute.RECORDS/name)
    found = findings(study, outcomes(read_records(recompute.RECORDS/name)))
    is_equal(len(again), 2*len(found))
    for finding, (_, rows) in zip(found.values(), again.groupby(["is", "better_than"], sort=False), strict=True):
        for row in rows.itertuples():
            effect = finding.effects(row.outcome).loc[LIKE]
            is_close(effect["mean"], row.mean, eps=1e-6)
            is_equal(int(effect["repeats"]), row.repeats)

@pytest.mark.parametrize("name", ["imagenet", "finer", "ways", "batch_norm", "budget", "sources", "thesis64", "search", "optimisers"])
def test_what_is_decided_holds(name):
    study = read_study(recompute.RECORDS/name/"study.toml")
    found = findings(study, outcomes(read_records(recompute.RECORDS/name))).values()
    for finding, row in zip(found, recompute.decided(recompute.RECORDS/name).itertuples(), strict=True):
        is_close(finding.decided[["mean", "low", "high"]].astype(float), [row.mean, row.low, row.high], eps=1e-4)
        is_equal(finding.decided["repeats"], row.repeats)

def in_words(row:pd.Series, unit:str="")->str:
    "As the landing page says a mean and its interval"
    mean, low, high = (f"{row[end]:.1f}".replace("-", "−") for end in ("mean", "low", "high"))
    return f"{mean}{unit} ({low} to {high}"

def answered(name:str)->tuple[pd.DataFrame,pd.DataFrame]:
    "A row a question of a study: in its experiments, and in those like them"
    like = recompute.answers(recompute.RECORDS/name)
    return recompute.decided(recompute.RECORDS/name), like[like["outcome"] == "accuracy"].reset_index(drop=True)

def test_the_landing_page_says_what_pandas_finds_of_gradual_rates():
    here, like = answered("finer")
    repeats = f"n = {here.loc[0, 'repeats']:.0f} repeats"
    assert here["low"].gt(0).tolist() == [True, False] and here["high"].gt(0).all()
    assert f"on these sixteen targets yes, by a little: +{in_words(here.loc[0], ' points of accuracy')}, {repeats})" in README
    assert f"For targets like these it cannot be told yet: +{in_words(like.loc[0], ' points')})" in README
    assert f"whether one rate for all layers beats frozen features: +{in_words(here.loc[1], ' points')})" in README
    coarse, _ = answered("imagenet")
    assert f"it had looked like +{in_words(coarse.loc[0], ' points')})" in README
    beside = in_words(coarse.loc[1], " points")
    assert f"beside fastai's `fine_tune` with batch norm still, at its best rate: {beside}, n = {coarse.loc[1, 'repeats']:.0f} repeats)" in README

def test_the_landing_page_says_what_pandas_finds_of_ways():
    here, like = answered("ways")
    told, repeats = here[(here["low"] > 0) | (here["high"] < 0)].index, f"n = {here.loc[0, 'repeats']:.0f} repeats"
    assert list(like.loc[told, "better_than"]) == ["uniform"] and like.loc[8, "better_than"] == "auto_rgn"
    assert here.loc[1:7, "mean"].abs().round(1).max() == 1.5 and "seven recipes are within 1.5 points" in README
    assert f"is worse by {in_words(here.loc[0], ' points')}, {repeats})" in README
    over_targets, (low, high) = in_words(like.loc[8], " points"), here.loc[8, ["low", "high"]]
    assert f"Auto-RGN looks worse by {over_targets} over targets, {low:.1f} to {high:.1f} over repeats)".replace("-0", "−0") in README

def test_the_landing_page_says_what_pandas_finds_of_one_rate_with_finer_ones():
    finer, ways = (tomllib.loads((recompute.RECORDS/name/"study.toml").read_text()) for name in ("finer", "ways"))
    six = [(one["source"], one["target"]) for one in ways["experiments"]]
    changes = recompute.differences(finer, recompute.trainings(recompute.RECORDS/"finer"), finer["questions"][0], "accuracy")[six]
    mean, error, df = recompute.here(changes, list(range(len(six))))
    half = error*stats.t.isf(0.025, df)
    found = in_words(pd.Series(dict(mean=mean, low=mean - half, high=mean + half)))
    assert f"by {found}, not asked beforehand) with finer ones" in README

def test_the_landing_page_says_what_pandas_finds_of_batch_norm():
    (_, of_uniform), (_, of_gradual), (_, where_it_learns) = (answered("batch_norm")[0]).iterrows()
    like = answered("batch_norm")[1].loc[1]
    assert f"they are better by {in_words(of_gradual, ' points of accuracy')}, n = 4 repeats of six targets" in README
    assert f"{like['low']:.1f} to {like['high']:.1f} for targets like these" in README
    assert f"For one rate for all layers it cannot be told: {in_words(of_uniform, ' points')})" in README
    mean, low, high = (f"{-where_it_learns[end]:.1f}" for end in ("mean", "high", "low"))
    assert f"gradual rates are worse than one rate on these six targets, by {mean} points ({low} to {high})" in README

def test_the_landing_page_says_what_pandas_finds_of_the_thesis():
    here, _ = answered("thesis64")
    transfer, gradual, milder, photographs = (row for _, row in here.iterrows())
    assert here["low"].gt(0).tolist() == [False, False, True, False] and here["high"].gt(0).all()
    assert f"A weight of 0.75 is better than 0.25 by {in_words(milder, ' points of accuracy')}, n = 8 repeats)" in README
    assert f"gradual rates are ahead of one rate by {in_words(gradual, ' points')})" in README
    assert f"transfer of random weights by {in_words(transfer)})" in README
    assert f"the source of photographs of that of letters by {in_words(photographs)})" in README

def test_the_landing_page_says_what_pandas_finds_of_optimisers():
    here, _ = answered("optimisers")
    adamw, _, prodigy, schedule_free, over_momentum, over_prodigy, level = (in_words(row) for _, row in here.iterrows())
    assert f"by {prodigy.replace(' (', ' points of accuracy (')}, n = 4 repeats of six targets)" in README
    assert f"with schedule-free AdamW by {schedule_free}). With AdamW it is not told here ({adamw.replace(' (', ', ')})" in README
    assert f"of momentum by {over_momentum}) and of Prodigy by {over_prodigy})" in README
    assert f"about level with its schedule-free form ({level.replace(' (', ', ')})" in README

def test_the_landing_page_says_what_pandas_finds_of_searches():
    kept = recompute.kept_by_random_search(recompute.RECORDS/"search")
    whole = kept[42]
    six, twelve = (recompute.with_interval(whole - kept[trials]) for trials in (6, 12))
    of_others = recompute.with_interval(recompute.best_of_other_targets(recompute.RECORDS/"search") - whole)
    assert f"Of 42 cells six random ones leave {in_words(six, ' points of accuracy to be had')}, n = 4 draws of three targets)" in README
    assert six["low"] > 0 > twelve["low"] and "twelve nothing that can be told" in README
    assert f"are {in_words(of_others, ' points better than what a search of the whole grid keeps')})" in README

def test_the_landing_page_says_what_pandas_finds_of_budgets():
    rules = recompute.ahead(recompute.RECORDS/"budget")
    ways = rules.drop("best on average").sort_values("mean")
    assert f"with twelve by {in_words(ways.iloc[0], ' points')}, n = 12 targets) to {in_words(ways.iloc[-1])})" in README
    assert f"and by {in_words(rules.loc['best on average'])}) than one training that is chosen on other targets" in README

def test_the_landing_page_says_what_pandas_finds_of_sources():
    points = recompute.above_random(recompute.RECORDS/"sources")
    rules = points.apply(recompute.with_interval).T
    def bare(name): return in_words(rules.loc[name]).replace(" (", ", ") + ")"
    assert f"is better than one at random by {in_words(rules.loc['logme'], ' points of accuracy')}, n = 12 targets)" in README
    behind = recompute.with_interval(points["logme"] - points["first"])
    assert f"One training from each chooses worse than LogME, by {in_words(behind, ' points')})" in README
    mean, ends = in_words(rules.loc["mild"]).split(" (")
    assert f"six from each choose about as well ({mean} above random, {ends})" in README
    assert f"always taking the one that is best on average ({bare('best on average')}" in README
    assert f"is not clearly better than one at random ({bare('pixel_mhd')}" in README
    assert f"chooses worse than chance ({bare('source_variance')}" in README

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
