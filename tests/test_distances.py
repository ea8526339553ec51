"Distances, components and resized pixels: what has to hold whatever the points are, and the thesis's tables"
import math
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.decomposition import PCA as FullPCA
from threadpoolctl import threadpool_limits
from torch.nn.functional import interpolate
from torchvision.transforms.functional import center_crop

from conftest import data_folder
from gradlr.distances.classes import class_distances, distance_matrix
from gradlr.distances.hausdorff import (
    COMBINATIONS,
    POINT_RULES,
    directed_hausdorff,
    hausdorff,
    hausdorff_matrix,
    modified_hausdorff,
    nearest_distances,
    variants,
)
from gradlr.distances.space import LINEAR_MODES, ResizedSpace, fit_pca
from gradlr.images.drawing import load_sample
from gradlr.images.samples import SAMPLES
from gradlr.images.sets import ImageSet

settings.register_profile("distances", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("distances")

NO_DATA = "GRADLR_DATA names no folder with EMNIST/raw and cifar10"
real_data = pytest.mark.skipif(data_folder() is None, reason=NO_DATA)
PRINTED = Path(__file__).parents[1]/"data"/"results"/"distances"/"printed.csv"
VARIANTS = list(variants().itertuples(index=False, name=None))
DTYPES = st.sampled_from((np.float64, np.float32))
ERRORS = {np.float64: 1e-9, np.float32: 1e-4} # Of a distance, relative to the reach of the points

@pytest.fixture(scope="module", autouse=True)
def one_thread():
    "On a machine that has other work, threads that wait for each other make small computations fifty times slower"
    with threadpool_limits(1): yield

# Points

@st.composite
def points(draw, dimensions:int, dtype:type, centre:np.ndarray)->np.ndarray:
    "A set of 1 to 40 points about a centre: on a grid, where distances tie, or off it; some of them several times"
    n, divisor = draw(st.integers(1, 40)), draw(st.sampled_from((1, 7, 1000)))
    if draw(st.booleans()): found = draw(arrays(np.int16, (n, dimensions), elements=st.integers(-1000, 1000)))/divisor
    else: found = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).uniform(-1000, 1000, (n, dimensions))/divisor
    copies = draw(st.lists(st.integers(0, n - 1), max_size=40 - n))
    return (np.concatenate([found, found[copies]]) + centre).astype(dtype)

@st.composite
def pairs(draw, dtypes=DTYPES)->tuple[np.ndarray,np.ndarray]:
    "Two sets with the same dimensions, at the origin or far from it; sometimes they share points, or nearly"
    dimensions, dtype = draw(st.integers(1, 8)), draw(dtypes)
    centre = np.full(dimensions, draw(st.sampled_from((0., 1e4, -1e6))))
    a, b = draw(points(dimensions, dtype, centre)), draw(points(dimensions, dtype, centre))
    step = draw(st.sampled_from((None, 0., 0.01, 1.)))
    return (a, b) if step is None else (a, np.concatenate([b, a + dtype(step)])[-40:])

def reach(*sets:np.ndarray)->float:
    "How far the points lie from their middle: what the errors of a computation about that middle are proportional to"
    together = np.concatenate(sets).astype(np.float64)
    return float(np.linalg.norm(together - together.mean(0), axis=1).max())

def error_of(a:np.ndarray, b:np.ndarray)->float:
    "How much a distance of two sets may be off"
    return ERRORS[a.dtype.type]*reach(a, b)

def moved(a:np.ndarray, b:np.ndarray, how)->tuple[np.ndarray,np.ndarray,float]:
    "Both sets moved, and how much their distances may change: the error of a distance, and the rounding of coordinates"
    dtype = a.dtype.type
    to = [how(x.astype(np.float64)).astype(dtype) for x in (a, b)]
    largest = max(float(np.abs(x).max()) for x in (a, b, *to))
    return *to, error_of(a, b) + 4*math.sqrt(a.shape[1])*float(np.finfo(dtype).eps)*largest

@given(pairs(), st.sampled_from(tuple(POINT_RULES)), st.sampled_from(("max", "min", "average")))
def test_symmetry(sets, rule, combine):
    a, b = sets
    assert hausdorff(a, b, rule, combine) == pytest.approx(hausdorff(b, a, rule, combine), rel=0, abs=error_of(a, b))

@given(pairs())
def test_nothing_from_itself(sets):
    a, b = sets
    assert {hausdorff(x, x, rule, combine) for x in (a, b) for rule, combine in VARIANTS} == {0.}
    # Nor from a set that it is a part of
    assert hausdorff(a, np.concatenate([a, b]), "max", "min") == 0

@given(pairs(), st.integers(0, 2**32 - 1))
def test_moves_change_no_distance(sets, seed):
    a, b = sets
    generator = np.random.default_rng(seed)
    shift = generator.uniform(-1000, 1000, a.shape[1])
    rotation = np.linalg.qr(generator.standard_normal((a.shape[1], a.shape[1])))[0]
    for how in (lambda x: x + shift, lambda x: x @ rotation):
        c, d, error = moved(a, b, how)
        for form in VARIANTS: assert hausdorff(c, d, *form) == pytest.approx(hausdorff(a, b, *form), rel=0, abs=error)

@given(pairs())
def test_order_of_rules_and_combinations(sets):
    a, b = sets
    # Of a mean, and of a weighted one; and of the two directions joined in float64
    rounding, exact = 1 + 8*np.finfo(a.dtype).eps, 1 + 1e-15
    for c, d in ((a, b), (b, a)):
        least, mean, most = (directed_hausdorff(c, d, rule) for rule in ("min", "mean", "max"))
        assert least <= mean*rounding and mean <= most*rounding
    found = {(rule, combine): hausdorff(a, b, rule, combine) for rule, combine in VARIANTS}
    for combine in COMBINATIONS:
        rising = [found[rule, combine] for rule in ("min", "50th", "75th", "90th", "max")]
        for low, high in pairwise(rising): assert low <= high*exact
        least, most = rising[0], rising[-1]
        assert least <= found["mean", combine]*rounding and found["mean", combine] <= most*rounding
    for rule in POINT_RULES:
        least, average, weighted, most = (found[rule, combine] for combine in ("min", "average", "weighted", "max"))
        assert least <= average <= most
        assert least <= weighted*rounding and weighted <= most*rounding

def plain(a:np.ndarray, b:np.ndarray)->np.ndarray:
    "Distance of each point to its nearest in the other set, as the definition reads, in float64"
    a, b = a.astype(np.float64).tolist(), b.astype(np.float64).tolist()
    return np.array([min(math.dist(p, q) for q in b) for p in a])

@given(pairs())
def test_nearest_is_nearest(sets):
    a, b = sets
    for found, expected in zip(nearest_distances(a, b), (plain(a, b), plain(b, a))):
        assert found.dtype == torch.as_tensor(a).dtype
        np.testing.assert_allclose(found.double().numpy(), expected, rtol=0, atol=error_of(a, b))
        # Small ones are right too, and a point that both sets have is at distance 0, not at rounding
        rounding = 8*np.finfo(a.dtype).eps*reach(a, b)
        np.testing.assert_allclose(found.double().numpy(), expected, rtol=1e-4, atol=rounding)
        assert not found.numpy()[expected == 0].any()

@given(pairs(st.just(np.float64)))
def test_variants_are_what_the_paper_says(sets):
    a, b = sets
    there, back = sorted(plain(a, b)), sorted(plain(b, a))
    def ranked(percent):
        "The distance that so many percent of the points do not exceed"
        return lambda d: d[-(-percent*len(d)//100) - 1]
    rules = [min, ranked(50), ranked(75), ranked(90), max, lambda d: sum(d)/len(d)]
    joined = [min, max, lambda x, y: (x + y)/2, lambda x, y: (len(a)*x + len(b)*y)/(len(a) + len(b))]
    expected = [join(rule(there), rule(back)) for rule in rules for join in joined]
    found = [hausdorff(a, b, *form) for form in VARIANTS]
    np.testing.assert_allclose(found, expected, rtol=0, atol=error_of(a, b))

@given(pairs())
def test_blocks_change_nothing(sets):
    a, b = sets
    whole = nearest_distances(a, b, block=1024)
    for block in (1, 3, 7):
        for found, expected in zip(nearest_distances(a, b, block=block), whole):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=error_of(a, b))
            assert np.array_equal(found.numpy() == 0, expected.numpy() == 0)

@given(pairs())
def test_numpy_and_torch_agree(sets):
    a, b = sets
    by_columns = np.asfortranarray(a), torch.from_numpy(np.asfortranarray(b))
    for x, y in ((torch.from_numpy(a), torch.from_numpy(b)), (torch.from_numpy(a), b), by_columns):
        for found, expected in zip(nearest_distances(x, y), nearest_distances(a, b)):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=error_of(a, b))
    assert hausdorff(torch.from_numpy(a), torch.from_numpy(b)) == hausdorff(a, b)

@given(st.integers(0, 2**32 - 1), st.integers(1, 8), DTYPES)
def test_one_cloud_is_nearer_than_two(seed, dimensions, dtype):
    generator = np.random.default_rng(seed)
    one, again, other = (generator.standard_normal((100, dimensions)).astype(dtype) for _ in range(3))
    far = other + dtype(20)
    for form in VARIANTS: assert hausdorff(one, again, *form) < 0.5*hausdorff(one, far, *form)

FORMS = st.sampled_from(VARIANTS)
BOXES = (np.asarray, torch.from_numpy, np.asfortranarray, np.ndarray.tolist, pd.DataFrame,
         lambda x: torch.from_numpy(x.copy()).requires_grad_(), lambda x: x.astype(x.dtype.newbyteorder()))

@given(pairs(), FORMS, st.sampled_from(BOXES), st.sampled_from(BOXES))
def test_the_container_changes_nothing(sets, form, one, other):
    a, b = sets
    assert hausdorff(one(a), other(b), *form) == pytest.approx(hausdorff(a, b, *form), rel=1e-5, abs=error_of(a, b))

@given(pairs(), st.integers(0, 2**32 - 1), st.floats(1, 1e6))
def test_order_of_sets_and_far_off_points_change_nothing(sets, seed, far):
    a, b = sets
    targets = {"near": b, "far": b + a.dtype.type(far*1e3*(1 + np.abs(b).max())), "again": b}
    order = np.random.default_rng(seed).permutation(list(targets))
    found = hausdorff_matrix({"a": a}, {name: targets[name] for name in order}).loc["a"]
    alone = pytest.approx(modified_hausdorff(a, b), rel=1e-4, abs=1e-6*reach(a, b))
    # where a set stands in the product decides in which order its processor adds up: the last digits may differ
    assert found["near"] == alone and found["again"] == alone
    assert found["near"] == pytest.approx(found["again"], rel=1e-5, abs=1e-6*reach(a, b))
    beside = np.concatenate([b, targets["far"]])
    assert directed_hausdorff(a, beside) == pytest.approx(max(plain(a, beside)), rel=1e-4, abs=1e-6*reach(a, b))

@given(st.integers(0, 2**32 - 1), DTYPES, st.integers(-8, 8), FORMS)
def test_scale_scales_the_distance(seed, dtype, power, form):
    draws = np.random.default_rng(seed)
    a, b = (draws.standard_normal((n, 5)).astype(dtype) for n in (20, 30))
    factor = dtype(10.**power)
    assert hausdorff(factor*a, factor*b, *form) == pytest.approx(factor*hausdorff(a, b, *form), rel=1e-4)

@given(st.integers(0, 2**32 - 1), st.sampled_from((1e5, -1e5, 1e7)), FORMS)
def test_small_distances_far_from_the_origin(seed, offset, form):
    draws = np.random.default_rng(seed)
    a, b = (draws.normal(0, 1e-3, (n, 5)) for n in (20, 30))
    assert hausdorff(a + offset, b + offset, *form) == pytest.approx(hausdorff(a, b, *form), rel=1e-4)

@given(st.integers(0, 2**32 - 1), st.sampled_from((np.int8, np.uint8, np.int16, np.int64, np.float16, bool)))
def test_small_types_are_numbers_like_others(seed, dtype):
    draws = np.random.default_rng(seed)
    a, b = (draws.integers(-100, 100, (n, 5)).astype(dtype) for n in (20, 30))
    expected = modified_hausdorff(a.astype(float), b.astype(float))
    assert modified_hausdorff(a, b) == pytest.approx(expected, rel=1e-5)

# Components

def distances(x:torch.Tensor)->np.ndarray:
    "All distances between points, from differences, in float64"
    return torch.nn.functional.pdist(x.flatten(1).double()).numpy()

@given(st.integers(2, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_components_are_those_of_scikit_learn(n, width, part, seed):
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, width))*generator.uniform(0.1, 10, width) + generator.uniform(-100, 100, width)
    every = min(n - 1, width)
    # Few of many take another path
    for k in (every, max(1, int(part*every))):
        found, expected = fit_pca(torch.from_numpy(x), k), FullPCA(k, svd_solver="full").fit(x)
        variances = expected.explained_variance_
        np.testing.assert_allclose(found.variances.numpy(), variances, rtol=0, atol=1e-12*variances[0])
        np.testing.assert_allclose(found.shares.numpy(), expected.explained_variance_ratio_, rtol=0, atol=1e-12)
    coordinates = fit_pca(torch.from_numpy(x), every).transform(torch.from_numpy(x))
    expected = distances(torch.from_numpy(x))
    np.testing.assert_allclose(distances(coordinates), expected, rtol=0, atol=1e-9*expected.max())
    np.testing.assert_allclose(coordinates.mean(0).numpy(), 0, atol=1e-12*expected.max())

@pytest.mark.parametrize("dtype,error", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_components_of_few_images_are_at_right_angles(dtype, error):
    half = torch.randn(6, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.cat([half, half]).to(dtype)                                       # 12 images, 20 features, rank 5
    pca = fit_pca(x, 11)
    torch.testing.assert_close(pca.components @ pca.components.T, torch.eye(11, dtype=dtype), rtol=0, atol=error)
    np.testing.assert_allclose(distances(pca.transform(x)), distances(x), rtol=0, atol=error*distances(x).max())

# Resized pixels

def resized(images:ImageSet, size:int, mode:str="bilinear", dtype:torch.dtype=torch.float64)->torch.Tensor:
    "The pixels in [0, 1], three channels, that the features stand for"
    corners = {} if mode == "nearest" else dict(align_corners=False)
    return interpolate(images.images.to(dtype)/255, size=(size, size), mode=mode, **corners).expand(-1, 3, -1, -1)

@st.composite
def image_sets(draw)->ImageSet:
    "A few images of noise, not always square"
    shape = draw(st.integers(2, 6)), draw(st.sampled_from((1, 3))), draw(st.integers(5, 12)), draw(st.integers(5, 12))
    images = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, 256, shape, dtype=np.uint8)
    return ImageSet(torch.from_numpy(images), torch.zeros(shape[0], dtype=torch.long), ("noise",), "noise")

def square(images:ImageSet)->ImageSet:
    "The same images, cropped as everywhere"
    side = min(images.images.shape[-2:])
    return replace(images, images=center_crop(images.images, [side, side]))

@given(st.lists(image_sets(), min_size=1, max_size=3), st.integers(3, 40), st.sampled_from(LINEAR_MODES))
def test_features_stand_for_resized_pixels(sets, size, mode):
    space = ResizedSpace(*sets, size=size, mode=mode, dtype=torch.float64)
    features = torch.cat([space.features(s, block=4) for s in sets])
    pixels = torch.cat([resized(square(s), size, mode) for s in sets])
    assert features.shape[1] == math.prod(space.shape)
    expected = distances(pixels)
    np.testing.assert_allclose(distances(features), expected, rtol=0, atol=1e-9*expected.max())
    np.testing.assert_allclose(space.pixels(features).numpy(), pixels.numpy(), rtol=0, atol=1e-12)

# Real images

@lru_cache
def real_images(name:str)->ImageSet:
    "Thirty images a class of the official test part"
    return load_sample(replace(SAMPLES[name], part="test", train=30, valid=1), folder=data_folder())[0]

SETS = [(("emnist02",), 224), (("cifar02",), 224), (("cifar02",), 64), (("emnist02", "cifar02"), 224)]
REAL = pytest.mark.parametrize("names,size", SETS)

def real_distances(x:torch.Tensor)->np.ndarray:
    "All distances between points, in float64; a matrix product, for there are many pixels"
    x = x.flatten(1).double()
    squares = x.square().sum(1)
    rows, columns = torch.triu_indices(len(x), len(x), 1)
    return (squares[:,None] + squares - 2*x @ x.T)[rows, columns].sqrt().numpy()

@real_data
@REAL
def test_distances_of_really_resized_images(names, size):
    sets = [real_images(name) for name in names]
    space = ResizedSpace(*sets, size=size)
    expected = real_distances(torch.cat([resized(s, size, dtype=torch.float32) for s in sets]))
    np.testing.assert_allclose(real_distances(torch.cat([space.features(s) for s in sets])), expected, rtol=1e-5)

@real_data
@REAL
def test_components_of_really_resized_images(names, size):
    sets = [real_images(name) for name in names]
    space = ResizedSpace(*sets, size=size, dtype=torch.float64)
    found = fit_pca(torch.cat([space.features(s) for s in sets]), 100)
    expected = fit_pca(torch.cat([resized(s, size) for s in sets]).flatten(1), 100)
    np.testing.assert_allclose(found.variances.numpy(), expected.variances.numpy(), rtol=1e-6)
    assert found.total_variance == pytest.approx(expected.total_variance, rel=1e-6)

# The pools that 600 of each class are drawn from; EMNIST's training part is not everywhere, so its test part serves
THESIS = [("emnist01", "emnist02", dict(part="test", valid=10, test=0), (850, 1200), 0.03),
          ("cifar01", "cifar02", {}, (2400, 1200), 0.04)]

@real_data
@pytest.mark.parametrize("source,target,changes,pools,error", THESIS, ids=("emnist", "cifar"))
def test_tables_of_the_thesis(source, target, changes, pools, error):
    printed = pd.read_csv(PRINTED, dtype=dict(source=str, target=str), keep_default_na=False)
    printed = printed[printed.experiment == f"{source} → {target}"].set_index(["source", "target"]).distance
    samples = [replace(SAMPLES[name], train=pool, **changes) for name, pool in zip((source, target), pools)]
    one, other = (load_sample(sample, folder=data_folder())[0] for sample in samples)
    found = class_distances(one, other, n_components=148, size=224, per_class=600, draws=5)
    mean = distance_matrix(found).stack()
    assert len(printed) == 16 and set(printed.index) == set(mean.index)
    printed = printed[mean.index]
    relative, correlation = float((mean/printed - 1).abs().mean()), float(np.corrcoef(mean, printed)[0, 1])
    explained = float(found.explained.min())
    print(f"{source} → {target}: error {relative:.4f}, correlation {correlation:.4f}, explained {explained:.4f}")
    assert relative <= error and correlation >= 0.95 and explained >= 0.95
