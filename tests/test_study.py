"Studies that are killed, shared and repeated"
import io
import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
from conftest import COMMAND, gradlr
from PIL import Image


def start(tiny:Path, out:Path)->subprocess.Popen:
    "A study in the background, in a process group of its own"
    return subprocess.Popen([str(COMMAND), "study", "run", str(tiny), "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

def wait_for_records(out:Path, n:int)->None:
    "Until so many runs are published"
    end = time.monotonic() + 120
    while len(list(out.glob("records/*.json"))) < n:
        assert time.monotonic() < end, "no progress"
        time.sleep(0.05)

def workers(process:subprocess.Popen)->list[int]:
    "The worker processes of a coordinator"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    commands = {child: Path(f"/proc/{child}/cmdline").read_text() for child in children}
    return [int(child) for child, command in commands.items() if "loky" in command and "resource_tracker" not in command]

def state(out:Path)->dict: return json.loads(gradlr("study", "status", out, "--json").stdout)

def test_killed_in_the_middle_and_continued(tiny, tmp_path):
    plain, killed = tmp_path/"plain", tmp_path/"killed"
    assert gradlr("study", "run", tiny, "--out", plain, "--jobs", 1).returncode == 0
    process = start(tiny, killed)
    wait_for_records(killed, 3)
    os.kill(workers(process)[0], signal.SIGKILL)                                                          # costs its run one start
    wait_for_records(killed, 5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {f.name: f.read_bytes() for f in killed.glob("records/*.json")}
    assert 5 <= len(before) < 11
    result = gradlr("study", "run", tiny, "--out", killed)
    assert result.returncode == 0, result.stderr
    for name, content in before.items(): assert (killed/"records"/name).read_bytes() == content          # nothing twice
    assert state(killed) == dict(study="tiny", planned=11, done=11, diverged=0, failed=0, missing=0)
    assert (killed/"results.parquet").read_bytes() == (plain/"results.parquet").read_bytes()            # 2 workers, killed = 1 worker, not killed
    assert len(pd.read_parquet(plain/"results.parquet")) == 10

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

def test_a_run_that_kills_its_workers_fails_alone(tiny, tmp_path):
    process, poison, killed = start(tiny, tmp_path), None, set()
    while process.poll() is None:
        for file in tmp_path.glob("started/*"):
            if len(list(tmp_path.glob("records/*.json"))) < 3: continue                                   # the source, the finder and one more
            poison = poison or file.name
            try: pid = int(file.read_text()) if file.name == poison else None
            except (OSError, ValueError): continue                                                        # being written, or gone
            if pid and pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    _, err = process.communicate()
    assert len(killed) == 3 and process.returncode == 1
    assert "WorkerDied: its worker process was killed three times" in err and f"gradlr study retry {tmp_path}" in err
    assert state(tmp_path) == dict(study="tiny", planned=11, done=10, diverged=0, failed=1, missing=0)
    assert "WorkerDied" in Path(gradlr("report", tmp_path).stdout.removeprefix("report: ").strip()).read_text()
    assert gradlr("study", "retry", tmp_path).stdout.startswith("1 failed runs") and state(tmp_path)["missing"] == 1

def test_check_names_everything_that_stands_in_the_way(tmp_path):
    images = tmp_path/"mine"
    for name in ("cat", "dog"):
        (images/name).mkdir(parents=True)
        for k in range(12): (images/name/f"{k}.png").write_bytes(picture(k + 100*(name == "dog")))
    (images/"cat"/"3.png").write_bytes(picture(3)[:60])
    (images/"dog"/"page.jpg").write_text("<html>404</html>")
    file = tmp_path/"mine.toml"
    file.write_text(f"""name = "mine"
head_lrs = [0.001]
network = "resnet18"
size = 16
batch_size = 8
[[experiments]]
source = "digits01"
target = "mine"
[samples.mine]
data = "{images}"
train = 5
valid = 5
""")
    result = gradlr("study", "check", file, "--out", tmp_path/"out", "--json")
    found = json.loads(result.stdout)
    assert result.returncode == 2 and found["images"] == {"digits01": 680} and found["needed"] > 40e6
    assert len(found["problems"]) == 1 and "cat/3.png" in found["problems"][0] and "dog/page.jpg" in found["problems"][0]
    ran = gradlr("study", "run", file, "--out", tmp_path/"out")
    assert ran.returncode == 2 and "cat/3.png" in ran.stderr and "dog/page.jpg" in ran.stderr and not (tmp_path/"out"/"records").exists()
    for broken in ("cat/3.png", "dog/page.jpg"): (images/broken).unlink()
    assert gradlr("study", "check", file, "--out", tmp_path/"out").returncode == 0

def picture(seed:int)->bytes:
    "A small PNG of its own"
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed + 1).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()

def test_a_full_disk_stops_the_study_which_goes_on_later(tiny, tmp_path):
    "A limit on the size of files plays the full disk: records fit, weights do not"
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    result = gradlr("study", "run", tiny, "--out", tmp_path, preexec_fn=limit)
    assert result.returncode == 2 and "weights" in result.stderr and f"gradlr study run {tiny} --out {tmp_path}" in result.stderr and "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.tmp"))
    before = state(tmp_path)
    assert before["failed"] == 0 and before["missing"] == 11 - before["done"] > 0                       # to be done yet, by the line that it printed
