"Simulated studies whose truth is known: do intervals cover it, and how often is a verdict false?"
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradlr.evidence.sequential import decide, looks, nominal_levels
from gradlr.evidence.verdicts import (
    FEWEST,
    Effect,
    effect_here,
    effect_like_these,
    judge,
    repeats_needed,
    satterthwaite,
)

STUDIES = 10_000

def draws_of(shape:tuple, spreads, heavy:bool, seed:int)->np.ndarray:
    "Differences of many studies, studies × repeats × experiments, whose true mean is 0"
    rng = np.random.default_rng(seed)
    noise = rng.standard_t(3, size=shape)/3**0.5 if heavy else rng.normal(size=shape)
    return noise*np.asarray(spreads)

def many_effects(draws:np.ndarray)->tuple[np.ndarray,np.ndarray,np.ndarray]:
    "Mean, standard error and degrees of freedom of `effect_here` of independent experiments, for many studies at once"
    _, n, experiments = draws.shape
    if n < FEWEST:
        by_repeat = draws.mean(-1)
        return by_repeat.mean(-1), by_repeat.std(-1, ddof=1)/n**0.5, np.full(len(draws), n - 1.)
    parts = draws.var(1, ddof=1)/n/experiments**2
    return draws.mean((1, 2)), parts.sum(-1)**0.5, satterthwaite(parts, n - 1)

def coverage(draws:np.ndarray)->float:
    "Share of studies whose 95 % interval holds the truth, which is 0"
    mean, se, df = many_effects(draws)
    return float((abs(mean) <= se*stats.t.isf(0.025, df)).mean())

def test_many_effects_are_those_of_the_chapter():
    for n, experiments in ((2, 3), (4, 1), (6, 5)):
        draws = draws_of((20, n, experiments), np.arange(1, experiments + 1), False, n)
        for study, mean, se, df in zip(draws, *many_effects(draws), strict=True):
            effect = effect_here(study)
            assert (effect.mean, effect.se, effect.df) == pytest.approx((mean, se, df))

@pytest.mark.parametrize("repeats", [2, 3, 4, 6, 8, 16])
@pytest.mark.parametrize("experiments", [1, 2, 4, 8])
def test_intervals_in_these_experiments_cover_the_truth(repeats, experiments):
    shape, unequal = (STUDIES, repeats, experiments), np.where(np.arange(experiments) == 0, 5., 1.)
    assert 0.93 <= coverage(draws_of(shape, 1., False, 1)) <= 0.97
    assert coverage(draws_of(shape, unequal, False, 2)) >= 0.93
    assert coverage(draws_of(shape, unequal, True, 3)) >= 0.93

@pytest.mark.parametrize("experiments", [2, 3, 8])
def test_intervals_in_experiments_like_these_cover_the_truth(experiments):
    "Experiments differ as well, by twice the noise of their repeats' mean; the interval is Student's over their means"
    rng = np.random.default_rng(experiments)
    means = rng.normal(size=(STUDIES, experiments))*2 + rng.normal(size=(STUDIES, 6, experiments)).mean(1)
    half = means.std(-1, ddof=1)/experiments**0.5*stats.t.isf(0.025, experiments - 1)
    assert 0.93 <= (abs(means.mean(-1)) <= half).mean() <= 0.97
    effect = effect_like_these(np.tile(means[0], (6, 1)))
    assert (effect.mean, effect.half) == pytest.approx((means[0].mean(), half[0]))

def test_one_experiment_says_nothing_of_others_and_one_repeat_nothing_of_itself():
    lonely = effect_like_these(np.random.default_rng(0).normal(size=(8, 1)))
    assert np.isnan(lonely.low) and "nothing says how others would differ" in lonely.note
    once = effect_here([[0.5, 0.6]])
    assert np.isnan(once.low) and "one repeat" in once.note
    assert judge(once, 1.) == judge(lonely, 1.) == "cannot tell"

def test_twins_of_scipy():
    rng = np.random.default_rng(4)
    column = rng.normal(0.4, size=(9, 1))
    twin = stats.ttest_1samp(column[:, 0], 0)
    effect = effect_here(column)
    assert effect.p == pytest.approx(twin.pvalue)
    assert (effect.low, effect.high) == pytest.approx(tuple(twin.confidence_interval()))
    # two independent experiments of as many repeats: the mean of both is Welch's test of one against the negative other
    pair = rng.normal([0.4, 0.1], [1., 3.], size=(9, 2))
    welch = stats.ttest_ind(pair[:, 0], -pair[:, 1], equal_var=False)
    assert (effect_here(pair).p, effect_here(pair).df) == pytest.approx((welch.pvalue, welch.df))

@pytest.mark.parametrize("truths", [(0.,), (0., 0., 0., 0.), (1., -1., 1.), (0., 1., 0.5, 0.2)], ids=str)
def test_looking_again_and_again_keeps_the_error(truths):
    "Share of studies with any false verdict, the margin being 1; levels and order as `decide` has them"
    truths, margin, planned = np.array(truths), 1., looks(16)
    n_questions = len(truths)
    draws = truths[:, None] + 2*np.random.default_rng(5).normal(size=(STUDIES, n_questions, 16))
    levels = {count: nominal_levels(planned, 0.05/count) for count in np.arange(n_questions, 0, -0.5)}
    count, is_open, is_false = np.full(STUDIES, float(n_questions)), np.ones(draws.shape[:2], bool), np.zeros(STUDIES, bool)
    for look, n in enumerate(planned):
        mean, se = draws[..., :n].mean(-1), draws[..., :n].std(-1, ddof=1)/n**0.5
        for _ in range(n_questions):
            level = np.array([levels[max(c, 0.5)][look] for c in count])[:, None]
            half = se*stats.t.isf(level/2, n - 1)
            low, high = mean - half, mean + half
            alike, above, below = (-margin < low) & (high < margin), low > 0, high < 0
            wrong = np.where(alike, abs(truths) >= margin, (above & (truths <= 0)) | (below & (truths >= 0)))
            now = is_open & (alike | above | below)
            is_false |= (now & wrong).any(1)
            count -= 0.5*(now & (above | below)).sum(1)
            is_open &= ~now
    assert is_false.mean() <= 0.05

def test_decide_tells_as_the_simulation_does():
    rng = np.random.default_rng(6)
    columns = pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")])
    study = {name: pd.DataFrame(rng.normal(mean, 1., size=(16, 2)), columns=columns)
             for name, mean in (("clear", 3.), ("nothing", 0.), ("unclear", 0.9))}
    told = decide(study, 1.5, 16)["verdict"]
    assert told["clear"] == "yes" and told["nothing"] == "no difference that matters"

def test_as_many_repeats_as_planned_have_the_power_that_is_promised():
    effect = Effect(1., 2/8**0.5, 7., 7., 8, 8, 1, 1)
    needed, _ = repeats_needed(effect, 0.2, power=0.8)
    draws = 1 + 2*np.random.default_rng(7).normal(size=(STUDIES, needed, 1))
    mean, se, df = many_effects(draws)
    found = (abs(mean) > se*stats.t.isf(0.025, df)).mean()
    assert 0.77 <= found <= 0.85
