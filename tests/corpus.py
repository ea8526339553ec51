"Image files, folders and archives as they come: sound ones, odd ones, broken ones and hostile ones"
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
QUADRANTS[:8, :8], QUADRANTS[:8, 8:], QUADRANTS[8:, :8], QUADRANTS[8:, 8:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 200, 200)
GRAY = np.repeat(np.array(Image.fromarray(QUADRANTS).convert("L"))[..., None], 3, axis=2)
ON_WHITE = QUADRANTS.copy()
ON_WHITE[:8] = 255                                                             # where the upper half is transparent

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

TURNS = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.transpose(1, 0, 2),
         6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a)} # As the EXIF standard has them

def good_images()->dict[str,tuple[bytes,np.ndarray,int]]:
    "By file name: content, the pixels that have to come out, and how far each value may be off"
    other = Image.new("RGB", (16, 16), "black")
    sixteen = Image.fromarray((GRAY[..., 0].astype(np.uint16)*257))
    found = {f"rgb.{ending}": (saved(rgb(), format, **options), QUADRANTS, 0) for ending, format, options in [
        ("png", "PNG", {}), ("bmp", "BMP", {}), ("tiff", "TIFF", {}), ("deflated.tiff", "TIFF", dict(compression="tiff_adobe_deflate")),
        ("lzw.tiff", "TIFF", dict(compression="tiff_lzw")), ("webp", "WEBP", dict(lossless=True)), ("ppm", "PPM", {}), ("tga", "TGA", {}), ("jp2", "JPEG2000", dict(irreversible=False))]}
    found |= {f"gray.{ending}": (saved(rgb().convert("L"), format), GRAY, 0) for ending, format in [("png", "PNG"), ("bmp", "BMP"), ("tiff", "TIFF"), ("pgm", "PPM"), ("gif", "GIF"), ("tga", "TGA")]}
    found |= {"palette.png": (saved(rgb().quantize(8), "PNG"), QUADRANTS, 0), "palette.gif": (saved(rgb().quantize(8), "GIF"), QUADRANTS, 0),
              "palette.bmp": (saved(rgb().quantize(8), "BMP"), QUADRANTS, 0), "palette.tiff": (saved(rgb().quantize(8), "TIFF"), QUADRANTS, 0),
              "one bit.png": (saved(rgb().convert("1", dither=0), "PNG"), np.where(GRAY >= 128, 255, 0).astype(np.uint8), 0),
              "one bit.tiff": (saved(rgb().convert("1", dither=0), "TIFF"), np.where(GRAY >= 128, 255, 0).astype(np.uint8), 0),
              "transparent.png": (saved(half_transparent(), "PNG"), ON_WHITE, 0), "transparent.webp": (saved(half_transparent(), "WEBP", lossless=True, exact=True), ON_WHITE, 0),
              "transparent.tiff": (saved(half_transparent(), "TIFF"), ON_WHITE, 0), "transparent.tga": (saved(half_transparent(), "TGA"), ON_WHITE, 0),
              "transparent gray.png": (saved(half_transparent("LA"), "PNG"), np.where(np.arange(16)[:, None, None] < 8, 255, GRAY).astype(np.uint8), 0),
              "transparent colour.png": (saved(rgb(), "PNG", transparency=(255, 0, 0)), np.where((QUADRANTS == (255, 0, 0)).all(-1, keepdims=True), 255, QUADRANTS).astype(np.uint8), 0),
              "transparent palette.gif": (saved(rgb().quantize(8), "GIF", transparency=rgb().quantize(8).getpixel((0, 0))),
                                          np.where((QUADRANTS == (255, 0, 0)).all(-1, keepdims=True), 255, QUADRANTS).astype(np.uint8), 0),
              "sixteen.png": (saved(sixteen, "PNG"), GRAY, 0), "sixteen.tiff": (saved(sixteen, "TIFF"), GRAY, 0),
              "frames.gif": (saved(rgb().quantize(8), "GIF", save_all=True, append_images=[other.quantize(8)]), QUADRANTS, 0),
              "frames.tiff": (saved(rgb(), "TIFF", save_all=True, append_images=[other]), QUADRANTS, 0),
              "frames.webp": (saved(rgb(), "WEBP", lossless=True, save_all=True, append_images=[other]), QUADRANTS, 0),
              "frames.png": (saved(rgb(), "PNG", save_all=True, append_images=[other]), QUADRANTS, 0),
              "png called.jpg": (saved(rgb(), "PNG"), QUADRANTS, 0), "no ending": (saved(rgb(), "PNG"), QUADRANTS, 0),
              "name with ü and 猫.png": (saved(rgb(), "PNG"), QUADRANTS, 0), "-dash.png": (saved(rgb(), "PNG"), QUADRANTS, 0), "new\nline.png": (saved(rgb(), "PNG"), QUADRANTS, 0),
              "n"*200 + ".png": (saved(rgb(), "PNG"), QUADRANTS, 0),
              "colour.jpg": (saved(rgb(), "JPEG", quality=100, subsampling=0), QUADRANTS, 4), "progressive.jpg": (saved(rgb(), "JPEG", quality=100, subsampling=0, progressive=True), QUADRANTS, 4),
              "gray.jpg": (saved(rgb().convert("L"), "JPEG", quality=100), GRAY, 4), "print.jpg": (saved(rgb().convert("CMYK"), "JPEG", quality=100, subsampling=0), QUADRANTS, 4),
              "print.tiff": (saved(rgb().convert("CMYK"), "TIFF"), QUADRANTS, 1), "colour.avif": (saved(rgb(), "AVIF", quality=100, subsampling="4:4:4"), QUADRANTS, 8)}
    found |= {f"held {n}.png": (saved(rgb(), "PNG", exif=turned(n)), turn(QUADRANTS), 0) for n, turn in TURNS.items()}
    return found

def chunk(kind:bytes, content:bytes)->bytes:
    "A part of a PNG file"
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

def bomb(side:int)->bytes:
    "A small PNG file of a huge picture"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(bytes(side*(side//8 + 1)), 9)) + chunk(b"IEND", b"")

def bad_images()->dict[str,bytes]:
    "By file name: content that is no image, or half of one, or one that has no place in a study"
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = {"png": saved(photo, "PNG"), "jpg": saved(photo, "JPEG"), "gif": saved(photo.quantize(64), "GIF"), "tiff": saved(photo, "TIFF"), "bmp": saved(photo, "BMP"),
             "webp": saved(photo, "WEBP"), "jp2": saved(photo, "JPEG2000"), "tga": saved(photo, "TGA"), "ppm": saved(photo, "PPM"), "avif": saved(photo, "AVIF")}
    found = {f"half.{ending}": content[:len(content)//2] for ending, content in whole.items()}
    found |= {f"head.{ending}": content[:12] for ending, content in whole.items() if ending != "tga"}
    damaged = bytearray(whole["png"]); damaged[len(damaged)//2] ^= 0xff
    floats = Image.fromarray(np.random.default_rng(0).random((16, 16), dtype=np.float32))
    found |= {"empty.png": b"", "one byte.jpg": b"x", "page.jpg": b"<!DOCTYPE html><html>404</html>", "notes.txt": b"not an image", "Thumbs.db": bytes(512), "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
              "paper.pdf": b"%PDF-1.4\n%%EOF", "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage", "film.mp4": b"\0\0\0\x18ftypmp42" + bytes(64), "weights.pkl": b"\x80\x04]\x94.",
              "archive.png": b"PK\x03\x04" + bytes(60), "noise.jpg": np.random.default_rng(1).bytes(4096), "bad sum.png": bytes(damaged), "floats.tiff": saved(floats, "TIFF"),
              "wide integers.tiff": saved(Image.fromarray(np.arange(256, dtype=np.int32).reshape(16, 16)), "TIFF"), "bomb.png": bomb(20_000), "large.png": bomb(12_000), "icon.ico": saved(photo, "ICO"),
              "no pixels.png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")}
    return found

def odd_files(folder:Path)->list[str]:
    "Make what is there and is no file, and name it"
    (folder/"nowhere.png").symlink_to(folder/"not there")
    (folder/"round.png").symlink_to(folder/"round.png")
    os.mkfifo(folder/"pipe.png")
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(folder)                                                      # a socket's path has to be short
        try: s.bind("socket.png")
        finally: os.chdir(here)
    return ["nowhere.png", "round.png", "pipe.png", "socket.png"]

def pictures(folder:Path, side:int=8, **counts:int)->Path:
    "A folder of class folders with pictures that are all different"
    rng = np.random.default_rng(0)
    for name, n in counts.items():
        (folder/name).mkdir(parents=True)
        for i in range(n): Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(folder/name/f"{i}.png")
    return folder

def folders(place:Path)->dict[str,tuple[Path,str|None]]:
    "By name: a folder, and what has to be said of it; None where it is sound"
    found = {"missing": (place/"missing", "no folder or archive"), "file": (place/"file.csv", "is a file: name a folder"), "empty": (place/"empty", "holds no class folders")}
    (place/"file.csv").write_text("1,2")
    (place/"empty").mkdir()
    flat = pictures(place/"flat", cats=3)/"cats"
    found |= {"files without classes": (flat, "holds no class folders"), "one class": (pictures(place/"one", cat=3), "one class only (cat)")}
    hollow = pictures(place/"hollow", cat=3)
    (hollow/"dog").mkdir()
    deep = pictures(place/"deep", cat=3)
    pictures(deep/"dog", young=2)
    hidden = pictures(place/"hidden", cat=3)
    (hidden/"cat").rename(hidden/".cat")
    found |= {"empty class": (hollow, "class 'dog'"), "folders in a class": (deep, "class 'dog'"), "hidden classes": (hidden, "holds no class folders")}
    found["two sizes"] = (pictures(place/"sizes", cat=3), "give a size")
    pictures(place/"sizes", side=9, dog=3)
    twins = pictures(place/"twins", cat=3, dog=3)
    (twins/"dog"/"cat again.png").write_bytes((twins/"cat"/"1.png").read_bytes())
    found["two labels"] = (twins, "under another label")
    broken = pictures(place/"broken", cat=3, dog=3)
    (broken/"dog"/"half.png").write_bytes((broken/"dog"/"1.png").read_bytes()[:70])
    found["broken file"] = (broken, "half.png")
    endless = pictures(place/"endless", cat=3, dog=3)
    (endless/"dog"/"again").symlink_to(endless)
    found["endless links"] = (endless, None)
    found["many broken files"] = (pictures(place/"many", cat=3, dog=3), "and 10 more")
    for i in range(30): (place/"many"/"dog"/f"{i}.txt").write_text("no")
    found["few images"] = (pictures(place/"few", cat=1, dog=1), None)
    found |= {f"name {name!r}": (pictures(place/name, cat=2, dog=2), None) for name in ("with space", "ünï", "-dash", "new\nline", "l"*200)}
    found["hidden files"] = (pictures(place/"finder", cat=2, dog=2), None)
    (place/"finder"/"cat"/".DS_Store").write_bytes(b"x")
    found["link to a folder"] = (place/"link", None)
    (place/"link").symlink_to(place/"few")
    return found

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

def zipped(file:Path, **content:bytes)->Path:
    "Write a zip file"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in content.items(): out.writestr(name, data)
    return file

def hostile_archives(place:Path)->dict[Path,str]:
    "Archives, and what has to be said of each"
    outside, other = "no path inside a folder", "only plain files and folders"
    link = zipfile.ZipInfo("link"); link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(place/"link.zip", "w") as out: out.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(place/"twice.zip", "w") as out:
        for _ in range(2): out.writestr("a", b"x")
    sound = zipped(place/"sound.zip", **{"a/1": bytes(5000)}).read_bytes()
    (place/"half.zip").write_bytes(sound[:len(sound)//2])
    damaged = bytearray(zipped(place/"damaged.zip", a=b"some words that are stored").read_bytes()); damaged[40] ^= 0xff
    (place/"damaged.zip").write_bytes(damaged)
    whole = tar(place/"whole.tar.gz", (member("a"), np.random.default_rng(0).bytes(50_000)), mode="w:gz").read_bytes()
    (place/"half.tar.gz").write_bytes(whole[:len(whole)//2])
    (place/"no.zip").write_bytes(b"not an archive")
    (place/"no.tar").write_bytes(b"not an archive"*100)
    for name in ("sound.zip", "whole.tar.gz"): (place/name).unlink()
    return {zipped(place/"up.zip", **{"../up": b"x"}): outside, zipped(place/"root.zip", **{"/tmp/gradlr-was-here": b"x"}): outside, zipped(place/"drive.zip", **{"C:\\up": b"x"}): outside,
            zipped(place/"backslash.zip", **{"..\\up": b"x"}): outside, place/"link.zip": other, place/"twice.zip": "twice", place/"half.zip": "not a zip", place/"damaged.zip": "was not unpacked",
            place/"no.zip": "not a zip", place/"no.tar": "was not unpacked", place/"half.tar.gz": "was not unpacked",
            tar(place/"up.tar", (member("../up"), b"x")): outside, tar(place/"root.tar", (member("/tmp/gradlr-was-here"), b"x")): outside,
            tar(place/"link.tar", (member("out", tarfile.SYMTYPE, ".."), b""), (member("out/up"), b"x")): other, tar(place/"hard.tar", (member("out", tarfile.LNKTYPE, "/etc/passwd"), b"")): other,
            tar(place/"device.tar", (member("null", tarfile.CHRTYPE), b"")): other, tar(place/"pipe.tar", (member("pipe", tarfile.FIFOTYPE), b"")): other,
            tar(place/"file and folder.tar", (member("a"), b"x"), (member("a/b"), b"x")): "twice",
            tar(place/"zeros.tar.gz", (member("zeros"), bytes(30_000_000)), mode="w:gz"): "more than 0.02 GB",
            tar(place/"many.tar", *[(member(str(i)), b"") for i in range(2000)]): "more than 1,000 files", zipped(place/"long.zip", **{"n"*300: b"x"}): outside}
