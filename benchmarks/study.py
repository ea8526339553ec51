"A study of 40 short runs beside its bare runs, in one process and in two; then what 10,000 runs cost beside training"
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

warnings.simplefilter("ignore", FutureWarning)
import bare
from gradlr.images.drawing import load_sample
from gradlr.images.loaders import dataloaders
from gradlr.images.samples import Sample
from gradlr.images.sets import ImageSet
from gradlr.rates.learners import target_learner
from gradlr.rates.precision import fastest_precision
from gradlr.study.execute import execute
from gradlr.study.folder import StudyFolder
from gradlr.study.plan import plan
from gradlr.study.progress import collect, status
from gradlr.study.questions import wanted
from gradlr.study.results import outcomes
from gradlr.study.settings import Experiment, Study
from gradlr.study.toml import to_toml
from measuring import about_the_machine, in_fresh_process, measured

SOURCE = Sample("photos", ("astronaut", "coffee", "hubble", "rocket"), 96, 24)
TARGET = Sample("photos", ("chelsea", "ihc", "retina", "motorcycle"), 96, 24)
MANY = 10_000
SHORT = Study("short", (Experiment("source", "target"),), head_lrs=(1e-3,), weights=(0.5,),
              strategies=("gradual",), repeats=1, size=32, epochs=2, batch_size=64, source_epochs=1, finder_steps=25,
              precision=fastest_precision("resnet34", 32, 64), samples=dict(source=SOURCE, target=TARGET))

def some_weights(n:int)->tuple[float,...]:
    "So many weights, that of `SHORT` among them"
    return *SHORT.weights, *(0.5 + 0.4*k/n for k in range(1, n))

def bare_run(weights:dict[str,torch.Tensor], train:ImageSet, valid:ImageSet)->float:
    "Seconds of the same training as a plain loop in one thread: new network, source's weights, epochs with validation"
    begin = time.perf_counter()
    dls = dataloaders(train, valid, SHORT.size, SHORT.batch_size, device="cpu")
    model = target_learner(dls, network=SHORT.network).model.to(memory_format=torch.channels_last)
    body = {name: value for name, value in weights.items() if name.startswith("0.")}
    model.load_state_dict(body, strict=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    for _ in range(SHORT.epochs):
        images = bare.batches(train.images, train.labels, SHORT.batch_size, shuffle=True)
        bare.train(model, optimizer, images, precision=SHORT.precision)
        bare.validate(model, bare.batches(valid.images, valid.labels, 2*SHORT.batch_size), precision=SHORT.precision)
    return time.perf_counter() - begin

def bare_runs(file:Path, n:int)->list[float]:
    "Seconds of so many bare runs, after one that warms up"
    torch.set_num_threads(1)
    weights, parts = load_file(file), load_sample(TARGET, SHORT.size)
    return [bare_run(weights, *parts) for _ in range(n + 1)][1:]

def whole_study(folder:Path, jobs:int)->float:
    "Seconds of the study's 40 target runs; source and finder were run before"
    # two jobs start workers and pay their imports, one job trains in this process
    execute(SHORT, folder, jobs)
    begin = time.perf_counter()
    execute(replace(SHORT, weights=some_weights(41)), folder, jobs, extend=True)
    return time.perf_counter() - begin

def record_of(folder:StudyFolder, kind:str)->dict:
    "The first record of a kind"
    return next(record for record in folder.records() if record["run"]["kind"] == kind)

def compare_short_runs(folder:Path)->None:
    "One process and two, bare runs after each: the machine's speed drifts"
    seconds, bare_seconds = {}, []
    for jobs in (1, 2):
        study = StudyFolder(folder/str(jobs))
        seconds[jobs] = in_fresh_process(whole_study, study.path, jobs)
        weights = study.weights(record_of(study, "source")["weights_sha256"])
        bare_seconds += in_fresh_process(bare_runs, weights, 6)
    total, images = 40*statistics.median(bare_seconds), 40*SHORT.epochs*4*TARGET.train
    print(f"40 runs of {SHORT.epochs} epochs of {4*TARGET.train} images of {SHORT.size} px, "
          f"ResNet34, {SHORT.precision}")
    print(f"  a bare run, 1 thread: {statistics.median(bare_seconds):.1f} s ({min(bare_seconds):.1f} to "
          f"{max(bare_seconds):.1f}, n={len(bare_seconds)}), 40 of them {total:.0f} s")
    for jobs, spent in seconds.items():
        print(f"  the study in {jobs} process{'es' if jobs > 1 else ''}: {spent:.0f} s, {images/spent:.0f} images/s; "
              f"{total/spent:.2f} of the bare runs, {seconds[1]/spent:.2f} of one process")

def many_records(folder:Path)->None:
    "A folder that looks as if 10,000 runs had been made: one real record again and again, each under its own run's key"
    one, many = StudyFolder(folder/"1"), StudyFolder(folder/"many")
    real, source = record_of(one, "target"), record_of(one, "source")
    study = replace(SHORT, weights=some_weights(MANY))
    many.path.mkdir()
    shutil.copy(one.path/"data.json", many.path)
    (many.path/"study.toml").write_text(to_toml(study))
    fingerprints = {(name, 0): repeats[0]["fingerprint"] for name, repeats in one.data().items()}
    for run in plan(study, wanted(study, outcomes([])), fingerprints, {("source", 0): source["weights_sha256"]}):
        if run.kind == "target": many.publish(real | dict(key=run.key, run=asdict(run)))

def planned_keys(study:Study)->list[str]:
    "The keys of all runs of a study that is not drawn yet"
    fingerprints = {("source", 0): "", ("target", 0): ""}
    return [run.key for run in plan(study, wanted(study, outcomes([])), fingerprints, {("source", 0): ""})]

def tell(name:str, work)->None:
    "Time and memory of a piece of work, in words"
    spent, added, _ = measured(work)
    print(f"  {name:38}{spent:6.2f} s, {max(added, 0):4.0f} MB")

def many_runs(folder:Path)->None:
    "What 10,000 runs cost beside their training"
    many_records(folder)
    study, many = replace(SHORT, weights=some_weights(MANY)), folder/"many"
    print(f"{MANY:,} runs")
    tell("plan, with all keys", lambda: planned_keys(study))
    tell("what is left to do", lambda: StudyFolder(many).published())
    tell("status", lambda: status(many))
    tell("collect", lambda: collect(many))

def help_seconds()->list[float]:
    "Seconds of `gradlr --help`"
    seconds = []
    for _ in range(7):
        begin = time.perf_counter()
        subprocess.run([Path(sys.executable).with_name("gradlr"), "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    return seconds

if __name__ == "__main__":
    print(about_the_machine())
    with tempfile.TemporaryDirectory() as folder:
        compare_short_runs(Path(folder))
        in_fresh_process(many_runs, Path(folder))
    seconds = help_seconds()
    print(f"gradlr --help: {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
