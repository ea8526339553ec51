"The answers of studies once more, from their records with pandas alone: no line of gradlr is used"
import sys
import tomllib
from functools import cache
from itertools import combinations, product
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq

RECORDS = Path(__file__).parents[1]/"data"/"results"
AXES = ("strategy", "weight", "grain", "optimizer", "schedule", "batch_norm", "augment") # That tell ways apart
CELL = ["source", "sample", *AXES, "depth", "head_lr"]
FIRST_LOOK = 4 # Repeats after which a study that goes on until decided drops what is surely behind
GUESS = dict(test_accuracy=lambda classes: 1/classes, test_log_loss=np.log) # What a training that diverged is worth

def trainings(folder:Path)->pd.DataFrame:
    "A row a fine-tuning: what it was, and where it ended"
    table = pd.read_parquet(folder/"records.parquet")
    rows = [record.run | (record.ended or {}) | dict(classes=len(record.sample["classes"]), seconds=record.seconds)
            for record in table[table["state"] != "failed"].itertuples()]
    runs = pd.DataFrame(rows)
    runs = runs[runs["kind"] == "target"].reset_index(drop=True)
    for name, guess in GUESS.items(): runs[name] = runs[name].fillna(guess(runs["classes"]))
    return runs

def of_side(runs:pd.DataFrame, words:str)->pd.DataFrame:
    "The trainings that a side of a question means, as `gradual, still`"
    for word in words.split(", "):
        if word == "transfer": is_meant = runs["strategy"] != "scratch"
        elif word.startswith("from "): is_meant = runs["source"] == word.removeprefix("from ")
        elif word.startswith("weight "): is_meant = runs["weight"] == float(word.removeprefix("weight "))
        elif word.startswith("depth "): is_meant = runs["depth"] == int(word.removeprefix("depth "))
        else: is_meant = runs[list(AXES)].eq(word).any(axis=1)
        runs = runs[is_meant]
    return runs

def surely_behind(bad:pd.DataFrame)->pd.Series:
    "Which cells a t test of 5 % on one side puts behind the one that is best on average; a row a repeat, a column a cell"
    behind = bad.sub(bad[bad.mean().idxmin()], axis=0)
    return behind.mean() > stats.t.isf(0.05, len(bad) - 1)*behind.std()/len(bad)**0.5

def best_of(rows:pd.DataFrame, outcome:str, goes_on:bool)->pd.DataFrame:
    "By repeat the training that is best on validation images, of those that every repeat has; a study that goes on drops cells"
    accuracy, loss = rows["valid_accuracy"].fillna(-np.inf), rows["valid_log_loss"].fillna(np.inf)
    rows = rows.assign(first=-accuracy if outcome == "accuracy" else loss, then=loss)
    rows = rows[rows.groupby(CELL)["repeat"].transform("nunique") == rows["repeat"].nunique()]
    if goes_on:
        bad = rows[rows["repeat"] < FIRST_LOOK].pivot(index="repeat", columns=CELL, values="first")
        rows = rows[~rows.set_index(CELL).index.map(surely_behind(bad))]
    return rows.sort_values(["first", "then"], kind="stable").groupby("repeat").head(1).set_index("repeat")

def differences(study:dict, runs:pd.DataFrame, question:dict, outcome:str)->pd.DataFrame:
    "A row a repeat, a column an experiment: points of accuracy, or 100 times the logarithm of a loss; more is better"
    ends, goes_on = [], study["repeats"] == "until decided"
    words = ", ".join(question[side] for side in ("is", "better_than")).split(", ")
    sources = [word.removeprefix("from ") for word in words if word.startswith("from ")]
    for side in ("is", "better_than"):
        rows, found = of_side(runs, question[side]), {}
        for experiment in study["experiments"]:
            source, target = experiment["source"], experiment["target"]
            here = rows[(rows["sample"] == target) & rows["source"].isin([source, ""])]
            if here.empty: continue
            values = best_of(here, question.get("outcome", "accuracy"), goes_on)[f"test_{outcome}"]
            found[(*sources, target) if sources else (source, target)] = 100*(values if outcome == "accuracy" else -np.log(values))
        ends.append(pd.DataFrame(found))
    return (ends[0] - ends[1]).dropna(how="all")

def drawn_from(study:dict, name:str)->set:
    "The classes that a sample is drawn from, or the name of one of gradlr's own; of a ready-made source nothing is drawn"
    if name in ("imagenet", "lite0", "lite1", "lite2") or "/" in name: return set()
    sample = study.get("samples", {}).get(name)
    return {(sample["data"], label) for label in sample["classes"]} if sample else {name}

def clusters(study:dict, experiments:list)->list[int]:
    "Experiments that share classes, directly or through others: a label each"
    drawn = [set().union(*(drawn_from(study, name) for name in names)) for names in experiments]
    labels = list(range(len(experiments)))
    for one, other in combinations(range(len(experiments)), 2):
        if drawn[one] & drawn[other]:
            low, high = sorted((labels[one], labels[other]))
            labels = [low if label == high else label for label in labels]
    return labels

@cache
def level_of(look:int, planned:tuple[int,...], alpha:float)->float:
    "Two-sided level at which a look tests, where all looks spend an error as O'Brien and Fleming's do; nine tenths of it"
    if len(planned) == 1: return alpha
    shares = np.divide(planned, planned[-1])
    due, bounds = 4*stats.norm.sf(stats.norm.isf(0.9*alpha/4)/shares**0.5), []
    for n, until in enumerate(due[:look + 1], 1):
        together = np.minimum.outer(shares[:n], shares[:n])/np.sqrt(np.outer(shares[:n], shares[:n]))
        def crossed(bound):
            ends = np.array([*bounds, bound])
            inside = stats.multivariate_normal.cdf(ends, cov=together, lower_limit=-ends, abseps=1e-6, releps=1e-6)
            return 1 - inside - until
        bounds.append(brentq(crossed, 1, 10))
    return float(2*stats.norm.sf(bounds[-1]))

def here(changes:pd.DataFrame, labels:list[int])->tuple[float,float,float]:
    "Mean, standard error and degrees of freedom where experiments are fixed, from four repeats on"
    by_cluster = changes.T.groupby(np.array(labels))
    means, sizes, n = by_cluster.mean().T, by_cluster.size(), len(changes)
    parts = (sizes/sizes.sum())**2*means.var()/n
    df = parts.sum()**2/(parts**2/(n - 1)).sum()
    # halfway to the least that they could be
    return float((means.mean()*sizes).sum()/sizes.sum()), float(parts.sum()**0.5), float(2/(1/df + 1/(n - 1)))

def like_these(changes:pd.DataFrame, labels:list[int], questions:int)->tuple[float,float,float]:
    "Mean and interval where experiments are random too; eight tenths of an error of 5 % are shared by the questions"
    means = changes.T.groupby(np.array(labels)).mean().T.mean()
    if len(means) < 2: return float(means.mean()), np.nan, np.nan
    half = stats.t.isf(0.4*0.05/questions, len(means) - 1)*means.std()/len(means)**0.5
    return tuple(float(value) for value in (means.mean(), means.mean() - half, means.mean() + half))

def in_these(study:dict, changes:dict)->pd.DataFrame:
    "A row a question: mean and interval in these experiments, at the look that answered it or at the last one so far"
    goes_on, ceiling = study["repeats"] == "until decided", study["ceiling"]
    planned = (*(n for n in (4, 6, 8, 12, 16) if n < ceiling), ceiling) if goes_on else (study["repeats"],)
    margins = [question.get("margin", 1.) for question in study["questions"]]
    count, rows, settled = len(margins), {}, set()
    for look, repeats in enumerate(planned):
        known = {}
        for which, of_question in changes.items():
            if which in settled or len(of_question.dropna()) < repeats: continue
            mean, se, df = here(of_question.dropna()[:repeats], clusters(study, list(of_question)))
            inside = 2*stats.t.sf((margins[which] - abs(mean))/se, df)
            known[which] = min(2*stats.t.sf(abs(mean)/se, df), inside), mean, se, df
        for which, (_, mean, se, df) in sorted(known.items(), key=lambda item: item[1][0]):
            half = se*stats.t.isf(level_of(look, planned, 0.05/count)/2, df)
            rows[which] = dict(mean=mean, low=mean - half, high=mean + half, repeats=repeats)
            has_sign = mean - half > 0 or mean + half < 0
            if has_sign or abs(mean) + half < margins[which]: settled.add(which)
            if has_sign: count -= 0.5
    return pd.DataFrame.from_dict(rows, orient="index").sort_index()

def answers(folder:Path)->pd.DataFrame:
    "A row a question and outcome: how much better the first side is in experiments like these"
    study, runs, rows = tomllib.loads((folder/"study.toml").read_text()), trainings(folder), []
    looked_at = decided(folder)["repeats"] if study["repeats"] == "until decided" else {}
    for (which, question), outcome in product(enumerate(study["questions"]), ("accuracy", "log_loss")):
        changes = differences(study, runs, question, outcome)
        # of what is asked no more is read than at the look that answered it
        if outcome == question.get("outcome", "accuracy") and which in looked_at: changes = changes.dropna()[:int(looked_at[which])]
        mean, low, high = like_these(changes, clusters(study, list(changes)), len(study["questions"]))
        rows.append(dict(question, outcome=outcome, mean=mean, low=low, high=high, repeats=int(changes.count().min()),
                         experiments=changes.shape[1]))
    return pd.DataFrame(rows)

def decided(folder:Path)->pd.DataFrame:
    "A row a question of accuracy: from `in_these`"
    study, runs = tomllib.loads((folder/"study.toml").read_text()), trainings(folder)
    return in_these(study, {which: differences(study, runs, question, "accuracy") for which, question in enumerate(study["questions"])})

BEGIN = {"gradual": -6, "frozen": -5, "fastai_slice": -5, "fine_tune": -4} # Where a trial's ways begin: rungs, two a decade
REACH = 3 # Rungs from there
BUDGET = 12 # Trainings of all layers whose time there is
PER_CLASS = 50 # Validation images

def still(folder:Path)->pd.DataFrame:
    "The trainings with batch norm still"
    runs = trainings(folder)
    return runs[(runs["batch_norm"] == "still") | (runs["strategy"] == "frozen")]

def places(folder:Path)->pd.DataFrame:
    "A row a target and repeat, a column a number, way and rung, batch norm still; what a repeat lacks is the mean of the others"
    runs = still(folder)
    runs = runs.assign(rung=(2*np.log10(runs["head_lr"])).round().astype(int))
    runs["chance"] = 1/runs["classes"]
    numbers = ["valid_accuracy", "valid_log_loss", "test_accuracy"]
    wide = runs.pivot(index=["sample", "repeat"], columns=["strategy", "rung"], values=numbers)
    wide = wide.fillna(wide.groupby(level="sample").transform("mean"))
    wide["chance", "", ""] = runs.groupby(["sample", "repeat"])["chance"].first()
    return wide

def of_training(place:pd.Series, way:str, rung:int)->tuple[float,float,float]:
    "Accuracy and loss on validation images, accuracy on test images; what was never trained learnt nothing"
    chance = place["chance"].iloc[0]
    seen = [place.get((number, way, rung), np.nan) for number in ("valid_accuracy", "valid_log_loss", "test_accuracy")]
    return tuple(seen) if np.isfinite(seen[0]) else (chance, -np.log(chance), chance)

def beside(seen:dict, way:str)->int|None:
    "The rung that a way's search trains next; None where its best lies inside"
    best = min((rung for other, rung in seen if other == way), key=lambda rung: (-seen[way, rung][0], seen[way, rung][1]))
    return next((rung for rung in (best - 1, best + 1)
                 if (way, rung) not in seen and abs(rung - BEGIN[way]) <= REACH), None)

def by_validation(seen:dict)->list:
    "Cells, best first"
    return sorted(seen, key=lambda cell: (-seen[cell][0], seen[cell][1]))

def is_behind(seen:dict, cell:tuple, images:float)->bool:
    "Is a way that has rates left behind the leader by twice what is noise?"
    best, own = seen[by_validation(seen)[0]][0], seen[cell][0]
    share = np.clip((best + own)/2, 0.01, 0.99)
    return best - own > 2*1.96*(share*(1 - share)*2/images)**0.5

def following(seen:dict, ways:list[str], images:float)->tuple[str,int]|None:
    "What a search over ways trains next: each way once, then the rates of those that lead"
    leaders = {}
    for cell in by_validation(seen): leaders.setdefault(cell[0], cell)
    for way in ways:
        if way not in leaders: return way, BEGIN[way]
    for way, cell in leaders.items():
        rung = beside(seen, way)
        if rung is not None and not is_behind(seen, cell, images): return way, rung
    return None

def searched(place:pd.Series, ways:list[str], cost:pd.Series)->float:
    "Test accuracy in per cent of what a search keeps"
    images = PER_CLASS/place["chance"].iloc[0]
    seen, spent = {}, 0.
    cell = ways[0], BEGIN[ways[0]]
    while cell and spent + cost[cell[0]] <= BUDGET + 1e-9:
        seen[cell], spent = of_training(place, *cell), spent + cost[cell[0]]
        cell = following(seen, ways, images)
    return 100*seen[by_validation(seen)[0]][2]

def best_elsewhere(table:pd.DataFrame)->pd.Series:
    "By target the test accuracy of the one training that is best over the other targets"
    chance = table["chance"].groupby(level="sample").first()
    tests = table["test_accuracy"].groupby(level="sample").mean().T.fillna(chance)
    return pd.Series({name: 100*tests.loc[tests.drop(columns=name).mean(axis=1).idxmax(), name] for name in tests})

def kept(folder:Path)->pd.DataFrame:
    "A row a target, a column a rule: test accuracy of what it keeps, mean of repeats"
    table, seconds = places(folder), still(folder).groupby("strategy")["seconds"].median()
    cost, found = seconds/seconds["gradual"], {}
    rules = {"try": ["gradual", "frozen", "fastai_slice", "fine_tune"]} | {way: [way] for way in BEGIN}
    for name, ways in rules.items():
        ends = {at: searched(place, ways, cost) for at, place in table.iterrows()}
        found[name] = pd.Series(ends).groupby(level=0).mean()
    return pd.DataFrame(found | {"best on average": best_elsewhere(table)})

def ahead(folder:Path)->pd.DataFrame:
    "A row a rule: points by which a trial's is ahead of it, with their interval over targets"
    rules = kept(folder)
    return pd.DataFrame({name: with_interval(rules["try"] - rules[name]) for name in rules.columns.drop("try")}).T

MILD = 3 # Rates of each weight by which a source is judged: those that suit best on average

def guesses_of_sources(folder:Path)->tuple[pd.DataFrame,dict[str,pd.DataFrame]]:
    "Test accuracy in per cent, and what each rule goes by: a row a repeat and target, a column a source"
    runs = trainings(folder)
    runs = runs[runs["source"] != ""]
    suits = runs.groupby(["weight", "head_lr"], as_index=False)["valid_accuracy"].mean().sort_values("valid_accuracy")
    rates = dict(mild=suits.groupby("weight").tail(MILD), first=suits.tail(1))
    trained = {name: runs.merge(some[["weight", "head_lr"]]).pivot_table(
        ["test_accuracy", "valid_accuracy", "valid_log_loss"], ["repeat", "sample"], "source") for name, some in rates.items()}
    reached = 100*trained["mild"]["test_accuracy"]
    scores = pd.read_csv(folder/"scores.csv").query("source != 'random weights'").rename(columns={"target": "sample"})
    found = scores.pivot(index=["repeat", "sample"], columns="source")
    guesses = {name: found[name] for name in found.columns.unique(0)}
    guesses["best on average"] = reached.groupby("repeat").transform("sum") - reached
    # of sources with as many right the one with the lower loss
    for name, some in trained.items(): guesses[name] = some["valid_accuracy"] - 1e-6*some["valid_log_loss"]
    return reached, guesses

def above_random(folder:Path)->pd.DataFrame:
    "A row a target, a column a rule: points by which the source that it chooses is better than one at random"
    (reached, guesses), rows = guesses_of_sources(folder), {}
    for name, guess in guesses.items():
        for (repeat, sample), source in guess.idxmax(axis=1).items():
            # judged by the repeats that the rule has not seen
            others = reached.drop(repeat, level="repeat").xs(sample, level="sample").mean()
            rows[name, repeat, sample] = others[source] - others.mean()
    return pd.Series(rows).groupby(level=[2, 0]).mean().unstack()

def of_draws(folder:Path)->pd.DataFrame:
    "A row a training: what it is worth in the draws of images that it was not chosen by, in per cent of right test images"
    runs = trainings(folder).sort_values(["valid_accuracy", "valid_log_loss"], ascending=[False, True], kind="stable")
    draws = runs.groupby(["sample", "head_lr", "weight"])["test_accuracy"]
    return runs.assign(elsewhere=100*(draws.transform("sum") - runs["test_accuracy"])/(draws.transform("size") - 1))

def kept_by_random_search(folder:Path)->pd.DataFrame:
    "A row a repeat, a column a number of trainings: what is kept is worth, expected over all orders"
    runs, found = of_draws(folder), {}
    rank, cells = runs.groupby(["sample", "repeat"]).cumcount(), len(runs[["head_lr", "weight"]].drop_duplicates())
    for tried in range(1, cells + 1):
        # the chance that none of the cells up to a rank is tried
        missed = np.array([comb(cells - up_to, tried)/comb(cells, tried) for up_to in range(cells + 1)])
        shares = runs["elsewhere"]*-np.diff(missed)[rank]
        found[tried] = shares.groupby([runs["repeat"], runs["sample"]]).sum().groupby("repeat").mean()
    return pd.DataFrame(found)

def best_of_other_targets(folder:Path)->pd.Series:
    "By repeat what the cell is worth that has most test images right on the other targets, mean of targets"
    runs = of_draws(folder)
    cells = runs.pivot(index=["sample", "repeat"], columns=["head_lr", "weight"], values=["test_accuracy", "elsewhere"])
    right, worth = cells["test_accuracy"], cells["elsewhere"]
    others = (right.groupby("repeat").transform("sum") - right).idxmax(axis=1)
    return pd.Series({place: worth.loc[place, cell] for place, cell in others.items()}).groupby(level=1).mean()

def with_interval(points:pd.Series)->pd.Series:
    "Mean and 95 % interval"
    half = stats.t.isf(0.025, len(points) - 1)*points.std()/len(points)**0.5
    return pd.Series(dict(mean=points.mean(), low=points.mean() - half, high=points.mean() + half))

if __name__ == "__main__":
    for name in sys.argv[1:]:
        for table in (decided(RECORDS/name), answers(RECORDS/name)): print(table.round(2).to_string())
