"gradlr away from its clone, and with both ends of the fastai versions that it supports"
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
NEWEST = HERE/".fastai-newest"

def run(code:str, path:Path, cwd:Path)->str:
    "What a script prints that finds packages in `path` first"
    env = os.environ | {"PYTHONPATH": str(path), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    return result.stdout

def test_installed_away_from_the_clone(tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", tmp_path/"site", HERE], check=True)
    code = "import gradlr, gradlr.cli; print(gradlr.__file__); raise SystemExit(gradlr.cli.main(['study', 'show', 'demo']))"
    out = run(code, tmp_path/"site", tmp_path)
    assert out.startswith(str(tmp_path/"site")) and 'name = "demo"' in out

@pytest.mark.parametrize("newest", [False, True], ids=["fastcore 1", "fastcore 2"])
def test_both_ends_of_the_fastai_range(tiny, tmp_path, newest):
    if newest and not (NEWEST/"fastai").is_dir(): pytest.skip("the newest fastai is not laid out: make does it")
    code = f"""
import fastcore, sys
print("fastcore", fastcore.__version__)
from gradlr.cli import main
if __name__ == "__main__": sys.exit(main(["study", "run", {str(tiny)!r}, "--out", {str(tmp_path/'out')!r}]))"""
    out = run(code, NEWEST if newest else tmp_path, tmp_path)
    assert out.startswith(f"fastcore {2 if newest else 1}.") and "report:" in out
