"A trial beside fastai's `vision_learner(…).fine_tune`, on the same network, size and images, in the same time"
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.torch import load_file

warnings.simplefilter("ignore", FutureWarning)
from fastai.data.transforms import Normalize
from fastai.learner import Learner
from fastai.torch_core import set_seed
from fastai.vision.augment import Resize
from fastai.vision.data import ImageDataLoaders
from fastai.vision.learner import vision_learner

from gradlr.images.datasets import data_folder, open_cifar10
from gradlr.networks.architectures import architecture
from gradlr.statistics.intervals import interval
from gradlr.trial.model import predict_files, read_network
from gradlr.trial.training import WithoutLooking
from measuring import about_the_machine

CLASSES = ("automobile", "bird", "dog", "frog") # Of CIFAR-10
REPEATS, MINUTES, IMAGES, NEW = 5, 5, 100, 250 # Images of each class in the folder, and new ones that judge
RECORDS = Path(__file__).parents[1]/"data"/"results"/"trial"/"beside_fine_tune.csv"

def drawn(repeat:int, home:Path)->tuple[Path,list[Path]]:
    "A folder of images to learn, and new images, all with a folder a class"
    files, rng, new = open_cifar10(data_folder()).files, np.random.default_rng(repeat), []
    of_class = np.array([file.parent.name for file in files])
    for name in CLASSES:
        for k, i in enumerate(rng.permutation(np.flatnonzero(of_class == name))[:IMAGES + NEW]):
            file = home/("images" if k < IMAGES else "new")/name/f"{k:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.open(files[i]).save(file)
            if k >= IMAGES: new.append(file)
    return home/"images", new

def share_right(labels:list[str], files:list[Path])->float:
    "Of new images"
    return float(np.mean([label == file.parent.name for label, file in zip(labels, files, strict=True)]))

def by_trial(images:Path, new:list[Path], out:Path)->dict:
    "What a trial keeps, judged on new images"
    begin = time.perf_counter()
    command = [Path(sys.executable).with_name("gradlr"), "try", images, "--source", "lite0", "--minutes", str(MINUTES), "--out", out, "--json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    seconds = time.perf_counter() - begin
    return dict(by="gradlr try", accuracy=share_right(predict_files(out, new)["label"].tolist(), new), seconds=seconds,
                **{name: told[name] for name in ("way", "head_lr", "size")})

def fastai_learner(images:Path, out:Path)->Learner:
    "fastai's own, with the trial's images to train on, its network as it was before, and fastai's own settings else"
    kept, files = read_network(out), pd.read_csv(out/"images.csv", dtype={"label": str})
    dls = ImageDataLoaders.from_df(
        files, path=images, fn_col="file", label_col="label", valid_col="is_test", item_tfms=Resize(kept.size),
        batch_tfms=Normalize.from_stats(kept.inputs.mean, kept.inputs.std), num_workers=0)
    learn = vision_learner(dls, architecture(kept.network), pretrained=False, normalize=False)
    assert len(learn.dls.train), "fewer images than a batch: nothing would be trained"
    learn.model[0].load_state_dict(load_file(out/"start.safetensors"))
    # no time goes to looking at images that choose nothing here
    learn.add_cb(WithoutLooking())
    return learn

def by_fine_tune(images:Path, new:list[Path], out:Path, epochs:int, repeat:int)->dict:
    "fastai's recipe at its default rate, judged on the same new images"
    set_seed(repeat)
    begin = time.perf_counter()
    learn = fastai_learner(images, out)
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(epochs)
        seconds = time.perf_counter() - begin
        learn.remove_cb(WithoutLooking)
        said = learn.get_preds(dl=learn.dls.test_dl(new))[0].argmax(1)
    return dict(by="fine_tune", accuracy=share_right([learn.dls.vocab[i] for i in said], new), seconds=seconds, epochs=epochs)

def one_repeat(repeat:int)->list[dict]:
    "A trial, then fastai's recipe as long as one of the trial's trainings, and as long as the whole trial"
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        images, new = drawn(repeat, home)
        trial = by_trial(images, new, home/"out")
        epochs = json.loads((home/"out"/"trial.json").read_text())["length"]["epochs"]
        short = by_fine_tune(images, new, home/"out", epochs, repeat)
        # beside the epochs that it is told, fine_tune trains the head for one
        in_the_time = round((epochs + 1)*trial["seconds"]/short["seconds"]) - 1
        long = by_fine_tune(images, new, home/"out", in_the_time, repeat)
    return [dict(repeat=repeat, **row) for row in (trial, short | dict(by="fine_tune, one training"), long | dict(by="fine_tune, in the same time"))]

def summary(rows:pd.DataFrame)->str:
    "Means, and differences from repeat to repeat"
    table = rows.pivot(index="repeat", columns="by", values="accuracy")
    lines = [about_the_machine(), f"four classes of CIFAR-10 ({', '.join(CLASSES)}), {IMAGES} images of each, judged on {NEW} new ones of each"]
    for by, of in rows.groupby("by"):
        mean, half, n = interval(of["accuracy"])
        lines.append(f"{by}: {100*mean:.1f} ± {100*half:.1f} % ({n} repeats), {of['seconds'].mean():.0f} s")
    for by in table.columns.drop("gradlr try"):
        mean, half, n = interval(table["gradlr try"] - table[by])
        lines.append(f"gradlr try − {by}: {100*mean:+.1f} ± {100*half:.1f} points ({n} repeats)")
    return "\n".join(lines)

def main():
    rows = pd.read_csv(RECORDS) if RECORDS.exists() else pd.DataFrame(columns=["repeat"])
    for repeat in sorted(set(range(REPEATS)) - set(rows["repeat"])):
        rows = pd.concat([rows, pd.DataFrame(one_repeat(repeat))], ignore_index=True)
        rows.to_csv(RECORDS, index=False)
    print(summary(rows))

if __name__ == "__main__": main()
