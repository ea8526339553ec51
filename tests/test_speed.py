"The fast path trains as the plain one does"
import copy
import sys
from pathlib import Path

import pytest
import torch
from fastai.callback.core import Callback
from fastai.torch_core import set_seed

from gradlr.images.drawing import load_sample
from gradlr.images.loaders import dataloaders
from gradlr.images.samples import SAMPLES
from gradlr.networks.layers import layer_groups
from gradlr.rates.learners import source_learner
from gradlr.rates.schedules import gradual_lrs
from gradlr.statistics.intervals import interval

# the plain loop is the benchmarks' own
sys.path.append(str(Path(__file__).parents[1]/"benchmarks"))
import bare

SIZE, BATCH, STEPS = 32, 32, 3

class Steps(Callback):
    "Keeps what every training step saw, and its loss"
    order = 90 # after the loss
    run_valid = False
    def before_fit(self): self.batches, self.losses = [], []
    def before_batch(self): self.batches.append(tuple(t.as_subclass(torch.Tensor).clone() for t in (self.x, self.y)))
    def after_loss(self): self.losses.append(self.loss_grad.item())

def without_dropout(learn):
    "The one thing that is drawn anew in every pass"
    for module in learn.model.modules():
        if isinstance(module, torch.nn.Dropout): module.p = 0.

PLAIN = {
    "adamw": lambda groups: torch.optim.AdamW(groups, weight_decay=0.01, fused=True),
    "momentum": lambda groups: torch.optim.SGD(groups, momentum=0.9)}

def test_batches_are_the_images_scaled_and_normalised():
    train, valid = load_sample(SAMPLES["photos02"])
    x, y = next(iter(dataloaders(train, valid, 32, BATCH, device="cpu").valid))
    pixels, labels = next(bare.batches(valid.images, valid.labels, 2*BATCH))
    assert torch.allclose(x.as_subclass(torch.Tensor), pixels, atol=1e-6)
    assert torch.equal(y.as_subclass(torch.Tensor), labels)

@pytest.mark.parametrize("optimizer, layout", [("adamw", torch.channels_last), ("momentum", torch.contiguous_format)])
def test_first_steps_equal_those_of_a_plain_loop(optimizer, layout):
    "To 1e-5"
    # AdamW divides by the size of a gradient, so that the rounding of another memory layout grows in gradients near 0:
    # it gets the same layout
    set_seed(1)
    dls, seen = dataloaders(*load_sample(SAMPLES["photos02"]), SIZE, BATCH, device="cpu"), Steps()
    learn = source_learner(dls, "resnet18", optimizer)
    without_dropout(learn)
    model = copy.deepcopy(learn.model)
    with learn.no_bar(), learn.no_logging(): learn.fit_gradual(1, 1e-4, 0.5, schedule="constant", cbs=[seen])
    groups = layer_groups(model, "stage")
    rates = gradual_lrs(1e-4, 0.5, len(groups))
    plain = PLAIN[optimizer]([dict(params=p, lr=float(lr)) for p, lr in zip(groups.values(), rates, strict=True)])
    expected = bare.train(model.to(memory_format=layout), plain, seen.batches[:STEPS], layout=layout)
    assert len(seen.losses) >= STEPS and seen.losses[0] != seen.losses[1]
    for ours, theirs in zip(seen.losses[:STEPS], expected, strict=True): assert abs(ours/theirs.item() - 1) < 1e-5

def test_bfloat16_ends_within_the_spread_over_seeds():
    "Mean loss and accuracy over five seeds differ by less than the width of the 95 % interval of their difference"
    ends = {"float32": [], "bfloat16": []}
    for seed in range(5):
        for precision, found in ends.items():
            set_seed(seed)
            dls = dataloaders(*load_sample(SAMPLES["digits02"]), 16, BATCH, device="cpu")
            learn = source_learner(dls, "resnet18", precision=precision)
            with learn.no_bar(), learn.no_logging(): learn.fit_gradual(4, 3e-3, 0.75)
            found.append([float(value) for value in learn.validate()])
    for k in (0, 1):
        plain, fast = ([end[k] for end in ends[precision]] for precision in ("float32", "bfloat16"))
        mean, half, n = interval([one - other for one, other in zip(plain, fast, strict=True)])
        assert n == 5 and abs(mean) <= 2*half, (plain, fast)
    assert sum(plain)/5 > 0.8 and sum(fast)/5 > 0.8                             # both learnt
