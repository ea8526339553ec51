"Damaged files of every kind that gradlr reads: each is read as it was, or refused; `make soak` reads thousands"
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import save_file
from tqdm import tqdm

from corpus import member, pictures, rgb, saved, tar, zipped
from gradlr.errors import InputError
from gradlr.files import file_hash
from gradlr.images.archives import unpack
from gradlr.images.folders import load_folder
from gradlr.networks.checkpoints import read_checkpoint
from gradlr.study.folder import StudyFolder, pack
from gradlr.study.progress import status
from gradlr.study.results import outcomes, record_text, results
from gradlr.study.worker import read_parts

LONGEST = 10 # Seconds that a tiny file may take
GOOD = ("same", "another", "refused")
BYTES = [b"", b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"9"*40, b"-1", b"1e999", b"[", b"{", b'"', b"\n", b"../", b"\xe2\x80\xae"]
VALUES = [None, True, -1, 0, 7, 0.5, 10**30, 1e308, -1e-308, "", "x", "../../x", "\u202e\x1b", "\ud800", [], {}, [[[]]], {"x": [1]}]

@dataclass
class Kind:
    "A kind of file"
    file:Path # A sound one, among what it needs
    read:Callable[[Path],object] # Its content
    damage:Callable[[bytes,random.Random],bytes] # Of a sound file's content
    is_sealed:bool=False # Would it tell any damage?

def of_bytes(content:bytes, rng:random.Random)->bytes:
    "A few bits flipped, bytes replaced, cut out, put in or said again, or an end cut off"
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, n = rng.randrange(len(content) + 1), rng.choice([1, 2, 4, 16, 256])
        match rng.randrange(6):
            case 0: content[at:at + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in content[at:at + 1])
            case 1: content[at:at + n] = rng.choice(BYTES)
            case 2: content[at:at + n] = rng.randbytes(n)
            case 3: content[at:at] = rng.choice(BYTES)
            case 4: content[at:at] = content[at:at + n]
            case 5: del content[at if rng.random() < 0.3 else at + n:]
    return bytes(content)

def odd(value, rng:random.Random):
    "What JSON says, with one part of it replaced"
    inside = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if not inside or rng.random() < 0.2: return rng.choice(VALUES)
    key = rng.choice(inside)
    if isinstance(value, dict) and rng.random() < 0.1: return {name: of for name, of in value.items() if name != key}
    return type(value)(value | {key: odd(value[key], rng)} if isinstance(value, dict) else [odd(of, rng) if i == key else of for i, of in enumerate(value)])

def of_json(content:bytes, rng:random.Random)->bytes:
    "Another value somewhere"
    return json.dumps(odd(json.loads(content), rng)).encode()

def of_record(content:bytes, rng:random.Random)->bytes:
    "Another value somewhere, under a seal that fits it"
    record = odd({name: value for name, value in json.loads(content).items() if name != "checksum"}, rng)
    return record_text(record).encode() if isinstance(record, dict) else json.dumps(record).encode()

def of_rows(content:bytes, rng:random.Random)->bytes:
    "Another value somewhere in each packed record"
    rows, out = parquet.read_table(io.BytesIO(content)).to_pylist(), io.BytesIO()
    name = rng.choice(list(rows[0]))
    try: parquet.write_table(pa.Table.from_pylist([row | {name: odd(row[name], rng)} for row in rows]), out)
    except (pa.ArrowException, OverflowError, UnicodeError): return of_bytes(content, rng)
    return out.getvalue()

def of_toml(content:bytes, rng:random.Random)->bytes:
    "Another value in a line"
    lines = content.decode().split("\n")
    at = rng.choice([i for i, line in enumerate(lines) if "=" in line])
    name, _, value = lines[at].partition(" = ")
    words = [value, f"[{value}]", "1", "-1", "1e308", "nan", "10000000000000000000000", "''", "'x'", "[]", "{}", "true", "1979-05-27", "[" * 900]
    lines[at] = f"{name} = {rng.choice(words)}"
    return "\n".join(lines).encode()

def of_header(content:bytes, rng:random.Random)->bytes:
    "Another value in the header of safetensors"
    length = int.from_bytes(content[:8], "little")
    header = of_json(content[8:8 + length], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + length:]

def either(*damages:Callable)->Callable:
    "One of several kinds of damage"
    return lambda content, rng: rng.choice(damages)(content, rng)

def small_study(plain:Path, folder:Path)->Path:
    "The first repeat of a study: a record of each kind, and the images"
    there, home = StudyFolder(plain), StudyFolder(folder)
    records = [record for record in there.records() if record["run"]["repeat"] == 0]
    shutil.copytree(plain/"samples", folder/"samples")
    with home.held(): home.adopt(replace(there.study(), repeats=1))
    home.keep_data({name: drawn[:1] for name, drawn in there.data().items()})
    home.precision(lambda: "float32")
    for record in {record["run"]["kind"]: record for record in records}.values(): home.publish(record)
    return folder

def told(folder:Path)->str:
    "What is known of a study"
    records = StudyFolder(folder).records()
    return f"{results(records)} {outcomes(records)} {json.dumps(records)} {status(folder)}"

def studies(plain:Path, folder:Path)->Iterator[tuple[str,Kind]]:
    "Files of a study"
    study = small_study(plain, folder/"loose")
    pack(study, folder/"packed")
    of_study = lambda file: told(folder/file.relative_to(folder).parts[0])
    record, sample = next(study.glob("records/*.json")), next(study.glob("samples/*-train.safetensors"))
    yield "records", Kind(record, of_study, either(of_bytes, of_json), is_sealed=True)
    yield "records of odd values", Kind(record, of_study, of_record)
    yield "packed records", Kind(folder/"packed"/"records.parquet", of_study, of_bytes, is_sealed=True)
    yield "packed records of odd values", Kind(folder/"packed"/"records.parquet", of_study, of_rows)
    yield "drawn samples", Kind(sample, lambda file: [part.fingerprint for part in read_parts(study, file.stem[:16])], either(of_bytes, of_header), is_sealed=True)
    yield "lists of drawn samples", Kind(study/"data.json", of_study, either(of_bytes, of_json))
    yield "precision", Kind(study/"precision.txt", lambda file: StudyFolder(study).precision(), of_bytes)
    yield "settings", Kind(study/"study.toml", of_study, either(of_bytes, of_toml))

def checkpoint(file:Path, *hashes:str)->str:
    "What a file of weights holds"
    held = read_checkpoint(file, *hashes)
    return repr([(name, of.dtype, of.shape, of.tolist()) for name, of in held.tensors.items()]) + repr(held.card)

def weights(folder:Path)->Iterator[tuple[str,Kind]]:
    "Files of weights"
    tensors = {"conv.weight": torch.arange(8.).reshape(2, 1, 2, 2), "bn.num_batches_tracked": torch.tensor(3)}
    folder.mkdir()
    own, pth, old = folder/"own.safetensors", folder/"new.pth", folder/"old.pth"
    save_file(tensors, own, {"card": '{"network": "resnet18"}'})
    torch.save(dict(model=tensors, epoch=3), pth)
    torch.save(tensors, old, _use_new_zipfile_serialization=False)
    known = file_hash(own)
    yield "weights of a study", Kind(own, lambda file: checkpoint(file, known), either(of_bytes, of_header), is_sealed=True)
    yield "safetensors", Kind(own, checkpoint, either(of_bytes, of_header))
    yield "checkpoints of torch", Kind(pth, checkpoint, of_bytes)
    yield "checkpoints of older torch", Kind(old, checkpoint, of_bytes)
    card = folder/"config.json"
    card.write_text('{"architecture": "test_resnet", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}')
    yield "cards of timm", Kind(card, lambda file: checkpoint(pth), either(of_bytes, of_json))

def unpacked(archive:Path)->dict[str,bytes]:
    "What an archive holds"
    folder = unpack(archive, archive.parent/"unpacked"/"here", most_bytes=10**8)
    try: return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    finally: shutil.rmtree(folder)

def archives(folder:Path)->Iterator[tuple[str,Kind]]:
    "Archives"
    folder.mkdir()
    content = {"cat/0.png": saved(rgb(), "PNG"), "cat/1.txt": b"a"*3000, "dog/0.png": saved(rgb().rotate(90), "PNG")}
    members = [(member(name), data) for name, data in content.items()]
    made = [zipped(folder/"a.zip", **content), tar(folder/"a.tar", *members), *[tar(folder/f"a.tar.{kind}", *members, mode=f"w:{kind}") for kind in ("gz", "bz2", "xz")]]
    for archive in made: yield archive.name[1:], Kind(archive, unpacked, of_bytes)

def images(folder:Path)->Iterator[tuple[str,Kind]]:
    "Images among class folders"
    folder = pictures(folder, 16, cat=2, dog=2)
    for format in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA"):
        file = folder/"cat"/f"0.{format.lower()}"
        file.write_bytes(saved(rgb(), format))
        yield format, Kind(file, lambda file: load_folder(folder).fingerprint, of_bytes)
        file.unlink()

def kinds(plain:Path, folder:Path)->Iterator[tuple[str,Kind]]:
    "Every kind of file that is read, by name"
    yield from studies(plain, folder)
    yield from weights(folder/"weights")
    yield from archives(folder/"archives")
    yield from images(folder/"images")

class Late(BaseException):
    "Ends a reader that does not end"

WRITES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
written:list[Path]|None = None # What is written to or removed, while a file is read

def note(event:str, arguments:tuple)->None:
    "Keep in mind what is written to or removed"
    if written is None: return
    if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR) or event not in (*WRITES, "open"): return
    names = [name for name in arguments[:1 if event == "open" else 2] if isinstance(name, (str, bytes, os.PathLike))]
    # a folder is removed from within, by names alone
    folder = f"/proc/self/fd/{arguments[-1]}" if event in ("os.remove", "os.rmdir") and arguments[-1] >= 0 else ""
    written.extend(Path(os.path.realpath(os.path.join(folder, os.fsdecode(name)))) for name in names)

sys.addaudithook(note)

@contextmanager
def watched(allowed:Path)->Iterator[list[Path]]:
    "Have a reader end in time; places that it has written to, but for the one that it may"
    global written
    def end(*arguments): raise Late
    before, found = signal.signal(signal.SIGALRM, end), []
    written = []
    signal.alarm(LONGEST)
    try: yield found
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        found += [place for place in written if not place.is_relative_to(allowed)]
        written = None

def outcome(kind:Kind, was)->str:
    "What a reader makes of a damaged file"
    allowed = kind.file.parent.resolve()/"unpacked"
    try:
        with watched(allowed) as outside: is_same = kind.read(kind.file) == was
        said = "same" if is_same else "taken as sound" if kind.is_sealed else "another"
    except InputError: said = "refused"
    except BaseException as e: said = f"{type(e).__name__}: {e}"
    if allowed.exists() and any(allowed.iterdir()): said = "left something behind"
    return f"wrote to {outside[0]}" if outside else said

def fuzzing(folder:Path, plain:Path, mutations:int)->Counter:
    "Read so many damaged files of each kind, beside a finished study; what came of it, every fault by its name"
    found, memory = Counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, kind in kinds(plain, folder):
        sound, was = kind.file.read_bytes(), kind.read(kind.file)
        for i in tqdm(range(mutations), desc=name):
            kind.file.write_bytes(kind.damage(sound, random.Random(f"{name} {i}")))
            with warnings.catch_warnings(action="ignore"): said = outcome(kind, was)
            found["reads"] += 1
            found[said if said in GOOD else f"{name} {i}: {said}"] += 1
        kind.file.write_bytes(sound)
    return found + Counter(megabytes=(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)//1024)
