"Studies that are killed, shared and repeated"
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
from conftest import COMMAND, gradlr


def start(tiny:Path, out:Path)->subprocess.Popen:
    "A study in the background, in a process group of its own"
    return subprocess.Popen([str(COMMAND), "study", "run", str(tiny), "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

def wait_for_records(out:Path, n:int)->None:
    "Until so many runs are published"
    end = time.monotonic() + 120
    while len(list(out.glob("records/*.json"))) < n:
        assert time.monotonic() < end, "no progress"
        time.sleep(0.05)

def state(out:Path)->dict: return json.loads(gradlr("study", "status", out, "--json").stdout)

def test_killed_in_the_middle_and_continued(tiny, tmp_path):
    plain, killed = tmp_path/"plain", tmp_path/"killed"
    assert gradlr("study", "run", tiny, "--out", plain, "--jobs", 1).returncode == 0
    process = start(tiny, killed)
    wait_for_records(killed, 4)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {f.name: f.read_bytes() for f in killed.glob("records/*.json")}
    assert 4 <= len(before) < 11
    result = gradlr("study", "run", tiny, "--out", killed)
    assert result.returncode == 0, result.stderr
    for name, content in before.items(): assert (killed/"records"/name).read_bytes() == content          # nothing twice
    assert state(killed) == dict(study="tiny", planned=11, done=11, diverged=0, missing=0)
    assert (killed/"results.parquet").read_bytes() == (plain/"results.parquet").read_bytes()            # 2 workers, killed = 1 worker, not killed
    assert len(pd.read_parquet(plain/"results.parquet")) == 10

def test_a_killed_worker_costs_only_its_run(tiny, tmp_path):
    process = start(tiny, tmp_path)
    wait_for_records(tmp_path, 3)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [c for c in children if "loky" in Path(f"/proc/{c}/cmdline").read_text() and "resource_tracker" not in Path(f"/proc/{c}/cmdline").read_text()]
    os.kill(int(workers[0]), signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert state(tmp_path)["done"] == 11

def test_stopped_by_a_signal_says_how_to_go_on(tiny, tmp_path):
    process = start(tiny, tmp_path)
    wait_for_records(tmp_path, 2)
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - begin < 10
    assert process.returncode == 143
    assert f"gradlr study run {tiny} --out {tmp_path}" in err and "Traceback" not in err
    assert gradlr("study", "run", tiny, "--out", tmp_path).returncode == 0

def test_a_second_coordinator_is_told_who_holds_the_study(tiny, tmp_path):
    process = start(tiny, tmp_path)
    wait_for_records(tmp_path, 1)
    result = gradlr("study", "run", tiny, "--out", tmp_path)
    assert result.returncode == 2 and f"process {process.pid} on" in result.stderr
    process.communicate(timeout=300)
    assert process.returncode == 0
