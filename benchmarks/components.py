"Principal components of images at 224 px: gradlr's native space beside scikit-learn on resized pixels, a process each"
import statistics
import warnings
from dataclasses import replace

import numpy as np
import torch
from sklearn.decomposition import PCA, IncrementalPCA
from torch.nn.functional import interpolate

warnings.simplefilter("ignore", FutureWarning)
from gradlr.distances.space import ResizedSpace, fit_pca
from gradlr.errors import InputError
from gradlr.images.datasets import load_images
from gradlr.images.drawing import load_sample
from gradlr.images.samples import SAMPLES
from gradlr.images.sets import ImageSet
from measuring import about_the_machine, in_fresh_process, measured

SIZE, COMPONENTS, BATCH = 224, 148, 600

def pixels()->np.ndarray:
    "4,800 images of the study in their native size; tiles of photographs where there are none"
    try:
        samples = replace(SAMPLES["cifar01"], train=600, valid=600), SAMPLES["cifar02"]
        return torch.cat([load_sample(sample)[0].images for sample in samples]).numpy()
    except InputError as e:
        print(f"no CIFAR-10, so scikit-image's photographs in tiles: {e}")
        return load_images("photos").images.numpy()

def native(images:np.ndarray, dtype:torch.dtype)->np.ndarray:
    "Variances by gradlr"
    images = ImageSet(torch.from_numpy(images), torch.zeros(len(images), dtype=torch.long), ("any",), "benchmark")
    return fit_pca(ResizedSpace(images, size=SIZE, dtype=dtype).features(images), COMPONENTS).variances.double().numpy()

def batches(images:np.ndarray)->list[np.ndarray]:
    "Equal parts of at most `BATCH` images"
    return np.array_split(images, -(-len(images)//BATCH))

def resized(images:np.ndarray)->np.ndarray:
    "Images × resized pixels in [0, 1]"
    return interpolate(torch.from_numpy(images).float()/255, size=(SIZE, SIZE), mode="bilinear").flatten(1).numpy()

def incremental(images:np.ndarray)->np.ndarray:
    "Variances by IncrementalPCA, which sees one resized batch at a time"
    pca = IncrementalPCA(COMPONENTS)
    for batch in batches(images): pca.partial_fit(resized(batch))
    return pca.explained_variance_

def randomized(images:np.ndarray)->np.ndarray:
    "Variances by randomized PCA of all resized pixels at once"
    features, begin = np.empty((len(images), 3*SIZE*SIZE), np.float32), 0
    for batch in batches(images):
        features[begin:begin + len(batch)] = resized(batch)
        begin += len(batch)
    return PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit(features).explained_variance_

CONTENDERS = {
    "gradlr float64": (lambda images: native(images, torch.float64), 1),
    "gradlr": (lambda images: native(images, torch.float32), 5),
    "IncrementalPCA": (incremental, 1),
    "PCA randomized": (randomized, 1),
}

def contend(name:str, images:np.ndarray)->tuple[float,float,np.ndarray]:
    "Seconds from native pixels to components, MB added at the peak, and variances"
    return measured(lambda: CONTENDERS[name][0](images))

def spread(values:list[float], form:str)->str:
    "The median, and the range where there is one"
    told = f"{statistics.median(values):{form}}"
    return told if len(values) == 1 else f"{told} ({min(values):{form}} to {max(values):{form}})"

def compare()->None:
    "Run all, print a table"
    images = pixels()
    print(f"{len(images)} images of {images.shape[-1]} px resized to {SIZE} px, {COMPONENTS} components, "
          f"{torch.get_num_threads()} threads; time from native pixels, memory added to that of the loaded images, "
          "error of the variances against float64", flush=True)
    results = {}
    for name, (_, repeats) in CONTENDERS.items():
        results[name] = [in_fresh_process(contend, name, images) for _ in range(repeats)]
        print(f"  {name} done: {spread([r[0] for r in results[name]], '.2f')} s", flush=True)
    reference = results["gradlr float64"][0][2]
    own = [statistics.median(r[k] for r in results["gradlr"]) for k in (0, 1)]
    print(f"{'':16}{'runs':>4}  {'seconds':24}{'peak MB':22}{'× time':>8}{'× memory':>10}{'error':>10}")
    for name, runs in results.items():
        seconds, megabytes = ([r[k] for r in runs] for k in (0, 1))
        error = max(float(np.abs(r[2]/reference - 1).max()) for r in runs)
        print(f"{name:16}{len(runs):4}  {spread(seconds, '.2f'):24}{spread(megabytes, '.0f'):22}"
              f"{statistics.median(seconds)/own[0]:8.1f}{statistics.median(megabytes)/own[1]:10.1f}{error:10.1e}")

if __name__ == "__main__":
    print(about_the_machine())
    compare()
