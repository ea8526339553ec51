"Processes that are stopped, interrupted, or started where something is amiss"
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from conftest import COMMAND, gradlr, tiny_study
from gradlr.study.progress import failures, retry
from soak import is_there, kill, log, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
LEAVE = 10 # Seconds after Ctrl-C

@pytest.fixture
def short(tmp_path):
    "A study of five runs"
    return tiny_study(tmp_path/"short.toml", 1)

@pytest.fixture
def endless(tmp_path):
    "A study whose runs take hours"
    file = tiny_study(tmp_path/"endless.toml", 1)
    file.write_text(file.read_text().replace("\nepochs = 1\n", "\nepochs = 100000\nstrategies = ['scratch']\n"))
    return file

def begin(study:Path, out:Path, *options)->subprocess.Popen:
    "A study as a terminal runs it, in a group of its own, with what it says in a file"
    said = tempfile.TemporaryFile("w+") # noqa: SIM115
    process = subprocess.Popen([COMMAND, "study", "run", study, "--out", out, "--jobs", "1", *options], stdout=subprocess.DEVNULL, stderr=said,
                               start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    process.said = said
    return process

def stopped_worker(out:Path)->int:
    "Wait for a run, and stop its process for good"
    until(lambda: any(event == "begun" for _, _, event in log(out)))
    pid = next(pid for pid, _, event in log(out) if event == "begun")
    os.kill(pid, signal.SIGSTOP)
    return pid

def left(process:subprocess.Popen)->str:
    "Wait until an interrupted study has ended; what it said"
    process.wait(LEAVE)
    process.said.seek(0)
    return process.said.read()

def test_a_worker_that_stands_still_fails_at_its_time_limit(endless, tmp_path):
    out = tmp_path/"out"
    process = begin(endless, out, "--time-limit", "4")
    pid = stopped_worker(out)
    process.wait(60)
    assert process.returncode == 1 and not is_there(pid)
    failure = failures(out)[0]["failure"]
    assert failure == dict(kind="TimeLimit", message="not done after 4 s; it stood still")
    assert "TimeLimit: not done after 4 s" in left(process) and retry(out) == 1

@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT]*3, [signal.SIGTERM, signal.SIGINT]])
def test_a_signal_ends_a_study_whose_worker_stands_still(endless, tmp_path, signals):
    process = begin(endless, tmp_path/"out")
    pid = stopped_worker(tmp_path/"out")
    for number in signals:
        os.killpg(process.pid, number)
        time.sleep(0.3)
    said = left(process)
    assert process.returncode == 128 + signals[0] and "Traceback" not in said
    assert f"gradlr study run {endless} --out {tmp_path/'out'}" in said and not is_there(pid)

@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.3, 2, 3])
def test_ctrl_c_in_the_first_seconds(endless, tmp_path, seconds):
    process = begin(endless, tmp_path/"out")
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    assert "Traceback" not in left(process) and process.returncode in (130, -signal.SIGINT)

def test_the_server_that_workers_are_forked_from_may_be_killed(endless, tmp_path):
    out = tmp_path/"out"
    process = begin(endless, out)
    until(lambda: any(event == "begun" for _, _, event in log(out)))
    first = next(pid for pid, _, event in log(out) if event == "begun")
    kill(int(Path(f"/proc/{first}/stat").read_text().split()[3]))
    until(lambda: len({pid for pid, _, event in log(out) if event == "begun"}) > 1)
    os.killpg(process.pid, signal.SIGINT)
    assert "Traceback" not in left(process) and process.returncode == 130

@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams(short, tmp_path, closed):
    command = f"{COMMAND} study run {short} --out {tmp_path/'out'} --jobs 1 {closed}"
    assert subprocess.run(command, shell=True, timeout=120).returncode == 0
    assert (tmp_path/"out"/"report.html").exists()

@pytest.mark.parametrize("name", ["d"*60 + "/" + "e"*200, "ü"*60])
def test_a_long_path_of_temporary_files(short, tmp_path, name):
    (tmp_path/name).mkdir(parents=True)
    result = gradlr("study", "run", short, "--out", tmp_path/"out", "--jobs", 1, env=os.environ | {"TMPDIR": str(tmp_path/name)})
    assert result.returncode == 0, result.stderr

@pytest.mark.parametrize("jobs", [10**4, 10**6, 10**12])
def test_more_jobs_than_a_system_has_files_for(short, tmp_path, jobs):
    result = gradlr("study", "run", short, "--out", tmp_path/"out", "--jobs", jobs)
    assert result.returncode == 2 and "(--jobs)" in result.stderr and "Traceback" not in result.stderr

@pytest.mark.parametrize("folder", ["--jobs", "- -"])
def test_the_line_that_goes_on_is_taken_whatever_the_folder_is_called(endless, tmp_path, folder):
    (tmp_path/"-mine.toml").write_text(endless.read_text())
    options = dict(cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen([COMMAND, "study", "run", f"--out={folder}", "--time-limit=2", "--", "-mine.toml"], **options)
    _, said = process.communicate(timeout=60)
    lines = [line.strip().replace("gradlr ", f"{COMMAND} ", 1) for line in said.splitlines() if line.startswith("  gradlr")]
    assert process.returncode == 1 and len(lines) == 2, said
    retried, again = [subprocess.run(line, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=60) for line in lines]
    assert retried.returncode == 0 and again.returncode == 1 and "TimeLimit" in again.stderr
