"Devices that this machine need not have, and what follows from the choice of one"
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fastai.torch_core import default_device, defaults

from gradlr.errors import InputError
from gradlr.machine import (
    DEVICE_VARIABLE,
    chosen_device,
    device_name,
    devices_here,
    random_states,
    use_device,
    visible_gpus,
    worker_count,
)


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    "No choice from outside, and none that outlives a test"
    for name in (DEVICE_VARIABLE, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(defaults, "use_cuda", None)

@pytest.fixture
def processor(monkeypatch):
    "A machine without a GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

@pytest.fixture
def nvidia(processor, monkeypatch):
    "A machine with two NVIDIA GPUs"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")

@pytest.fixture
def apple(processor, monkeypatch):
    "A machine with Apple's GPU"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)

def test_a_gpu_is_taken_where_there_is_one(nvidia):
    assert devices_here() == ["cuda", "cpu"] and chosen_device() == "cuda"
    assert device_name() == "NVIDIA H100" and visible_gpus() == ["0", "1"]
    assert worker_count() == 2 and worker_count(5) == 5

def test_visible_gpus_are_those_of_the_environment(nvidia, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    assert visible_gpus() == ["3", "GPU-abc"]

def test_the_processor_is_chosen_beside_a_gpu(nvidia):
    use_device("cpu")
    assert chosen_device() == "cpu" and default_device() == torch.device("cpu")
    assert device_name() != "NVIDIA H100" and visible_gpus() == []

def test_a_choice_made_with_fastai_counts(nvidia, monkeypatch):
    monkeypatch.setattr(defaults, "use_cuda", False)
    assert chosen_device() == "cpu"

def test_apples_gpu_takes_one_worker(apple):
    assert devices_here() == ["mps", "cpu"] and chosen_device() == "mps" and device_name().endswith(" GPU")
    use_device("mps")
    assert default_device() == torch.device("mps") and visible_gpus() == []
    assert worker_count() == worker_count(1) == 1
    with pytest.raises(InputError, match="mps takes one worker, got 2"): worker_count(2)

@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there(processor, name):
    with pytest.raises(InputError, match=f"no device '{name}': choose from cpu"): use_device(name)
    assert DEVICE_VARIABLE not in os.environ and chosen_device() == "cpu"

def test_a_choice_from_outside_is_checked(processor, monkeypatch):
    monkeypatch.setenv(DEVICE_VARIABLE, "mps")
    with pytest.raises(InputError, match="no device 'mps': choose from cpu"): chosen_device()

def test_children_learn_the_choice(nvidia):
    use_device("cpu")
    code = """
import torch
torch.cuda.is_available = lambda: True
from gradlr.machine import chosen_device
print(chosen_device())
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.stdout == "cpu\n"

def test_a_processor_has_a_name_on_every_system(processor, monkeypatch):
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: str(path) != "/proc/cpuinfo" and exists(path))
    monkeypatch.setattr(platform, "processor", lambda: "Intel64 Family 6")
    assert device_name() == "Intel64 Family 6"
    monkeypatch.setattr(sys, "platform", "darwin")
    answer = subprocess.CompletedProcess("sysctl", 0, "Apple M2\n")
    monkeypatch.setattr(subprocess, "run", lambda command, **options: answer)
    assert device_name() == "Apple M2"

def test_the_random_state_of_apples_gpu_is_kept(apple, monkeypatch):
    put_back = []
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: "before")
    monkeypatch.setattr(torch.mps, "set_rng_state", put_back.append)
    with random_states(): assert not put_back
    assert put_back == ["before"]

def test_the_random_states_of_gpus_are_kept(nvidia, monkeypatch):
    put_back = []
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: ["first", "second"])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", put_back.append)
    with random_states(): assert not put_back
    assert put_back == [["first", "second"]]

def test_the_import_needs_no_torch():
    code = "import sys; import gradlr.machine; assert not {'torch', 'fastai', 'matplotlib'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
