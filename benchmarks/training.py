"Training ResNet34: gradlr, a bare PyTorch loop on the same tensors, fastai's pipeline of files, the arithmetic bound"
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet34

warnings.simplefilter("ignore", FutureWarning)
from fastai.learner import Learner
from fastai.vision.augment import Resize
from fastai.vision.data import ImageDataLoaders
from fastai.vision.learner import vision_learner

import bare
from gradlr.images.datasets import load_photos
from gradlr.images.loaders import dataloaders
from gradlr.images.sets import ImageSet
from gradlr.rates.learners import target_learner
from gradlr.rates.precision import fastest_precision
from measuring import about_the_machine, alternating

BATCH, REPEATS, SIDE = 64, 7, 2048
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
IMAGES = {224: 2048} if DEVICE.type == "cuda" else {32: 768, 64: 384, 128: 128}   # side in pixels → images an epoch
DTYPES = dict(float32=torch.float32, bfloat16=torch.bfloat16)

def photographs(n:int, size:int)->ImageSet:
    "So many tiles of photographs, of that size already: what is timed is training"
    photos = load_photos()
    photos = photos.take(torch.arange(n)*len(photos)//n)
    pixels = interpolate(photos.images.float(), size=(size, size), mode="bilinear").round().byte()
    return ImageSet(pixels, photos.labels, photos.classes, "benchmark")

def written(images:ImageSet, folder:Path)->Path:
    "The same images as files, a folder a class; a few of them once more for validation, which is not timed"
    for k, (image, label) in enumerate(zip(images.images, images.labels, strict=True)):
        for part in ("train", "valid") if k % 32 == 0 else ("train",):
            place = folder/part/images.classes[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(place/f"{k:04}.png")
    return folder

def one_epoch(learn:Learner)->None:
    "An epoch of fastai, without validation"
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, 1e-4)

def by_gradlr(images:ImageSet, size:int, precision:str):
    "An epoch of `fit_gradual`"
    learn = target_learner(dataloaders(images, images, size, BATCH), precision=precision)
    learn.dls.loaders[1] = []
    def epoch():
        with learn.no_bar(), learn.no_logging(): learn.fit_gradual(1, 1e-4, 0.5)
    return epoch

def by_bare_loop(images:ImageSet, size:int, precision:str):
    "An epoch of a plain loop: the same network, channels-last, the same precision, fused AdamW, the same normalisation"
    model = target_learner(dataloaders(images, images, size, BATCH)).model
    model.to(DEVICE, memory_format=torch.channels_last)
    pixels, labels = images.images.to(DEVICE), images.labels.to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    def epoch(): bare.train(model, optimizer, bare.batches(pixels, labels, BATCH, shuffle=True), precision=precision)
    return epoch

def by_files(folder:Path, size:int):
    "An epoch of fastai as its documentation shows it: image files, default settings"
    dls = ImageDataLoaders.from_folder(folder, bs=BATCH, item_tfms=Resize(size))
    learn = vision_learner(dls, resnet34, pretrained=False, n_out=8)
    learn.dls.loaders[1] = []
    return lambda: one_epoch(learn)

def operations(size:int)->int:
    "Floating-point operations of a training step, an image"
    model = resnet34(num_classes=8)
    x, y = torch.rand(2, 3, size, size), torch.tensor([0, 1])
    with FlopCounterMode(display=False) as counter: cross_entropy(model(x), y).backward()
    return counter.get_total_flops()//2

def settled(
    work:Callable # To be timed
)->Callable:
    "The work to its very end, a GPU's part included"
    def whole():
        work()
        if DEVICE.type == "cuda": torch.cuda.synchronize()
    return whole

def compare(size:int, folder:Path)->None:
    "Alternate all at one size, print a table"
    n, precision = IMAGES[size], fastest_precision("resnet34", size, BATCH)
    images = photographs(n, size)
    left, right = (torch.rand(SIDE, SIDE, device=DEVICE).to(DTYPES[precision]) for _ in range(2))
    works = {"gradlr": by_gradlr(images, size, precision), "bare loop": by_bare_loop(images, size, precision),
             "fastai files": by_files(written(images, folder), size), "product": lambda: left @ right}
    seconds, _ = alternating({name: settled(work) for name, work in works.items()}, REPEATS)
    seconds["arithmetic bound"] = [s*n*operations(size)/(2*SIDE**3) for s in seconds.pop("product")]
    print(f"{size} px, {precision}, batches of {BATCH}, {torch.get_num_threads()} threads, "
          f"{REPEATS} epochs of {n} images each; "
          "images a second, and how many times as fast gradlr is (median over rounds)")
    for name, spent in seconds.items():
        times = statistics.median(other/own for other, own in zip(spent, seconds["gradlr"], strict=True))
        rate = f"{n/statistics.median(spent):7.0f} ({n/max(spent):.0f} to {n/min(spent):.0f})"
        print(f"  {name:18}{rate}{times:8.2f}", flush=True)

if __name__ == "__main__":
    print(about_the_machine())
    for size in IMAGES:
        with tempfile.TemporaryDirectory() as folder: compare(size, Path(folder))
