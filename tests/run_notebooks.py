"Run every notebook in a fresh kernel, as a user would, its switch at the scale of a demo; notebooks stay as they are"
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT/"nbs"

def forget_demos()->None:
    "Remove what an earlier run has left, which a study would go on with"
    for demo in (ROOT/"data"/"results").glob("*/demo.toml"):
        shutil.rmtree(NOTEBOOKS/"analysis"/"out"/f"demo_{demo.parent.name}", ignore_errors=True)

def whole(source:str)->str:
    "A cell with its switch at the scale of a demo; nothing is exported"
    return re.sub(r"^TRAIN = None$", 'TRAIN = "demo"', source, flags=re.M).replace("nbdev.nbdev_export()", "nbdev")

def run(path:Path)->float:
    "Seconds that a notebook takes; raises where a cell fails"
    notebook, begin = nbformat.read(path, 4), time.perf_counter()
    for cell in notebook.cells:
        if cell.cell_type == "code": cell.source = whole(cell.source)
    there = dict(metadata=dict(path=str(path.parent)))
    client = NotebookClient(notebook, timeout=1200, kernel_name="python3", resources=there)
    client.execute(stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin

def main(asked:list[str])->None:
    "Run the notebooks asked for, or all"
    forget_demos()
    found = sorted(path for path in NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    paths, total = [Path(path) for path in asked] or found, 0.
    for path in paths:
        seconds = run(path.resolve())
        total += seconds
        print(f"{seconds:6.1f} s  {path.name}", flush=True)
    print(f"{total:6.1f} s  for {len(paths)} notebooks")

if __name__ == "__main__": main(sys.argv[1:])
