"Exit with an error where export or clean would change a file, or a notebook keeps warnings: notebook and module have to travel together, and clean"
import hashlib
import json
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent

def hashes()->dict[str,str]:
    "The content of every notebook and exported module"
    files = [*Path("nbs").rglob("*.ipynb"), *Path("gradlr").rglob("*.py")]
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files if ".ipynb_checkpoints" not in f.parts}

before = hashes()
for command in ("nbdev_export", "nbdev_clean"): subprocess.run([BIN/command], check=True)
after = hashes()
changed = sorted(f for f in before.keys() | after.keys() if before.get(f) != after.get(f))
if changed: sys.exit("export or clean changed: " + ", ".join(changed) + "; commit notebook and module together, cleaned")
warned = sorted(f for f in after if f.endswith(".ipynb") for cell in json.loads(Path(f).read_text())["cells"] for output in cell.get("outputs", []) if output.get("name") == "stderr")
if warned: sys.exit("warnings among the outputs of " + ", ".join(dict.fromkeys(warned)) + "; clear them: they hold paths of the machine")
print(f"settled: {len(after)} notebooks and modules")
