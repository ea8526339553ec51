"Modified Hausdorff distances: gradlr beside named peers on a study's pairs of classes, and one pair of large sets"
import statistics
import warnings
from functools import partial

import numpy as np
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.neighbors import NearestNeighbors

try:
    import faiss
except ImportError:
    faiss = None

warnings.simplefilter("ignore", FutureWarning)
from gradlr.distances.hausdorff import hausdorff_matrix, modified_hausdorff
from gradlr.distances.space import ResizedSpace, fit_pca
from gradlr.errors import InputError
from gradlr.images.drawing import load_sample
from gradlr.images.samples import SAMPLES
from measuring import about_the_machine, alternating, in_fresh_process, measured

DIMENSIONS, ROUNDS, SIDE, LARGE = 148, 6, 2048, 50_000

def clouds()->list[list[torch.Tensor]]:
    "Coordinates of the classes: 4 of the source × 2,400 points, 4 of the target × 600; random without images"
    try: sets = [load_sample(SAMPLES[name])[0] for name in ("cifar01", "cifar02")]
    except InputError as e:
        print(f"no CIFAR-10, so normal random points: {e}")
        generator = torch.Generator().manual_seed(0)
        return [[torch.randn(n, DIMENSIONS, generator=generator) for _ in range(4)] for n in (2400, 600)]
    space = ResizedSpace(*sets)
    features = [space.features(images) for images in sets]
    pca = fit_pca(torch.cat(features), DIMENSIONS)
    return [[pca.transform(f)[images.labels == label] for label in range(4)] for f, images in zip(features, sets)]

def farther(there, back)->float:
    "The larger of two directions' mean nearest distances"
    return max(float(there.mean()), float(back.mean()))

def by_scipy(a:torch.Tensor, b:torch.Tensor)->float:
    "All distances in float64, then their minima both ways"
    distances = cdist(a.numpy(), b.numpy())
    return farther(distances.min(1), distances.min(0))

def by_torch(a:torch.Tensor, b:torch.Tensor)->float:
    "All distances in float32, then their minima both ways"
    distances = torch.cdist(a, b)
    return farther(distances.amin(1), distances.amin(0))

def by_argmin(a:np.ndarray, b:np.ndarray)->np.ndarray:
    "Nearest distances one way by scikit-learn's reduction"
    return pairwise_distances_argmin_min(a, b)[1]

def by_neighbours(a:np.ndarray, b:np.ndarray)->np.ndarray:
    "Nearest distances one way by scikit-learn's brute-force neighbours"
    return NearestNeighbors(n_neighbors=1, algorithm="brute").fit(b).kneighbors(a)[0]

def by_faiss(a:np.ndarray, b:np.ndarray)->np.ndarray:
    "Nearest distances one way by faiss's exact index"
    index = faiss.IndexFlatL2(DIMENSIONS)
    index.add(b)
    return np.sqrt(index.search(a, 1)[0].clip(0))

def both_ways(nearest):
    "A contender from one that goes one way"
    return lambda a, b: farther(nearest(a.numpy(), b.numpy()), nearest(b.numpy(), a.numpy()))

def pair_by_pair(distance):
    "A contender from one that takes one pair"
    return lambda source, target: np.array([[distance(a, b) for b in target] for a in source])

def by_gradlr(source:list[torch.Tensor], target:list[torch.Tensor])->np.ndarray:
    "All pairs in one call"
    return hausdorff_matrix(*(dict(enumerate(clouds)) for clouds in (source, target))).to_numpy()

PAIRS = {"gradlr by pairs": modified_hausdorff, "scipy cdist": by_scipy, "sklearn argmin_min": both_ways(by_argmin),
         "sklearn brute": both_ways(by_neighbours), "torch.cdist": by_torch}
if faiss: PAIRS["faiss IndexFlatL2"] = both_ways(by_faiss)
CONTENDERS = {"gradlr": by_gradlr, **{name: pair_by_pair(distance) for name, distance in PAIRS.items()}}

def compare()->None:
    "Alternate all, print a table"
    if not faiss: print("faiss is left out: pip install faiss-cpu")
    source, target = clouds()
    left, right, product = (torch.rand(SIDE, SIDE) for _ in range(3))
    works = {name: partial(work, source, target) for name, work in CONTENDERS.items()}
    works["product"] = partial(torch.mm, left, right, out=product)
    seconds, matrices = alternating(works, ROUNDS, rest=0.3)
    middle = {name: statistics.median(s) for name, s in seconds.items()}
    products = seconds["product"]
    rate, slowest, fastest = (2*SIDE**3/spent for spent in (middle["product"], max(products), min(products)))
    points = [len(clouds[0]) for clouds in (source, target)]
    work = 16*2*points[0]*points[1]*DIMENSIONS
    print(f"16 pairs of {points[0]} and {points[1]} points in {DIMENSIONS} dimensions, "
          f"{torch.get_num_threads()} threads; {ROUNDS} rounds; "
          f"matrix product {rate/1e9:.0f} ({slowest/1e9:.0f} to {fastest/1e9:.0f}) GFLOP/s")
    print(f"{'':20}{'milliseconds':26}{'× gradlr':>9}{'of product':>12}{'difference':>12}")
    for name in CONTENDERS:
        told = f"{1e3*middle[name]:.1f} ({1e3*min(seconds[name]):.1f} to {1e3*max(seconds[name]):.1f})"
        difference = np.abs(matrices[name]/matrices["scipy cdist"] - 1).max()
        print(f"{name:20}{told:26}{middle[name]/middle['gradlr']:9.2f}{work/middle[name]/rate:12.2f}{difference:12.1e}",
              flush=True)

def large()->tuple[float,float]:
    "Seconds and MB added for two large random sets"
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(LARGE, DIMENSIONS, generator=generator) for _ in range(2))
    return measured(lambda: modified_hausdorff(a, b))[:2]

if __name__ == "__main__":
    print(about_the_machine())
    compare()
    spent, added = in_fresh_process(large)
    print(f"gradlr, {LARGE:,} × {LARGE:,} points: {spent:.1f} s, {2*LARGE**2*DIMENSIONS/spent/1e9:.0f} GFLOP/s, "
          f"{added:.0f} MB added to the inputs, {'within' if added <= 1000 else 'more than'} 1 GB")
