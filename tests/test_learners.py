"gradlr's learners do what fastai's do: new images, interpretation, export, further callbacks"
import gc
import json
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from fastai.data.core import DataLoaders
from fastai.interpret import ClassificationInterpretation, Interpretation
from fastai.learner import Learner, load_learner
from fastai.vision.all import CSVLogger, Flip, MixUp, SaveModelCallback
from matplotlib import pyplot as plt
from PIL import Image

from gradlr.errors import InputError
from gradlr.images.drawing import load_sample
from gradlr.images.folders import load_folder
from gradlr.images.loaders import dataloaders
from gradlr.images.samples import SAMPLES
from gradlr.rates.learners import source_learner, target_learner
from gradlr.rates.training import STRATEGIES

TRAIN, VALID = load_sample(SAMPLES["photos02"])
GRAY = load_sample(SAMPLES["digits02"])
# Saw images in [-1, 1], bicubic
NETWORK = "timm/test_convnext"

def made(parts=(TRAIN, VALID), network="timm/test_resnet", size=24, augment="none", **kwargs)->Learner:
    "A small learner with random weights, silent"
    learn = source_learner(dataloaders(*parts, size=size, batch_size=32, augment=augment), network, **kwargs)
    learn.remove_cb(learn.progress)
    learn.logger = lambda row: None
    return learn

@pytest.fixture(scope="module")
def trained(tmp_path_factory)->Learner:
    "A learner after an epoch, whose files go into a folder of their own"
    learn = made(augment="flip_crop")
    learn.fit_gradual(1, 1e-2)
    learn.path = tmp_path_factory.mktemp("learner")
    return learn

@pytest.fixture(autouse=True)
def no_figures_left():
    "What a test draws goes with it"
    yield
    plt.close("all")

def array_of(image:torch.Tensor)->np.ndarray:
    "Height × width × channels"
    return image.permute(1, 2, 0).numpy()

def written(file:Path, image:torch.Tensor)->Path:
    "An image in a file"
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(array_of(image)).save(file)
    return file

def agrees(ours, theirs)->bool:
    "Are probabilities the same, to what batches of other sizes round?"
    return torch.allclose(torch.as_tensor(ours), torch.as_tensor(theirs), atol=1e-5)

FORMS = dict(
    path=written,
    text=lambda file, image: str(written(file, image)),
    pil=lambda file, image: Image.fromarray(array_of(image)),
    opened=lambda file, image: Image.open(written(file, image)),
    array=lambda file, image: array_of(image),
    tensor=lambda file, image: image)

@pytest.mark.parametrize("form", FORMS)
def test_an_image_is_named_as_validation_names_it(trained, tmp_path, form):
    probabilities, _ = trained.get_preds()
    for i in (0, 40, 100):
        name, index, shares = trained.predict(FORMS[form](tmp_path/"one.png", VALID.images[i]))
        assert agrees(shares, probabilities[i])
        assert int(index) == int(probabilities[i].argmax()) and name == VALID.classes[int(index)]

def test_the_image_comes_back_as_it_was(trained):
    shown, *_ = trained.predict(VALID.images[0], with_input=True)
    [(expected, _)] = trained.dls.valid.decode_batch(trained.dls.valid.one_batch(), max_n=1)
    assert torch.allclose(shown, expected, atol=1e-5)

def test_gray_is_named_however_it_comes(tmp_path):
    learn = made(GRAY, size=16)
    image = GRAY[1].images[5]
    expected = learn.get_preds()[0][5]
    gray = array_of(image)[..., 0]
    for form in (image, image[0], gray, gray[..., None], np.stack([gray]*3, -1), Image.fromarray(gray)):
        assert agrees(learn.predict(form)[2], expected)

def test_a_file_is_read_as_its_folder_was(tmp_path):
    "Larger than it was trained at, not square, JPEG, turned, see-through: what validation saw of it is what is predicted"
    pixels = np.random.default_rng(0).integers(0, 256, (8, 50, 70, 4), dtype=np.uint8)
    for i, values in enumerate(pixels):
        folder = tmp_path/"ab"[i % 2]
        folder.mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[274] = 6
        image = Image.fromarray(values)
        if i % 4 < 2: image.save(folder/f"{i}.png")
        else: image.convert("RGB").save(folder/f"{i}.jpg", exif=exif)
    images = load_folder(tmp_path, size=40)
    for network, size in (("timm/test_resnet", 24), (NETWORK, 32)):
        learn = source_learner(dataloaders(images, images, size=size, batch_size=4), network)
        files = [file for of_class in "ab" for file in sorted((tmp_path/of_class).iterdir())]
        with learn.no_bar():
            expected, labels = learn.get_preds()
            loader = learn.dls.test_dl(files, with_labels=True)
            shares, found = learn.get_preds(dl=loader)
            opened, _ = learn.get_preds(dl=learn.dls.test_dl([Image.open(file) for file in files]))
        assert agrees(shares, expected) and agrees(opened, expected)
        assert found.tolist() == labels.tolist()

def test_a_loader_of_new_images_keeps_order_and_labels(trained, tmp_path):
    picked = [100, 3, 50, 3]
    expected = trained.get_preds()[0][picked]
    files = [written(tmp_path/VALID.classes[VALID.labels[i]]/f"{n}.png", VALID.images[i]) for n, i in enumerate(picked)]
    labels = VALID.labels[picked].tolist()
    plain = trained.dls.test_dl(files, bs=3)
    assert [len(batch) for batch in plain] == [1, 1] and len(plain.dataset) == 4
    shares, nothing = trained.get_preds(dl=plain)
    assert agrees(shares, expected) and nothing is None
    pairs = [(VALID.images[i], VALID.classes[VALID.labels[i]]) for i in picked]
    for items in (files, pairs, [(image, VALID.classes.index(name)) for image, name in pairs]):
        shares, found = trained.get_preds(dl=trained.dls.test_dl(items, with_labels=True))
        assert agrees(shares, expected) and found.tolist() == labels
    for loader in (plain, trained.dls.test_dl(pairs, with_labels=True)): loader.show_batch()
    assert trained.validate(dl=trained.dls.test_dl(pairs, with_labels=True))[1] in (0, .25, .5, .75, 1)

def test_loaders_put_together_by_hand_do_as_well(trained):
    learn = source_learner(DataLoaders(*trained.dls.loaders), "timm/test_resnet")
    with learn.no_bar(): assert learn.predict(VALID.images[0])[0] in VALID.classes

WRONG = {
    "missing.png": "'missing.png' is not an image",
    str(Path(__file__)): "test_learners.py' is not an image",
    str(Path(__file__).parent): "is not an image",
}

@pytest.mark.parametrize("item", WRONG)
def test_what_is_no_image_is_named(trained, item):
    for form in (item, Path(item)):
        with pytest.raises(InputError, match=WRONG[item]): trained.predict(form)

@pytest.mark.parametrize("item, problem", [
    (np.zeros((8, 8, 2), np.uint8), "1 or 3"), (np.zeros((3, 8, 8), np.uint8), "height × width × 1 or 3"),
    (np.zeros((8, 8, 4), np.uint8), "1 or 3"), (torch.zeros(8, 8, 3, dtype=torch.uint8), "1 or 3 × height × width"),
    (np.zeros((8, 8, 3)), "must be uint8"), (torch.rand(3, 8, 8), "must be uint8"), (np.zeros(8, np.uint8), "height"),
    (VALID.images[:2], "1 or 3"), ([], "list is no image"), (None, "NoneType is no image"), (7, "int is no image"),
    (b"bytes", "bytes is no image"), (Image.new("F", (8, 8)), "mode F")])
def test_pixels_that_do_not_fit_are_named(trained, item, problem):
    with pytest.raises(InputError, match=problem): trained.predict(item)

@pytest.mark.parametrize("items, with_labels, problem", [
    ([], False, "no image in the list"), ([], True, "no image in the list"), ("one.png", False, "in a list, got str"),
    (Path("one.png"), False, "in a list"), (VALID.images[0], False, r"list\(images\)"), (VALID, False, "in a list"),
    (Image.new("RGB", (8, 8)), False, "in a list"), ([VALID.images[0]], True, "has no label"),
    ([(VALID.images[0], "cat")], True, "unknown class 'cat'"), ([(VALID.images[0], 4)], True, "from 0 to 3"),
    (["somewhere/one.png"], True, "unknown class 'somewhere'"), ([(VALID.images[0], 1)], False, "tuple is no image")])
def test_lists_that_do_not_fit_are_named(trained, items, with_labels, problem):
    with pytest.raises(InputError, match=problem): trained.dls.test_dl(items, with_labels=with_labels)

@pytest.mark.parametrize("kind", [Interpretation, ClassificationInterpretation])
@pytest.mark.parametrize("part", [0, 1])
def test_interpretation(trained, kind, part):
    images = (TRAIN, VALID)[part]
    found = kind.from_learner(trained, ds_idx=part)
    losses, places = found.top_losses(5)
    assert len(found.losses) == len(images) and (losses.diff() <= 0).all()
    _, again, items = found.top_losses(5, items=True)
    assert all(torch.equal(image, images.images[i]) and label == images.labels[i] for (image, label), i in zip(items, again))
    found.plot_top_losses(4)
    found.plot_top_losses(range(2), largest=False)
    titles = [ax.get_title() for ax in plt.gcf().axes]
    # the image that is drawn is the one of that loss
    assert all(title.split(" / ")[0].split("/")[1] in VALID.classes for title in titles if title)
    _, shares, targets, _, of_these = found[places]
    assert targets.tolist() == images.labels[places].tolist() and torch.equal(of_these, losses)
    if part: assert agrees(-shares[range(5), targets].log(), losses)
    found.show_results([0, 3])

def test_confusion(trained):
    found = ClassificationInterpretation.from_learner(trained)
    shares, labels = trained.get_preds()
    by_hand = np.zeros((4, 4), int)
    np.add.at(by_hand, (labels.numpy(), shares.argmax(1).numpy()), 1)
    assert (found.confusion_matrix() == by_hand).all()
    assert sum(n for *_, n in found.most_confused()) == by_hand.sum() - by_hand.trace()
    found.plot_confusion_matrix()
    found.print_classification_report()

def test_test_time_augmentation_is_that_of_training():
    learn = made(augment=[Flip(p=1.)])
    plain, labels = learn.get_preds()
    mirrored, _ = learn.get_preds(dl=learn.dls.test_dl(list(VALID.images.flip(3))))
    shares, targets = learn.tta(n=2)
    assert torch.allclose(shares, torch.lerp(mirrored, plain, 0.25), atol=1e-4) and torch.equal(targets, labels)
    # of new images, and of those of training
    some = learn.dls.test_dl(list(VALID.images[:5]))
    assert torch.allclose(learn.tta(dl=some, n=1)[0], shares[:5], atol=1e-4)
    assert len(learn.tta(ds_idx=0, n=1)[0]) == len(TRAIN)
    # and afterwards everything is as it was
    assert torch.equal(learn.get_preds()[0], plain)

def test_test_time_augmentation_by_name(trained):
    plain, _ = trained.get_preds()
    once, again = (trained.tta(n=2)[0] for _ in range(2))
    assert not torch.equal(once, plain) and not torch.equal(once, again)
    assert torch.allclose(once.sum(1), torch.ones(len(VALID)))
    assert torch.equal(trained.get_preds()[0], plain)
    still = made()
    assert torch.allclose(still.tta(n=2)[0], still.get_preds()[0], atol=1e-6)

LOADS = """
import json, sys
from pathlib import Path
from fastai.learner import load_learner
found = {}
for folder in map(Path, sys.argv[1:]):
    learn, files = load_learner(folder/"export.pkl"), sorted(folder.glob("*.png"))
    with learn.no_bar(), learn.no_logging():
        named = [learn.predict(file) for file in files]
        shares, _ = learn.get_preds(dl=learn.dls.test_dl(files))
    found[folder.name] = [(str(name), int(index), some.tolist()) for name, index, some in named], shares.tolist()
print(json.dumps(found))
"""
EXPORTED = dict(
    augmented=dict(augment="flip_crop"), gray=dict(parts=GRAY, size=16), rounded=dict(precision="bfloat16"),
    other_inputs=dict(network=NETWORK, size=32), averaged=dict(optimizer="schedulefree_adamw"))

def test_exports_predict_the_same_in_another_process(tmp_path):
    expected, classes = {}, {}
    for case, kwargs in EXPORTED.items():
        learn, folder = made(**kwargs), tmp_path/case
        learn.fit_gradual(1, 1e-3)
        learn.path, images = folder, learn.dls.valid_ds.images[::40].expand(-1, 3, -1, -1)
        files = [written(folder/f"{i}.png", image) for i, image in enumerate(images)]
        expected[case], _ = learn.get_preds(dl=learn.dls.test_dl(files))
        classes[case] = list(learn.dls.vocab)
        learn.export()
        # the learner itself stays as it was
        assert torch.equal(learn.get_preds(dl=learn.dls.test_dl(files))[0], expected[case]) and len(learn.dls.train_ds)
    command = [sys.executable, "-W", "ignore", "-c", LOADS, *(tmp_path/case for case in EXPORTED)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert not process.returncode, process.stderr
    found = json.loads(process.stdout.splitlines()[-1])
    for case, (named, loaded) in found.items():
        # bfloat16 has three digits
        close = dict(atol=0.02 if case == "rounded" else 1e-5)
        assert torch.allclose(torch.tensor(loaded), expected[case], **close), case
        for (name, index, shares), loaded_shares in zip(named, loaded, strict=True):
            assert torch.allclose(torch.tensor(shares), torch.tensor(loaded_shares), **close)
            assert name == classes[case][index]

@pytest.mark.parametrize("strategy", STRATEGIES)
def test_whatever_it_was_trained_by_it_is_exported(tmp_path, strategy):
    learn = made(size=16)
    learn.fit_strategy(strategy, 2, 1e-3)
    learn.path = tmp_path
    learn.export()
    loaded = load_learner(tmp_path/"export.pkl")
    with loaded.no_bar(): assert agrees(loaded.predict(VALID.images[0])[2], learn.predict(VALID.images[0])[2])
    # no images, whatever else
    assert (tmp_path/"export.pkl").stat().st_size < 8e6 and not len(loaded.dls.train_ds)
    with pytest.raises(InputError, match="less than one batch"): loaded.fit_gradual(1, 1e-3)

def test_an_augmentation_of_ones_own_is_exported(tmp_path):
    learn = made(augment=[lambda batch: batch])
    learn.path = tmp_path
    learn.export()
    assert load_learner(tmp_path/"export.pkl").dls.vocab == list(VALID.classes)

def test_a_loaded_learner_is_a_source(trained):
    trained.export()
    loaded = load_learner(trained.path/"export.pkl")
    body = target_learner(made().dls, loaded).model[0].state_dict()
    assert all(torch.equal(tensor, body[name]) for name, tensor in trained.model[0].state_dict().items())

def test_fastais_callbacks(tmp_path):
    learn = made(size=16)
    learn.path = tmp_path
    learn.fit_gradual(2, 1e-3, cbs=[CSVLogger(), SaveModelCallback(monitor="accuracy"), MixUp(0.4)])
    rows = (tmp_path/"history.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[0].startswith("epoch,train_loss,valid_loss,accuracy")
    assert (tmp_path/"models"/"model.pth").is_file()
    assert "Total params" in str(learn.summary())
    assert learn.lr_find(num_it=30, show_plot=False).valley > 0
    learn.fine_tune(1, 1e-3)
    learn.show_results()
    learn.dls.show_batch()

def test_half_precision():
    learn = made(size=16).to_fp16()
    learn.fit_gradual(1, 1e-3)
    assert learn.predict(VALID.images[0])[0] in VALID.classes
    assert agrees(learn.to_fp32().predict(VALID.images[0])[2].sum(), 1.)

def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from fastai.callback.tensorboard import TensorBoardCallback
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    learn = made(size=16)
    learn.fit_gradual(1, 1e-3, cbs=TensorBoardCallback(log_dir=tmp_path, n_preds=2))
    written = EventAccumulator(str(tmp_path)).Reload().Tags()
    assert {"train_loss", "accuracy"} <= {*written["scalars"]} and written["images"] and written["graph"]

def test_wandb_offline(tmp_path, monkeypatch, capsys):
    wandb = pytest.importorskip("wandb")
    from fastai.callback.wandb import WandbCallback
    for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR"): monkeypatch.setenv(f"WANDB_{name}", str(tmp_path))
    learn = made(size=16)
    learn.path = tmp_path
    with wandb.init(mode="offline", dir=tmp_path) as run:
        learn.fit_gradual(1, 1e-3, cbs=[WandbCallback(n_preds=4)])
        assert run.summary["epoch"] == 1 and 0 <= run.summary["accuracy"] <= 1
    assert "WandbCallback" not in capsys.readouterr().out

def test_learners_that_are_dropped_are_freed():
    alive = []
    for _ in range(5):
        learn = made((VALID, VALID), "resnet34", 16)
        learn.fit_gradual(1, 1e-3)
        learn.predict(VALID.images[0])
        alive = [known for known in alive if known() is not None] + [weakref.ref(learn.model)]
        assert len(alive) <= 2
    loader = weakref.ref(learn.dls.train)
    del learn
    gc.collect()
    assert not any(known() is not None for known in [*alive, loader])
