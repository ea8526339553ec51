"Keeps the house: exit with a list of what is not as CONTRIBUTING promises; every figure is printed"
import ast
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT, BIN = Path(__file__).parents[1], Path(sys.executable).parent
sys.path.insert(0, str(ROOT/"docs"))
from house import chapters, contributing, file_of, imported, imports, module_of, notebooks, parts

WIDTH, SHOWN_WIDTH, MOST_LINES = 120, 92, 320
GENERATED = {"_modidx.py", "__init__.py"}

def modules()->list[Path]:
    "What was exported"
    return sorted(path for path in (ROOT/"gradlr").rglob("*.py") if path.name not in GENERATED)

def scripts()->list[Path]:
    "Python that is written by hand"
    return sorted(path for folder in ("tests", "benchmarks", "docs") for path in (ROOT/folder).glob("*.py"))

def named(path:Path)->str:
    "A path as messages show it"
    return path.relative_to(ROOT).as_posix()

def code_cells(notebook:Path)->Iterator[tuple[str,list[str],list[dict]]]:
    "Source without directives, directives and outputs of every code cell"
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code": continue
        lines = "".join(cell["source"]).split("\n")
        given = [line[2:].strip() for line in lines if line.startswith("#|")]
        yield "\n".join(line for line in lines if not line.startswith("#|")), given, cell["outputs"]

def share(some:int, of:int)->str:
    "`3 of 200, 1.5 %`"
    return f"{some} of {of}, {100*some/max(of, 1):.1f} %"

def hashes()->dict[str,str]:
    "The content of every notebook and exported module"
    files = [*notebooks(), *(ROOT/"gradlr").rglob("*.py")]
    return {named(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

def tree_is_settled()->Iterator[str]:
    "Notebook and module travel together, and clean"
    before = hashes()
    for command in ("nbdev_export", "nbdev_clean"): subprocess.run([BIN/command], cwd=ROOT, check=True)
    after = hashes()
    for file in sorted(before.keys() | after.keys()):
        if before.get(file) != after.get(file):
            yield f"{file}: changed by export or clean; commit notebook and module together, cleaned"
    print(f"notebooks and modules: {len(after)}")

def is_left_over(output:dict)->bool:
    "Red text, or what needs the kernel that ran it: a bar of progress, a slider"
    data = output.get("data", {}) if output["output_type"] == "display_data" else {}
    is_bar = re.search(r"\[\d+:[\d:]+[<,]", "".join(data.get("text/plain", "")))
    return output.get("name") == "stderr" or bool(is_bar) or any("widget" in kind for kind in data)

def clear(notebook:Path)->list[str]:
    "Remove from a notebook what is left over in its outputs; the ids of the cells where it was"
    content = json.loads(notebook.read_text(encoding="utf-8"))
    had = [cell for cell in content["cells"] if any(map(is_left_over, cell.get("outputs", ())))]
    for cell in had: cell["outputs"] = [output for output in cell["outputs"] if not is_left_over(output)]
    if content["metadata"].pop("widgets", None) or had:
        written = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        notebook.write_text(written, encoding="utf-8", newline="\n")
    return [cell["id"] for cell in had]

def nothing_is_left_over()->Iterator[str]:
    "Outputs are what a reader is to see; the rest is cleared"
    for notebook in notebooks():
        for cell in clear(notebook):
            yield f"{named(notebook)}: a bar or a warning was left in cell {cell}; it is cleared, commit the notebook"

def outputs_name_no_machine()->Iterator[str]:
    "No paths of the machine that a notebook ran on"
    of_this_machine = {json.dumps(str(path))[1:-1] for path in (ROOT, Path(sys.prefix), Path.home())}
    for notebook in notebooks():
        outputs = [output for *_, some in code_cells(notebook) for output in some]
        for path in of_this_machine:
            if path in json.dumps(outputs): yield f"{named(notebook)}: {path} among its outputs; show what is below it"

def numbers_rise_with_imports()->Iterator[str]:
    "A room has a number of its own, and imports from lower ones; whoever imports names everything"
    numbers = [path.name[:2] for path in chapters()]
    for path in chapters():
        if numbers.count(path.name[:2]) > 1: yield f"{named(path)}: shares its number"
    order, arrows = [module_of(path) for path in chapters()], 0
    for here, theirs in imports().items():
        for there in sorted(theirs - {here} if here != "all" else ()):
            arrows += 1
            if there not in order: yield f"gradlr.{here} imports gradlr.{there}, which no chapter exports"
            elif order.index(there) > order.index(here): yield f"gradlr.{here} imports gradlr.{there}, a higher room"
    print(f"rooms: {len(order)} in {len(parts())} parts; arrows: {arrows}")

def nothing_goes_round()->Iterator[str]:
    "Imports make no circle"
    try: tuple(TopologicalSorter({here: theirs - {here} for here, theirs in imports().items()}).static_order())
    except CycleError as e: yield f"a circle of imports: {' → '.join(e.args[1])}"

def modules_in_strings()->Iterator[str]:
    "A module named in a string is imported too, where nobody sees it"
    order = [module_of(path) for path in chapters()]
    for here in order:
        for node in ast.walk(ast.parse(file_of(here).read_text(encoding="utf-8"))):
            found = re.fullmatch(r"gradlr\.([a-z.]+)", str(node.value)) if isinstance(node, ast.Constant) else None
            if found and found[1] in order and order.index(found[1]) > order.index(here):
                yield f"gradlr.{here} names gradlr.{found[1]}, a higher room, in a string"

def is_private(name:str)->bool:
    "`_name`, not `__name__`"
    return name.startswith("_") and not name.startswith("__")

def private_names_stay_at_home()->Iterator[str]:
    "No file imports another one's private name"
    own = {path.stem for path in scripts()}
    for path in (*modules(), *scripts()):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        siblings = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module in own
                    for alias in node.names]
        for name in filter(is_private, (*siblings, *(name for _, name in imported(path)))):
            yield f"{named(path)}: imports the private name {name}"
    for path in notebooks():
        sources = "\n".join(source for source, *_ in code_cells(path))
        lists = re.findall(r"^\s*from gradlr[\w.]* import (\([^)]*\)|.*)", sources, flags=re.M)
        for name in filter(is_private, re.findall(r"\w+", " ".join(lists))):
            yield f"{named(path)}: imports the private name {name}"

def rooms_are_small()->Iterator[str]:
    "A room is read in one sitting"
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    for path, lines in lengths.items():
        if lines > MOST_LINES: yield f"{named(path)}: {lines} lines, {MOST_LINES} are the most"
    largest = max(lengths, key=lengths.get)
    print(f"lines of modules: {sum(lengths.values())}; the largest room is {named(largest)} with {lengths[largest]}")

def lines_are_short()->Iterator[str]:
    "Lines fit beside each other"
    lines = [(path, line) for path in modules() for line in path.read_text(encoding="utf-8").splitlines()]
    long = [path for path, line in lines if len(line) > WIDTH]
    print(f"lines over {WIDTH} characters in modules: {share(len(long), len(lines))}")
    if len(long) >= len(lines)/100:
        worst = sorted(set(long), key=long.count, reverse=True)[:8]
        yield f"lines over {WIDTH} characters: {', '.join(f'{named(path)} {long.count(path)}' for path in worst)}, …"
    unfolded = [notebook for notebook in notebooks() if notebook.parent.name != "analysis"]
    shown = [line for notebook in unfolded for source, given, _ in code_cells(notebook)
             if not {"export", "hide"} & set(given) for line in source.split("\n")]
    cut = sum(len(line) > SHOWN_WIDTH for line in shown)
    print(f"lines over {SHOWN_WIDTH} in cells that the site shows: {share(cut, len(shown))}")

def definitions(source:str)->int:
    "Definitions of an export cell: 1 for one with only constants or tables, 0 for imports"
    nodes = ast.parse(source).body
    defined = sum(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for node in nodes)
    only_imports = all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in nodes)
    return defined or int(not only_imports)

def cells_hold_one_definition()->Iterator[str]:
    "One definition an export cell, shown running beneath it"
    counts = {path: [definitions(source) for source, given, _ in code_cells(path) if "export" in given]
              for path in chapters()}
    cells = [n for found in counts.values() for n in found if n]
    print(f"export cells with one definition: {share(cells.count(1), len(cells))}")
    if cells.count(1) < 0.85*len(cells):
        crowded = [f"{named(path)} {sum(n > 1 for n in found)}" for path, found in counts.items() if max(found) > 1]
        yield f"export cells with several definitions: {', '.join(crowded)}"

def chapters_are_listed_in_order()->Iterator[str]:
    "The landing page, which makes the README, lists chapters as they are numbered"
    landing = json.loads((ROOT/"nbs"/"index.ipynb").read_text(encoding="utf-8"))
    text = "".join(line for cell in landing["cells"] if cell["cell_type"] == "markdown" for line in cell["source"])
    listed = re.findall(r"\]\((\d\d_[\w.]+\.ipynb)\)", text)
    for name in listed:
        if not (ROOT/"nbs"/name).exists(): yield f"nbs/index.ipynb links to {name}, which is not there"
    if listed != sorted(listed): yield "nbs/index.ipynb lists chapters in another order than their numbers"

def site_shows_every_chapter()->Iterator[str]:
    "Parts hold every chapter once, in the order of the files"
    if [path for paths in parts().values() for path in paths] != chapters():
        yield "nbs/sidebar.yml: its parts do not hold every chapter once, in order"

def picture_is_fresh()->Iterator[str]:
    "The picture of the house is drawn from its imports"
    if (ROOT/"CONTRIBUTING.md").read_text(encoding="utf-8") != contributing():
        yield "CONTRIBUTING.md: its picture is old; make fresh"

def ruff_finds_nothing()->Iterator[str]:
    "Modules, notebooks and scripts, by the rules in pyproject.toml"
    command = [BIN/"ruff", "check", "--output-format", "concise"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode: yield "ruff:\n" + (result.stdout + result.stderr).strip()

CHECKS = (tree_is_settled, nothing_is_left_over, outputs_name_no_machine, numbers_rise_with_imports, nothing_goes_round,
          modules_in_strings, private_names_stay_at_home, rooms_are_small, lines_are_short, cells_hold_one_definition,
          chapters_are_listed_in_order, site_shows_every_chapter, picture_is_fresh, ruff_finds_nothing)

if __name__ == "__main__":
    asked = [check for check in CHECKS if not sys.argv[1:] or check.__name__ in sys.argv[1:]]
    found = [complaint for check in asked for complaint in check()]
    if found: sys.exit("not settled:\n" + "\n".join(dict.fromkeys(found)))
    print("settled")
