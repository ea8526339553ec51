"README.md from the landing notebook: its words and its tables, without captions; links lead to the notebooks"
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

def readme()->str:
    "What README.md has to hold"
    parts = []
    for cell in json.loads((ROOT/"nbs"/"index.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "markdown": parts.append("".join(cell["source"]))
        else:
            shown = (output.get("data", {}) for output in cell["outputs"])
            parts += ["".join(data["text/markdown"]) for data in shown if "text/markdown" in data]
    text = re.sub(r"^(\|.*\n)\n: .*\n", r"\1", "\n\n".join(parts), flags=re.M)
    return re.sub(r"\]\(([\w./-]+\.ipynb)\)", r"](nbs/\1)", text) + "\n"

if __name__ == "__main__": (ROOT/"README.md").write_text(readme())
