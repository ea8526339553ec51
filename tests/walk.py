"The way of a newcomer, with a clock: the README's commands in a fresh environment, then *Run All* in `your_images`"
import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from gradlr.images.drawing import load_sample
from gradlr.images.samples import Sample
from gradlr.machine import device_name
from test_site import BROWSER, FLAGS

HERE = Path(__file__).parents[1]
CLASSES = ("automobile", "bird", "dog", "frog")
# Has every cell run?
DONE = r"""() => {
  const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent);
  return prompts.length && prompts.every(said => /\d/.test(said)) }"""
# Red text in outputs
RED = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"

def first_lines(readme:str)->list[str]:
    "The commands of the README's first block"
    return re.search(r"^```\n(.*?)^```", readme, flags=re.M | re.S)[1].splitlines()

def lay_out(home:Path)->None:
    "A hundred images of each class in `my/images`, and `new.jpg`, as the README has them"
    images, new = load_sample(Sample("cifar10", CLASSES, train=100, valid=1))
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in (*images.images, new.images[0])]
    *shown, last = pictures
    for k, (image, label) in enumerate(zip(shown, images.labels)):
        place = home/"my"/"images"/images.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        image.save(place/f"{k:03}.png")
    last.save(home/"new.jpg", quality=95)

def timed(command:str|list[str], **kwargs)->float:
    "Seconds that a command takes; raises where it fails"
    begin = time.perf_counter()
    subprocess.run(command, check=True, **kwargs)
    return time.perf_counter() - begin

def walk_readme(home:Path, options:str)->Iterator[tuple[float,str]]:
    "Seconds and name of each step in a clone of what is committed, in an environment that has Python alone"
    yield timed(["git", "clone", "--quiet", HERE, home]), "git clone"
    lay_out(home)
    yield timed([sys.executable, "-m", "venv", home/".venv"]), "python -m venv .venv"
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env |= dict(PATH=f"{home/'.venv'/'bin'}:{env['PATH']}", PIP_QUIET="1", PIP_PROGRESS_BAR="off")
    for line in first_lines((home/"README.md").read_text(encoding="utf-8")):
        line = line.partition("#")[0].strip()
        if line.startswith("gradlr try"): line = f"{line} {options}".strip()
        yield timed(line, shell=True, cwd=home, env=env), line

def shoot_answer(browser:Browser, page:Path, shots:Path)->None:
    "The answer's page as a desk, a phone and the night show it; raises where it is wider than the window"
    for name, width, scheme in (("desk", 1280, "light"), ("phone", 390, "light"), ("dark", 1280, "dark")):
        view = browser.new_page(viewport=dict(width=width, height=900), color_scheme=scheme)
        view.goto(page.as_uri())
        assert view.evaluate("document.documentElement.scrollWidth") <= width, name
        view.screenshot(path=shots/f"answer_{name}.png", full_page=True)

@contextmanager
def jupyter(folder:Path)->Iterator[str]:
    "The address of a JupyterLab that shows a folder"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [Path(sys.executable).with_name("jupyter"), "lab", "--no-browser", "--allow-root", f"--port={port}",
               "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            answers = False
            while not answers and server.poll() is None:
                time.sleep(0.5)
                with suppress(OSError): answers = bool(urllib.request.urlopen(f"{address}/api", timeout=5).read())
            yield address
        finally: server.terminate()

def run_all(browser:Browser, notebook:Path, shots:Path)->float:
    "Seconds of *Run All* in a notebook; raises where a cell is red"
    with jupyter(notebook.parent) as address:
        # All cells are in the window: JupyterLab draws no others
        view = browser.new_page(viewport=dict(width=1280, height=4000))
        view.goto(f"{address}/lab/tree/{notebook.name}", timeout=120_000)
        view.get_by_text("| Idle").wait_for(timeout=120_000)
        begin = time.perf_counter()
        view.get_by_role("menuitem", name="Run", exact=True).click()
        view.get_by_text("Run All Cells", exact=True).click()
        view.wait_for_function(DONE, timeout=600_000, polling=500)
        seconds = time.perf_counter() - begin
        view.screenshot(path=shots/f"{notebook.stem}.png")
        red = view.locator(RED).all_inner_texts()
        assert not red, red
    return seconds

def main()->None:
    "Walk, and print what each step takes"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", help="for `gradlr try`, instead of its own")
    parser.add_argument("--shots", type=Path, default=HERE/"out"/"walk", help="folder of the screenshots")
    asked = parser.parse_args()
    asked.shots.mkdir(parents=True, exist_ok=True)
    print(f"a newcomer's way on {device_name()}, {os.cpu_count()} cores; seconds of each step", flush=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        home, browser = Path(folder)/"gradlr", play.chromium.launch(executable_path=BROWSER, args=FLAGS)
        for seconds, step in walk_readme(home, f"--minutes {asked.minutes}" if asked.minutes else ""):
            print(f"{seconds:6.1f} s  {step}", flush=True)
        shoot_answer(browser, home/"out"/"images"/"answer.html", asked.shots)
        notebook = Path(shutil.copy(home/"nbs"/"start"/"your_images.ipynb", home/"my"))
        print(f"{run_all(browser, notebook, asked.shots):6.1f} s  Run All in {notebook.name}", flush=True)

if __name__ == "__main__": main()
