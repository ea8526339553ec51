"What SECURITY.md promises of files that somebody else made"
import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from conftest import TINY
from gradlr.errors import InputError
from gradlr.files import write_whole
from gradlr.images.archives import unpack
from gradlr.images.folders import read_image
from gradlr.networks.checkpoints import read_checkpoint
from gradlr.study.folder import StudyFolder
from gradlr.study.toml import read_study

HERE = Path(__file__).parents[1]

def test_every_promise_names_a_test_that_is_there():
    rows = [line for line in (HERE/"SECURITY.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")][2:]
    for row in rows:
        file, name = re.fullmatch(r".*\| `(tests/\w+\.py)::(\w+)` \|", row).groups()
        assert f"\ndef {name}(" in (HERE/file).read_text(encoding="utf-8"), row
    assert len(rows) > 10

class Runs:
    "What would write a file, were it unpickled"
    def __init__(self, file:Path): self.file = file
    def __reduce__(self): return Path.touch, (self.file,)

def in_tar(file:Path, name:str, **fields)->Path:
    "An archive of a sound file and of another member"
    with tarfile.open(file, "w") as archive:
        for member, more in ((tarfile.TarInfo("cat/0.png"), {}), (tarfile.TarInfo(name), fields)):
            member.size = 1
            for field, value in more.items(): setattr(member, field, value)
            archive.addfile(member, io.BytesIO(b"x"))
    return file

def in_zip(file:Path, name:str, mode:int=0o100644)->Path:
    "The same as a zip file"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat/0.png", b"x")
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, b"../../outside")
    return file

@pytest.mark.parametrize("name", ["../outside", "ROOT/outside", "cat/../../outside", "a\\..\\..\\outside", "C:\\outside"])
@pytest.mark.parametrize("kind", [in_tar, in_zip])
def test_an_archive_writes_nowhere_else(tmp_path, kind, name):
    (tmp_path/"in").mkdir()
    archive = kind(tmp_path/f"a.{kind.__name__[3:]}", name.replace("ROOT", str(tmp_path)))
    before = set(tmp_path.rglob("*"))
    try: unpack(archive, tmp_path/"in"/"new")
    except InputError as e: assert "was not unpacked" in str(e)
    found = set(tmp_path.rglob("*")) - before
    assert all((tmp_path/"in"/"new") in (path, *path.parents) for path in found)

LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)

@pytest.mark.parametrize("make", [
    *[lambda file, kind=kind: in_tar(file, "cat/1.png", type=kind, linkname="../../x", size=0) for kind in LINKS],
    lambda file: in_zip(file.with_suffix(".zip"), "cat/1.png", 0o120777),
    lambda file: in_zip(file.with_suffix(".zip"), "cat/0.png/1.png")])
def test_an_archive_is_unpacked_whole_or_not_at_all(tmp_path, make):
    archive = make(tmp_path/"a.tar")
    with pytest.raises(InputError, match="was not unpacked"): unpack(archive, tmp_path/"new")
    assert list(tmp_path.iterdir()) == [archive]

@pytest.mark.parametrize("limit", [dict(most_files=1), dict(most_bytes=5)])
def test_an_archive_has_limits(tmp_path, limit):
    archive = in_zip(tmp_path/"a.zip", "cat/1.png")
    with pytest.raises(InputError, match="more than"): unpack(archive, tmp_path/"new", **limit)
    assert list(tmp_path.iterdir()) == [archive]

def png(width:int, height:int)->bytes:
    "The begin of a picture of one colour, however large"
    def chunk(name, data): return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")

@pytest.mark.parametrize("content", [
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"%PDF-1.4\n", png(60_000, 60_000), png(12_000, 10_000)], ids=["eps", "svg", "pdf", "bomb", "half a bomb"])
def test_images_are_of_ten_formats_and_not_too_large(tmp_path, content):
    (tmp_path/"a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png"): read_image(tmp_path/"a.png")
    Image.new("RGB", (4, 4)).save(tmp_path/"b.png")
    assert read_image(tmp_path/"b.png").shape == (4, 4, 3)

@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.safetensors"])
@pytest.mark.parametrize("write", [torch.save, lambda held, file: file.write_bytes(pickle.dumps(held))],
                         ids=["torch", "pickle"])
def test_a_checkpoint_runs_nothing(tmp_path, name, write):
    write({"model": Runs(tmp_path/"ran"), "weight": torch.zeros(2)}, tmp_path/name)
    with pytest.raises(InputError, match=name): read_checkpoint(tmp_path/name)
    assert not (tmp_path/"ran").exists()

@pytest.mark.parametrize("field", ["network", "optimizer", "precision", "search", "head_lrs", "weights"])
def test_a_study_runs_nothing(tmp_path, field):
    code = json.dumps(f"__import__('pathlib').Path({str(tmp_path/'ran')!r}).touch()")
    others = [line for line in TINY.splitlines() if not line.startswith(f"{field} ")]
    (tmp_path/"a.toml").write_text("\n".join([f"{field} = {code}", *others]))
    with pytest.raises(InputError, match=field): read_study(tmp_path/"a.toml")
    assert not (tmp_path/"ran").exists()

@pytest.mark.parametrize("name", ["records/0123456789abcdef.json", "records.parquet"])
def test_a_record_runs_nothing(tmp_path, name):
    write_whole(tmp_path/"study.toml", TINY.encode())
    write_whole(tmp_path/name, pickle.dumps(Runs(tmp_path/"ran")))
    try: StudyFolder(tmp_path).records()
    except InputError as e: assert str(tmp_path) in str(e)
    assert not (tmp_path/"ran").exists()

def test_nothing_is_sent(tmp_path):
    (tmp_path/"tiny.toml").write_text(TINY)
    code = f"""import sys
def watch(event, arguments):
    # A connection within the machine has a file's name for an address
    is_inside = event == "socket.connect" and isinstance(arguments[1], (str, bytes))
    asks = event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "urllib.Request")
    if asks and not is_inside: raise SystemExit(f"{{event}} {{arguments}}")
sys.addaudithook(watch)
from gradlr.cli import main
codes = [main(["study", "check", {str(tmp_path/"tiny.toml")!r}, "--out", {str(tmp_path/"out")!r}]),
         main(["report", {str(HERE/"data"/"results"/"grains")!r}, "--file", {str(tmp_path/"report.html")!r}])]
sys.exit(codes != [0, 0])"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    assert (tmp_path/"report.html").exists()

def test_a_study_leaves_what_is_not_its_own(tmp_path):
    study, theirs = StudyFolder(tmp_path/"study"), tmp_path/"theirs"
    theirs.write_text("mine")
    for place in ("records", "weights", ".build.tmp"): (study.path/place).mkdir(parents=True)
    foreign = [study.path/".notes.tmp", study.path/"records"/".draft.tmp", study.path/".build.tmp"/"a.o"]
    for file in foreign: file.write_text("mine")
    study.sweep()
    assert [file.read_text() for file in foreign] == ["mine"]*3
    (study.path/"study.log").symlink_to(theirs)
    with pytest.raises(InputError, match="is a link or a device"): study.log("begun")
    os.mkfifo(study.path/"data.json")
    with pytest.raises(InputError, match="is a link or a device"): study.data()
    assert theirs.read_text() == "mine"
