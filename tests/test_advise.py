"Advice on a user's own folder, as the command gives it"
import json
import shutil
import time

import pytest
import timm
import torch
from fastai.torch_core import set_seed
from PIL import Image
from torchvision.models import resnet34

from conftest import data_folder, gradlr
from gradlr.cli import main
from gradlr.images.drawing import load_sample
from gradlr.images.loaders import dataloaders
from gradlr.images.samples import Sample
from gradlr.networks.checkpoints import save_weights
from gradlr.rates.learners import source_learner

CLASSES, OTHERS = ("automobile", "bird", "dog", "frog"), ("airplane", "cat", "horse", "ship")

@pytest.mark.skipif(data_folder() is None, reason="GRADLR_DATA names no folder with EMNIST/raw and cifar10")
def test_advice_on_four_classes_of_cifar(tmp_path):
    "Three ResNet34: gradlr's own after a short training on other classes, and states as torchvision and timm save them"
    for name in CLASSES:
        (tmp_path/"mine"/name).mkdir(parents=True)
        files = sorted((data_folder()/"cifar10"/"train"/name).iterdir())
        for file in files[:150]: shutil.copy(file, tmp_path/"mine"/name)
    set_seed(0)
    parts = load_sample(Sample("cifar10", OTHERS, 250, 20), folder=data_folder())
    trained = source_learner(dataloaders(*parts, size=32, batch_size=32))
    with trained.no_bar(), trained.no_logging(): trained.fit_one_cycle(2, 1e-3)
    save_weights(trained.model, tmp_path/"trained.safetensors")
    torch.save(resnet34().state_dict(), tmp_path/"torchvision.pth")
    torch.save(timm.create_model("resnet34").state_dict(), tmp_path/"timm.pth")
    sources = [str(tmp_path/name) for name in ("torchvision.pth", "trained.safetensors", "timm.pth")]
    begin = time.perf_counter()
    result = gradlr("advise", "--target", tmp_path/"mine", "--source", *sources, "--json")
    seconds = time.perf_counter() - begin
    told = json.loads(result.stdout)
    assert seconds <= 60, seconds
    assert told["size"] == 32 and {row["source"] for row in told["sources"]} == set(sources)
    # The only one that has seen an image
    assert told["start_from"] == sources[1]
    assert (told["strategy"], told["slice"]) == ("fastai_slice", f"slice({told['head_lr']:g})")
    assert 0 < told["head_lr"] <= told["evidence"]["rates"]["head_lr"]
    assert sum(row["first"] for row in told["sources"]) == pytest.approx(1)

def test_wrong_advice_is_explained(tmp_path, capsys):
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
        ("mine", "small.pth", "does not hold weights of resnet34"),
        ("mine", "notes.txt", "is not a checkpoint"),
        ("mine", "mine", "no weights at"),
    ):
        code = main(["advise", "--target", str(tmp_path/target), "--source", str(tmp_path/source)])
        told = capsys.readouterr().err
        assert code == 2 and words in told and "Traceback" not in told, (target, source, told)
