"The notebooks as Sphinx sources: nbdev's directives become tags, captions and labels, known names become links to the API"
import importlib
import json
import re
import shutil
import sys
from inspect import signature
from pathlib import Path, PurePosixPath

import yaml

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT/"nbs"
MODULES = [path.stem for path in sorted((ROOT/"gradlr").glob("*.py")) if not path.stem.startswith("_") and path.stem != "all"]

PATCHED = {"finetune": "fit_gradual", "strategies": "fit_strategy"} # Methods that modules give to fastai's Learner

def page_of(path:str)->str:
    "`analysis/01_more.ipynb` → `analysis/more`, as nbdev names its pages"
    path = PurePosixPath(path)
    name = re.sub(r"^\d+[a-z]*_", "", path.stem)
    return str(path.with_name("searching" if path.stem != name == "search" else name))      # Sphinx has a search page of its own

def public_names()->dict[str,str]:
    "Every exported name → where the API explains it"
    names = {name: f"gradlr.{module}.{name}" for module in MODULES for name in importlib.import_module(f"gradlr.{module}").__all__}
    return names | {name: f"fastai.learner.Learner.{name}" for name in PATCHED.values()}

def markdown(source:str, names:dict[str,str])->str:
    "Quarto's cross references, links to notebooks and names of the API in MyST's words"
    source = re.sub(r"\]\(([\w./-]+\.ipynb)\)", lambda link: f"]({PurePosixPath(link[1]).with_name(page_of(link[1]).split('/')[-1])}.ipynb)", source)
    source = re.sub(r"^\$\$(.*?)\$\$ *\{#(eq-[\w-]+)\}", r"$$\1$$ (\2)", source, flags=re.M | re.S)
    source = re.sub(r"(?<![\w`])@(eq-[\w-]+)", r"{eq}`\1`", source)
    source = re.sub(r"(?<![\w`])@(fig-[\w-]+)", r"{numref}`\1`", source)
    return re.sub(r"(?<![`}])`(\w+)`(?!`)", lambda code: f"{{py:obj}}`{code[1]} <{names[code[1]]}>`" if code[1] in names else code[0], source)

def directives(source:str)->tuple[dict,str]:
    "The `#|` lines of a cell, and what it holds beside them"
    lines = source.split("\n")
    told = [line[2:].strip() for line in lines if line.startswith("#|")]
    pairs = (line.partition(":")[::2] if ":" in line else (line.split()[0], "true") for line in told)
    return {key.strip(): value.strip().strip('"') for key, value in pairs}, "\n".join(line for line in lines if not line.startswith("#|")).strip()

def defined(source:str)->str:
    "The public names that a cell defines, as a summary"
    names = re.findall(r"^(?:def|class) ([A-Za-z]\w*)|^([A-Z]\w*) =", source, flags=re.M)
    return ", ".join(one or other for one, other in names)

def code_cell(cell:dict, folded:bool)->dict|None:
    "A code cell with its tags; nothing for one that is hidden"
    told, cell["source"] = directives("".join(cell["source"]))
    if not cell["source"] or told.keys() & {"hide", "default_exp"}: return None
    tags, notebook = [], {}
    if "export" in told:
        tags, notebook["code_prompt_show"] = ["hide-input"], f"Code: {defined(cell['source'])}".removesuffix(": ")
    elif told.get("echo") == "false": tags = ["remove-input"]
    elif folded and "eval" not in told: tags, notebook["code_prompt_show"] = ["hide-input"], "Code"
    if "code_prompt_show" in notebook: notebook["code_prompt_hide"] = notebook["code_prompt_show"]
    if "fig-cap" in told: notebook["figure"] = dict(caption=told["fig-cap"], name=told["label"])
    if "fig-alt" in told: notebook["image"] = dict(alt=told["fig-alt"])
    return cell | dict(metadata=dict(tags=tags, mystnb=notebook))

def page(path:Path, names:dict[str,str])->dict:
    "A notebook as Sphinx shows it: pages of findings fold their code, chapters only what they export"
    notebook, cells = json.loads(path.read_text()), []
    folded = path.parent.name == "analysis" or path.stem in ("index", "repeat")
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code": cells.append(code_cell(cell, folded))
        elif not "".join(cell["source"]).startswith("## Export"): cells.append(cell | dict(source=markdown("".join(cell["source"]), names)))
    return notebook | dict(cells=[cell for cell in cells if cell])

def described(module:str, name:str, found)->list[str]:
    "One exported name in reStructuredText: autodoc for what has a docstring, the names it holds for a table"
    if isinstance(found, type):
        arguments = list(signature(found.__init__).parameters)[1:] if "__init__" in vars(found) else []
        return [f".. autoclass:: gradlr.{module}.{name}({', '.join(arguments)})", "   :members:", ""]
    if callable(found): return [f".. autofunction:: gradlr.{module}.{name}", ""]
    if not isinstance(found, (dict, tuple, list)): return []
    held = ", ".join(f"``{part}``" for part in found)
    return [f".. py:data:: {name}", f"   :module: gradlr.{module}", "", f"   {held}", ""]

def api_page(module:str)->str:
    "A page for every name that a module exports"
    loaded = importlib.import_module(f"gradlr.{module}")
    lines = [line for name in loaded.__all__ for line in described(module, name, getattr(loaded, name))]
    if module in PATCHED: lines.append(f".. automethod:: fastai.learner.Learner.{PATCHED[module]}")
    return "\n".join([f"# gradlr.{module}", "", loaded.__doc__, "", "```{eval-rst}", *lines, "```", ""])

def navigation()->str:
    "nbdev's sidebar as tables of contents, the API before the last"
    contents = yaml.safe_load((NOTEBOOKS/"sidebar.yml").read_text())["website"]["sidebar"]["contents"]
    sections = {part["section"]: part["contents"] for part in contents if part != "index.ipynb"}
    listed = {"index.ipynb", *(path for paths in sections.values() for path in paths)}
    missing = sorted({str(path.relative_to(NOTEBOOKS)) for path in NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts} - listed)
    if missing: sys.exit(f"nbs/sidebar.yml does not name {', '.join(missing)}")
    *parts, last = ((title, map(page_of, paths)) for title, paths in sections.items())
    parts += [("API", [f"api/{module}" for module in MODULES]), last]
    return "\n\n".join("\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```"]) for title, pages in parts)

def write_pages(out:Path)->None:
    "All sources of the site"
    shutil.rmtree(out, ignore_errors=True)
    (out/"api").mkdir(parents=True)
    names = public_names()
    for path in NOTEBOOKS.rglob("*.ipynb"):
        if ".ipynb_checkpoints" in path.parts: continue
        place = out/f"{page_of(path.relative_to(NOTEBOOKS).as_posix())}.ipynb"
        place.parent.mkdir(exist_ok=True)
        notebook = page(path, names)
        if place.stem == "index": notebook["cells"].append(dict(cell_type="markdown", id="navigation", metadata={}, source=navigation()))
        place.write_text(json.dumps(notebook))
    for module in MODULES: (out/"api"/f"{module}.md").write_text(api_page(module))

if __name__ == "__main__": write_pages(Path(sys.argv[1]))
