"Training speed: gradlr's gradual fine-tuning beside a bare PyTorch loop on the same tensors, alternating, one thread each"
import statistics
import time
import warnings

import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

warnings.simplefilter("ignore", FutureWarning)
from gradlr.finetune import target_learner
from gradlr.samples import ImageSet, dataloaders

BATCH, BATCHES, REPEATS = 64, 8, 5
MEAN, STD = (torch.tensor(s)[:,None,None] for s in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

def random_images(n:int)->ImageSet:
    "Images whose content does not matter"
    generator = torch.Generator().manual_seed(0)
    return ImageSet(torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator), torch.arange(n) % 4, tuple("abcd"), "random")

def bare(model:nn.Module, images:ImageSet, size:int, precision:str)->float:
    "Seconds of one epoch of a bare loop: channels-last, fused AdamW, the same resize and normalisation"
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    model.train()
    begin = time.perf_counter()
    for index in torch.randperm(len(images)).split(BATCH):
        x = interpolate(images.images[index].float()/255, size=(size, size), mode="bilinear")
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"): loss = cross_entropy(model((x - MEAN)/STD), images.labels[index])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - begin

def through_gradlr(learn)->float:
    "Seconds of one epoch of `fit_gradual`, without validation"
    begin = time.perf_counter()
    with learn.no_bar(), learn.no_logging(): learn.fit_gradual(1, 1e-4, 0.5)
    return time.perf_counter() - begin

def compare(size:int, precision:str)->None:
    "Alternate both, print medians and their ratio"
    images = random_images(BATCH*BATCHES)
    learn = target_learner(dataloaders(images, images, size, BATCH, device="cpu"), precision=precision)
    learn.dls.loaders[1] = []
    model = learn.model.to(memory_format=torch.channels_last)
    seconds = {"bare": [], "gradlr": []}
    for _ in range(REPEATS + 1):                                            # the first of each warms up
        seconds["bare"].append(bare(model, images, size, precision))
        seconds["gradlr"].append(through_gradlr(learn))
    speed = {name: [len(images)/s for s in values[1:]] for name, values in seconds.items()}
    told = ", ".join(f"{name} {statistics.median(v):.0f} ({min(v):.0f} to {max(v):.0f})" for name, v in speed.items())
    print(f"ResNet34, {size} px, {precision}: {told} images/s; gradlr at {statistics.median(speed['gradlr'])/statistics.median(speed['bare']):.2f} of the bare loop", flush=True)

torch.set_num_threads(1)
for size in (32, 64):
    for precision in ("float32", "bfloat16"): compare(size, precision)
