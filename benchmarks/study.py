"A study of 40 short runs beside the sum of its bare runs, in one process and in two; then what 10,000 runs cost to plan, look up and collect"
import json
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
from torch.nn.functional import cross_entropy

warnings.simplefilter("ignore", FutureWarning)
from gradlr.rates.learners import fastest_precision, target_learner
from gradlr.images.samples import Sample
from gradlr.images.sets import ImageSet
from gradlr.images.drawing import load_sample
from gradlr.images.loaders import dataloaders
from gradlr.study.settings import Experiment, Study, to_toml
from gradlr.study.plan import plan
from gradlr.study.folder import _as_text, published, read_records, weights_file
from gradlr.study.results import collect, status
from gradlr.study.execute import execute
from measuring import about_the_machine, in_fresh_process, measured

SOURCE, TARGET = (Sample("photos", classes, 96, 24) for classes in (("astronaut", "coffee", "hubble", "rocket"), ("chelsea", "ihc", "retina", "motorcycle")))
MANY = 10_000
SHORT = Study("short", (Experiment("source", "target"),), head_lrs=(1e-3,), weights=(0.5,), strategies=("gradual",), size=32,
              epochs=2, batch_size=64, source_epochs=1, finder_steps=25, precision=fastest_precision("resnet34", 32, 64), samples=dict(source=SOURCE, target=TARGET))

def bare_run(weights:dict[str,torch.Tensor], train:ImageSet, valid:ImageSet)->float:
    "Seconds of the same training as a plain loop in one thread: new network, source's weights, epochs with validation"
    begin = time.perf_counter()
    model = target_learner(dataloaders(train, valid, SHORT.size, SHORT.batch_size), network=SHORT.network).model.to(memory_format=torch.channels_last)
    model.load_state_dict({name: value for name, value in weights.items() if name.startswith("0.")}, strict=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    mean, std = (torch.tensor(s)[:,None,None] for s in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    def loss_of(images, index):
        x = ((images.images[index].float()/255 - mean)/std).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=SHORT.precision == "bfloat16"): return cross_entropy(model(x), images.labels[index])
    for _ in range(SHORT.epochs):
        model.train()
        for index in torch.randperm(len(train)).split(SHORT.batch_size):
            loss_of(train, index).backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        with torch.no_grad():
            for index in torch.arange(len(valid)).split(2*SHORT.batch_size): loss_of(valid, index)
    return time.perf_counter() - begin

def bare_runs(file:Path, n:int)->list[float]:
    "Seconds of so many bare runs, after one that warms up"
    torch.set_num_threads(1)
    weights, parts = load_file(file), load_sample(TARGET, SHORT.size)
    return [bare_run(weights, *parts) for _ in range(n + 1)][1:]

def whole_study(folder:Path, jobs:int)->float:
    "Seconds of the study's 40 target runs; two jobs start workers and pay their imports, one job trains in this process; source and finder were run before"
    execute(replace(SHORT, seeds=(0,)), folder, jobs)
    begin = time.perf_counter()
    execute(replace(SHORT, seeds=tuple(range(41))), folder, jobs, extend=True)
    return time.perf_counter() - begin

def compare_short_runs(folder:Path)->None:
    "One process and two, bare runs after each: the machine's speed drifts"
    seconds, bare = {}, []
    for jobs in (1, 2):
        seconds[jobs] = in_fresh_process(whole_study, folder/str(jobs), jobs)
        source = next(record for record in read_records(folder/str(jobs)) if record["run"]["kind"] == "source")
        bare += in_fresh_process(bare_runs, weights_file(folder/str(jobs), source["weights_sha256"]), 6)
    total, images = 40*statistics.median(bare), 40*SHORT.epochs*4*TARGET.train
    print(f"40 runs of {SHORT.epochs} epochs of {4*TARGET.train} images of {SHORT.size} px, ResNet34, {SHORT.precision}")
    print(f"  a bare run, 1 thread: {statistics.median(bare):.1f} s ({min(bare):.1f} to {max(bare):.1f}, n={len(bare)}), 40 of them {total:.0f} s")
    for jobs, spent in seconds.items(): print(f"  the study in {jobs} process{'es' if jobs > 1 else ''}: {spent:.0f} s, {images/spent:.0f} images/s; {total/spent:.2f} of the bare runs, {seconds[1]/spent:.2f} of one process")

def many_records(folder:Path)->None:
    "A folder that looks as if 10,000 runs had been made: one real record again and again, each under its own run's key"
    records = read_records(folder/"1")
    real = next(record for record in records if record["run"]["kind"] == "target")
    source = next(record for record in records if record["run"]["kind"] == "source")
    study = replace(SHORT, seeds=tuple(range(MANY)))
    data = json.loads((folder/"1"/"data.json").read_text())
    (folder/"many"/"records").mkdir(parents=True)
    (folder/"many"/"data.json").write_text(json.dumps(data))
    (folder/"many"/"study.toml").write_text(to_toml(study))
    runs = plan(study, {name: about["fingerprint"] for name, about in data.items()}, {"source": source["weights_sha256"]})
    for run in runs:
        if run.kind == "target": (folder/"many"/"records"/f"{run.key}.json").write_text(_as_text(real | dict(key=run.key, run=asdict(run))))

def tell(name:str, work)->None:
    "Time and memory of a piece of work, in words"
    spent, added, _ = measured(work)
    print(f"  {name:38}{spent:6.2f} s, {max(added, 0):4.0f} MB")

def many_runs(folder:Path)->None:
    "What 10,000 runs cost beside their training"
    many_records(folder)
    study = replace(SHORT, seeds=tuple(range(MANY)))
    print(f"{MANY:,} runs")
    tell("plan, with all keys", lambda: [run.key for run in plan(study, dict(source="", target=""), dict(source=""))])
    tell("what is left to do", lambda: published(folder/"many"))
    tell("status", lambda: status(folder/"many"))
    tell("collect", lambda: collect(folder/"many"))

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
