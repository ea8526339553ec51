"Predictors of transfer on inputs of every shape, however degenerate: a finite number within bounds, or a clear refusal"
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlr.errors import InputError
from gradlr.transfer.predictors import PREDICTORS, Seen, score
from gradlr.transfer.scores import frechet_distance, gbc, h_score, leep, logme, nce, transrate


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
