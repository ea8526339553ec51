"Every odd file gives its one message or its golden pixels, and nothing is written where it should not be"
import http.server
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from corpus import bad_images, folders, good_images, hostile_archives, odd_files, pictures, turned
from gradlr.errors import InputError
from gradlr.images.archives import unpack
from gradlr.images.datasets import TRIES, load_cifar10, load_images
from gradlr.images.drawing import training_images
from gradlr.images.folders import load_folder, read_image
from gradlr.images.loaders import dataloaders
from gradlr.networks.checkpoints import load_body, read_checkpoint
from gradlr.rates.learners import source_learner

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names, links or pipes")

@posix
def test_good_images_give_their_golden_pixels(tmp_path):
    images = good_images()
    for name, (content, golden, tolerance) in images.items():
        (tmp_path/name).write_bytes(content)
        pixels = read_image(tmp_path/name)
        assert pixels.shape == golden.shape and pixels.dtype == np.uint8, name
        assert np.abs(pixels.astype(int) - golden).max() <= tolerance, name
    assert len(images) >= 40

@posix
def test_bad_images_are_all_named_at_once(tmp_path):
    classes = pictures(tmp_path, cat=2, dog=2)
    bad = bad_images()
    for name, content in bad.items(): (classes/"cat"/name).write_bytes(content)
    names = [*bad, *odd_files(classes/"cat")]
    for name in names:
        with pytest.raises(InputError, match="is not an image that can be read") as told:
            read_image(classes/"cat"/name, 16)
        assert name in str(told.value)
    with pytest.raises(InputError) as told: load_folder(classes, size=16)
    assert len(str(told.value).split("\n")) == 21 and f"and {len(names) - 20} more" in str(told.value)
    assert len(names) + len(good_images()) >= 60

@posix
def test_folders_are_read_or_explained(tmp_path):
    found = folders(tmp_path)
    for name, (folder, words) in found.items():
        if words is None:
            assert len(load_images(str(folder)).classes) == 2, name
        else:
            with pytest.raises(InputError) as told: load_images(str(folder))
            assert words in str(told.value), name
    assert len(found) >= 15

def test_hostile_archives_write_nothing(tmp_path):
    place = tmp_path/"archives"
    place.mkdir()
    archives = hostile_archives(place)
    before = sorted(tmp_path.rglob("*"))
    for archive, words in archives.items():
        with pytest.raises(InputError) as told:
            unpack(archive, tmp_path/"archives"/"out", most_files=1000, most_bytes=20_000_000)
        assert words in str(told.value) and archive.name in str(told.value), archive.name
    assert sorted(tmp_path.rglob("*")) == before
    assert len(archives) >= 12

def test_an_archive_of_class_folders_is_a_set_of_images(tmp_path):
    pictures(tmp_path/"made"/"pets", cat=3, dog=2)
    for kind in ("zip", "gztar"):
        archive = shutil.make_archive(str(tmp_path/"pets"), kind, tmp_path/"made")
        for _ in range(2): assert load_images(archive, folder=tmp_path/"data").counts() == dict(cat=3, dog=2)
    assert len(list((tmp_path/"data"/"archives").iterdir())) == 2

TOGETHER = """
import sys
from pathlib import Path
from gradlr.images.datasets import load_images
Path(sys.argv[3]).touch()
while len(list(Path(sys.argv[3]).parent.iterdir())) < 3: pass
print(load_images(sys.argv[1], folder=sys.argv[2]).counts())
"""

def test_three_processes_that_unpack_one_archive_all_have_it(tmp_path):
    made = pictures(tmp_path/"made", cat=3, dog=2)
    for i in range(1500): (made/"cat"/f".{i}").touch()
    archive, ready = shutil.make_archive(str(tmp_path/"pets"), "zip", made), tmp_path/"ready"
    ready.mkdir()
    words = [sys.executable, "-c", TOGETHER, archive, str(tmp_path/"data")]
    asked = [subprocess.Popen([*words, str(ready/str(i))], stdout=subprocess.PIPE, text=True) for i in range(3)]
    said = [process.communicate(timeout=100)[0] for process in asked]
    assert said == [f"{dict(cat=3, dog=2)}\n"]*3
    assert [folder.name[0] != "." for folder in (tmp_path/"data"/"archives").iterdir()] == [True]

def test_memory_that_runs_out_is_no_fault_of_the_file(tmp_path, monkeypatch):
    classes = pictures(tmp_path/"pets", cat=3, dog=3)
    with pytest.raises(InputError, match="images of 1000000×1000000 pixels take .* choose a smaller size"):
        load_folder(classes, size=1_000_000)
    def no_memory(*arguments, **options): raise MemoryError
    monkeypatch.setattr("PIL.Image.Image.load", no_memory)
    with pytest.raises(InputError, match="memory ran out while .*0.png' was read, which is not its fault") as told:
        load_folder(classes)
    assert "mend" not in str(told.value)

def test_photos_that_are_held_otherwise_are_cropped_in_every_command(tmp_path):
    for name, level in dict(cat=50, dog=200).items():
        (tmp_path/"pets"/name).mkdir(parents=True)
        for i in range(3):
            photo = np.full((48, 64, 3), level + i, np.uint8)
            # What a crop leaves out
            photo[:, :5] = photo[:, -5:] = 255 - level
            turn = turned(6) if (name, i) == ("cat", 1) else turned(1)
            Image.fromarray(photo).save(tmp_path/"pets"/name/f"{i}.png", exif=turn)
    for size in (224, 32):
        images = training_images(str(tmp_path/"pets"), size)
        assert images.counts() == dict(cat=3, dog=3) and images.images.shape[-2:] == (size, size)
        values = {name: images.images[images.labels == i].unique().tolist() for i, name in enumerate(images.classes)}
        assert values == dict(cat=[50, 51, 52], dog=[200, 201, 202])
        assert load_images(str(tmp_path/"pets"), size=size).fingerprint == images.fingerprint

def test_a_broken_download_is_tried_three_times(tmp_path, monkeypatch, capsys):
    asked = []
    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the right name, the wrong content")
        def log_message(self, *arguments): pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/cifar.tar.gz")
    with pytest.raises(InputError, match="could not be downloaded in 3 tries") as told: load_cifar10(tmp_path)
    said = capsys.readouterr()
    assert "downloading CIFAR10" in said.err and not said.out
    server.shutdown()
    # torchvision asks twice: where, and what
    assert len(asked) == 2*TRIES and str(tmp_path) in str(told.value)

def test_a_checkpoint_cannot_run_code(tmp_path):
    class Hostile:
        def __reduce__(self): return (Path.touch, (tmp_path/"ran",))
    (tmp_path/"weights.pth").write_bytes(pickle.dumps(Hostile()))
    torch.save(Hostile(), tmp_path/"zip.pth")
    images = load_images(str(pictures(tmp_path/"pets", cat=8, dog=8)))
    learn = source_learner(dataloaders(images, images, 32, 4), "timm/test_resnet")
    for name in ("weights.pth", "zip.pth"):
        with pytest.raises(InputError, match="could run code"):
            load_body(learn, read_checkpoint(tmp_path/name))
    assert not (tmp_path/"ran").exists()
