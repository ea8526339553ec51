"From a folder to a network, by the command: layouts, mistakes, Ctrl-C, and names for new images"
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import COMMAND, gradlr

QUICK = ("--source", "lite0", "--size", "32", "--minutes", "0.1")

def images(folder:Path, seed:int=0, **counts:int)->Path:
    "Class folders of images that can be told apart: noise on a ground of the class's own"
    rng = np.random.default_rng(seed)
    for number, (name, count) in enumerate(counts.items()):
        (folder/name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 60, (16, 16, 3)) + 190*number//max(1, len(counts) - 1)
            Image.fromarray(pixels.astype(np.uint8)).save(folder/name/f"{i}.png")
    return folder

def tried(folder:Path, out:Path, *options:str)->dict:
    "What `gradlr try --json` says"
    result = gradlr("try", folder, *QUICK, "--out", out, "--json", *options)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)

@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    "A small trial, and its folder"
    home = tmp_path_factory.mktemp("trial")
    folder = images(home/"images", dark=20, light=20)
    (folder/"dark"/"Thumbs.db").write_bytes(b"\0"*99)
    (folder/"dark"/"photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0"*90)
    (folder/"README.md").write_text("my images")
    return tried(folder, home/"out"), home

def test_it_answers_and_leaves_what_is_no_image_out(trial):
    told, home = trial
    assert told["test"]["images"] == 8 and told["trainings"]
    assert (home/"out"/"skipped.csv").read_text().count("no image that can be read") == 2
    assert (home/"out"/"answer.html").stat().st_size > 10_000
    assert any("left out: 2 files" in note for note in told["notes"])

def test_the_network_names_new_images(trial, tmp_path):
    home = trial[1]
    new = images(tmp_path/"new", seed=9, dark=10, light=10)
    result = gradlr("predict", home/"out", new, "--json", "--csv", tmp_path/"named.csv")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert len(rows) == 20 and len((tmp_path/"named.csv").read_text().splitlines()) == 21
    assert all(0.5 <= row["probability"] <= 1 for row in rows)
    shown = gradlr("predict", home/"out", new/"dark"/"0.png").stdout
    assert shown.split()[0] in ("dark", "light") and "0.png" in shown

def test_the_fewest_images_are_enough(trial, tmp_path):
    "Also to choose between two sources"
    sources = "--source", "lite0", trial[1]/"out"/"network.safetensors"
    told = tried(images(tmp_path/"images", dark=5, light=5), tmp_path/"out", *sources)
    assert told["test"]["images"] == 2 and told["trainings"][0]["images"] == 2
    assert len((tmp_path/"out"/"sources.csv").read_text().splitlines()) == 3

def test_a_layout_of_parts_is_taken_as_it_is(tmp_path):
    home = images(tmp_path/"set"/"train", 1, dark=12, light=12).parent
    images(home/"val", 2, dark=5, light=6)
    assert tried(home, tmp_path/"out")["test"]["images"] == 11

def test_twenty_classes_of_few_images(tmp_path):
    folder = images(tmp_path/"many", **{f"class {i}": 6 for i in range(20)})
    assert tried(folder, tmp_path/"out")["test"]["images"] == 20

def test_more_goes_on_and_other_images_do_not(trial, tmp_path):
    told, home = trial
    more = tried(home/"images", home/"out", "--more")
    assert len(more["trainings"]) >= len(told["trainings"])
    result = gradlr("try", images(tmp_path/"other", dark=9, light=9), *QUICK, "--out", home/"out")
    assert result.returncode == 2 and "--out" in result.stderr and "Traceback" not in result.stderr

def test_ctrl_c_keeps_what_is_trained(tmp_path):
    folder, out = images(tmp_path/"images", dark=20, light=20), tmp_path/"out"
    typed = ["try", str(folder), "--source", "lite0", "--size", "32", "--minutes", "5", "--out", str(out)]
    process = subprocess.Popen([COMMAND, *typed], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while len(list(out.glob("trainings/*.json"))) < 2 and time.monotonic() < until: time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in said and "gradlr try" in said
    kept = {path.name: path.read_bytes() for path in out.glob("trainings/*.json")}
    told = tried(folder, out, "--minutes", "0.1")
    assert len(kept) >= 2 and len(told["trainings"]) >= len(kept)
    assert all((out/"trainings"/name).read_bytes() == content for name, content in kept.items())

@pytest.mark.parametrize("typed,words", [
    (["try", "nowhere"], ["nowhere"]),
    (["try", "ONE"], ["one class only", "did you mean"]),
    (["try", "EMPTY"], ["no class folders"]),
    (["try", "FEW"], ["too few images", "light (2)"]),
    (["try", "FEW", "--minutes", "0"], ["above 0"]),
    (["try", "FEW", "--size", "big"], ["whole number"]),
    (["try", "GOOD", "--source", "nothere.pth"], ["nothere.pth"]),
    (["try", "GOOD", "--source", "lite00"], ["lite00"]),
    (["try", "GOOD", "--source", "GOOD/dark/0.png"], ["0.png"]),
    (["try", "GOOD", "--out", "GOOD"], ["inside the folder of images"]),
    (["try", "GOOD", "--out", "ONE"], ["other things than a trial"]),
    (["try", "GOOD/dark/0.png"], ["is a file"]),
    (["try"], ["FOLDER"]),
    (["try", "GOOD", "--device", "gpu"], ["gpu"]),
    (["try", "GOOD", "--sice", "64"], ["--sice"]),
    (["predict", "nowhere", "GOOD/dark/0.png"], ["nowhere"]),
    (["predict", "EMPTY", "GOOD/dark/0.png"], ["holds no network"]),
    (["predict", "TRIAL", "no.png"], ["there is no 'no.png'"]),
    (["predict", "TRIAL", "README"], ["not an image"]),
    (["predict", "TRIAL"], ["FILE"]),
])
def test_mistakes_are_one_line(trial, tmp_path, typed, words):
    images(tmp_path/"one"/"nested", dark=6, light=6)
    places = dict(ONE=tmp_path/"one", EMPTY=tmp_path/"empty", FEW=images(tmp_path/"few", dark=9, light=2),
                  GOOD=images(tmp_path/"good", dark=6, light=6), TRIAL=trial[1]/"out", README=trial[1]/"images"/"README.md")
    (tmp_path/"empty").mkdir()
    for name, place in places.items(): typed = [word.replace(name, str(place)) for word in typed]
    before = os.times()
    result = gradlr(*typed, cwd=tmp_path)
    seconds = sum(os.times()[2:4]) - sum(before[2:4])
    assert result.returncode == 2 and not result.stdout
    # of the processor, since others may be at work; "not an image" is known once torch is there and it is read
    assert seconds < 3 or "not an image" in words, seconds
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1, result.stderr
