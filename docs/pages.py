"The notebooks as Sphinx sources: nbdev's directives become tags and captions, known names links to the API"
import ast
import importlib
import json
import re
import shutil
import sys
from configparser import ConfigParser
from functools import cache
from inspect import getdoc, signature
from itertools import count
from pathlib import Path, PurePosixPath
from posixpath import dirname, normpath, relpath
from typing import get_origin

from house import NOTEBOOKS, ROOT, chapters, contents, module_of, notebooks, parts, told
from outputs import captioned, drawings_of, picture, titled

MODULES = [module_of(chapter) for chapter in chapters() if module_of(chapter) != "all"]
# Methods that modules give to fastai's Learner
PATCHED = {"rates.learners": "fit_gradual", "rates.training": "fit_strategy"}

def page_of(path:str)->str:
    "`21_networks.layers.ipynb` → `networks/layers`, `analysis/trial.ipynb` → `analysis/trial`"
    path = PurePosixPath(path)
    return str(path.parent/re.sub(r"^\d+_", "", path.stem).replace(".", "/"))

def exported(module:str, names:list[str])->dict[str,object]:
    "Those of the names that a module exports, and what they stand for"
    home = importlib.import_module(f"gradlr.{module}")
    return {name: getattr(home, name) for name in names if name in home.__all__}

def public_names()->dict[str,str]:
    "Every exported name → where the API explains it"
    names = {name: f"gradlr.{module}.{name}"
             for module in MODULES for name in importlib.import_module(f"gradlr.{module}").__all__}
    return names | {name: f"fastai.learner.Learner.{name}" for name in PATCHED.values()}

@cache
def homes()->dict[str,str]:
    "Label → the notebook whose cell has it"
    return {label: path.relative_to(NOTEBOOKS).as_posix() for path in notebooks()
            for label in re.findall(r"#\| label: ([\w-]+)", path.read_text(encoding="utf-8"))}

def markdown(source:str, names:dict[str,str], notebook:str="index.ipynb")->str:
    "Quarto's cross references, links to notebooks and names of the API in MyST's words"
    def link(found:re.Match)->str:
        target = page_of(normpath(f"{dirname(notebook)}/{found[1]}".removeprefix("/")))
        return f"]({relpath(target, dirname(page_of(notebook)) or '.')}.ipynb{found[2] or ''})"
    def figure(found:re.Match)->str:
        home = homes()[found[1]]
        of = "" if home == notebook else f" of [{told(NOTEBOOKS/home)[0]}]({relpath(home, dirname(notebook) or '.')})"
        return f"{{numref}}`{found[1]}`{of}"
    def code(found:re.Match)->str:
        return f"{{py:obj}}`{found[1]} <{names[found[1]]}>`" if found[1] in names else found[0]
    source = re.sub(r"(?<![\w`])@(fig-[\w-]+)", figure, source)
    source = re.sub(r"\]\(([\w./-]+\.ipynb)(#[\w-]+)?\)", link, source)
    source = re.sub(r"^\$\$(.*?)\$\$ *\{#(eq-[\w-]+)\}", r"$$\1$$ (\2)", source, flags=re.M | re.S)
    source = re.sub(r"(?<![\w`])@(eq-[\w-]+)", r"{eq}`\1`", source)
    return re.sub(r"(?<![`}])`(\w+)`(?!`)", code, source)

def directives(source:str)->tuple[dict,str]:
    "The `#|` lines of a cell, and what it holds beside them"
    lines = source.split("\n")
    given = [line[2:].strip() for line in lines if line.startswith("#|")]
    pairs = (line.partition(":")[::2] if ":" in line else (line.split()[0], "true") for line in given)
    rest = "\n".join(line for line in lines if not line.startswith("#|"))
    return {key.strip(): value.strip().strip('"') for key, value in pairs}, rest.strip()

def defined(source:str)->list[str]:
    "The names that a cell defines: the public ones, if there are any"
    names = [one or other for one, other in re.findall(r"^(?:def|class) (\w+)|^([A-Z]\w*) =", source, flags=re.M)]
    return [name for name in names if not name.startswith("_")] or names

def statements(source:str)->list[ast.stmt]:
    "What a cell does, without what it asks of IPython"
    return ast.parse(re.sub(r"^( *)[%!].*", r"\1pass", source, flags=re.M)).body

def bar(source:str)->str:
    "What is written on a fold: what its code defines or is, so that nobody opens it in vain"
    if names := defined(source): return f"Code: {', '.join(names)}"
    nodes = [node for node in statements(source) if not isinstance(node, ast.Pass)]
    if all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in nodes): return "Imports"
    checks = [isinstance(node, ast.Assert) or ast.unparse(node).startswith("test_") for node in nodes]
    return "Checks" if all(checks) else "Code"

def fold(source:str)->dict[str,str]: return dict.fromkeys(("code_prompt_show", "code_prompt_hide"), bar(source))

def example_of(source:str, above:dict[str,object])->str:
    "The caption of a table that was given none: the definition above it that the cell uses, else the last one"
    last = ast.unparse(statements(source)[-1])
    used = [name for name in re.findall(r"\w+", f"{last} {source}") if name in above]
    name = next(iter(used or reversed(above)), None)
    if name is None: return ""
    about = getdoc(above[name]) if callable(above[name]) else ""
    return f"`{name}`: {about.splitlines()[0].partition('; raises ')[0]}." if about else f"What `{name}` holds."

def code_cell(cell:dict, folded:bool, tables:count, above:dict[str,object])->dict|None:
    "A code cell with its tags; nothing for one that is hidden"
    given, source = directives("".join(cell["source"]))
    if not source or given.keys() & {"hide", "default_exp"}: return None
    tags, notebook, outputs = [], {}, cell["outputs"]
    if "export" in given or folded and "TRAIN = " not in source and given.get("echo") != "false":
        tags, notebook = ["hide-input"], fold(source)
    elif given.get("echo") == "false": tags = ["remove-input"]
    if "fig-cap" in given: notebook["figure"] = dict(caption=given["fig-cap"], name=given["label"])
    if "fig-alt" in given: notebook["image"] = dict(alt=given["fig-alt"])
    if outputs: outputs = captioned(outputs, tables, given.get("tbl-cap") or example_of(source, above))
    return cell | dict(source=source, outputs=outputs, metadata=dict(tags=tags, mystnb=notebook))

def is_fold(cell:dict)->bool: return "hide-input" in cell["metadata"].get("tags", ())

def joined(cells:list[dict])->list[dict]:
    "Folds that follow each other as one, where nothing is shown between them or after them"
    found = []
    for cell in cells:
        before = found[-1] if found else None
        if before and is_fold(before) and is_fold(cell) and not (before["outputs"] and cell["outputs"]):
            shown, source = cell if cell["outputs"] else before, f"{before['source']}\n\n{cell['source']}"
            metadata = shown["metadata"] | dict(mystnb=shown["metadata"]["mystnb"] | fold(source))
            found[-1] = shown | dict(source=source, metadata=metadata)
        else: found.append(cell)
    return found

def page(path:Path, names:dict[str,str])->dict:
    "A notebook as Sphinx shows it: pages of findings fold their code, chapters only what they export"
    notebook, cells, tables, above = json.loads(path.read_text(encoding="utf-8")), [], count(1), {}
    folded = path.parent.name == "analysis" or path.stem in ("index", "repeat")
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            if "#| export" in source: above |= exported(module_of(path), defined(source))
            cells.append(code_cell(cell, folded, tables, above))
        elif not source.startswith("## Export"):
            source = titled(source, tables)
            cells.append(cell | dict(source=markdown(source, names, path.relative_to(NOTEBOOKS).as_posix())))
    cells = [cell for cell in cells if cell]
    return notebook | dict(cells=joined(cells) if folded else cells)

def described(module:str, name:str, found)->list[str]:
    "One exported name in reStructuredText: autodoc for what has a docstring, what it holds for a table"
    if isinstance(found, type):
        arguments = list(signature(found.__init__).parameters)[1:] if "__init__" in vars(found) else []
        return [f".. autoclass:: gradlr.{module}.{name}({', '.join(arguments)})", "   :members:", ""]
    # An alias of a type, such as dict[str, int], has the docstring of what it stands for
    if callable(found) and hasattr(found, "__name__") and get_origin(found) is None:
        return [f".. autofunction:: gradlr.{module}.{name}", ""]
    if not isinstance(found, (dict, tuple, list)): return []
    lines = [f".. py:data:: {name}", f"   :module: gradlr.{module}", ""]
    if isinstance(found, dict) and all(hasattr(entry, "does") for entry in found.values()):
        return lines + [line for key, entry in found.items() for line in (f"   ``{key}``", f"      {entry.does}", "")]
    return [*lines, "   " + ", ".join(f"``{part}``" for part in found), ""]

def api_page(module:str)->str:
    "A page for every name that a module exports"
    loaded = importlib.import_module(f"gradlr.{module}")
    lines = [line for name in loaded.__all__ for line in described(module, name, getattr(loaded, name))]
    if module in PATCHED: lines.append(f".. automethod:: fastai.learner.Learner.{PATCHED[module]}")
    return "\n".join([f"# gradlr.{module}", "", loaded.__doc__, "", "```{eval-rst}", *lines, "```", ""])

def tree(pages:list[str], caption:str="")->str:
    "A hidden table of contents, which the theme shows at the side"
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["```{toctree}", *options, "", *(f"/{page}" for page in pages), "```"])

def part_page(part:str, pages:dict[str,tuple[str,str]])->str:
    "A part of the house: its pages with a line each"
    listed = (f"- [{title}](/{page}): {lead}" for page, (title, lead) in pages.items())
    return "\n".join([f"# {part}", "", *listed, "", tree(list(pages)), ""])

def part_pages()->dict[str,str]:
    "The pages that group chapters, and those that group the API, by part"
    written = {}
    for part, paths in parts().items():
        written[f"parts/{part.lower()}"] = part_page(part, {page_of(path.name): told(path) for path in paths})
        modules = [module_of(path) for path in paths if module_of(path) in MODULES]
        about = {f"api/{m}": (f"gradlr.{m}", importlib.import_module(f"gradlr.{m}").__doc__) for m in modules}
        written[f"api/parts/{part.lower()}"] = part_page(f"{part}: names", about)
    return written

def sections()->dict[str,list[Path]]:
    "nbdev's sidebar: the notebooks of each section; it has to name all of them"
    def files(entry)->list[Path]:
        return [NOTEBOOKS/entry] if isinstance(entry, str) else sorted(NOTEBOOKS.glob(entry["contents"]))
    found = {part["section"]: [path for entry in part["contents"] for path in files(entry)]
             for part in contents() if part != "index.ipynb"}
    listed = {NOTEBOOKS/"index.ipynb", *(path for paths in found.values() for path in paths)}
    missing = sorted(path.relative_to(NOTEBOOKS).as_posix() for path in set(notebooks()) - listed)
    if missing: sys.exit(f"nbs/sidebar.yml does not name {', '.join(missing)}")
    return found

def navigation()->str:
    "Tables of contents for the landing page: chapters and API by part, the API before the last section"
    def pages(paths:list[Path])->list[str]: return [page_of(path.relative_to(NOTEBOOKS).as_posix()) for path in paths]
    found = {title: pages(paths) for title, paths in sections().items()}
    found["How it works"] = [f"parts/{part.lower()}" for part in parts()]
    *first, (title, last) = found.items()
    trees = [*first, ("API", [f"api/parts/{part.lower()}" for part in parts()]), (title, ["help", *last])]
    return "\n\n".join(tree(listed, caption) for caption, listed in trees)

def llms()->str:
    "The site as a list that language models read (llmstxt.org): a line a page"
    parser = ConfigParser(delimiters=["="], interpolation=None)
    parser.read(ROOT/"settings.ini", encoding="utf-8")
    settings = parser["DEFAULT"]
    site = settings["doc_host"] + settings["doc_baseurl"]
    lines = [f"# {settings['title']}", "", f"> {settings['description']}"]
    for title, paths in sections().items():
        lines += ["", f"## {title}", ""]
        for path in paths:
            name, lead = told(path)
            lines.append(f"- [{name}]({site}/{page_of(path.relative_to(NOTEBOOKS).as_posix())}.html): {lead}")
    return "\n".join(lines) + "\n"

def draw_panels(cells:list[dict], page:str)->dict[str,str]:
    "Show rows of panels one a row on phones: the drawings by their names, which the cells now show"
    drawn = {}
    for cell in cells:
        shown = cell["metadata"].get("mystnb", {})
        drawings = drawings_of(cell["outputs"]) if "figure" in shown else None
        if not drawings: continue
        label = shown["figure"]["name"]
        drawn |= dict(zip((f"{label}.svg", f"{label}-phone.svg"), drawings))
        others = [output for output in cell["outputs"] if "image/svg+xml" not in output.get("data", ())]
        cell["outputs"] = others + picture(f"{'../'*page.count('/')}drawings/{label}", shown["image"]["alt"])
    return drawn

def write_pages(out:Path)->None:
    "All sources of the site"
    shutil.rmtree(out, ignore_errors=True)
    names, written = public_names(), part_pages()
    written |= {f"api/{module}": api_page(module) for module in MODULES}
    written["help"] = (ROOT/"docs"/"help.md").read_text(encoding="utf-8")
    written = {f"{name}.md": text for name, text in written.items()}
    for path in notebooks():
        name = f"{page_of(path.relative_to(NOTEBOOKS).as_posix())}.ipynb"
        if name in written or name.replace(".ipynb", ".md") in written: sys.exit(f"two pages are called {name}")
        notebook = page(path, names)
        drawn = draw_panels(notebook["cells"], name)
        written |= {f"beside/drawings/{file}": svg for file, svg in drawn.items()}
        if path.stem == "index":
            notebook["cells"].append(dict(cell_type="markdown", id="navigation", metadata={}, source=navigation()))
        written[name] = json.dumps(notebook)
    for name, text in ({"beside/llms.txt": llms()} | written).items():
        (out/name).parent.mkdir(parents=True, exist_ok=True)
        (out/name).write_text(text, encoding="utf-8")

if __name__ == "__main__": write_pages(Path(sys.argv[1]))
