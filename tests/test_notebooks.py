"Pages that readers open and run from top to bottom: they do no harm, and show without being trusted"
import ast
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from run_notebooks import whole
from settled import clear, nothing_is_left_over

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE/"docs"))
from pages import statements

PAGES = sorted(path for folder in ("analysis", "start") for path in (HERE/"nbs"/folder).glob("*.ipynb"))
NAMES = [path.stem for path in PAGES]
# What takes long or writes
ACTS = {"execute", "score_experiments", "pack", "mkdir", "write_text", "to_csv", "to_parquet", "savez_compressed"}
# Trains in seconds, into its own `out`: that is what it is about
OWN = {"your_images"}

def code(path:Path)->list[dict]:
    "The code cells of a notebook"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]

def acts(tree:ast.AST)->list[str]:
    "What is called that takes long or writes"
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [name for function in called if (name := ast.unparse(function).rpartition(".")[2]) in ACTS]

def is_switch(node:ast.stmt)->bool: return isinstance(node, ast.If) and ast.unparse(node.test) == "TRAIN"

def test_every_notebook_names_its_kernel():
    "Without it the site cannot tell that code is Python"
    for path in (HERE/"nbs").glob("**/*.ipynb"):
        if not {"out", ".ipynb_checkpoints"} & set(path.parts):
            assert json.loads(path.read_text(encoding="utf-8"))["metadata"]["kernelspec"]["language"] == "python", path

@pytest.mark.parametrize("path", [path for path in PAGES if path.stem not in OWN], ids=lambda path: path.stem)
def test_what_takes_long_or_writes_stands_behind_a_switch_that_is_off(path):
    source = "\n".join("".join(cell["source"]) for cell in code(path))
    nodes = statements(source)
    assert not [name for node in nodes if not is_switch(node) for name in acts(node)]
    behind = any(map(is_switch, nodes))
    assert source.count("TRAIN = None\n") == behind and "eval: false" not in source
    assert (whole(source).count('\nTRAIN = "demo"\n') == 1) == behind
    assert "../out" not in source, "a notebook's `out` lies beside it"

def tree(folder:Path)->dict[str,str]:
    "What lies in a folder"
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}

@pytest.mark.parametrize("name", ["gradual_rates", "distances", "predictors"])
def test_run_all_leaves_everything_as_it_is(name, tmp_path):
    shutil.copytree(HERE/"data"/"results", tmp_path/"data"/"results")
    page = tmp_path/"nbs"/"analysis"/f"{name}.ipynb"
    page.parent.mkdir(parents=True)
    shutil.copy(HERE/"nbs"/"analysis"/page.name, page)
    before, notebook = tree(tmp_path), nbformat.read(page, 4)
    there = dict(metadata=dict(path=str(page.parent)))
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=there)
    client.execute(stderr=subprocess.DEVNULL)
    assert tree(tmp_path) == before
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.get("name") == "stderr"], "red warnings"
    figures = [output.data for output in outputs if "image/svg+xml" in output.get("data", {})]
    assert figures and all("image/png" in figure for figure in figures)

@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_outputs_show_without_trust_and_are_of_a_sane_size(path):
    for cell in code(path):
        for output in cell["outputs"]:
            shown = output.get("data", {})
            # JupyterLab shows no SVG before a notebook is trusted
            assert "image/svg+xml" not in shown or "image/png" in shown, cell["id"]
    assert path.stat().st_size < 1.5e6

SEEN = [dict(output_type="stream", name="stdout", text="trained in [00:12<00:00]"),
        dict(output_type="execute_result", data={"text/plain": "'[00:12<00:00]'"}),
        dict(output_type="display_data", data={"image/png": "", "text/plain": "<Figure size 640x480>"})]
LEFT = [dict(output_type="stream", name="stderr", text="UserWarning: …"),
        dict(output_type="display_data", data={"text/plain": "unpacking: 0 files [00:00, ? files/s]"}),
        dict(output_type="display_data", data={"text/plain": ["  0%|  | 0/5 [1:02:00<?, ?it/s]"]}),
        dict(output_type="display_data", data={"application/vnd.jupyter.widget-view+json": {}, "text/plain": "HBox()"})]

def written(file:Path, metadata:dict, *outputs:dict)->str:
    "A notebook whose first cell is text, and whose second one shows these outputs"
    cells = [dict(cell_type="markdown", id="about", metadata={}, source=["a"]),
             dict(cell_type="code", id="shows", metadata={}, source=["π"], outputs=list(outputs), execution_count=None)]
    content = dict(cells=cells, metadata=metadata, nbformat=4, nbformat_minor=5)
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    return file.read_text(encoding="utf-8")

@pytest.mark.parametrize("left", LEFT)
def test_what_is_left_over_is_cleared_alone(left, tmp_path):
    file = tmp_path/"a.ipynb"
    wanted = written(file, {}, *SEEN)
    assert clear(file) == [] and file.read_text(encoding="utf-8") == wanted
    written(file, dict(widgets={"state": {}}), SEEN[0], left, *SEEN[1:])
    assert clear(file) == ["shows"] and file.read_text(encoding="utf-8") == wanted
    written(file, dict(widgets={"state": {}}), *SEEN)
    assert clear(file) == [] and file.read_text(encoding="utf-8") == wanted

def test_the_house_names_notebook_and_cell_of_a_bar(tmp_path, monkeypatch):
    file = tmp_path/"nbs"/"a.ipynb"
    file.parent.mkdir()
    written(file, {}, LEFT[-1])
    monkeypatch.setattr("settled.ROOT", tmp_path)
    monkeypatch.setattr("settled.notebooks", lambda: [file])
    [said], again = list(nothing_is_left_over()), list(nothing_is_left_over())
    assert said.startswith("nbs/a.ipynb: a bar or a warning was left in cell shows") and again == []
