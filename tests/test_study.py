"Studies that are stopped, shared, checked, advise, keep what is best, and have a run that kills"
import html
import io
import json
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import gradlr, tiny_study
from gradlr.images.drawing import sample_parts
from gradlr.networks.checkpoints import read_checkpoint
from gradlr.study.execute import check
from gradlr.study.folder import StudyFolder, read_records
from gradlr.study.plan import Run, plan
from gradlr.study.progress import retry, status
from gradlr.study.questions import wanted
from gradlr.study.results import outcomes
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
    for name, file, runs, shown in (("compared", compared, 2 + 2*(1 + 1 + 2 + 2*4), ["copied 3, stage, sgd", "copied_frozen 1, block, adamw", "weight 0.5, block, sgd"]),
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

def advising(file:Path, *lines:str)->Path:
    "The tiny study with rates of which the middle one is best"
    text = tiny_study(file, 2).read_text().replace("head_lrs = [0.003]", "head_lrs = [1e-5, 3e-3, 1.0]")
    text = text.replace("epochs = 1", "epochs = 6").replace("batch_size = 32", "batch_size = 16")
    file.write_text("\n".join([*lines, 'strategies = ["gradual"]', text]))
    return file

@pytest.fixture(scope="module")
def advised(tmp_path_factory):
    "A finished study that keeps what is best, its folder, and what was printed"
    home = tmp_path_factory.mktemp("advised")
    study, out = advising(home/"tiny.toml"), home/"my study"
    result = gradlr("study", "run", study, "--out", out)
    assert result.returncode == 0 and not (out/"best").exists(), result.stderr
    before = {file: file.stat().st_mtime_ns for file in (out/"records").iterdir()}
    # what is kept is no other study
    result = gradlr("study", "run", advising(study, 'keep = "best"'), "--out", out)
    assert result.returncode == 0, result.stderr
    assert before == {file: file.stat().st_mtime_ns for file in (out/"records").iterdir()}
    return study, out, result.stdout

def codes(page:str)->list[str]:
    "The code on a page"
    return [html.unescape(code) for code in re.findall(r"<pre>(.*?)</pre>", page, flags=re.S)]

def test_a_report_heads_with_what_has_won_and_its_code_runs(advised):
    study, out, printed = advised
    page = (out/"report.html").read_text()
    lead = html.unescape(re.search(r'<p class="lead winner"><b>(.*?)</b> (.*?)</p>', page).expand(r"\1 \2"))
    assert lead in printed and re.match(r"Best for digits02: .* from digits01 at 16 px; head's rate 0.003", lead), lead
    assert "n=2 repeats of 200 images" in lead and "guessing: 25 %" in lead
    assert page.index("lead winner") < page.index("This study asks nothing")
    predict, train = codes(page)[:2]
    won = json.loads(gradlr("study", "status", out, "--json").stdout)["winners"]
    assert [one["where"] for one in won] == ["digits02"] and f"{100*won[0]['accuracy']:.1f} %" in lead
    cell = won[0]["cells"][0]
    first = next(record for record in read_records(out) if record["run"]["repeat"] == 0 and record["run"]["kind"] == "target"
                 and all(record["run"][name] == cell[name] for name in ("source", "head_lr"))
                 and all(record["run"][name] == value for name, value in cell["way"].items()))
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", train], capture_output=True, text=True, cwd=out.parent, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert abs(float(ran.stdout.split()[-1]) - first["ended"]["test_accuracy"]) < 0.03
    assert predict == f"gradlr predict '{out}/best/digits02.safetensors' new.jpg"
    assert "Traceback" not in (shown := gradlr("study", "status", out).stdout) and lead in shown

def test_the_best_network_is_kept_once_and_names_images(advised, tmp_path):
    study, out, printed = advised
    kept = out/"best"/"digits02.safetensors"
    card, before = read_checkpoint(kept).card, kept.stat().st_mtime_ns
    assert f"kept: {kept}" in printed and card["run"] in {record["key"] for record in read_records(out)}
    test = sample_parts(read_study(study).sample("digits02"), 16)[2]
    (tmp_path/"new").mkdir()
    for i, image in enumerate(test.images): Image.fromarray(image[0].numpy()).save(tmp_path/"new"/f"{i:03}.png")
    truth = [test.classes[label] for label in test.labels.tolist()]
    for place in (out/"best", out, kept):
        result = gradlr("predict", place, tmp_path/"new", "--json")
        assert result.returncode == 0, result.stderr
        right = np.mean([row["label"] == label for row, label in zip(json.loads(result.stdout), truth, strict=True)])
        assert abs(right - card["test"]["accuracy"]) < 0.02 and card["test"]["low"] < right < card["test"]["high"]
    for broken in (None, kept.read_bytes()[:2000]):
        if broken: kept.write_bytes(broken)
        assert f"kept: {kept}" in gradlr("study", "run", study, "--out", out).stdout
        assert read_checkpoint(kept).card["test"] == card["test"] and (kept.stat().st_mtime_ns == before) == (broken is None)
    # packed records hold no weights, and say the same
    assert gradlr("study", "pack", out, tmp_path/"packed").returncode == 0
    assert gradlr("report", tmp_path/"packed").returncode == 0
    page = (tmp_path/"packed"/"report.html").read_text()
    assert "Best for digits02" in page and "gradlr predict" not in page and codes(page)[0] == codes((out/"report.html").read_text())[1]

@pytest.mark.parametrize("line, says", [('keep = "bset"', "did you mean: best"), ("keep = true", "keep: "), ("keep = 1", "keep: ")])
def test_what_can_be_kept_is_said(line, says, tmp_path):
    result = gradlr("study", "show", advising(tmp_path/"a.toml", line))
    assert result.returncode == 2 and says in result.stderr and "line 1" in result.stderr and "Traceback" not in result.stderr

@pytest.mark.parametrize("old, new, says", [
    ("[1e-5, 3e-3, 1.0]", "[3e-3]", "grid too narrow"), ("[1e-5, 3e-3, 1.0]", "[1e-7, 3e-7, 1e-6]", "senseless regime"),
    ("[[experiments]]", '[samples.digits02]\ndata = "digits"\nclasses = ["0", "2"]\ntrain = 60\nvalid = 60\n[[experiments]]', "no test images")],
    ids=["narrow", "senseless", "no test"])
def test_nothing_is_kept_where_nothing_has_won(old, new, says, tmp_path):
    study = advising(tmp_path/"tiny.toml", 'keep = "best"')
    study.write_text(study.read_text().replace("repeats = 2", "repeats = 1").replace("weights = [1.0, 0.5]", "weights = [1.0]").replace(old, new, 1))
    result = gradlr("study", "run", study, "--out", tmp_path/"out")
    assert result.returncode == 0 and not (tmp_path/"out"/"best").exists(), result.stderr
    line = next(line for line in result.stdout.splitlines() if line.startswith("nothing is kept. No winner for digits02: "))
    page = html.unescape((tmp_path/"out"/"report.html").read_text())
    assert says in line and f"<b>{line.removeprefix('nothing is kept. ')}</b>" in page and "Train with it" not in page
    result = gradlr("predict", tmp_path/"out", study)
    assert result.returncode == 2 and 'keep = "best"' in result.stderr

@pytest.mark.parametrize("file", sorted((Path(__file__).parents[1]/"data"/"studies").glob("*.toml")), ids=lambda file: file.stem)
def test_a_study_that_comes_next_asks_before_it_runs(file):
    study = read_study(file)
    assert study.name == file.stem and study.is_fair and study.questions
    # of two listed rates the best one is always at an edge
    assert all(len(experiment.head_lrs) > 2 for experiment in study.experiments if experiment.head_lrs)

@pytest.mark.parametrize("name", ["imagenet", "finer", "ways", "batch_norm", "budget", "default", "sources", "thesis64", "search", "optimisers"])
def test_records_that_are_kept_have_the_keys_that_a_plan_gives_them(name):
    "Whatever a study's file may say beyond its runs"
    home = StudyFolder(Path(__file__).parents[1]/"data"/"results"/name)
    records, study = home.records(), home.study()
    if (home.path/"precision.txt").exists(): study = replace(study, precision=home.precision())
    drawn = {(name, repeat): about["fingerprint"] for name, repeats in home.data().items() for repeat, about in enumerate(repeats)}
    began = {(run["source"], run["repeat"]): run["source_sha256"] for run in (record["run"] for record in records) if run["source"]}
    planned = {run.key for run in plan(study, wanted(study, outcomes(records)), defaultdict(str, drawn), began) if not run.is_waiting}
    assert all(Run(**record["run"]).key == record["key"] for record in records)
    # what holds the body still needs no second mode of batch norm
    ours = [record["key"] for record in records if (record["run"]["strategy"], record["run"]["batch_norm"]) != ("frozen", "still")]
    assert len(ours) > 40 and planned >= set(ours)
