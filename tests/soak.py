"Faults made on purpose, and what they cost: `make soak` makes them all, test_soak.py a part of them"
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from conftest import COMMAND, gradlr, tiny_study
from fuzz import fuzzing
from gradlr.errors import InputError
from gradlr.images.folders import load_folder
from gradlr.images.loaders import dataloaders
from gradlr.machine import device_name
from gradlr.networks.checkpoints import load_body, read_checkpoint
from gradlr.rates.learners import source_learner
from gradlr.study.execute import execute
from gradlr.study.folder import StudyFolder
from gradlr.study.plan import Weights, plan
from gradlr.study.progress import failures, retry
from gradlr.study.questions import wanted
from gradlr.study.results import outcomes, read_record
from gradlr.study.toml import read_study, to_toml
from gradlr.study.worker import drawn_parts

FINISHED = ("done", "diverged", "failed")

def start(study:Path, out:Path, *options)->subprocess.Popen:
    "A study in the background, which hears Ctrl-C as in a terminal"
    return subprocess.Popen([COMMAND, "study", "run", study, "--out", out, *map(str, options)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))

def kill(pid:int)->bool:
    "SIGKILL a process, if it is still there"
    try: os.kill(pid, signal.SIGKILL)
    except ProcessLookupError: return False
    return True

def log(out:Path)->list[tuple[int,str,str]]:
    "Process, key and event of each line of a study's log"
    file = out/"study.log"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(pid), key, event.rstrip(":")) for _, _, pid, key, event, *_ in map(str.split, lines)]

def is_there(pid:int)->bool:
    "Is a process there, and no zombie?"
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "(zombie)" not in status.read_text()

def in_hand(out:Path)->dict[int,str]:
    "Processes with a run in hand, and which"
    last = {pid: (key, event) for pid, key, event in log(out)}
    return {pid: key for pid, (key, event) in last.items() if event == "begun" and is_there(pid)}

def at_work(out:Path)->list[int]:
    "Those with a run in hand, but for one that was begun twice before: a third death would be its end, as it should"
    times = Counter(key for _, key, event in log(out) if event == "begun")
    return [pid for pid, key in in_hand(out).items() if times[key] < 3]

def contents(out:Path)->dict[str,bytes]:
    "The published records, by name"
    return {file.name: file.read_bytes() for file in out.glob("records/*.json")}

def table(out:Path)->bytes: return (out/"results.parquet").read_bytes()

def look(out:Path, before:dict[str,bytes])->Counter:
    "Records that are gone or changed, and weights other than their name"
    after = contents(out)
    return Counter(lost=sum(after.get(name) != content for name, content in before.items()),
                   bad_hashes=sum(Weights(str(file), file.stem).are_damaged() for file in out.glob("weights/*.safetensors")))

def killed(study:Path, out:Path, kills:int, coordinators:int, rng:random.Random, *options)->Counter:
    "Kill workers and coordinators of a study at random moments, then let it end; what that has cost"
    found, of_coordinators = Counter(), set(rng.sample(range(kills), coordinators))
    process = start(study, out, *options)
    while found["kills"] < kills:
        turn_of_coordinator = found["kills"] in of_coordinators
        time.sleep(rng.uniform(0, 1 if turn_of_coordinator else 0.2))
        assert process.poll() is None, f"over after {found['kills']} kills: {process.stderr.read()}"
        before = contents(out)
        victims = [process.pid] if turn_of_coordinator else at_work(out)
        if not any(kill(pid) for pid in rng.sample(victims, len(victims))): continue
        if turn_of_coordinator:
            process.wait()
            process = start(study, out, *options)
        found += Counter(kills=1) + look(out, before)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    events = [(key, event) for _, key, event in log(out)]
    finished = [key for key, event in events if event in FINISHED]
    return found + look(out, {}) + Counter(records=len(contents(out)), duplicates=len(finished) - len(set(finished)),
                                           begun_in_vain=sum(event == "begun" for _, event in events) - len(finished))

def interrupted(folder:Path, studies:int, kills:int, coordinators:int)->Counter:
    "Interrupted studies, in another order and with other numbers of workers, beside one that was left alone"
    plain, found = tiny_study(folder/"plain.toml", 2*kills), Counter()
    assert gradlr("study", "run", plain, "--out", folder/"plain").returncode == 0
    for i in tqdm(range(studies), desc="interrupted studies"):
        rng, study, out = random.Random(i), folder/f"{i}.toml", folder/str(i)
        there = read_study(plain)
        study.write_text(to_toml(replace(there, weights=there.weights[::-1])))
        found += killed(study, out, kills, coordinators, rng, "--jobs", 2 + i % 2)
        found += Counter(studies=1, equal_tables=table(out) == table(folder/"plain"))
    return found

@contextmanager
def small_disk(folder:Path)->Iterator[Callable[[int],None]]:
    "A disk in memory, and what sets its size in bytes"
    folder.mkdir()
    mount = lambda options: subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)
    mount("size=64k")
    try: yield lambda size: mount(f"remount,size={size//1024}k")
    finally: subprocess.run(["umount", "--lazy", str(folder)], check=True)

def full_disks(folder:Path, stops:int)->Counter:
    "A study on a disk that is full again and again, a little later each time"
    study, found = tiny_study(folder/"disk.toml", 2*stops), Counter()
    assert gradlr("study", "run", study, "--out", folder/"enough").returncode == 0
    needed = sum(4096*(file.stat().st_size//4096 + 1) for file in (folder/"enough").rglob("*") if file.is_file())
    with small_disk(folder/"disk") as resize:
        out = folder/"disk"/"out"
        for i in tqdm(range(stops), desc="full disks"):
            resize(int(needed*(i + 0.5)/stops*0.95))
            before = contents(out)
            result = gradlr("study", "run", study, "--out", out)
            told = result.returncode == 2 and "No space left" in result.stderr and str(out) in result.stderr and "gradlr study run" in result.stderr
            found += Counter(stops=1, told=told and "Traceback" not in result.stderr) + look(out, before)
        resize(2*needed)
        found += Counter(resumed=gradlr("study", "run", study, "--out", out).returncode == 0, equal_tables=table(out) == table(folder/"enough"))
    return found

@contextmanager
def dask_cluster(folder:Path)->Iterator[str]:
    "A scheduler and two workers in processes of their own; its address"
    dask, file = Path(sys.executable).with_name("dask"), folder/"scheduler.json"
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    scheduler = subprocess.Popen([dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file,
                                  "--pid-file", folder/"scheduler.pid"], **quiet)
    nanny = subprocess.Popen([dask, "worker", "--scheduler-file", file, "--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", folder], **quiet)
    try:
        until(file.exists)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in (nanny, scheduler): process.terminate(); process.wait()

@contextmanager
def ray_cluster(folder:Path)->Iterator[str]:
    "A Ray node of two cores; its address"
    ray = Path(sys.executable).with_name("ray")
    subprocess.run([ray, "start", "--head", "--port", "6399", "--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats", "--temp-dir", folder],
                   check=True, capture_output=True)
    try: yield "127.0.0.1:6399"
    finally: subprocess.run([ray, "stop", "--force"], check=True, capture_output=True)

CLUSTERS = dict(dask=dask_cluster, ray=ray_cluster)

def clusters(engine:str, repeats:int, deaths:int)->Counter:
    "A study on a cluster whose workers are killed"
    with tempfile.TemporaryDirectory(prefix="gradlr") as folder, CLUSTERS[engine](Path(folder)) as address:
        study = tiny_study(Path(folder)/"cluster.toml", repeats)
        return killed(study, Path(folder)/"out", deaths, 0, random.Random(0), "--engine", engine, "--address", address)

def until(condition:Callable[[], bool], seconds:float=60)->None:
    "Wait for something"
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)

def stop(out:Path, rng:random.Random)->int|None:
    "Have a worker stand still for good; none where none is at work"
    pids = in_hand(out)
    if not pids: return None
    pid = rng.choice([*pids])
    os.kill(pid, signal.SIGSTOP)
    return pid

def stopped(study:Path, out:Path, stops:int, rng:random.Random, seconds:list[float])->Counter:
    "Workers of a study that stand still, until each has been given up"
    process, found = start(study, out, "--jobs", 2, "--time-limit", 2), Counter()
    while found["stopped"] < stops and process.poll() is None:
        time.sleep(rng.uniform(0, 0.5))
        if not (pid := stop(out, rng)): continue
        begin = time.monotonic()
        until(lambda: not is_there(pid))
        seconds.append(time.monotonic() - begin)
        found["stopped"] += 1
    _, told = process.communicate(timeout=600)
    return found + Counter(given_up=len(failures(out)), told=process.returncode == 1 and "TimeLimit" in told, tracebacks="Traceback" in told)

def interrupts(study:Path, out:Path, times:int, rng:random.Random, seconds:list[float])->Counter:
    "Ctrl-C at random moments, every other time with a worker that stands still"
    found = Counter()
    for i in range(times):
        process, before = start(study, out, "--jobs", 2), contents(out)
        # Python's own start takes less than a tenth of a second
        if i % 2: time.sleep(rng.uniform(0.1, 5))
        else: until(lambda: in_hand(out))
        assert process.poll() is None, f"over after {i} interrupts: {process.stderr.read()}"
        pid, begin = None if i % 2 else stop(out, rng), time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
        seconds.append(time.monotonic() - begin)
        # what workers are forked from may still be importing
        _, told = process.communicate(timeout=60)
        left = sum(is_there(pid) for pid in {pid for pid, _, _ in log(out)})
        found += look(out, before) + Counter(interrupts=1, with_a_stopped_worker=pid is not None, left=left, tracebacks="Traceback" in told)
    return found

def hung(folder:Path, studies:int, repeats:int, stops:int, times:int)->Counter:
    "Studies whose workers are stopped, and that are interrupted, beside one that was left alone"
    study, found, until_gone, until_over = tiny_study(folder/"hung.toml", repeats), Counter(), [], []
    alone = gradlr("study", "run", study, "--out", folder/"left alone")
    assert alone.returncode == 0, alone.stderr
    for i in tqdm(range(studies), desc="hung workers"):
        rng, out = random.Random(i), folder/f"hung {i}"
        found += interrupts(study, out, times, rng, until_over) + stopped(study, out, stops, rng, until_gone)
        retry(out)
        ended = gradlr("study", "run", study, "--out", out).returncode == 0
        found += Counter(studies=1, equal_tables=ended and table(out) == table(folder/"left alone"))
    return found + Counter(longest_until_given_up=round(max(until_gone, default=0)), longest_until_stopped=round(max(until_over)))

def flips(folder:Path, n:int)->Counter:
    "One-bit flips in weights and records of a finished study: is each found before the file is used?"
    out, rng, found = folder/"plain", np.random.default_rng(0), Counter()
    weights = next(out.glob("weights/*"))
    drawn = next(iter(StudyFolder(out).data().values()))[0]
    parts = drawn_parts(out, drawn["fingerprint"])[:2]
    learn = source_learner(dataloaders(*parts, size=16, batch_size=32), "timm/test_resnet")
    def use(file): read_record(file) if file.suffix == ".json" else load_body(learn, read_checkpoint(file, weights.stem))
    for file in (weights, next(out.glob("records/*"))):
        use(file)
        content, damaged = file.read_bytes(), folder/f"damaged{file.suffix}"
        for bit in rng.choice(8*len(content), n//2, replace=False):
            damaged.write_bytes(content[:bit//8] + bytes([content[bit//8] ^ 1 << int(bit) % 8]) + content[bit//8 + 1:])
            found["flips"] += 1
            try: use(damaged)
            except InputError: found["caught"] += 1
    return found

def speeds(folder:Path)->dict[str,float]:
    "Seconds until a study of 1,000 records goes on; milliseconds that the store adds to a run; images checked a second"
    plain, out = folder/"plain", folder/"many"
    records = [record for record in map(read_record, plain.glob("records/*")) if record["run"]["repeat"] == 0]
    target = next(r for r in records if r["run"]["strategy"] == "gradual")
    study = replace(read_study(plain/"study.toml"), repeats=1, weights=tuple(np.linspace(1, 0.01, 997).tolist()))
    data = {(name, 0): repeats[0]["fingerprint"] for name, repeats in StudyFolder(plain).data().items()}
    source = next(r for r in records if r["run"]["kind"] == "source")
    runs = plan(study, wanted(study, outcomes([])), data, {("digits01", 0): source["weights_sha256"]})
    (out/"records").mkdir(parents=True)
    shutil.copytree(plain/"weights", out/"weights")
    for record in records:
        if record["run"]["kind"] != "target": StudyFolder(out).publish(record)
    begin = time.perf_counter()
    for run in runs: StudyFolder(out).publish(target | dict(key=run.key, run=asdict(run)))
    store = (time.perf_counter() - begin)/len(runs)
    begin = time.perf_counter()
    assert execute(study, out) == [] and len(contents(out)) == 1000
    resume = time.perf_counter() - begin
    rng = np.random.default_rng(0)
    for i in range(4000):
        file = folder/"images"/str(i % 4)/f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file)
    begin = time.perf_counter()
    load_folder(folder/"images")
    return dict(resume_seconds=round(resume, 2), store_milliseconds=round(1000*store, 1), images_a_second=round(4000/(time.perf_counter() - begin)))

if __name__ == "__main__":
    print(f"{device_name()}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as name:
        print("interrupted studies:", dict(interrupted(Path(name), 10, 20, 5)), flush=True)
        print("flips of one bit:", dict(flips(Path(name), 1000)), flush=True)
        print("fuzzing:", dict(fuzzing(Path(name)/"fuzz", Path(name)/"plain", 1000)), flush=True)
        print("hung workers:", dict(hung(Path(name), 2, 100, 10, 25)), flush=True)
        print("speed:", speeds(Path(name)), flush=True)
        print("full disks:", dict(full_disks(Path(name), 50)), flush=True)
    for engine in CLUSTERS: print(f"{engine}:", dict(clusters(engine, 66, 20)), flush=True)
