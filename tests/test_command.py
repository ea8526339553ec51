"The command as a hurried user types it"
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from conftest import COMMAND, TINY, gradlr
from gradlr.cli import COMMANDS, main
from gradlr.files import write_whole
from gradlr.study.toml import read_study

HERE = Path(__file__).parents[1]

def folder_of_images(folder:Path, **counts)->Path:
    "A folder of class folders with small pictures"
    for name, count in counts.items():
        (folder/name).mkdir(parents=True)
        for i in range(count): Image.new("RGB", (20, 20), (i, ord(name[0]), 100)).save(folder/name/f"{i}.png")
    return folder

def own_sample(tmp_path:Path, images:Path)->Path:
    "A study whose target is a folder of the user's"
    file = tmp_path/"own.toml"
    sample = f'\n[samples.mine]\ndata = "{images.as_posix()}"\nclasses = ["cat", "dog"]\ntrain = 40\nvalid = 8\n'
    file.write_text(TINY.replace('target = "digits02"', 'target = "mine"') + sample, encoding="utf-8")
    return file

@pytest.fixture
def refused(capsys):
    "Checks that a command ends with exit code 2 and says every word; in this process, which has imported torch already"
    def check(arguments, *words):
        try: code = main([str(a) for a in arguments])
        except SystemExit as e: code = e.code
        told = capsys.readouterr().err
        assert code == 2, told
        for word in words: assert str(word) in told, told
    return check

def test_help_answers_at_once():
    begin = time.perf_counter()
    result = gradlr("--help")
    assert time.perf_counter() - begin < 1
    assert "gradlr study run demo" in result.stdout

def test_the_page_of_commands_is_fresh():
    command = [sys.executable, "-c", "from help import help_page; print(help_page(), end='')"]
    env = os.environ | {"PYTHONUTF8": "1"}
    made = subprocess.run(command, cwd=HERE/"docs", capture_output=True, text=True, check=True, env=env)
    assert (HERE/"docs"/"help.md").read_text(encoding="utf-8") == made.stdout, "make fresh"

def test_every_option_says_what_it_is(capsys):
    for command in COMMANDS:
        with pytest.raises(SystemExit): main([*command.split(), "--help"])
        told = capsys.readouterr().out
        for option in re.findall(r"^  (--[\w-]+.*)$", told, flags=re.M):
            assert re.search(rf"{re.escape(option)}\s+\w", told) or "  " in option, f"{command}: {option}"

@pytest.mark.parametrize("command", ["", "study"])
def test_help_where_no_command_is_named(capsys, command):
    assert main(command.split()) == 0
    assert "commands:" in capsys.readouterr().out

@pytest.mark.parametrize("arguments", [
    ("study", "show", "demo"), ("study", "status", "FOLDER"), ("study", "retry", "FOLDER"), ("list", "strategies"),
    ("list", "networks"), ("list", "samples")], ids=" ".join)
def test_no_torch_where_none_is_needed(tmp_path, arguments):
    if "FOLDER" in arguments: write_whole(tmp_path/"study.toml", TINY.encode())
    words = [str(tmp_path) if word == "FOLDER" else word for word in arguments]
    code = f"""import sys
from gradlr.cli import main
code = main({words!r})
print([name for name in ("torch", "fastai", "matplotlib") if name in sys.modules], file=sys.stderr)
sys.exit(code)"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr.strip()) == (0, "[]")

@pytest.mark.parametrize("kind, name", [("strategies", "gradual"), ("optimizers", "adamw"), ("schedules", "one_cycle"),
                                        ("predictors", "logme"), ("networks", "resnet34"), ("samples", "digits01")])
def test_names_are_listed_with_what_they_do(capsys, kind, name):
    assert main(["list", kind]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert name in lines and all(does.strip() for does in lines.values())
    assert main(["list", kind, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {name: does.strip() for name, does in lines.items()}

@pytest.mark.parametrize("file", sorted((HERE/"data"/"results").glob("*/study.toml")), ids=lambda file: file.parent.name)
def test_recorded_studies_have_a_small_twin(file):
    assert read_study(file) and read_study(file.with_name("demo.toml")).name == f"demo_{file.parent.name}"

def test_the_citation_names_this_version():
    version = re.search(r"^version = (.*)$", (HERE/"settings.ini").read_text(encoding="utf-8"), flags=re.M)[1]
    assert f"\nversion: {version}\n" in (HERE/"CITATION.cff").read_text(encoding="utf-8")

@pytest.mark.parametrize("old, new, words", [
    ("epochs = 1\nbatch", "epoch = 1\nbatch", ["line 7", "did you mean: epochs"]),
    ("size = 16", "size = '16'", ["line 6", "size"]),
    ("weights = [1.0, 0.5]", "weights = [100, 50]", ["line 3", "must be at most 1, got 100"]),
    ("timm/test_resnet", "resnet81", ["line 5", "did you mean", "resnet18"]),
    ("digits02", "digit02", ["did you mean: digits02"]),
    ('name = "tiny"', 'name = "tiny"\nstrategies = ["gradul"]', ["line 2", "did you mean: gradual"]),
    ('name = "tiny"', "name = tiny", ["not TOML", "line 1"]),
    ('"digits01"', '"weights.pth"', ["no weights at 'weights.pth'"]),
    ("batch_size = 32", "batch_size = 1000", ["lower batch_size"]),
    ("epochs = 1\nbatch", 'grain = "stage"\nepochs = 1\nbatch', ["line 7", "did you mean: grains"]),
    ('name = "tiny"', 'name = "tiny"\nstrategies = ["copied"]\ndepths = [9]', ["depths", "layer groups below its head"]),
    ('name = "tiny"', 'name = "tiny"\nsearch = "gp"', ["say how many cells"]),
    ("[[experiments]]", "[optimizers]\nsgdd = [0.1]\n[[experiments]]", ["line 13", "did you mean: sgd"]),
])
def test_a_wrong_study_is_explained(tiny, tmp_path, refused, old, new, words):
    assert old in TINY
    tiny.write_text(TINY.replace(old, new, 1))
    refused(("study", "run", tiny, "--out", tmp_path/"out"), *words)
    assert not list((tmp_path/"out").glob("records/*"))

def test_wrong_folders_are_explained(tmp_path, refused):
    def run(images): return "study", "run", own_sample(tmp_path, images), "--out", tmp_path/"out"
    refused(run(tmp_path/"nowhere"), "no folder")
    (tmp_path/"empty").mkdir()
    refused(run(tmp_path/"empty"), "no class folders")
    refused(run(folder_of_images(tmp_path/"one", cat=50)), "one class only (cat)")
    refused(run(folder_of_images(tmp_path/"few", cat=50, dog=9)), "'dog' has 9 distinct images", "40 + 8")
    refused(run(folder_of_images(tmp_path/"names", cat=50, dogs=50)), "unknown class 'dog'", "did you mean: dogs")
    bad = folder_of_images(tmp_path/"bad", cat=50, dog=50)
    (bad/"dog"/"page.png").write_text("<html>not found</html>")
    refused(run(bad), "page.png", "not an image")

def test_own_images_are_trained_on(tmp_path):
    images = folder_of_images(tmp_path/"my pictures – ü", cat=60, dog=60)
    result = gradlr("study", "run", own_sample(tmp_path, images), "--out", tmp_path/"out")
    assert result.returncode == 0, result.stderr
    assert (tmp_path/"out"/"report.html").stat().st_size > 10_000

def test_images_are_where_the_file_says(tmp_path):
    "Run from above, run again from beside, and looked through by the copy that lies beside the records"
    home, out = tmp_path/"home", tmp_path/"out"
    folder_of_images(home/"pets", cat=60, dog=60)
    file = own_sample(home, Path("pets"))
    file.write_text(file.read_text(encoding="utf-8").replace("repeats = 3", "repeats = 1"), encoding="utf-8")
    result = gradlr("study", "run", "home/own.toml", "--out", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    before = sorted((out/"records").iterdir())
    result = gradlr("study", "run", "own.toml", "--out", out, cwd=home)
    assert result.returncode == 0 and sorted((out/"records").iterdir()) == before, result.stderr
    result = gradlr("study", "check", out/"study.toml", "--out", out, cwd=out)
    assert result.returncode == 0 and "; 0 problems; " in result.stdout, result.stdout + result.stderr
    # and a study that is filled in, with the source of this one
    weights = next((out/"weights").iterdir())
    shown = gradlr("study", "new", "pets", "--source", f"../out/weights/{weights.name}", cwd=home)
    (home/"new.toml").write_text(shown.stdout, encoding="utf-8")
    made = read_study(home/"new.toml")
    assert (made.network, made.size, made.samples["pets"].train) == ("timm/test_resnet", 16, 30)
    result = gradlr("study", "check", "home/new.toml", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr

def test_no_weights_and_no_network(tiny, tmp_path):
    "One message, wherever weights of a library are wanted"
    env = os.environ | dict(https_proxy="http://127.0.0.1:9", TORCH_HOME=str(tmp_path/"torch"))
    tiny.write_text(TINY.replace("timm/test_resnet", "resnet18").replace('"digits01"', '"imagenet"').replace("16", "32"))
    ask = "advise", "--target", "digits02", "--source", "imagenet"
    for words in (("study", "check", tiny), ("study", "run", tiny), ask):
        result = gradlr(*words, cwd=tmp_path, env=env)
        told = result.stdout + result.stderr
        assert result.returncode == 2 and told.count("the weights of 'imagenet' could not be had") == 1, told
        assert "name the path of the file as the source" in told
        assert words[1] != "check" or "; 1 problem; " in told

def test_no_network_and_no_data(tmp_path):
    env = os.environ | {"https_proxy": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    result = gradlr("study", "run", "small", "--out", tmp_path/"out", "--data", tmp_path, env=env)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "EMNIST is not in" in result.stderr and "--data or GRADLR_DATA" in result.stderr

def test_another_study_in_the_folder(tiny, tmp_path, refused):
    write_whole(tmp_path/"out"/"study.toml", TINY.replace("repeats = 3", "repeats = 1").encode())
    write_whole(tmp_path/"out"/"records"/"0123.json", b"{}")
    refused(("study", "run", tiny, "--out", tmp_path/"out"), "holds another study", "repeats: 1 there, 3 asked for")

@pytest.mark.parametrize("arguments, words", [
    (("study", "run", "dmo"), ["did you mean: demo"]),
    (("study", "status", "nowhere"), ["holds no study", "gradlr study run"]),
    (("report", "nowhere"), ["no records"]),
    (("study", "run", "demo", "--jobs", "none"), ["at least 1"]),
    (("list", "stratgies"), ["strategies", "samples"]),
    (("advise", "--source", "lite0"), ["--target"]),
    (("study", "run", "demo", "--engine", "desk"), ["dask"]),
    (("study", "run", "photo.jpg"), ["demo", "TOML file"]),
    (("advise", "--target", "digits02", "--source", "lite0", "--size", "5000"), ["5000 px", "choose a smaller size"]),
    (("study", "run", "demo", "--engine", "dask", "--out", "OUT"), ["--address"]),
    (("study", "run", "demo", "--engine", "dask", "--address", "nowhere:1", "--out", "OUT"),
     ["no Dask scheduler at 'nowhere:1'", "dask scheduler"]),
    (("study", "run", "demo", "--address", "tcp://127.0.0.1:1", "--out", "OUT"), ["--engine dask"]),
])
def test_wrong_arguments(refused, tmp_path, arguments, words):
    refused([tmp_path/"out" if word == "OUT" else word for word in arguments], *words)

def test_distances_of_own_folders(tmp_path):
    cats, dogs = folder_of_images(tmp_path/"cats", small=12, large=9), folder_of_images(tmp_path/"dogs", young=10, old=8)
    how = ("--components", "3", "--size", "40", "--draws", "2", "--file", tmp_path/"map.png")
    result = gradlr("distances", cats, dogs, *how, "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    pairs = {(d["source"], d["target"]) for d in told["distances"]}
    assert pairs == {(s, t) for s in ("small", "large") for t in ("young", "old")}
    assert all(d["distance"] > 0 for d in told["distances"]) and (tmp_path/"map.png").stat().st_size > 1000

def test_distances_of_one_draw_and_of_odd_names(tmp_path):
    odd = folder_of_images(tmp_path/"cost $5^$", **{"$a^$": 9, "\x1b[2Jb": 9})
    how = ("--components", "3", "--size", "20", "--draws", "1", "--file", tmp_path/"map.svg")
    result = gradlr("distances", odd, odd, *how, cwd=tmp_path)
    assert result.returncode == 0 and "\x1b" not in result.stdout, result.stderr
    assert ">$a^$</text>" in (tmp_path/"map.svg").read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {odd.name, "map.svg"}
    told = json.loads(gradlr("distances", odd, odd, *how[:-2], "--json", cwd=tmp_path).stdout)
    assert told["picture"] is None and len(list(tmp_path.iterdir())) == 2
    assert [pair["std"] for pair in told["distances"]] == [0, 0, 0, 0]

@pytest.mark.parametrize("arguments,words", [
    (["digits01", "digits2"], ["unknown sample or folder 'digits2'", "digits02"]),
    (["digits01", "no/where"], ["no folder or archive 'no/where'"]),
    (["digits01", "photos02", "--components", "900"], ["480 images", "lower --components"]),
    (["digits01", "photos02", "--components", "much"], ["whole number of at least 1, or a share"]),
    (["digits01", "photos02", "--per-class", "100"], ["has 60 images, and 100 are asked for", "lower --per-class"]),
    (["digits01", "photos02", "--draws", "0"], ["at least 1"]),
    (["digits01", "photos02", "--file", "no/such/folder/map.png"], ["no/such/folder"]),
    (["digits01", "photos02", "--file", "map.jpgg"], ["map.jpgg"]),
])
def test_wrong_distances_are_explained(refused, arguments, words): refused(["distances", *arguments], *words)

MISTAKES = [                            # What is typed, and the way out
    ("studdy run demo", "study"),
    ("list stratgies", "strategies"),
    ("list samples --jsn", "--help"),
    ("study run demo --jobs none", "at least 1"),
    ("study run dmo", "did you mean: demo"),
    ("study run nowhere.toml", "nowhere.toml"),
    ("study run IMAGES", "gradlr study new"),
    ("study run TYPO", "did you mean: epochs"),
    ("study run LOST", "no folder or archive"),
    ("study run LOST_SOURCE", "no weights at"),
    ("study run demo --engine dask", "--address"),
    ("study status nowhere", "gradlr study run"),
    ("study show OUT", "name its file"),
    ("study new no/images", "no folder or archive"),
    ("study new WRAPPED", "did you mean"),
    ("study new IMAGES/cat", "one folder a class"),
    ("study new IMAGES/cat/0.png", "name a folder"),
    ("study new IMAGES --source IMAGES/cat/0.png", "is an image"),
    ("advise --source lite0", "--target"),
    ("advise --target IMAGES --source imagenet=resnet43", "did you mean: resnet"),
    ("advise --target IMAGES --source imagnet", "did you mean: imagenet"),
    ("advise --target IMAGES --source IMAGES", "is a folder"),
    ("advise --target digit02 --source lite0", "did you mean: digits02"),
    ("advise --target IMAGES --source lite0 --network resnet43", "did you mean: resnet"),
    ("distances digits01 IMAGE", "no folder or archive"),
    ("distances digits01 photos01 --file map.jpgg", "did you mean: jpg"),
    ("report nowhere", "no records")]

@pytest.fixture(scope="module")
def desk(tmp_path_factory)->dict[str,Path]:
    "What lies about at a hurried user's"
    place = tmp_path_factory.mktemp("desk")
    images = folder_of_images(place/"IMAGES", cat=3, dog=3)
    folder_of_images(place/"WRAPPED"/"images", cat=1, dog=1)
    (place/"OUT").mkdir()
    for file, old, new in (("TYPO.toml", "epochs = 1\nbatch", "epoch = 1\nbatch"), ("OUT/study.toml", "", ""),
                           ("LOST_SOURCE.toml", '"digits01"', '"weights.pth"')):
        (place/file).write_text(TINY.replace(old, new, 1), encoding="utf-8")
    own_sample(place, images/"gone").rename(place/"LOST.toml")
    return {path.stem: path for path in place.iterdir()} | dict(IMAGE=place/"IMAGE")

@pytest.mark.parametrize("typed, way_out", MISTAKES, ids=[typed for typed, _ in MISTAKES])
def test_a_mistake_is_told_in_a_line_and_at_once(desk, typed, way_out):
    words = [re.sub("^[A-Z_]+", lambda found: str(desk.get(found[0], found[0])), word) for word in typed.split()]
    before = os.times()
    told = gradlr(*words)
    after = os.times()
    # of the processor, since others may be at work; starting Python and asking takes half a second
    seconds = sum(after[2:4]) - sum(before[2:4])
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1), told.stderr
    assert way_out in told.stderr and seconds < 3, (seconds, told.stderr)

@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-16"])
def test_a_terminal_of_any_encoding(tmp_path, encoding):
    file = tmp_path/"odd.toml"
    file.write_text(TINY.replace('"tiny"', '"Größe – 猫 😀"'), encoding="utf-8-sig")     # as editors of Windows write it
    command = [COMMAND, "study", "show", file]
    shown = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert shown.returncode == 0, shown.stderr
    (tmp_path/"shown.toml").write_text(shown.stdout.decode(encoding), encoding="utf-8")
    assert read_study(tmp_path/"shown.toml") == read_study(file)

@pytest.mark.parametrize("words", [("study", "show", "~/tiny.toml"), ("study", "check", "~/tiny.toml", "--out=~/out"),
                                   ("study", "status", "~/there"), ("study", "pack", "~/there", "~/packed")])
def test_home_is_understood_wherever_a_path_is(tiny, tmp_path, words):
    write_whole(tmp_path/"there"/"study.toml", TINY.encode())
    result = gradlr(*words, env=os.environ | {"HOME": str(tmp_path)}, cwd=tmp_path)
    assert "'~" not in result.stderr and not (tmp_path/"~").exists()
    assert result.returncode == 0 or "no records" in result.stderr, result.stderr

def test_json_is_alone_on_standard_output(tmp_path):
    "What a download says goes to standard error"
    study = TINY.replace("digits02", "cifar02")
    (tmp_path/"a.toml").write_text(study)
    env = os.environ | {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    result = gradlr("study", "check", tmp_path/"a.toml", "--out", tmp_path/"out", "--data", tmp_path, "--json", env=env)
    assert result.returncode == 2 and "downloading CIFAR10" in result.stderr
    assert "could not be downloaded" in json.loads(result.stdout)["problems"][0]

def test_a_fault_of_ours_keeps_its_traceback(monkeypatch, capsys):
    def fail(name): raise RuntimeError("\x1b[2Ja fault")
    monkeypatch.setattr("gradlr.command.questions.import_module", fail)
    assert main(["list", "samples"]) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told and r"RuntimeError: \u001b[2Ja fault" in told
