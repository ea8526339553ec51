"What a study costs that runs until it can tell, beside its full grid at the ceiling, and how often each errs"
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from gradlr.statistics.intervals import wilson
from gradlr.statistics.search import ladder_rates
from gradlr.study.folder import StudyFolder
from gradlr.study.ladders import Ended, made_up_outcomes
from gradlr.study.plan import Training
from gradlr.study.questions import comparisons, decisions, margin_of, wanted
from gradlr.study.results import outcomes
from gradlr.study.settings import PRESETS, Experiment, Question, Study

STUDIES, BOUND, RECORDS = 200, 0.2, Path("data/results/speed/cost")
# in per cent of a loss: how far ways are apart, and what a training's luck adds; a pilot's spread is 2 to 8
EFFECTS, NOISES = (0, 2, 5, 10, 30), (0.02, 0.05, 0.1)
ASKED = (("uniform", "scratch"), ("gradual", "uniform"), ("uniform", "frozen"))

def in_full(study:Study)->Study:
    "The same study with every rate of every way, in as many repeats as it may take"
    return replace(study, head_lrs=tuple(ladder_rates(study.centre).values()), repeats=study.ceiling)

def run_through(study:Study, train:Callable[[list[Training]],pd.DataFrame])->pd.DataFrame:
    "The outcomes of all trainings that a study wants, round by round"
    table = train(wanted(study, outcomes([])))
    while True:
        seen = Ended(table)
        todo = [training for training in wanted(study, table) if training not in seen]
        if not todo: return table
        table = pd.concat([table, train(todo)], ignore_index=True)

def answers(study:Study, table:pd.DataFrame)->dict[Question,str]:
    "What a study says to its questions"
    return dict(zip(study.questions, decisions(study, comparisons(study, table))["answer"], strict=True))

def both(study:Study, train:Callable[[list[Training]],pd.DataFrame])->tuple[float,dict,dict]:
    "Share of the full grid's run-seconds that a study takes until it can tell; its answers; the full grid's"
    full = in_full(study)
    everything = run_through(full, train)
    table = run_through(study, lambda todo: taken(everything, todo))
    return table["seconds"].sum()/everything["seconds"].sum(), answers(study, table), answers(full, everything)

def taken(everything:pd.DataFrame, trainings:list[Training])->pd.DataFrame:
    "The outcomes of some trainings, from a table that holds them"
    seen = Ended(everything)
    return seen.table.iloc[[seen.rows[training] for training in trainings]]

def made_up_study(number:int)->tuple[Study,Callable,dict[Question,float]]:
    "A study like the preset small, how its trainings end, and the true differences, as 100 times a logarithm"
    rng = np.random.default_rng(number)
    loss = {"uniform": 0.7}
    for name in ("scratch", "gradual", "frozen"):
        loss[name] = loss["uniform"]*np.exp(rng.choice([-1, 1])*rng.choice(EFFECTS)/100)
    questions = tuple(Question(*sides, "log_loss") for sides in ASKED)
    experiments = tuple(Experiment(f"{source} {number}", f"{target} {number}") for source in "ab" for target in "cd")
    study = replace(PRESETS["small"], experiments=experiments, samples={}, questions=questions)
    made = dict(best=loss, noise=rng.choice(NOISES), best_lr=10**rng.uniform(-4, -2))
    truth = {question: 100*np.log(loss[question.better_than]/loss[question.way]) for question in questions}
    return study, partial(made_up_outcomes, **made), truth

def is_false(answer:str, truth:float, margin:float)->bool:
    "Does an answer contradict the true difference?"
    wrong = {"yes": truth <= 0, "no": truth >= 0, "no difference that matters": abs(truth) >= margin}
    return wrong.get(answer, False)

def one(number:int)->dict[str,float]:
    "What a made-up study of known truth costs; is any answer false, and how many are there: both ways"
    study, train, truth = made_up_study(number)
    share, until, full = both(study, train)
    row = {"share": share}
    for name, said in (("until it can tell", until), ("full grid", full)):
        row[f"{name}: false"] = any(is_false(said[q], truth[q], margin_of(q)) for q in truth)
        row[f"{name}: decided"] = sum(said[q] != "cannot tell" for q in truth)
    return row

def simulate()->None:
    "Made-up studies of known truth: cost, errors and what is decided, both ways"
    with ProcessPoolExecutor() as processes:
        table = pd.DataFrame(list(tqdm(processes.map(one, range(STUDIES)), "made-up studies", STUDIES, leave=False)))
    share = table["share"]
    print(f"{STUDIES} made-up studies of {len(ASKED)} questions, run-seconds until it can tell in the full grid's: "
          f"{share.mean():.3f} on average, {share.min():.3f} to {share.max():.3f}; "
          f"at most a fifth in {100*(share <= BOUND).mean():.0f} %")
    for name in ("until it can tell", "full grid"):
        false, decided = table[f"{name}: false"], table[f"{name}: decided"]
        low, high = wilson(float(false.mean()), STUDIES)
        print(f"{name:18} {100*false.mean():.0f} % of the studies with a false answer "
              f"({100*low:.0f} to {100*high:.0f}), "
              f"{100*decided.sum()/(STUDIES*len(ASKED)):.0f} % of the questions decided")

def replay()->None:
    "One experiment on digits, each of whose cells was trained in every repeat: `gradlr study run` its study.toml"
    folder = StudyFolder(RECORDS)
    full, records = folder.study(), outcomes(folder.records())
    study = replace(full, head_lrs="fair", repeats="until decided")
    share, until, whole = both(study, partial(taken, records))
    print(f"replay of {(records['kind'] == 'target').sum()} trainings on digits, ceiling {study.ceiling}: "
          f"{share:.3f} of the full grid's run-seconds")
    for question in study.questions:
        print(f"{question} {until[question].capitalize()}. Full grid: {whole[question]}")

if __name__ == "__main__":
    simulate()
    replay()
