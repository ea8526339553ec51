"Effects and verdicts against simulated truth, and against scipy and statsmodels where they compute the same."
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from gradlr.statistics.sequential import corrected_p, decide, looks, nominal_levels
from gradlr.statistics.verdicts import (
    Effect,
    connected,
    effect_here,
    effect_like_these,
    judge,
    loss_interval,
    repeats_needed,
    satterthwaite,
    share_interval,
)

STUDIES = 10_000
REPEATS = (2, 3, 4, 6, 8, 16)
EXPERIMENTS = (1, 2, 3, 5, 8)
# standard deviations of experiments
EQUAL = lambda E: np.ones(E)
UNEQUAL = {
    "one five times": lambda E: np.r_[5., np.ones(E - 1)],
    "one eight times": lambda E: np.r_[8., np.ones(E - 1)],
    "two five times": lambda E: np.r_[5., 5., np.ones(E)][:E],
    "rising": lambda E: np.arange(1., E + 1),
    "doubling": lambda E: 2.**np.arange(E),
    "one a third": lambda E: np.r_[0.3, np.ones(E - 1)],
}

def normal(rng, *size): return rng.standard_normal(size)
def heavy(rng, *size): return rng.standard_t(3, size=size)/3**0.5

def moments(draws):
    "Mean, standard error and degrees of freedom in these experiments; the last axes are experiments and repeats"
    if draws.shape[-1] < 4: draws = draws.mean(axis=-2, keepdims=True)
    E, n = draws.shape[-2:]
    parts = draws.var(axis=-1, ddof=1)/n/E**2
    return draws.mean(axis=(-2, -1)), parts.sum(-1)**0.5, satterthwaite(parts, n - 1)

def like_moments(draws):
    "The same in experiments like these"
    means = draws.mean(axis=-1)
    E = means.shape[-1]
    return means.mean(-1), means.std(axis=-1, ddof=1)/E**0.5, E - 1

def coverage(mean, se, df, truth=0.):
    "Per cent of 95 % intervals that hold the truth"
    return 100*np.mean(abs(mean - truth) <= se*stats.t.isf(0.025, df))

def pairs(E):
    "Names of experiments that share nothing"
    return pd.MultiIndex.from_tuples([(f"source {e}", f"target {e}") for e in range(E)])

def test_effects_equal_those_of_the_simulations():
    rng = np.random.default_rng(0)
    for n in REPEATS:
        for E in EXPERIMENTS:
            draws = normal(rng, E, n)*UNEQUAL["rising"](E)[:, None]
            here = effect_here(pd.DataFrame(draws.T, columns=pairs(E)))
            np.testing.assert_allclose([here.mean, here.se, here.df], moments(draws))
            if E == 1: continue
            like = effect_like_these(pd.DataFrame(draws.T, columns=pairs(E)))
            np.testing.assert_allclose([like.mean, like.se, like.df], like_moments(draws))

@pytest.mark.parametrize("n", REPEATS)
def test_coverage_here_with_equal_variances(n):
    rng = np.random.default_rng(n)
    for E in EXPERIMENTS:
        assert 93 <= coverage(*moments(normal(rng, STUDIES, E, n))) <= 97, (n, E)

@pytest.mark.parametrize("n", REPEATS)
@pytest.mark.parametrize("noise", (normal, heavy))
def test_coverage_here_never_falls_below(n, noise):
    rng = np.random.default_rng(n)
    for E in EXPERIMENTS:
        draws = noise(rng, STUDIES, E, n)
        for name, spread in UNEQUAL.items() | {("equal", EQUAL)}:
            assert coverage(*moments(draws*spread(E)[:, None])) >= 93, (n, E, name)

def test_coverage_with_unequal_repeats():
    "Experiments of 4, 5, 8 and 16 repeats, the one with the fewest varying most"
    rng = np.random.default_rng(1)
    counts, spread = np.array([4, 5, 8, 16]), np.array([3., 1, 2, 1])
    draws = [normal(rng, STUDIES, n)*sd for n, sd in zip(counts, spread, strict=True)]
    parts = np.stack([draw.var(axis=1, ddof=1)/n/16 for draw, n in zip(draws, counts, strict=True)], axis=-1)
    means = np.stack([draw.mean(axis=1) for draw in draws], axis=-1)
    df = satterthwaite(parts, counts - 1)
    assert 93 <= coverage(means.mean(-1), parts.sum(-1)**0.5, df) <= 97
    table = pd.DataFrame({name: pd.Series(draw[0]) for name, draw in zip(pairs(4), draws, strict=True)})
    here = effect_here(table)
    np.testing.assert_allclose([here.mean, here.se, here.df], [means[0].mean(), parts[0].sum()**0.5, df[0]])

def test_experiments_that_share_are_joined():
    "Two experiments share a source, whose training decides much: apart they promise too much, joined they do not"
    rng = np.random.default_rng(2)
    shared, own = normal(rng, STUDIES, 1, 8), normal(rng, STUDIES, 4, 8)
    draws = own + 2*shared*np.array([1., 1, 1, 0])[:, None]
    assert coverage(*moments(draws)) < 80
    joined = np.stack([draws[:, :3].mean(axis=1), draws[:, 3]], axis=1)
    means, parts = joined.mean(-1), joined.var(-1, ddof=1)/8*np.array([9, 1])/16
    df = satterthwaite(parts, 7)
    assert 93 <= coverage(means @ [0.75, 0.25], parts.sum(-1)**0.5, df) <= 97
    names = pd.MultiIndex.from_tuples([("a", "w"), ("a", "x"), ("b", "x"), ("c", "z")])
    here = effect_here(pd.DataFrame(draws[0].T, columns=names))
    np.testing.assert_allclose([here.mean, here.se, here.df], [means[0] @ [0.75, 0.25], parts[0].sum()**0.5, df[0]])
    assert (here.n_clusters, here.n_experiments) == (2, 4)
    assert connected(list(names)) == [0, 0, 0, 3]

@pytest.mark.parametrize("noise", (normal, heavy))
def test_coverage_in_experiments_like_these(noise):
    rng = np.random.default_rng(3)
    for E in (2, 3, 5, 8):
        for n in (2, 4, 16):
            for between in (0., 0.5, 2.):
                draws = noise(rng, STUDIES, E, n) + between*noise(rng, STUDIES, E, 1)
                found = coverage(*like_moments(draws))
                assert 93 <= found <= (97 if noise is normal else 99), (E, n, between)
                for name, spread in UNEQUAL.items():
                    assert coverage(*like_moments(draws*spread(E)[:, None])) >= 93, (E, n, between, name)

def test_here_does_not_speak_of_others():
    "Where experiments truly differ, the interval of these experiments misses the mean of all"
    rng = np.random.default_rng(4)
    draws = normal(rng, STUDIES, 5, 8) + normal(rng, STUDIES, 5, 1)
    assert coverage(*moments(draws)) < 70
    assert 93 <= coverage(*like_moments(draws)) <= 97

def test_intervals_are_wide_or_absent_where_nothing_better_can_be_had():
    rng = np.random.default_rng(5)
    one = effect_like_these(pd.DataFrame(normal(rng, 16, 1), columns=pairs(1)))
    assert np.isnan([one.low, one.high, one.p]).all() and "one experiment" in one.note
    assert judge(one, 1e9) == "cannot tell"
    two = effect_like_these(pd.DataFrame(normal(rng, 16, 2), columns=pairs(2)))
    np.testing.assert_allclose(two.half/two.se, stats.t.isf(0.025, 1))
    single = effect_here(pd.DataFrame(normal(rng, 1, 4), columns=pairs(4)))
    assert np.isnan(single.low) and single.note == "one repeat has no interval"
    twice = effect_here(pd.DataFrame(normal(rng, 2, 4), columns=pairs(4)))
    np.testing.assert_allclose(twice.half/twice.se, stats.t.isf(0.025, 1))

def test_effects_agree_with_scipy_and_statsmodels():
    rng = np.random.default_rng(6)
    x = 0.4 + normal(rng, 9)
    effect, described = effect_here(x), DescrStatsW(x)
    np.testing.assert_allclose((effect.low, effect.high), described.tconfint_mean())
    np.testing.assert_allclose(effect.p, stats.ttest_1samp(x, 0).pvalue)
    np.testing.assert_allclose(effect.p_within(1.5), described.ttost_mean(-1.5, 1.5)[0])
    # two experiments: Welch's test, of the first against the second with its sign turned
    two = np.c_[x, 1 + 3*normal(rng, 9)]
    welch = stats.ttest_ind(two[:, 0], -two[:, 1], equal_var=False)
    effect = effect_here(two)
    np.testing.assert_allclose([effect.p, effect.df], [welch.pvalue, welch.df])
    # a balanced mixed model has the standard error of the experiments' means
    E, n = 6, 5
    draws = normal(rng, E, n) + 2*normal(rng, E, 1)
    fit = MixedLM(draws.ravel(), np.ones(E*n), groups=np.repeat(np.arange(E), n)).fit(reml=True)
    like = effect_like_these(draws.T)
    np.testing.assert_allclose([like.mean, like.se], [fit.fe_params[0], fit.bse_fe[0]], rtol=1e-4)

def test_verdicts_of_one_look_are_at_least_as_careful_as_holm_and_no_more_than_bonferroni():
    rng = np.random.default_rng(7)
    for _ in range(20):
        draws = rng.uniform(0, 2, size=(4, 1, 1)) + normal(rng, 4, 8, 1)
        study = {f"question {q}": pd.DataFrame(rows, columns=pairs(1)) for q, rows in enumerate(draws)}
        table = decide(study, 0., 8, planned=[8]).sort_values("p")
        holm, bonferroni = (multipletests(table["p"], method=method)[1] for method in ("holm", "bonferroni"))
        assert (holm <= np.maximum.accumulate(table["p_corrected"]) + 1e-12).all()
        assert (table["p_corrected"] <= bonferroni + 1e-12).all()
        assert ((table["p_corrected"] < 0.05) == (table["verdict"] != "cannot tell")).all()

@pytest.mark.parametrize("ceiling", (4, 5, 8, 9, 10, 12, 16, 32))
def test_looks_cost_no_error(ceiling):
    "One experiment, where Student's t is exact at each look; and eight, one of them eight times as spread"
    rng, planned = np.random.default_rng(ceiling), looks(ceiling)
    for E, spread, studies in ((1, EQUAL, 100_000), (8, UNEQUAL["one eight times"], 20_000)):
        sums, squares = np.zeros((2, studies, E))
        p_values, before = [], 0
        for n in planned:
            # sum, and squares around the mean, of the repeats since the look before
            new, m = normal(rng, studies, E)*(n - before)**0.5*spread(E), n - before
            within = rng.chisquare(m - 1, (studies, E))*spread(E)**2 if m > 1 else 0
            sums, squares, before = sums + new, squares + new**2/m + within, n
            parts = (squares - sums**2/n)/(n - 1)/n/E**2
            df = 2/(1/satterthwaite(parts, n - 1) + 1/(n - 1))
            p_values.append(2*stats.t.sf(abs(sums.mean(-1))/n/parts.sum(-1)**0.5, df))
        for alpha in (0.05, 0.05/4):
            found = (np.array(p_values) < nominal_levels(planned, alpha)[:, None]).any(axis=0).mean()
            assert found <= alpha + 2*(alpha/studies)**0.5, (E, alpha)
            if E == 1: assert found >= 0.8*alpha

def tail(distance, se, df, n):
    "One tail of Student's t, or of the sign test where all repeats agree"
    with np.errstate(divide="ignore", invalid="ignore"): student = stats.t.sf(distance/se, df)
    sign = np.where(distance > 1e-9, 0.5**n, np.where(distance < -1e-9, 1 - 0.5**n, 0.5))
    return np.where(se < 1e-9, sign, student)

def half_width(se, df, n, alpha):
    "Half of an interval's width, which is 0 or infinite where all repeats agree"
    return np.where(se < 1e-9, np.where(2*0.5**n <= alpha, 0, np.inf), se*stats.t.isf(alpha/2, df))

Decided = namedtuple("Decided", "verdict look low high like_low like_high")
YES, NO, SAME, OPEN = "yes", "no", "no difference that matters", "cannot tell"

def many(draws, margin, planned, alpha=0.05, known_sign=0.5):
    "`decide` for many studies at once: draws by study, question, experiment and repeat"
    studies, Q, E, _ = draws.shape
    levels = np.array([nominal_levels(planned, alpha/max(Q - known_sign*k, 1)) for k in range(Q + 1)])
    known, is_open = np.zeros(studies, dtype=int), np.ones((studies, Q), dtype=bool)
    verdict, look_of = np.full((studies, Q), OPEN, dtype=object), np.zeros((studies, Q), dtype=int)
    ends = np.full((4, studies, Q), np.nan)
    rows = np.arange(studies)
    for look, n in enumerate(planned):
        mean, se, df = moments(draws[..., :n])
        df = 2/(1/df + 1/(n - 1))
        like, like_se, like_df = like_moments(draws[..., :n]) if E > 1 else (mean, np.nan*se, 1)
        like_half = like_se*stats.t.isf(0.8*alpha/Q/2, like_df)
        p = 2*np.minimum(tail(abs(mean), se, df, n), tail(margin - abs(mean), se, df, n))
        for q in p.argsort(axis=1).T:
            going = is_open[rows, q]
            half = half_width(se[rows, q], df[rows, q], n, levels[known, look])
            low, high = mean[rows, q] - half, mean[rows, q] + half
            same, sign = (-margin < low) & (high < margin), (low > 0) | (high < 0)
            told = np.where(same, SAME, np.where(low > 0, YES, np.where(high < 0, NO, OPEN)))
            verdict[rows, q] = np.where(going, told, verdict[rows, q])
            look_of[rows, q] = np.where(going, look, look_of[rows, q])
            seen = low, high, (like - like_half)[rows, q], (like + like_half)[rows, q]
            for end, value in zip(ends, seen, strict=True): end[rows, q] = np.where(going, value, end[rows, q])
            known += going & sign
            is_open[rows, q] &= ~(going & (same | sign))
    return Decided(verdict, look_of, *ends)

def falsehoods(verdict, truths, margin):
    "Verdicts that contradict the truth"
    truths = np.broadcast_to(truths, verdict.shape)
    wrong_sign = np.where(verdict == YES, truths <= 0, (verdict == NO) & (truths >= 0))
    return wrong_sign | (verdict == SAME) & (abs(truths) >= margin)

def test_decide_equals_its_twin():
    rng, planned = np.random.default_rng(8), looks(12)
    draws = normal(rng, 40, 3, 4, 12)*2 + np.array([0., 1, 2])[:, None, None]
    twin, seen = many(draws, 1.5, planned), set()
    for i, study in enumerate(draws):
        table = decide({f"q{q}": pd.DataFrame(rows.T, columns=pairs(4)) for q, rows in enumerate(study)}, 1.5, 12)
        assert table["verdict"].tolist() == twin.verdict[i].tolist()
        assert table["repeats"].tolist() == [planned[look] for look in twin.look[i]]
        for name in ("low", "high", "like_low", "like_high"):
            np.testing.assert_allclose(table[name], getattr(twin, name)[i])
        assert ((table["p_corrected"] < 0.05) == (table["verdict"] != OPEN)).all()
        seen |= set(table["verdict"])
    assert seen == {YES, SAME, OPEN}

TRUTHS = {
    "no difference anywhere": [0, 0, 0, 0],
    "all just at the margin": [1, -1, 1, -1],
    "some of each": [0, 0.02, 1, 3],
    "one open, three clear": [0, 3, 3, 3],
    "one at the margin, three without a difference": [1, 0, 0, 0],
}

@pytest.mark.parametrize("truths", TRUTHS.values(), ids=TRUTHS)
def test_no_verdict_is_false_in_more_than_one_of_twenty_studies(truths):
    rng, truths, margin = np.random.default_rng(9), np.array(truths, dtype=float), 1.
    limit = 0.05 + 2*(0.05/STUDIES)**0.5
    for E, ceiling, noise, sd in ((1, 8, normal, 0.8), (1, 16, normal, 2.), (3, 12, normal, 1.5), (3, 8, heavy, 3.)):
        planned = looks(ceiling)
        # questions share the way they are compared with, so their differences move together
        draws = noise(rng, STUDIES, 4, E, planned[-1]) + noise(rng, STUDIES, 1, E, planned[-1])
        found = many(truths[:, None, None] + sd/2**0.5*draws, margin, planned)
        assert falsehoods(found.verdict, truths, margin).any(axis=1).mean() <= limit, (E, planned, sd)

def test_holms_count_would_err_nearly_twice_as_often():
    "The trap: two questions without a difference, and a margin of twice the interval's half width"
    rng, n, margin = np.random.default_rng(10), 400, 4.
    draws = n**0.5*normal(rng, STUDIES, 2, 1, n)
    halved, full = (np.stack([many(draws[:, [q]], margin, [n], alpha).verdict[:, 0] for q in (0, 1)], axis=1)
                    for alpha in (0.025, 0.05))
    # Holm's count: once one of them is decided, the other one gets all of the error
    holm = np.where((halved == OPEN) & (halved != OPEN)[:, ::-1], full, halved)
    assert falsehoods(holm, 0., margin).any(axis=1).mean() > 0.07
    assert falsehoods(many(draws, margin, [n]).verdict, 0., margin).any(axis=1).mean() <= 0.05

def test_answers_in_experiments_like_these_hold_where_the_others_end_the_study():
    rng, planned = np.random.default_rng(11), looks(16)
    for between in (0., 0.3, 1.):
        for true in (0., 0.3):
            draws = true + 1.5*normal(rng, STUDIES, 2, 4, 16) + between*normal(rng, STUDIES, 2, 4, 1)
            found = many(draws, 1., planned)
            missed = (found.like_low > true) | (found.like_high < true)
            assert missed.any(axis=1).mean() <= 0.05 + 2*(0.05/STUDIES)**0.5, (between, true)

def test_rounded_outcomes_err_no_more():
    "Accuracies on few images come in steps, and repeats may agree exactly"
    rng, planned = np.random.default_rng(12), looks(8)
    for step in (0.5, 1., 1.5):
        draws = np.round(normal(rng, STUDIES, 2, 1, 8)/step)*step
        found = many(draws, 0.9, planned)
        assert falsehoods(found.verdict, 0., 0.9).any(axis=1).mean() <= 0.05 + 2*(0.05/STUDIES)**0.5, step
    # always right, both ways: told as soon as so many coins would hardly fall alike
    same = decide({"q": pd.DataFrame(np.zeros((8, 1)), columns=pairs(1))}, 1., 8).loc["q"]
    assert (same.verdict, same.repeats, same.p) == (SAME, 8, 2**-7)
    few = decide({"q": pd.DataFrame(np.ones((4, 1)), columns=pairs(1))}, 1., 8).loc["q"]
    assert few.verdict == OPEN and few.high == np.inf

def planned_effect(mean, sd, n, E=1):
    "What n repeats show where they show the truth"
    df = E*(n - 1.)
    return Effect(mean, sd/(n*E)**0.5, df, n - 1., n, n, E, E)

def test_repeats_needed_agree_with_statsmodels():
    for size in (0.3, 0.5, 1., 2.):
        for level in (0.95, 0.99):
            exact = TTestPower().solve_power(size, alpha=1 - level, power=0.8)
            found, _ = repeats_needed(planned_effect(size, 1., 6).at(level), margin=0.)
            assert found == int(np.ceil(exact)), (size, level)
    assert repeats_needed(planned_effect(0.05, 1., 6), margin=0.) == (None, None)

@pytest.mark.parametrize("size, margin", ((0.8, 0.), (0.5, 0.), (0., 1.), (0.2, 0.8), (0.3, 1.5)))
@pytest.mark.parametrize("E", (1, 4))
def test_repeats_needed_settle_it_as_often_as_planned(size, margin, E):
    rng = np.random.default_rng(13)
    effect = planned_effect(size, 1.5, 6, E)
    n = repeats_needed(effect, margin)[1 if margin else 0]
    shares = []
    for repeats in (n, n - 1):
        mean, se, df = moments(size + 1.5*normal(rng, STUDIES, E, repeats))
        half = se*stats.t.isf(0.025, df)
        settled = (-margin < mean - half) & (mean + half < margin) if margin else (mean - half > 0) | (mean + half < 0)
        shares.append(settled.mean())
    # the plan is the first number that reaches 80 %, up to the spread of the degrees of freedom
    assert shares[0] >= 0.77 and shares[1] <= 0.83, shares
    assert shares[0] <= 0.83 or shares[1] < 0.8, shares

def test_looks_cost_little_power():
    "A study that may stop early settles as much at the planned number of repeats, and needs fewer on average"
    rng, size = np.random.default_rng(14), 0.7
    n, _ = repeats_needed(planned_effect(size, 1., 6), margin=0.)
    draws, planned = size + normal(rng, STUDIES, 1, 1, n), looks(n)
    once, often = many(draws, 0., [n]), many(draws, 0., planned)
    assert (once.verdict == YES).mean() - 0.05 <= (often.verdict == YES).mean() <= (once.verdict == YES).mean()
    assert np.array(planned)[often.look].mean() < 0.9*n

def test_cannot_tell_says_how_many_repeats_would_settle_it():
    rng = np.random.default_rng(15)
    study = {"gradual over uniform": pd.DataFrame(0.5 + 1.5*normal(rng, 8, 3), columns=pairs(3))}
    row = decide(study, 1., 8).iloc[0]
    assert row.verdict == OPEN and row.for_difference > 8 and row.for_no_difference > 8
    row = decide(study, 0.01, 8).iloc[0]
    assert row.for_no_difference is pd.NA

def test_corrected_p_grows_with_questions_and_earliness():
    planned = looks(16)
    by_look = [corrected_p(0.001, planned, look, 2) for look in range(len(planned))]
    assert by_look == sorted(by_look, reverse=True) and by_look[-1] >= 0.002
    assert corrected_p(0.001, planned, 4, 4) > corrected_p(0.001, planned, 4, 2)
    for look, level in enumerate(nominal_levels(planned, 0.05/3)):
        assert corrected_p(level, planned, look, 3) == pytest.approx(0.05, rel=1e-3)

def test_bounded_quantities_stay_within_their_bounds():
    rng = np.random.default_rng(16)
    covered = []
    for _ in range(400):
        shares = rng.binomial(200, 1/(1 + np.exp(-rng.normal(4, 0.5, size=5))))/200
        middle, low, high = share_interval(shares, 200)
        assert 0 < low <= middle <= high < 1
        covered.append(low <= 1/(1 + np.exp(-4)) <= high)
        geometric, low, high = loss_interval(rng.lognormal(size=4))
        assert 0 < low <= geometric <= high
    assert np.mean(covered) > 0.9
    odds = np.array([2., 4., 3.])
    np.testing.assert_allclose(share_interval(odds/(1 + odds), 10**9)[0], stats.gmean(odds)/(1 + stats.gmean(odds)))
