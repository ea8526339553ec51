"Image files, folders and archives as they come: sound ones, odd ones, broken ones and hostile ones"
import contextlib
import io
import os
import socket
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

QUADRANTS = np.zeros((16, 16, 3), np.uint8)
QUADRANTS[:8, :8], QUADRANTS[:8, 8:] = (255, 0, 0), (0, 255, 0)
QUADRANTS[8:, :8], QUADRANTS[8:, 8:] = (0, 0, 255), (200, 200, 200)
GRAY = np.repeat(np.array(Image.fromarray(QUADRANTS).convert("L"))[..., None], 3, axis=2)
# Where the upper half is transparent, and where red is
ON_WHITE = QUADRANTS.copy()
ON_WHITE[:8] = 255
GRAY_ON_WHITE = GRAY.copy()
GRAY_ON_WHITE[:8] = 255
RED_ON_WHITE = QUADRANTS.copy()
RED_ON_WHITE[:8, :8] = 255
ONE_BIT_ON_WHITE = np.full_like(QUADRANTS, 255)
ONE_BIT = np.where(GRAY >= 128, 255, 0).astype(np.uint8)

def saved(image:Image.Image, format:str, **options)->bytes:
    "An image as a file's content"
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()

def rgb()->Image.Image: return Image.fromarray(QUADRANTS)

def half_transparent(mode:str="RGBA")->Image.Image:
    "The upper half is there, and cannot be seen"
    image = rgb().convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat([0, 255], 8).astype(np.uint8)[:, None].repeat(16, 1)))
    return image.convert(mode)

def turned(orientation:int)->Image.Exif:
    "EXIF data that say how the camera was held"
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif

# By the number that EXIF data give for how the camera was held, as the EXIF standard has them
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}

def good_images()->dict[str,tuple[bytes,np.ndarray,int]]:
    "By file name: content, the pixels that have to come out, and how far each value may be off"
    exact = coloured() | without_colour() | transparent() | frames()
    return exact | compressed_with_loss() | named_oddly() | turned_pictures()

def coloured()->dict[str,tuple[bytes,np.ndarray,int]]:
    "Colour in full, and by a palette"
    palette = rgb().quantize(8)
    content = {
        "rgb.png": saved(rgb(), "PNG"),
        "rgb.bmp": saved(rgb(), "BMP"),
        "rgb.tiff": saved(rgb(), "TIFF"),
        "rgb.deflated.tiff": saved(rgb(), "TIFF", compression="tiff_adobe_deflate"),
        "rgb.lzw.tiff": saved(rgb(), "TIFF", compression="tiff_lzw"),
        "rgb.webp": saved(rgb(), "WEBP", lossless=True),
        "rgb.ppm": saved(rgb(), "PPM"),
        "rgb.tga": saved(rgb(), "TGA"),
        "rgb.jp2": saved(rgb(), "JPEG2000", irreversible=False),
        "palette.png": saved(palette, "PNG"),
        "palette.gif": saved(palette, "GIF"),
        "palette.bmp": saved(palette, "BMP"),
        "palette.tiff": saved(palette, "TIFF"),
    }
    return {name: (data, QUADRANTS, 0) for name, data in content.items()}

def without_colour()->dict[str,tuple[bytes,np.ndarray,int]]:
    "Gray of 8 and of 16 bits, black and white"
    gray, one_bit, sixteen = rgb().convert("L"), rgb().convert("1", dither=0), sixteen_bits()
    formats = dict(png="PNG", bmp="BMP", tiff="TIFF", pgm="PPM", gif="GIF", tga="TGA")
    found = {f"gray.{ending}": (saved(gray, format), GRAY, 0) for ending, format in formats.items()}
    for ending, format in dict(png="PNG", tiff="TIFF").items():
        found[f"one bit.{ending}"] = saved(one_bit, format), ONE_BIT, 0
        found[f"sixteen.{ending}"] = saved(sixteen, format), GRAY, 0
    found["sixteen.pgm"] = b"P5 16 16 65535\n" + np.asarray(sixteen).astype(">u2").tobytes(), GRAY, 0
    found["twelve.pgm"] = b"P5 16 16 4095\n" + (GRAY[..., 0]*16.05).astype(">u2").tobytes(), GRAY, 1
    return found

def sixteen_bits()->Image.Image: return Image.fromarray(GRAY[..., 0].astype(np.uint16)*257)

def transparent()->dict[str,tuple[bytes,np.ndarray,int]]:
    "Pictures of which a part cannot be seen"
    half, palette, one_bit = half_transparent(), rgb().quantize(8), rgb().convert("1", dither=0)
    red_as_gray = int(GRAY[0, 0, 0])
    red_gray = GRAY.copy()
    red_gray[:8, :8] = 255
    return {
        "transparent sixteen.png": (saved(sixteen_bits(), "PNG", transparency=red_as_gray*257), red_gray, 0),
        "transparent eight.png": (saved(rgb().convert("L"), "PNG", transparency=red_as_gray), red_gray, 0),
        "transparent black.png": (saved(one_bit, "PNG", transparency=0), ONE_BIT_ON_WHITE, 0),
        "transparent 48 bits.png": (deep_png(QUADRANTS, (255, 0, 0)), RED_ON_WHITE, 0),
        "transparent.png": (saved(half, "PNG"), ON_WHITE, 0),
        "transparent.webp": (saved(half, "WEBP", lossless=True, exact=True), ON_WHITE, 0),
        "transparent.tiff": (saved(half, "TIFF"), ON_WHITE, 0),
        "transparent.tga": (saved(half, "TGA"), ON_WHITE, 0),
        "transparent gray.png": (saved(half_transparent("LA"), "PNG"), GRAY_ON_WHITE, 0),
        "transparent colour.png": (saved(rgb(), "PNG", transparency=(255, 0, 0)), RED_ON_WHITE, 0),
        "transparent palette.gif": (saved(palette, "GIF", transparency=palette.getpixel((0, 0))), RED_ON_WHITE, 0),
    }

def frames()->dict[str,tuple[bytes,np.ndarray,int]]:
    "Moving pictures, whose second frame is black"
    black = Image.new("RGB", (16, 16), "black")
    content = {
        "frames.gif": saved(rgb().quantize(8), "GIF", save_all=True, append_images=[black.quantize(8)]),
        "frames.tiff": saved(rgb(), "TIFF", save_all=True, append_images=[black]),
        "frames.webp": saved(rgb(), "WEBP", lossless=True, save_all=True, append_images=[black]),
        "frames.png": saved(rgb(), "PNG", save_all=True, append_images=[black]),
    }
    return {name: (data, QUADRANTS, 0) for name, data in content.items()}

def named_oddly()->dict[str,tuple[bytes,np.ndarray,int]]:
    "Names that say something else, nothing, or too much"
    names = ("png called.jpg", "no ending", "name with ü and 猫.png", "-dash.png", "new\nline.png", "n"*200 + ".png")
    return {name: (saved(rgb(), "PNG"), QUADRANTS, 0) for name in names}

def compressed_with_loss()->dict[str,tuple[bytes,np.ndarray,int]]:
    "Pictures that are not quite what they were, and those of printers"
    best, cmyk = dict(quality=100, subsampling=0), rgb().convert("CMYK")
    return {
        "colour.jpg": (saved(rgb(), "JPEG", **best), QUADRANTS, 4),
        "progressive.jpg": (saved(rgb(), "JPEG", **best, progressive=True), QUADRANTS, 4),
        "gray.jpg": (saved(rgb().convert("L"), "JPEG", quality=100), GRAY, 4),
        "print.jpg": (saved(cmyk, "JPEG", **best), QUADRANTS, 4),
        "print.tiff": (saved(cmyk, "TIFF"), QUADRANTS, 1),
        "colour.avif": (saved(rgb(), "AVIF", quality=100, subsampling="4:4:4"), QUADRANTS, 8),
    }

def turned_pictures()->dict[str,tuple[bytes,np.ndarray,int]]:
    "A camera held in every way"
    return {f"held {n}.png": (saved(rgb(), "PNG", exif=turned(n)), turn(QUADRANTS), 0) for n, turn in TURNS.items()}

def chunk(kind:bytes, content:bytes)->bytes:
    "A part of a PNG file"
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

def png(width:int, height:int, *header:int, content:bytes=b"")->bytes:
    "A PNG file: depth, colour type, compression, filter and interlacing, and its compressed rows"
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *header))]
    if content: parts.append(chunk(b"IDAT", zlib.compress(content, 9)))
    return b"".join([*parts, chunk(b"IEND", b"")])

def deep_png(pixels:np.ndarray, transparent:tuple[int,...])->bytes:
    "A PNG file of 16 bits a channel, one colour of which cannot be seen"
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels.astype(int).reshape(len(pixels), -1)*257)
    whole = png(pixels.shape[1], len(pixels), 16, 2, 0, 0, 0, content=rows)
    start, colour = whole.index(b"IDAT") - 4, struct.pack(">3H", *[257*value for value in transparent])
    return whole[:start] + chunk(b"tRNS", colour) + whole[start:]

def bomb(side:int)->bytes:
    "A small PNG file of a huge picture"
    return png(side, side, 1, 0, 0, 0, 0, content=bytes(side*(side//8 + 1)))

def bad_images()->dict[str,bytes]:
    "By file name: content that is no image, or half of one, or one that has no place in a study"
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    formats = dict(png="PNG", jpg="JPEG", tiff="TIFF", bmp="BMP", webp="WEBP",
                   jp2="JPEG2000", tga="TGA", ppm="PPM", avif="AVIF")
    whole = {ending: saved(photo, format) for ending, format in formats.items()}
    whole["gif"] = saved(photo.quantize(64), "GIF")
    found = {f"half.{ending}": content[:len(content)//2] for ending, content in whole.items()}
    found |= {f"head.{ending}": content[:12] for ending, content in whole.items() if ending != "tga"}
    damaged = bytearray(whole["png"])
    damaged[len(damaged)//2] ^= 0xff
    return found | no_images() | {
        "bad sum.png": bytes(damaged),
        "floats.tiff": saved(Image.fromarray(rng.random((16, 16), dtype=np.float32)), "TIFF"),
        "wide integers.tiff": saved(Image.fromarray(np.arange(256, dtype=np.int32).reshape(16, 16)), "TIFF"),
        "twelve bits.tiff": saved(Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)), "TIFF"),
        "twelve bits.png": saved(Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)), "PNG"),
        "bomb.png": bomb(20_000),
        "large.png": bomb(12_000),
        "icon.ico": saved(photo, "ICO"),
        "no pixels.png": png(0, 0, 8, 2, 0, 0, 0),
    }

def no_images()->dict[str,bytes]:
    "By file name: what people keep among their images"
    return {
        "empty.png": b"",
        "one byte.jpg": b"x",
        "page.jpg": b"<!DOCTYPE html><html>404</html>",
        "notes.txt": b"not an image",
        "Thumbs.db": bytes(512),
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "paper.pdf": b"%PDF-1.4\n%%EOF",
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage",
        "film.mp4": b"\0\0\0\x18ftypmp42" + bytes(64),
        "weights.pkl": b"\x80\x04]\x94.",
        "archive.png": b"PK\x03\x04" + bytes(60),
        "noise.jpg": np.random.default_rng(1).bytes(4096),
    }

def odd_files(folder:Path)->list[str]:
    "Make what is there and is no file, and name it"
    (folder/"nowhere.png").symlink_to(folder/"not there")
    (folder/"round.png").symlink_to(folder/"round.png")
    os.mkfifo(folder/"pipe.png")
    # A socket's path has to be short
    with socket.socket(socket.AF_UNIX) as s, contextlib.chdir(folder): s.bind("socket.png")
    return ["nowhere.png", "round.png", "pipe.png", "socket.png"]

def pictures(folder:Path, side:int=8, **counts:int)->Path:
    "A folder of class folders with pictures that are all different"
    rng = np.random.default_rng(0)
    for name, n in counts.items():
        (folder/name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder/name/f"{i}.png")
    return folder

def folders(place:Path)->dict[str,tuple[Path,str|None]]:
    "By name: a folder, and what has to be said of it; None where it is sound"
    return without_classes(place) | that_lose_images(place) | with_wrong_images(place) | sound_folders(place)

def without_classes(place:Path)->dict[str,tuple[Path,str]]:
    "Folders that do not hold two classes with images"
    (place/"file.csv").write_text("1,2")
    (place/"empty").mkdir()
    hollow = pictures(place/"hollow", cat=3)
    (hollow/"dog").mkdir()
    deep = pictures(place/"deep", cat=3)
    pictures(deep/"dog", young=2)
    hidden = pictures(place/"hidden", cat=3)
    (hidden/"cat").rename(hidden/".cat")
    return {
        "missing": (place/"missing", "no folder or archive"),
        "file": (place/"file.csv", "is a file: name a folder"),
        "empty": (place/"empty", "holds no class folders"),
        "files without classes": (pictures(place/"flat", cats=3)/"cats", "holds no class folders"),
        "one class": (pictures(place/"one", cat=3), "one class only (cat)"),
        "empty class": (hollow, "class 'dog'"),
        "folders in a class": (deep, "class 'dog'"),
        "hidden classes": (hidden, "holds no class folders"),
    }

def that_lose_images(place:Path)->dict[str,tuple[Path,str]]:
    "Folders that hold more than would be read"
    lost, nested, linked = (pictures(place/name, cat=3, dog=3) for name in ("lost", "nested", "linked"))
    (lost/"wolf").symlink_to(place/"not there")
    pictures(nested/"cat", young=2)
    (linked/"cat"/"more").symlink_to(nested/"dog")
    for part in ("train", "val"): pictures(place/"parts"/part, cat=2, dog=2)
    odd = pictures(place/"odd bytes", cat=3, dog=3)
    (odd/"dog").rename(odd/os.fsdecode(b"\xff\xfe"))
    return {
        "a class on a missing disk": (lost, "a link that leads nowhere"),
        "folders beside images": (nested, "holds folders (young)"),
        "a link to more images": (linked, "holds folders (more)"),
        "folder of parts": (place/"parts", "parts/train' instead"),
        "class name of odd bytes": (odd, "no UTF-8"),
    }

def with_wrong_images(place:Path)->dict[str,tuple[Path,str]]:
    "Folders of which an image is at fault"
    sizes = pictures(place/"sizes", cat=3)
    pictures(sizes, side=9, dog=3)
    twins = pictures(place/"twins", cat=3, dog=3)
    (twins/"dog"/"cat again.png").write_bytes((twins/"cat"/"1.png").read_bytes())
    broken = pictures(place/"broken", cat=3, dog=3)
    (broken/"dog"/"half.png").write_bytes((broken/"dog"/"1.png").read_bytes()[:70])
    many = pictures(place/"many", cat=3, dog=3)
    for i in range(30): (many/"dog"/f"{i}.txt").write_text("no")
    return {
        "two sizes": (sizes, "give a size"),
        "two labels": (twins, "under another label"),
        "broken file": (broken, "half.png"),
        "many broken files": (many, "and 10 more"),
    }

def sound_folders(place:Path)->dict[str,tuple[Path,None]]:
    "Folders that look odd, and are sound"
    endless = pictures(place/"endless", cat=3, dog=3)
    (endless/"dog"/"again").symlink_to(endless)
    few = pictures(place/"few", cat=1, dog=1)
    (place/"link").symlink_to(few)
    finder = pictures(place/"finder", cat=2, dog=2)
    (finder/"cat"/".DS_Store").write_bytes(b"x")
    names = pictures(place/"names", **{"new\nline": 2, "$x^2": 2})
    found = {"class names": names, "endless links": endless, "few images": few, "link to a folder": place/"link", "hidden files": finder}
    for name in ("with space", "ünï", "-dash", "new\nline", "l"*200):
        found[f"name {name!r}"] = pictures(place/name, cat=2, dog=2)
    return {name: (folder, None) for name, folder in found.items()}

def tar(file:Path, *members:tuple[tarfile.TarInfo,bytes], mode:str="w")->Path:
    "Write a tar file"
    with tarfile.open(file, mode) as out:
        for info, content in members:
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return file

def member(name:str, type:bytes=tarfile.REGTYPE, linkname:str="")->tarfile.TarInfo:
    "What a tar file says of a file"
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, linkname
    return info

def sparse(name:str, parts:bytes)->tuple[tarfile.TarInfo,bytes]:
    "A file with holes, as pax writes it: where its parts lie, and none of them"
    info = member(name)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name, "GNU.sparse.realsize": "9"}
    return info, parts

def older_sparse(blocks:int)->bytes:
    "A file with holes, as an older tar writes it, with so many blocks that say where its parts lie"
    header = bytearray(member("a", tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    header[482] = 1
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    return bytes(header) + blocks*(bytes(504) + b"\1" + bytes(7)) + bytes(tarfile.BLOCKSIZE)

def zipped(file:Path, **content:bytes)->Path:
    "Write a zip file"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in content.items(): out.writestr(name, data)
    return file

def hostile_archives(place:Path)->dict[Path,str]:
    "Archives, and what has to be said of each"
    return hostile_zips(place) | hostile_tars(place)

OUTSIDE, OTHER = "no path inside a folder", "only plain files and folders"

def hostile_zips(place:Path)->dict[Path,str]:
    "Zip files, and what has to be said of each"
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(place/"link.zip", "w") as out: out.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(place/"twice.zip", "w") as out:
        for _ in range(2): out.writestr("a", b"x")
    half = zipped(place/"half.zip", **{"a/1": bytes(5000)})
    half.write_bytes(half.read_bytes()[:half.stat().st_size//2])
    damaged = bytearray(zipped(place/"damaged.zip", a=b"some words that are stored").read_bytes())
    damaged[40] ^= 0xff
    (place/"damaged.zip").write_bytes(damaged)
    (place/"no.zip").write_bytes(b"not an archive")
    name = zipped(place/"name.zip", éé=b"x")
    name.write_bytes(name.read_bytes().replace("éé".encode(), b"\xff\xfe\xff\xfe"))
    short = zipped(place/"short.zip", a=b"x", b=b"y")
    # It says that its list takes the bytes of one member
    short.write_bytes(short.read_bytes()[:-10] + struct.pack("<LLH", 47, short.read_bytes().index(b"PK\1\2") + 47, 0))
    return {
        name: "was not unpacked",
        short: "lists 1 members of 2",
        zipped(place/"deep.zip", **{"a/"*1800 + "b": b"x"}): "64 folders deep",
        zipped(place/"up.zip", **{"../up": b"x"}): OUTSIDE,
        zipped(place/"root.zip", **{str(place/"outside"): b"x"}): OUTSIDE,
        zipped(place/"drive.zip", **{"C:\\up": b"x"}): OUTSIDE,
        zipped(place/"backslash.zip", **{"..\\up": b"x"}): OUTSIDE,
        zipped(place/"long.zip", **{"n"*300: b"x"}): OUTSIDE,
        place/"link.zip": OTHER,
        place/"twice.zip": "twice",
        place/"half.zip": "not a zip",
        place/"damaged.zip": "was not unpacked",
        place/"no.zip": "not a zip",
    }

def hostile_tars(place:Path)->dict[Path,str]:
    "Tar files, and what has to be said of each"
    half = tar(place/"half.tar.gz", (member("a"), np.random.default_rng(0).bytes(50_000)), mode="w:gz")
    half.write_bytes(half.read_bytes()[:half.stat().st_size//2])
    (place/"no.tar").write_bytes(b"not an archive"*100)
    cut = tar(place/"cut.tar", (member("a"), b"x"), (member("b"), b"y"))
    cut.write_bytes(cut.read_bytes()[:1024])
    header = member("a", tarfile.XHDTYPE)
    header.size = 3_000_000_000
    (place/"header.tar").write_bytes(header.tobuf() + bytes(1024))
    (place/"sparse.tar").write_bytes(older_sparse(2500))
    back = member("__MACOSX/a")
    back.size = -tarfile.BLOCKSIZE
    (place/"back.tar").write_bytes(back.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    out_and_up = (member("out", tarfile.SYMTYPE, ".."), b""), (member("out/up"), b"x")
    return {
        tar(place/"up.tar", (member("../up"), b"x")): OUTSIDE,
        tar(place/"root.tar", (member(str(place/"outside")), b"x")): OUTSIDE,
        tar(place/"link.tar", *out_and_up): OTHER,
        tar(place/"hard.tar", (member("out", tarfile.LNKTYPE, "/etc/passwd"), b"")): OTHER,
        tar(place/"device.tar", (member("null", tarfile.CHRTYPE), b"")): OTHER,
        tar(place/"pipe.tar", (member("pipe", tarfile.FIFOTYPE), b"")): OTHER,
        tar(place/"file and folder.tar", (member("a"), b"x"), (member("a/b"), b"x")): "twice",
        tar(place/"zeros.tar.gz", (member("zeros"), bytes(30_000_000)), mode="w:gz"): "more than 0.02 GB",
        tar(place/"many.tar", *[(member(str(i)), b"") for i in range(2000)]): "more than 1,000 files",
        cut: "no end mark",
        place/"header.tar": "a header of 3,000,000,000 bytes",
        place/"sparse.tar": "a header of 1,000,000 bytes or more",
        tar(place/"sparse.tar.xz", sparse("a", b"1000000000\n" + 600_000*b"0\n"), mode="w:xz"): "a header of 1,000,000 bytes or more",
        place/"back.tar": "has -512 bytes",
        tar(place/"deep.tar", (member("a/"*1800 + "b"), b"x")): "64 folders deep",
        place/"no.tar": "was not unpacked",
        place/"half.tar.gz": "was not unpacked",
    }
