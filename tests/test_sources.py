"Sources as people have them: the features of what is loaded are those of the library that made it"
import os
import subprocess
import sys

import pytest
import timm
import torch
from fastai.data.core import DataLoaders

from gradlr.images.drawing import load_sample
from gradlr.images.loaders import dataloaders
from gradlr.images.samples import SAMPLES
from gradlr.networks.checkpoints import save_weights
from gradlr.networks.inputs import card_of
from gradlr.networks.sources import checkpoint_of, find_source
from gradlr.rates.learners import target_learner

LITE = "timm/tf_efficientnet_lite0"

@pytest.fixture(scope="module")
def digits()->DataLoaders:
    return dataloaders(*load_sample(SAMPLES["digits02"]), size=64, batch_size=16, device="cpu")

@torch.no_grad()
def test_lite0_through_three_doors(tmp_path, digits):
    "By its package, as timm saves it, as gradlr does: the same inputs, the same features as timm's"
    tensors = checkpoint_of(find_source("lite0")).tensors
    torch.save(tensors, tmp_path/"timm.pth")
    first = target_learner(digits, "lite0")
    save_weights(first.model, tmp_path/"own.safetensors", card_of(LITE, first.network_inputs, 64))
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(tensors)
    pixels = torch.rand(4, 3, 64, 64)
    for source in ("lite0", f"{tmp_path}/timm.pth={LITE}", tmp_path/"own.safetensors"):
        learn = target_learner(digits, source)
        assert (learn.network, learn.network_inputs.mean) == (LITE, (0.5, 0.5, 0.5))
        assert torch.equal(learn.dls.valid.one_batch()[0], first.dls.valid.one_batch()[0])
        found = learn.model[0].eval()(pixels)
        torch.testing.assert_close(found, network.forward_features(pixels), atol=1e-4, rtol=1e-4)

def test_a_network_of_the_hub(tmp_path):
    "As the hub's own cache keeps it, without a connection"
    network = timm.create_model("test_resnet", num_classes=7)
    cache = tmp_path/"models--me--mine"
    timm.models.save_for_hf(network, cache/"snapshots"/"1", safe_serialization=True)
    (cache/"refs").mkdir()
    (cache/"refs"/"main").write_text("1")
    torch.save(network.state_dict(), tmp_path/"plain.pth")
    code = ("import sys, torch; from gradlr.networks.sources import checkpoint_of, find_source; "
            "found = find_source('hf-hub:me/mine'); expected = torch.load(sys.argv[1]); "
            "held = checkpoint_of(found).tensors; print(found.network); "
            "assert all(torch.equal(held[name], tensor) for name, tensor in expected.items())")
    offline = os.environ | dict(HF_HUB_CACHE=str(tmp_path), HF_HUB_OFFLINE="1")
    told = subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path/"plain.pth"], env=offline,
                          capture_output=True, text=True)
    assert told.stdout.strip() == "timm/test_resnet", told.stderr[-2000:]
