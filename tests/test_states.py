"States of torch, numpy, pandas and Python that a user has set before: what gradlr computes is the same, and they stay"
import json
import locale
import os
import random
import warnings
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.torch_core import default_device, defaults, set_seed

from conftest import gradlr
from gradlr.cli import main
from gradlr.distances.classes import class_distances, distance_matrix, plot_distances
from gradlr.distances.hausdorff import modified_hausdorff
from gradlr.distances.space import tsne
from gradlr.errors import InputError
from gradlr.images.drawing import load_sample
from gradlr.images.loaders import dataloaders
from gradlr.images.samples import SAMPLES, Sample
from gradlr.networks.checkpoints import save_weights
from gradlr.rates.finder import find_lrs
from gradlr.rates.learners import source_learner
from gradlr.study.settings import Experiment, Study
from gradlr.study.worker import few_of, rehearse
from gradlr.transfer.advice import advise
from gradlr.transfer.scores import class_variance, frechet_distance, gbc, h_score, leep, logme, nce, transrate

DIGITS = Sample("digits", ("0", "1", "2"), train=12, valid=8)
NETWORK = "timm/test_resnet"


def scores(folder:Path)->list[float]:
    "What features tell, and a picture of them"
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(np.arange(60) % 3)
    features = torch.from_numpy(rng.normal(size=(60, 8)).astype(np.float32)) + labels[:, None]
    shares = torch.from_numpy(rng.dirichlet(np.ones(4), 60))
    found = [of(features, labels) for of in (logme, h_score, gbc, transrate)] + [of(shares, labels) for of in (leep, nce)]
    return [*found, class_variance(features, labels)["share"], frechet_distance(features[:30], features[30:]),
            *tsne(features, 10).std(0)]

def distances(folder:Path)->list[float]:
    "Distances of classes, and of two points"
    found = class_distances(*load_sample(DIGITS), 5, 32, draws=2)
    with matplotlib.rc_context({"text.usetex": False}): plot_distances(distance_matrix(found)).figure.savefig(folder/"a.png")
    return [*found["distance"], found["explained"].min(), modified_hausdorff([[0., 1]], [[3, 4.]])]

def advice(folder:Path)->list[float]:
    "Scores of two sources, and a rate"
    told = advise(load_sample(DIGITS)[0], {name: folder/f"{name}.safetensors" for name in "ab"}, size=16)
    return [*told.ranked["score"], *told.ranked["spread"], told.rates.head_lr]

def fit(folder:Path)->list[float]:
    "Losses and rates of a fine-tuning, after a look for a rate"
    set_seed(0)
    learn = source_learner(dataloaders(*load_sample(DIGITS), 16, 6), NETWORK)
    with learn.no_bar(), learn.no_logging():
        find_lrs(learn, steps=25)
        learn.fit_gradual(1, 0.01)
        learn.fit_strategy("auto_rgn", 1, 0.01)
        learn.fit_strategy("fine_tune", 2, 0.01)
    return [*map(float, learn.recorder.losses), *map(float, learn.recorder.values[-1]), *learn.learnt["lr"]]

def study(folder:Path)->list[float]:
    "Is there a run that fails in a rehearsal?"
    tiny = Study("tiny", (Experiment("digits01", "digits02"),), head_lrs=(.003,), weights=(.5,), network=NETWORK, size=16,
                 batch_size=6, strategies=("gradual", "fine_tune"))
    parts = load_sample(DIGITS)
    assert not list(rehearse(tiny, {"digits01": few_of(parts), "digits02": few_of(parts[::-1])}))
    return [0.]

ANSWERS = dict(scores=scores, distances=distances, advice=advice, fit=fit, study=study)

@contextmanager
def setting(get, put, value):
    "A state for a while"
    before = get()
    put(value)
    try: yield
    finally: put(before)

@contextmanager
def strict():
    "Every warning is an error"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield

@contextmanager
def german():
    "Decimal commas, where the system has them"
    with setting(lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name), "C"):
        with suppress(locale.Error): locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
        yield

def default_dtype(dtype): return setting(torch.get_default_dtype, torch.set_default_dtype, dtype)

# later ones have no others
PANDAS = ("mode.copy_on_write", True, "mode.chained_assignment", "raise") if pd.__version__ < "3" else ("display.precision", 1)

STATES = {
    "of double precision, on no device": lambda: [
        default_dtype(torch.float64), torch.device("meta"), torch.no_grad(),
        setting(torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True)],
    "of half precision, for inference": lambda: [
        default_dtype(torch.bfloat16), torch.inference_mode(), torch.device("cpu"),
        setting(lambda: defaults.use_cuda, default_device, False)],
    "with autocast": lambda: [torch.autocast("cpu", dtype=torch.bfloat16)],
    "of other libraries": lambda: [
        np.errstate(all="raise"), strict(), german(), pd.option_context(*PANDAS),
        matplotlib.rc_context({"figure.figsize": (1, 1), "savefig.format": "pdf", "text.usetex": True})]}

def seen()->tuple:
    "States that shall stay"
    cudnn = torch.backends.cudnn
    return (torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(), torch.get_default_device(), torch.is_autocast_enabled("cpu"),
            cudnn.deterministic, cudnn.benchmark, defaults.use_cuda, np.geterr(), list(warnings.filters),
            locale.localeconv()["decimal_point"], matplotlib.get_backend(), matplotlib.rcParams["text.usetex"])

@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    "Two sources in a folder, and every answer without a state"
    folder = tmp_path_factory.mktemp("states")
    for name in "ab":
        set_seed(ord(name))
        learn = source_learner(dataloaders(*load_sample(DIGITS), 16, 6), NETWORK)
        save_weights(learn.model, folder/f"{name}.safetensors", dict(network=NETWORK))
    return folder, {name: of(folder) for name, of in ANSWERS.items()}

@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("states", STATES)
def test_states_change_no_answer_and_stay(usual, states, name):
    folder, expected = usual
    with ExitStack() as stack:
        for state in STATES[states](): stack.enter_context(state)
        before = seen()
        found = ANSWERS[name](folder)
        assert seen() == before
    np.testing.assert_allclose(found, expected[name], rtol=1e-4)

@pytest.mark.parametrize("name", ["distances", "advice", "study"])
def test_random_states_and_threads_stay(usual, name):
    def drawn(): return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()
    with setting(torch.get_num_threads, torch.set_num_threads, 3):
        before = drawn()
        ANSWERS[name](usual[0])
        assert torch.get_num_threads() == 3 and drawn() == before

def test_weights_that_can_never_train_are_named():
    dls = dataloaders(*load_sample(DIGITS), 16, 6)
    learn = source_learner(dls, NETWORK)
    with torch.inference_mode(): learn.model = torch.nn.Sequential(learn.model[0], torch.nn.Linear(2, 3))
    with pytest.raises(InputError, match="made in torch.inference_mode"): find_lrs(learn, steps=25)

def test_a_python_without_asserts_and_with_another_order_of_sets_says_the_same(tmp_path, capsys):
    words = ["distances", "digits01", "digits02", "--components", "5", "--size", "16", "--draws", "1", "--json",
             "--file", str(tmp_path/"a.png")]
    assert main(words) == 0
    told = gradlr(*words, env=os.environ | {"PYTHONOPTIMIZE": "1", "PYTHONHASHSEED": "7"})
    assert told.returncode == 0, told.stderr
    here, there = (json.loads(text)["distances"] for text in (capsys.readouterr().out, told.stdout))
    assert [row["distance"] for row in there] == pytest.approx([row["distance"] for row in here], rel=1e-4)

def test_bfloat16_learns_the_same_within_a_users_autocast():
    "Weights that an outer autocast has cast are no longer those of the next step"
    ends = []
    for around in (nullcontext(), torch.autocast("cpu", dtype=torch.bfloat16)):
        set_seed(0)
        dls = dataloaders(*load_sample(SAMPLES["digits02"]), size=16, batch_size=32, device="cpu")
        learn = source_learner(dls, "timm/test_resnet", precision="bfloat16")
        with around, learn.no_bar(), learn.no_logging(): learn.fit_gradual(3, 3e-3)
        with learn.no_bar(): ends.append([float(value) for value in learn.validate()])
    assert ends[0] == ends[1]
