"Real EMNIST and CIFAR-10, where they are"
from dataclasses import replace

import pytest
import torch

from conftest import data_folder
from gradlr.images.drawing import load_sample
from gradlr.images.samples import SAMPLES

where = "GRADLR_DATA names no folder with EMNIST/raw and cifar10"
pytestmark = pytest.mark.skipif(data_folder() is None, reason=where)

def test_emnist_is_upright():
    train, _ = load_sample(replace(SAMPLES["emnist02"], part="test", test=0), folder=data_folder())
    assert set(train.counts().values()) == {600} and train.images.shape[1:] == (1, 28, 28)
    mean = {}
    for label, name in enumerate(train.classes): mean[name] = train.images[train.labels == label].float().mean(0)[0]
    # The stem of an F is on its left; a V is open at the top and closed at the bottom
    assert mean["F"][:, :14].sum() > 1.5*mean["F"][:, 14:].sum()
    assert mean["V"][4:9, 12:16].mean() < mean["V"][19:24, 12:16].mean()

def test_cifar_parts_share_no_image():
    train, valid = load_sample(SAMPLES["cifar01"], folder=data_folder())
    assert (len(train), len(valid)) == (9600, 2400)
    assert len(torch.unique(torch.cat([train.images, valid.images]).flatten(1), dim=0)) == 12000
