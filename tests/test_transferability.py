"Predictors of transfer on inputs of every shape, however degenerate: a finite number within bounds, or a clear refusal"
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlr.distances.hausdorff import modified_hausdorff
from gradlr.distances.space import resize_matrix
from gradlr.errors import InputError
from gradlr.transfer.predictors import PREDICTORS, Seen, score
from gradlr.transfer.scores import class_variance, frechet_distance, gbc, h_score, leep, logme, nce, transrate


@st.composite
def sights(draw)->Seen:
    "What a source may see: few or many images, one a class, constant or repeated features, source classes without mass"
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes, width, known = draw(st.integers(2, 5)), draw(st.integers(1, 30)), draw(st.integers(1, 5))
    n, m = draw(st.integers(classes, 40)), draw(st.integers(known + 2, 40))
    def cloud(rows):
        "Features of any scale, about the origin or beside it"
        scale, middle = draw(st.sampled_from([0., 1e-3, 1., 1e3])), draw(st.sampled_from([0., 5.]))
        return scale*rng.normal(size=(rows, width)) + middle
    features, theirs = cloud(n), cloud(m)
    if draw(st.booleans()): features[:, -1] = 3.
    probabilities = rng.dirichlet(np.full(known, draw(st.sampled_from([0.01, 1., 100.]))), n)
    if known > 1 and draw(st.booleans()):
        probabilities[:, 0] = 0
        probabilities[:, 1] += 1e-9
        probabilities /= probabilities.sum(1, keepdims=True)
    return Seen(features, np.arange(n) % classes, probabilities, theirs, np.arange(m) % max(known, 2))

@settings(max_examples=60, deadline=None)
@given(sights())
def test_every_predictor_is_finite_and_within_its_bounds(seen):
    found, classes = score(seen), len(np.unique(seen.labels))
    assert set(found) == {name for name, predictor in PREDICTORS.items() if "images" not in predictor.needs}
    assert np.isfinite(list(found.values())).all(), found
    assert found["leep"] <= 1e-9 and -np.log(classes) - 1e-9 <= found["nce"] <= 1e-9
    assert 0 <= found["neighbours"] <= 1
    n = len(seen.labels)
    assert -1e-9 <= found["h_score"] <= (classes - 1)*n/(n - 1) + 1e-6
    assert -classes*(classes - 1) - 1e-9 <= found["gbc"] <= 1e-9
    assert found["transrate"] >= -1e-6 and -1e-9 <= found["variance_share"] <= 1 + 1e-9
    rounding = 1e-6*(1 + np.abs(seen.features).max()**2)
    for name in ("frechet", "mhd", "mhd_nearest", "hausdorff", "domain_share"): assert found[name] <= rounding

@settings(max_examples=25, deadline=None)
@given(sights(), st.integers(0, 2**32 - 1))
def test_the_order_of_images_and_names_of_classes_do_not_matter(seen, seed):
    order = np.random.default_rng(seed).permutation(len(seen.labels))
    names = np.array(["d", "a", "c", "e", "b"])[seen.labels]
    of_features, of_probabilities = (logme, h_score, transrate, gbc), (leep, nce)
    for predictor in of_features + of_probabilities:
        values = seen.features if predictor in of_features else seen.probabilities
        again = predictor(values[order], names[order])
        assert np.isclose(again, predictor(values, seen.labels), rtol=1e-4, atol=1e-6), predictor.__name__

def test_what_cannot_be_scored_is_refused():
    features, labels = np.ones((4, 2)), [0, 0, 1, 1]
    for predictor in (logme, h_score, transrate, gbc, leep, nce):
        with pytest.raises(InputError, match="at least two classes"): predictor(features/2, [1, 1, 1, 1])
        with pytest.raises(InputError, match="one row a label"): predictor(features/2, [0, 1])
        with pytest.raises(InputError, match="not finite"): predictor(features*np.nan, labels)
    with pytest.raises(InputError, match="as many columns"): frechet_distance(features, np.ones((4, 3)))


OF_FEATURES = {"logme": logme, "h_score": h_score, "gbc": gbc,
               "share": lambda features, labels: class_variance(features, labels)["share"]}
BOXES = (torch.from_numpy, pd.DataFrame, np.ndarray.tolist, lambda x: torch.from_numpy(x).requires_grad_())

@st.composite
def groups(draw)->tuple[np.ndarray,np.ndarray]:
    "Features of classes about their own middles, and labels"
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes, width = draw(st.integers(2, 5)), draw(st.integers(1, 30))
    labels = np.arange(draw(st.integers(2*classes, 60))) % classes
    return rng.normal(size=(classes, width))[labels] + rng.normal(size=(len(labels), width)), labels

@settings(max_examples=40, deadline=None)
@given(groups(), st.sampled_from(list(OF_FEATURES)), st.integers(-8, 8))
def test_scale_does_not_matter(seen, name, power):
    features, labels = seen
    assert np.isclose(OF_FEATURES[name](10.**power*features, labels), OF_FEATURES[name](features, labels), rtol=1e-4)

@settings(max_examples=40, deadline=None)
@given(groups(), st.sampled_from(("h_score", "gbc", "share")), st.sampled_from((1e5, -1e5)))
def test_offset_does_not_matter(seen, name, offset):
    features, labels = 1e-3*seen[0], seen[1]
    assert np.isclose(OF_FEATURES[name](features + offset, labels), OF_FEATURES[name](features, labels), rtol=1e-3)

@settings(max_examples=40, deadline=None)
@given(groups(), st.sampled_from(list(OF_FEATURES)), st.sampled_from(BOXES), st.sampled_from((float, np.int8, str, object)))
def test_container_and_type_of_labels_do_not_matter(seen, name, box, labels_as):
    features, labels = seen
    found = OF_FEATURES[name](box(features), labels.astype(labels_as))
    assert np.isclose(found, OF_FEATURES[name](features, labels), rtol=1e-9)

@settings(max_examples=20, deadline=None)
@given(groups(), st.sampled_from((np.float32, np.int8, np.float16)))
def test_type_of_features_does_not_matter(seen, dtype):
    features, labels = np.round(10*seen[0].clip(-10, 10)), seen[1]
    for score_of in OF_FEATURES.values():
        assert np.isclose(score_of(features.astype(dtype), labels), score_of(features, labels), rtol=1e-9)

def test_what_is_no_number_or_no_label_is_refused():
    features, labels = np.random.default_rng(0).random((60, 10)), np.arange(60) % 3
    wrong_labels = (labels[:, None], np.eye(3)[labels], np.where(labels, labels, np.nan), np.where(labels, labels, None),
                    np.ma.masked_equal(labels, 1), labels[None], torch.tensor(labels)[:, None])
    wrong_features = (np.ma.masked_less(features, 0.5), features + 1j, features.astype(str), features[0],
                      torch.empty(60, 10, device="meta"), torch.from_numpy(features).to_sparse())
    for predictor in (logme, h_score, gbc, transrate, class_variance, leep, nce):
        shares = features/features.sum(1, keepdims=True)
        for wrong in wrong_labels:
            with pytest.raises(InputError): predictor(shares, wrong)
        for wrong in wrong_features:
            with pytest.raises(InputError): predictor(wrong, labels)
    for wrong in wrong_features:
        with pytest.raises(InputError): frechet_distance(features, wrong)

def test_numbers_whose_squares_are_none_are_refused():
    features, labels = np.random.default_rng(0).random((60, 10)), np.arange(60) % 3
    for score_of in (logme, h_score, gbc, transrate, class_variance):
        for scale in (1e150, 1e-150, -1e200):
            with pytest.raises(InputError, match="no number any more"): score_of(features*scale, labels)
    for epsilon in (0, -1, np.nan, np.inf):
        with pytest.raises(InputError, match="epsilon must"): transrate(features, labels, epsilon)

def test_a_default_device_changes_nothing():
    features, labels = np.random.default_rng(0).random((60, 10)), np.arange(60) % 3
    expected = logme(features, labels), modified_hausdorff(features[:30], features[30:])
    with torch.device("meta"):
        assert expected == (logme(features, labels), modified_hausdorff(features[:30], features[30:]))
        assert resize_matrix(4, 8).device.type == "cpu"
