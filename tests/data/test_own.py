"""Own images from folders and archives equal the arrays that they were written from."""

import io

import numpy as np
import pytest
from own_images import arrays, write_archive, write_folder
from PIL import Image

from qvit_qiskit.data import facts, load
from qvit_qiskit.data.picture import read_picture
from qvit_qiskit.exceptions import DataError


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIT_DATA_ROOT", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_images_are_the_arrays_that_were_written(elsewhere, rng, kind, channels):
    made = arrays(rng, 12, channels)
    if kind == "folder":
        place = write_folder(elsewhere / "own", made)
    else:
        place = write_archive(elsewhere / "own.npz", made, class_names=np.array(["b", "a"]))
    data, known = load(str(place)), facts(place.name)
    for word in ("train", "val", "test"):
        split, labels = data.split(word), made[f"{word}_labels"].ravel()
        order = np.argsort(labels, kind="stable") if kind == "folder" else slice(None)
        np.testing.assert_array_equal(split.images, made[f"{word}_images"][order])
        np.testing.assert_array_equal(split.labels, labels[order])
        assert known.sizes[word] == len(split)
    assert (data.name, data.task, data.side) == ("own", "binary-class", 12)
    assert data.class_names == (("benign", "malignant") if kind == "folder" else ("b", "a"))
    assert data.channels == known.channels == channels
    assert (known.classes, known.pixels, known.multi_label, known.own) == (2, (12, 12), False, True)
    assert data.own
    assert not data.synthetic
    assert data.origin == str(place.resolve())


def test_several_labels(elsewhere, rng):
    made = arrays(rng, 8, 1, labels=5)
    write_archive(elsewhere / "chest.npz", made)
    data, known = load("chest.npz"), facts("chest.npz")
    assert data.multi_label
    assert known.multi_label
    assert data.num_classes == known.classes == 5
    np.testing.assert_array_equal(data.test.labels, made["test_labels"])


def test_the_digest_follows_bytes_and_places(elsewhere, rng):
    made = arrays(rng, 8)
    first = load(str(write_folder(elsewhere / "a", made))).md5
    assert load(str(write_folder(elsewhere / "b", made))).md5 == first
    (elsewhere / "b/test/benign/.DS_Store").write_text("x")
    (elsewhere / "b/test/benign/Thumbs.db").write_text("x")
    (elsewhere / "b/README.txt").write_text("x")
    assert load("b").md5 == first
    (elsewhere / "b/val/benign/0000.png").rename(elsewhere / "b/val/benign/9999.png")
    assert load("b").md5 != first
    made["val_images"][0, 0, 0] ^= 1
    assert load(str(write_folder(elsewhere / "c", made))).md5 != first


def test_names_go_before_folders_and_paths_before_downloads(elsewhere, rng):
    write_folder(elsewhere / "phantom", arrays(rng, 8))
    assert load("phantom").synthetic
    own = load("./phantom")
    assert (own.name, own.own) == ("own-phantom", True)
    write_archive(elsewhere / "breastmnist.npz", arrays(rng, 8))
    assert load("breastmnist.npz").name == "own-breastmnist"
    with pytest.raises(DataError, match="nothing is there"):
        load("data/breastmnist.npz")
    (elsewhere / "other").mkdir()
    assert load("phantom", base=elsewhere / "other").synthetic
    assert load("../phantom", base=elsewhere / "other").own


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_pictures_are_read_as_a_viewer_shows_them(tmp_path, rng):
    raw = rng.integers(0, 255, (6, 7, 3), dtype=np.uint8)
    colour, grey = Image.fromarray(raw), Image.fromarray(raw[:, :, 0])

    def read(image, kind="PNG", **options):
        return read_picture(encoded(image, kind, **options), tmp_path)

    np.testing.assert_array_equal(read(colour), raw)
    np.testing.assert_array_equal(read(grey, "TIFF"), raw[:, :, 0])
    opaque = np.dstack([raw, np.full((6, 7), 255, np.uint8)])
    np.testing.assert_array_equal(read(Image.fromarray(opaque)), raw)
    few = colour.quantize(5)
    np.testing.assert_array_equal(read(few), np.asarray(few.convert("RGB")))
    assert read(grey.quantize(5)).ndim == 2
    line = Image.fromarray(raw[:, :, 0] > 128)
    np.testing.assert_array_equal(read(line), 255 * (raw[:, :, 0] > 128))
    np.testing.assert_array_equal(read(line, "TIFF"), 255 * (raw[:, :, 0] > 128))
    turned = Image.Exif()
    turned[0x0112] = 6  # a camera on its side
    np.testing.assert_array_equal(read(colour, exif=turned), np.rot90(raw, -1))
    smooth = Image.fromarray(np.full((6, 7, 3), 90, np.uint8))
    assert abs(read(smooth, "JPEG").astype(int) - 90).max() <= 2
    assert read(grey, "JPEG").shape == (6, 7)
