"The house as its files show it: notebooks, modules, parts, and who imports whom; the picture in CONTRIBUTING.md"
import ast
import json
import re
from pathlib import Path, PurePosixPath

import yaml

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT/"nbs"
PACKAGE = ROOT/"gradlr"
BEGIN, END = "<!-- drawn by docs/house.py -->", "<!-- end of the drawing -->"

def notebooks()->list[Path]:
    "All notebooks, sorted by their paths"
    return sorted(path for path in NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)

def chapters()->list[Path]:
    "The notebooks that export a module, in the order of their numbers"
    return [path for path in notebooks() if re.match(r"\d\d_", path.name)]

def contents()->list[dict]:
    "What `nbs/sidebar.yml` lists"
    return yaml.safe_load((NOTEBOOKS/"sidebar.yml").read_text())["website"]["sidebar"]["contents"]

def parts()->dict[str,list[Path]]:
    "The chapters of each part"
    works = next(section["contents"] for section in contents() if "How it works" in str(section))
    return {part["section"]: sorted(NOTEBOOKS.glob(part["contents"])) for part in works}

def module_of(chapter:Path)->str:
    "`21_networks.layers.ipynb` → `networks.layers`"
    return re.sub(r"^\d+_", "", chapter.stem)

def file_of(module:str)->Path:
    "`networks.layers` → `gradlr/networks/layers.py`"
    return PACKAGE/f"{module.replace('.', '/')}.py"

def told(notebook:Path)->tuple[str,str]:
    "A notebook's title, and the line that says what it is about"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    lines = "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "markdown")).split("\n")
    lead = next((line.removeprefix("> ") for line in lines if line.startswith("> ")), "")
    return lines[0].removeprefix("# ").strip(), lead.strip()

def imported(file:Path, package:str="gradlr")->list[tuple[str,str]]:
    "Every (module, name) of the package that a file imports, wherever in it; the name of a whole module is empty"
    inside = file.is_relative_to(PACKAGE)
    home = ("gradlr", *PurePosixPath(file.relative_to(PACKAGE).as_posix()).parent.parts) if inside else ()
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import): found += [(alias.name, "") for alias in node.names]
        if not isinstance(node, ast.ImportFrom): continue
        above = ".".join(home[:len(home) - node.level + 1]) if node.level else ""
        module = ".".join(filter(None, (above, node.module)))
        found += [(module, alias.name) for alias in node.names]
    return [(module.removeprefix(f"{package}."), name) for module, name in found if module.startswith(f"{package}.")]

def imports()->dict[str,set[str]]:
    "Module → the modules that it imports"
    modules = [module_of(chapter) for chapter in chapters()]
    return {module: {there for there, _ in imported(file_of(module))} for module in modules}

def arrows()->set[tuple[str,str]]:
    "Part → part that imports from it, without the arrows that follow from two others"
    home = {module_of(chapter): part for part, paths in parts().items() for chapter in paths}
    pairs = {(home.get(there), home[here]) for here, theirs in imports().items() if here != "all" for there in theirs}
    uses = {(one, other) for one, other in pairs if one and one != other}
    reach = set(uses)
    for middle in parts():
        reach |= {(one, other) for one, m in reach if m == middle for n, other in reach if n == middle}
    follows = {(one, other) for one, m in reach for n, other in reach if m == n}
    return uses - follows

def picture()->str:
    "The parts and their modules as a Mermaid diagram, which GitHub draws"
    lines = ["```mermaid", "flowchart TB"]
    for part, paths in parts().items():
        names = ", ".join(module_of(path).rpartition(".")[2] for path in paths)
        lines.append(f'  {part.lower()}["<b>{part.lower()}</b><br>{names}"]')
    order = [part.lower() for part in parts()]
    pairs = [(one.lower(), other.lower()) for one, other in arrows()]
    pairs.sort(key=lambda pair: [order.index(end) for end in pair])
    for part in order:
        others = " & ".join(other for one, other in pairs if one == part)
        if others: lines.append(f"  {part} --> {others}")
    return "\n".join([*lines, "```"])

def contributing()->str:
    "What CONTRIBUTING.md has to hold"
    text = (ROOT/"CONTRIBUTING.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{picture()}\n{END}{rest.partition(END)[2]}"

if __name__ == "__main__": (ROOT/"CONTRIBUTING.md").write_text(contributing(), encoding="utf-8")
