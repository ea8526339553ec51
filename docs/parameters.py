"A table of parameters on the API pages, from the comments beside them"
import re
from inspect import Parameter, formatannotation

from fastcore.docments import docments


def told(text:str|None)->str:
    "A comment in one line of reStructuredText"
    def marked(found:re.Match)->str: return f"``{found[1]}``" if found[1] else "\\" + found[2]
    return re.sub(r"`([^`]+)`|([*|_])", marked, " ".join((text or "").split()))

def typed(annotation)->str:
    "A type as code, or nothing"
    if annotation in (None, Parameter.empty): return ""
    return f"``{re.sub(r'gradlr([.][a-z]+)+[.]', '', formatannotation(annotation))}``"

def rows(obj)->list[tuple[str,str,str,str]]:
    "Name, type, default and comment of every parameter that has one, then what is returned"
    found = []
    for name, p in docments(obj, full=True, returns=True).items():
        if name == "self" or not (p.get("docment") or name != "return"): continue
        default = "" if p.get("default", Parameter.empty) is Parameter.empty else f"``{p['default']!r}``"
        shown = "*returns*" if name == "return" else f"``{name}``"
        found.append((shown, typed(p.get("anno")), default, told(p.get("docment"))))
    return found

def add_parameters(app, what:str, name:str, obj, options, lines:list[str])->None:
    "Hook of autodoc: the docstring, then the table"
    if what not in ("function", "method", "class"): return
    table = rows(obj)
    if not table: return
    lines += ["", ".. list-table::", "   :header-rows: 1", "   :class: parameters", ""]
    for row in [("", "type", "default", ""), *table]:
        lines += [f"   {'  -' if i else '* -'} {cell}".rstrip() for i, cell in enumerate(row)]
    lines.append("")
