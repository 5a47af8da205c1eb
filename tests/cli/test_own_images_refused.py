"""Own images that cannot be read: exit code 2, one sentence, nothing written, nothing fetched."""

import io
import pickle
import shutil
import struct
import zipfile
import zlib

import numpy as np
import pytest
from own_images import arrays, write_archive, write_folder
from PIL import Image

from qvit_qiskit.cli import run
from qvit_qiskit.data import picture

FIRST = "train/benign/0000.png"
OTHER = "val/malignant/0001.png"


def put(name, content):
    """Replace a file of the folder."""

    def change(root, rng):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    return change


def draw(name, array, **options):
    """Replace an image by another one."""

    def change(root, rng):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(root / name, **options)

    return change


def move(old, new):
    return lambda root, rng: (root / old).rename(root / new)


def drop(*names):
    def change(root, rng):
        for name in names:
            shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()

    return change


def empty(name):
    def change(root, rng):
        shutil.rmtree(root / name)
        (root / name).mkdir()

    return change


def cut(root, rng):
    raw = (root / OTHER).read_bytes()
    (root / OTHER).write_bytes(raw[: len(raw) // 2])


def flipped(root, rng):
    raw = bytearray((root / OTHER).read_bytes())
    raw[60] ^= 255
    (root / OTHER).write_bytes(raw)


def png(bits, colour, size=(8, 8)):
    """A black PNG of any header; of a large one only the first bytes."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    row = 1 + size[0] * bits * {0: 1, 2: 3}[colour] // 8
    rows = zlib.compress(bytes(min(1000, size[1] * row)))
    parts = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def pages(root, rng):
    frames = [Image.fromarray(np.zeros((8, 8, 3), np.uint8)) for _ in range(2)]
    frames[0].save(root / "val/malignant/x.tif", save_all=True, append_images=frames[1:])


def translucent(root, rng):
    Image.fromarray(rng.integers(0, 255, (8, 8, 4), dtype=np.uint8)).save(root / OTHER)


def see_through_palette(root, rng):
    image = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).quantize(4)
    image.save(root / OTHER, transparency=0)


def cmyk(root, rng):
    Image.new("CMYK", (8, 8)).save(root / "val/malignant/x.jpg")


def gif(root, rng):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "GIF")
    (root / OTHER).write_bytes(stream.getvalue())


COLOUR = np.zeros((8, 8, 3), np.uint8)
GREY = np.zeros((8, 8), np.uint8)
FOLDERS = {
    "no class folder": (drop("train", "val", "test"), "Expected the folders train, val and test"),
    "no test split": (drop("test"), "got train, val. Name the splits"),
    "wrong split names": (move("val", "valid"), "got test, train, valid"),
    "split in capitals": (move("test", "TEST"), "Name the splits like that"),
    "one class": (
        drop("train/malignant", "val/malignant", "test/malignant"),
        "at least two classes",
    ),
    "empty class": (empty("train/malignant"), "malignant holds no image"),
    "empty class of a test": (empty("test/benign"), "benign holds no image. Add some"),
    "empty split": (drop("val/benign", "val/malignant"), "val holds no image. Every split"),
    "unknown class": (move("test/benign", "test/bening"), "has a class 'bening' that"),
    "image outside": (draw("train/x.png", COLOUR), "lies in no class folder"),
    "folder inside": (lambda root, rng: (root / "val/benign/sub").mkdir(), "the folder 'sub'"),
    "text": (put("val/benign/notes.txt", b"hello"), "got 'notes.txt'. Convert it"),
    "dicom": (put("train/benign/scan.dcm", b"x"), "scan.dcm is a DICOM file"),
    "dicom called png": (put(OTHER, bytes(128) + b"DICM" + bytes(99)), "whose values need"),
    "text called png": (put(OTHER, b"<html>"), "Expected a PNG, JPEG or TIFF image"),
    "gif called png": (gif, "Expected a PNG, JPEG or TIFF image"),
    "pickle called png": (put(OTHER, pickle.dumps([1])), "Expected a PNG, JPEG or TIFF image"),
    "zip called png": (put(OTHER, b"PK\x03\x04" + bytes(60)), "Expected a PNG, JPEG or TIFF image"),
    "empty file": (put(OTHER, b""), "Expected a PNG, JPEG or TIFF image"),
    "cut png": (cut, "is damaged"),
    "flipped png": (flipped, "is damaged"),
    "header only": (put(OTHER, b"\x89PNG\r\n\x1a\n"), "Expected a PNG, JPEG or TIFF image"),
    "mixed sizes": (draw(OTHER, np.zeros((8, 9, 3), np.uint8)), "has 8 x 9 pixels, but"),
    "grey beside colour": (draw(OTHER, GREY), "is grey, but"),
    "16 bits grey": (put(OTHER, png(16, 0)), "has 16 bits a channel. Expected 8"),
    "16 bits colour": (put(OTHER, png(16, 2)), "has 16 bits a channel. Expected 8"),
    "16 bits tiff": (draw("val/malignant/x.tif", np.zeros((8, 8), np.uint16)), "16 bits a channel"),
    "float tiff": (draw("val/malignant/x.tif", np.zeros((8, 8), np.float32)), "32 bits a channel"),
    "transparent": (translucent, "transparent in places"),
    "transparent palette": (see_through_palette, "transparent in places"),
    "cmyk": (cmyk, "holds CMYK pixels"),
    "two pages": (pages, "holds several images"),
    "huge": (put(OTHER, png(8, 2, (5000, 5000))), "5000 x 5000 pixels. Expected at most"),
    "bomb": (put(OTHER, png(8, 2, (60000, 60000))), "pixels. Expected at most 4096"),
    "rectangles": (
        lambda root, rng: write_folder(root, {k: v[:, :, :4] if v.ndim > 2 else v
                                              for k, v in arrays(rng, 8).items()}),
        "8 x 4 pixels. Crop or pad",
    ),
    "no quarter": (
        lambda root, rng: write_folder(root, arrays(rng, 30)),
        "an image of 30 pixels cannot be cut into 4 x 4 patches; choose patch_size 2, 6 or 10",
    ),
}  # fmt: skip


ARCHIVES = {
    "missing key": ({"val_labels": None}, "Add val_labels"),
    "counts": ({"test_labels": np.zeros((5, 1), np.uint8)}, "6 test_images, but 5 test_labels"),
    "floats": ({"train_images": np.zeros((12, 8, 8))}, "Expected uint8 of 0…255 as train_images"),
    "16 bits": ({"train_images": np.zeros((12, 8, 8), np.uint16)}, "got uint16"),
    "channels first": ({"train_images": np.zeros((12, 3, 8, 8), np.uint8)}, "Put channels last"),
    "volumes": ({"train_images": np.zeros((12, 8, 8, 8), np.uint8)}, "volumes are not read"),
    "no images": ({"val_images": np.zeros((0, 8, 8), np.uint8)}, "shape (n, H, W)"),
    "huge": ({"val_images": np.zeros((6, 5000, 2), np.uint8)}, "Expected at most 4096"),
    "mixed sizes": ({"val_images": np.zeros((6, 4, 4, 3), np.uint8)}, "images of one size"),
    "grey beside colour": ({"val_images": np.zeros((6, 8, 8), np.uint8)}, "3 channel(s) in"),
    "negative": ({"val_labels": np.full((6, 1), -1)}, "got -1…-1. Number the classes"),
    "out of range": ({"test_labels": np.full((6, 1), 2)}, "Expected classes 0…1 as test_labels"),
    "one class": ({w + "_labels": np.zeros((n, 1), np.uint8) for w, n in
                   (("train", 12), ("val", 6), ("test", 6))}, "at least two classes"),
    "empty class": ({"train_labels": np.array([0, 2] * 6)[:, None]}, "Class 1 has no image"),
    "from one": ({"train_labels": np.array([1, 2] * 6)[:, None]}, "Class 0 has no image"),
    "float labels": ({"train_labels": np.zeros((12, 1))}, "Expected whole numbers of shape (n,)"),
    "text labels": ({"train_labels": np.array(["a"] * 12)}, "Expected whole numbers"),
    "several beside one": ({"val_labels": np.zeros((6, 3), np.uint8)}, "in every split"),
    "several of two": ({w + "_labels": np.full((n, 3), 2) for w, n in
                        (("train", 12), ("val", 6), ("test", 6))}, "Expected 0 or 1 for each"),
    "one-hot": ({w + "_labels": np.eye(2, dtype=np.uint8)[np.arange(n) % 2] for w, n in
                 (("train", 12), ("val", 6), ("test", 6))}, "Save labels.argmax(axis=1)"),
    "names": ({"class_names": np.array(["a", "b", "c"])}, "Expected 2 different texts"),
    "objects": ({"train_images": np.array([{}] * 12)}, "holds Python objects, which are never"),
}  # fmt: skip


def disguised(path, good):
    path.write_bytes(pickle.dumps({"train_images": [1]}))


def smuggled(path, good):
    """A pickle in the place of one array."""
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            raw = pickle.dumps([1]) if name == "val_labels.npy" else old.read(name)
            new.writestr(name, raw)


def half(path, good):
    path.write_bytes(good[: len(good) // 2])


def spoilt(path, good):
    raw = bytearray(good)
    raw[200] ^= 255
    path.write_bytes(raw)


def declared(path, good):
    """A header that speaks of a terabyte, with a few bytes behind it."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 32, 32)}
    )
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            raw = stream.getvalue() + b"xx" if name == "train_images.npy" else old.read(name)
            new.writestr(name, raw)


def nothing(path, good):
    with zipfile.ZipFile(path, "w"):
        pass


FILES = {
    "pickle": (disguised, "is damaged or no .npz file"),
    "pickle inside": (smuggled, "is damaged or no .npz file"),
    "half": (half, "is damaged or no .npz file"),
    "spoilt": (spoilt, "is damaged"),
    "declared": (declared, "train_images should hold 1,024,000,000,000 bytes"),
    "empty zip": (nothing, "got nothing. Add train_images"),
    "text": (lambda path, good: path.write_text("<html>"), "is damaged or no .npz file"),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory without data; what would be downloaded lies nowhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QVIT_DATA_ROOT", str(tmp_path / "nowhere"))
    return tmp_path


def contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(place, capsys, *line, fragment):
    before = contents(place)
    assert run([str(word) for word in line]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.endswith(".\n")
    assert said.err.count("\n") == 1
    assert fragment in said.err
    assert said.out == ""
    assert contents(place) == before
    assert not (place / "checkpoints").exists()


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(place, rng, capsys, name):
    change, fragment = FOLDERS[name]
    root = write_folder(place / "own", arrays(rng, 8))
    if name in ("rectangles", "no quarter"):
        shutil.rmtree(root)
    change(root, rng)
    refused(place, capsys, "train", "--dataset", "own", "--epochs", 1, fragment=fragment)


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(place, rng, capsys, name):
    changes, fragment = ARCHIVES[name]
    write_archive(place / "own.npz", arrays(rng, 8), **changes)
    refused(place, capsys, "train", "--dataset", "own.npz", fragment=fragment)


@pytest.mark.parametrize("name", FILES)
def test_files(place, rng, capsys, name):
    change, fragment = FILES[name]
    path = write_archive(place / "own.npz", arrays(rng, 8))
    change(path, path.read_bytes())
    refused(place, capsys, "train", "--dataset", "own.npz", fragment=fragment)


def test_arrays_larger_than_the_memory(place, rng, capsys, monkeypatch):
    """A megabyte of zeros stands for the bomb, and half of it for the memory."""
    made = arrays(rng, 8, counts={"train": 6000, "val": 6, "test": 6})
    made["train_images"][:] = 0
    path = write_archive(place / "bomb.npz", made)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(picture, "memory", lambda: 500_000)
    refused(place, capsys, "train", "--dataset", path, fragment="but this machine has")
    root = write_folder(place / "own", arrays(rng, 8))
    monkeypatch.setattr(picture, "memory", lambda: 1000)
    refused(place, capsys, "train", "--dataset", root, fragment="Use smaller or fewer images")


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("--dataset no/such/folder", "but nothing is there"),
        ("--dataset breastmnist.npz", "but nothing is there"),
        ("--dataset ./breastmnist", "but nothing is there"),
        ("--dataset breastmist", "did you mean 'breastmnist'"),
        ("--dataset owm", "got 'owm': did you mean 'own'"),
        ("--dataset own --size 64", "Leave it out: the model follows the images' size"),
        ("--dataset own --patch 3", "patch_size 3 does not divide image_size 8; choose 2 or 4"),
        ("--dataset own --patch 1", "leaves no whole patches of 1 for 8; choose patch_size 2"),
        ("--dataset phantom --size 64", "drawn in 28 pixels"),
        ("--dataset breastmnist --size 32", "Expected a size of 28, 64, 128, 224"),
        ("--dataset nodulemnist3d --size 64", "holds volumes"),
        ("--dataset empty", "got no folder"),
    ],
)
def test_options(place, rng, capsys, line, fragment):
    write_folder(place / "own", arrays(rng, 8))
    (place / "empty").mkdir()
    refused(place, capsys, "train", *line.split(), fragment=fragment)
