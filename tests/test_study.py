"Studies that are stopped, shared, checked, and have a run that kills"
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from conftest import gradlr, tiny_study
from gradlr.study.execute import check
from gradlr.study.progress import retry, status
from gradlr.study.toml import read_study
from soak import FINISHED, kill, log, start, until


def test_one_coordinator_a_study_and_a_signal_stops_it(tmp_path):
    study, out = tiny_study(tmp_path/"long.toml", 300), tmp_path/"out"
    process = start(study, out)
    until(lambda: len(list(out.glob("records/*.json"))) > 2)
    second = gradlr("study", "run", study, "--out", out)
    assert second.returncode == 2 and f"process {process.pid} on" in second.stderr
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - begin < 10
    assert process.returncode == 143
    assert f"gradlr study run {study} --out {out}" in err and "Traceback" not in err

def test_a_run_that_kills_its_workers_fails_alone(tiny, tmp_path):
    out = tmp_path/"out"
    process, poison, deaths = start(tiny, out), None, set()
    while process.poll() is None:
        events, begun = log(out), {}
        for pid, key, event in events:
            if event == "begun": begun[key] = pid
            else: begun.pop(key, None)
        fresh = begun if sum(event in FINISHED for _, _, event in events) >= 7 else {}
        for key, pid in fresh.items():
            poison = poison or key
            if key == poison and pid not in deaths and kill(pid): deaths.add(pid)
        time.sleep(0.005)
    _, err = process.communicate()
    assert len(deaths) == 3 and process.returncode == 1
    assert "WorkerDied: its worker process was killed 3 times" in err and f"gradlr study retry {out}" in err
    assert status(out) == dict(study="tiny", planned=13, done=12, diverged=0, failed=1, missing=0, questions=[], left_out={})
    assert "WorkerDied" in Path(gradlr("report", out).stdout.removeprefix("report: ").strip()).read_text()
    assert retry(out) == 1 and status(out)["missing"] == 1

def test_check_names_everything_that_stands_in_the_way(tmp_path):
    images = tmp_path/"mine"
    for name in ("cat", "dog"):
        (images/name).mkdir(parents=True)
        for k in range(12): (images/name/f"{k}.png").write_bytes(picture(k + 100*(name == "dog")))
    (images/"cat"/"3.png").write_bytes(picture(3)[:60])
    (images/"dog"/"3.png").unlink()
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
train = 8
valid = 4
""")
    result = gradlr("study", "check", file, "--out", tmp_path/"out", "--json")
    found = json.loads(result.stdout)
    assert result.returncode == 2 and found["images"] == {"digits01": 680} and found["needed"] > 40e6
    assert len(found["problems"]) == 1 and "cat/3.png" in found["problems"][0] and "dog/page.jpg" in found["problems"][0]
    ran = gradlr("study", "run", file, "--out", tmp_path/"out")
    assert ran.returncode == 2 and "cat/3.png" in ran.stderr and "dog/page.jpg" in ran.stderr and not (tmp_path/"out"/"records").exists()
    (images/"dog"/"page.jpg").rename(images/"dog"/"3.png")
    for k, name in enumerate(("cat", "dog")): (images/name/"3.png").write_bytes(picture(3 + 100*k))
    assert check(read_study(file), tmp_path/"out")[0] == []

def picture(seed:int)->bytes:
    "A small PNG of its own"
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed + 1).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()

def test_a_file_compares_what_is_to_be_compared_and_the_report_shows_it(tiny, tmp_path):
    text = tiny.read_text().replace("repeats = 3", "repeats = 1")
    compared = text.replace("[[experiments]]", 'strategies = ["scratch", "gradual", "copied", "copied_frozen"]\ndepths = [1, 3]\ngrains = ["stage", "block"]\n'
                                               "[optimizers]\nadamw = [0.003]\nsgd = [0.1]\n[[experiments]]", 1)
    searched = text.replace("weights = [1.0, 0.5]", "weights = [1.0, 0.8, 0.6, 0.4]").replace("head_lrs = [0.003]", "head_lrs = [0.001, 0.003, 0.01]")
    searched = searched.replace("[[experiments]]", 'strategies = ["gradual"]\nsearch = "gp"\ntrials = 10\n[[experiments]]', 1)
    for name, file, runs, shown in (("compared", compared, 2 + 2*(1 + 1 + 2 + 2*4), ["copied 3, stage, sgd", "copied_frozen 1, block, adamw", "weight 0.5, block, sgd", "<h2>Strategies</h2>"]),
                                    ("searched", searched, 2 + 10, ["<h2>Search</h2>", "10 of 12 cells, chosen by <i>gp</i>"])):
        tiny.write_text(file)
        result = gradlr("study", "run", tiny, "--out", tmp_path/name)
        assert result.returncode == 0, result.stderr
        assert status(tmp_path/name)["done"] == runs and status(tmp_path/name)["missing"] == 0
        report = (tmp_path/name/"report.html").read_text()
        for words in shown: assert words in report, words

SPAWNED = """
import sys
from gradlr import engines
from gradlr.study import execute, progress, toml
engines.start_method = lambda: "spawn"
if __name__ == "__main__":
    study, out = toml.read_study(sys.argv[1]), sys.argv[2]
    assert execute.execute(study, out, jobs=2) == []
    print(progress.status(out)["done"], "gradlr.study.worker" in sys.modules)
"""

def test_workers_are_spawned_where_there_is_no_server_to_fork_from(tiny, tmp_path):
    "As on macOS and Windows; the table is that of forked workers"
    script = tmp_path/"spawned.py"
    script.write_text(SPAWNED)
    tiny_study(tiny, 1)
    command = [sys.executable, "-W", "ignore", str(script), str(tiny), str(tmp_path/"spawned")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0 and result.stdout.split() == ["5", "True"], result.stderr
    assert gradlr("study", "run", tiny, "--out", tmp_path/"forked").returncode == 0
    tables = [(tmp_path/name/"results.parquet").read_bytes() for name in ("spawned", "forked")]
    assert tables[0] == tables[1]

def test_status_says_what_is_damaged_or_of_other_settings(tiny, tmp_path):
    "Small files cut, emptied or replaced end in a line, never in a traceback"
    out = tmp_path/"out"
    out.mkdir()
    for name, content in (("study.toml", b"a = " + b"["*5000), ("data.json", b"[]"), ("data.json", b"{"), ("records.parquet", b"PAR1")):
        (out/"study.toml").write_text(tiny.read_text())
        (out/name).write_bytes(content)
        result = gradlr("study", "status", out)
        assert result.returncode == 2 and name in result.stderr and "Traceback" not in result.stderr, result.stderr
        (out/name).unlink()
