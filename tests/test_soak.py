"A part of `make soak`: what faults may cost"
import os
import sys

import pytest

from conftest import gradlr, tiny_study
from fuzz import GOOD, fuzzing
from soak import clusters, dask_cluster, flips, full_disks, hung, interrupted, kill, log, speeds, start, until

NOTHING = dict(lost=0, duplicates=0, bad_hashes=0)

@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    "Where interrupted studies lie, beside one that was left alone, and what was found"
    folder = tmp_path_factory.mktemp("soak")
    return folder, interrupted(folder, studies=2, kills=25, coordinators=1)

def test_fifty_kills_cost_a_start_each(studies):
    _, found = studies
    assert found["kills"] == 50 and found["records"] == 2*201
    assert {name: found[name] for name in NOTHING} == NOTHING
    assert found["begun_in_vain"] <= found["kills"]
    assert found["equal_tables"] == found["studies"] == 2

def test_flipped_bits_are_found(studies):
    found = flips(studies[0], 200)
    assert found["caught"] == found["flips"] == 200

def test_damaged_files_of_every_kind_are_read_as_they_were_or_refused(studies):
    found = fuzzing(studies[0]/"fuzz", studies[0]/"plain", 40)
    assert sum(found[name] for name in GOOD) == found["reads"] == 28*40, found
    assert found["megabytes"] < 1000 and found.keys() <= {*GOOD, "reads", "megabytes"}

def test_a_study_of_a_thousand_records_goes_on_at_once(studies):
    found = speeds(studies[0])
    assert found["resume_seconds"] <= 2 and found["store_milliseconds"] <= 100 and found["images_a_second"] >= 1000

@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_a_hung_worker_is_given_up_and_ctrl_c_ends_a_study_beside_one(tmp_path):
    found = hung(tmp_path, studies=1, repeats=6, stops=1, times=1)
    assert found["stopped"] == found["told"] == found["equal_tables"] == found["interrupts"] == 1
    assert {name: found[name] for name in ("left", "tracebacks", "lost")} == dict(left=0, tracebacks=0, lost=0)
    assert found["longest_until_stopped"] <= 10

@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can be mounted by root only")
def test_full_disks_stop_a_study_which_goes_on_later(tmp_path):
    found = full_disks(tmp_path, 1)
    assert found["told"] == found["stops"] == 1 and found["lost"] == found["bad_hashes"] == 0
    assert found["resumed"] == found["equal_tables"] == 1

@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_cluster_whose_workers_die_does_every_run_once(engine):
    found = clusters(engine, 8, 2)
    assert found["records"] == 33 and found["kills"] == 2
    assert {name: found[name] for name in NOTHING} == NOTHING

def test_a_study_whose_scheduler_dies_says_so_and_goes_on_with_another(tmp_path):
    study, out = tiny_study(tmp_path/"tiny.toml", 4), tmp_path/"out"
    for name in ("first", "second"): (tmp_path/name).mkdir()
    with dask_cluster(tmp_path/"first") as address:
        process = start(study, out, "--engine", "dask", "--address", address)
        until(lambda: log(out))
        kill(int((tmp_path/"first"/"scheduler.pid").read_text()))
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in told, told
    assert f"stopped: the cluster at {address} cannot be reached any more" in told and f"gradlr study run {study} --out {out} --engine dask" in told
    with dask_cluster(tmp_path/"second") as address:
        assert gradlr("study", "run", study, "--out", out, "--engine", "dask", "--address", address).returncode == 0
    keys = [key for _, key, event in log(out) if event == "done"]
    assert len(keys) == len(set(keys)) == 17
