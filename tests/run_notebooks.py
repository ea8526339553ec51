"Run every notebook in a fresh kernel, as a user would, training cells included, at demo scale; nothing is written back"
import os
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

def demo_records()->Path:
    "A folder of folders to record in: each holds the `demo.toml` of recorded results, by the name of what it replaces"
    for demo in (ROOT/"data"/"results").glob("*/demo.toml"):
        folder = ROOT/"out"/"records"/demo.parent.name
        for left in (folder, ROOT/"out"/f"demo_{demo.parent.name}"): shutil.rmtree(left, ignore_errors=True)
        folder.mkdir(parents=True)
        for replaced in ("study.toml", "settings.toml"):
            if (demo.parent/replaced).exists(): shutil.copy(demo, folder/replaced)
    return ROOT/"out"/"records"

def whole(source:str)->str:
    "A cell as a user may run it: what is marked not to run in tests runs, and nothing is exported"
    return re.sub(r"^#\|\s*eval:\s*false\n", "", source, flags=re.M).replace("nbdev.nbdev_export()", "nbdev")

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
    os.environ["GRADLR_RECORDS"] = str(demo_records())
    found = sorted(path for path in NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    paths, total = [Path(path) for path in asked] or found, 0.
    for path in paths:
        seconds = run(path.resolve())
        total += seconds
        print(f"{seconds:6.1f} s  {path.name}", flush=True)
    print(f"{total:6.1f} s  for {len(paths)} notebooks")

if __name__ == "__main__": main(sys.argv[1:])
