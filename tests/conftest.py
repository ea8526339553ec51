"What the tests share: a study of seconds, and the command as a user types it"
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("gradlr")
TINY = """name = "tiny"
head_lrs = [0.003]
weights = [1.0, 0.5]
repeats = 3
network = "timm/test_resnet"
size = 16
epochs = 1
batch_size = 32
source_epochs = 1
finder_steps = 30

[[experiments]]
source = "digits01"
target = "digits02"
"""

@pytest.fixture
def tiny(tmp_path:Path)->Path:
    "A study of thirteen runs, each of a fraction of a second"
    return tiny_study(tmp_path/"tiny.toml", 3)

def tiny_study(file:Path, repeats:int)->Path:
    "Write a study of 1 + 4·repeats such runs"
    file.write_text(TINY.replace("repeats = 3", f"repeats = {repeats}"))
    return file

def gradlr(*arguments, **kwargs)->subprocess.CompletedProcess:
    "Run the command to its end"
    return subprocess.run([str(COMMAND), *map(str, arguments)], capture_output=True, text=True, timeout=600, **kwargs)

def data_folder()->Path|None:
    "Where real EMNIST and CIFAR-10 are, if they are"
    folder = Path(os.environ.get("GRADLR_DATA", ""))
    return folder if os.environ.get("GRADLR_DATA") and (folder/"EMNIST"/"raw").is_dir() and (folder/"cifar10").is_dir() else None
