"Run every notebook from top to bottom in a fresh kernel, as a user would, training cells included, at demo scale; nothing is written back"
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1]/"nbs"

def at_demo_scale(source:str)->str:
    "A line that ends in the comment `# demo: VALUE` assigns that value; what was marked not to run elsewhere runs"
    source = re.sub(r"^(\s*[\w, ]+ = ).*# demo: (.*)$", r"\1\2", source, flags=re.M)
    return re.sub(r"^#\|\s*eval:\s*false\n", "", source, flags=re.M)

def run(path:Path)->float:
    "Seconds that a notebook takes; raises where a cell fails"
    notebook, begin = nbformat.read(path, 4), time.perf_counter()
    for cell in notebook.cells:
        if cell.cell_type == "code": cell.source = at_demo_scale(cell.source).replace("nbdev.nbdev_export()", "nbdev")
    NotebookClient(notebook, timeout=1200, kernel_name="python3", resources=dict(metadata=dict(path=str(path.parent)))).execute(stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin

if __name__ == "__main__":
    total, paths = 0., [Path(path) for path in sys.argv[1:]] or [path for path in sorted(NOTEBOOKS.rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts]
    for path in paths:
        seconds = run(path.resolve())
        total += seconds
        print(f"{seconds:6.1f} s  {path.name}", flush=True)
    print(f"{total:6.1f} s  for {len(paths)} notebooks")
