import numpy as np
import pytest
import torch

from qvit_qiskit.data import MedImages, Split, load, names, stratified_subset
from qvit_qiskit.exceptions import DataError


def grey(n=4, classes=2):
    return Split(np.zeros((n, 28, 28), np.uint8), np.arange(n, dtype=np.int64) % classes)


def colour(n=4):
    return Split(np.zeros((n, 28, 28, 3), np.uint8), np.zeros(n, np.int64))


def several(labels, n=4):
    """A grey split with that many labels per image."""
    return Split(np.zeros((n, 28, 28), np.uint8), np.eye(n, labels, dtype=np.int64))


def images(**changes):
    fields = {
        "name": "toy",
        "train": grey(6),
        "val": grey(2),
        "test": grey(3),
        "task": "binary-class",
        "class_names": ("a", "b"),
        "channels": 1,
        "md5": "0",
        "synthetic": True,
    }
    return MedImages(**(fields | changes))


@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 28, 28, 3)])
def test_tensors_equal_the_pixelwise_formula(rng, shape):
    raw = rng.integers(0, 256, shape, dtype=np.uint8)
    labels = rng.integers(0, 3, 5)
    x, y = Split(raw, labels).tensors()
    assert x.shape == (5, 1 if len(shape) == 3 else 3, 28, 28)
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    expected = (raw.reshape(5, 28, 28, -1).transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(x.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(y.numpy(), labels)


@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_have_the_strides_of_their_shape(rng, channels):
    """Of a single channel, too: torch rounds a convolution by its strides."""
    shape = (4, 28, 28, 3)[: 3 + channels // 3]
    split = Split(rng.integers(0, 256, shape).astype(np.uint8), np.arange(4))
    images, _ = split.tensors()
    assert images.stride() == torch.empty(images.shape).stride()


def test_tensors_are_copies():
    split = grey()
    x, y = split.tensors()
    x.fill_(1)
    y.fill_(7)
    assert split.images.max() == 0
    assert split.labels.max() == 1


@pytest.mark.parametrize(
    ("pixels", "labels", "words"),
    [
        (np.zeros((2, 28, 28)), np.zeros(2, np.int64), "float64"),
        ([[1]], np.zeros(2, np.int64), "list"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8), "labels as a int64 array"),
        (np.zeros((2, 3, 64, 64), np.uint8), np.zeros(2, np.int64), "channels last"),
        (np.zeros((2, 64, 64, 4), np.uint8), np.zeros(2, np.int64), r"\(2, 64, 64, 4\)"),
        (np.zeros((2, 64, 0), np.uint8), np.zeros(2, np.int64), "at least one image"),
        (np.zeros((2, 28, 28, 28), np.uint8), np.zeros(2, np.int64), "volumes"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(3, np.int64), "one per image"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros((2, 1), np.int64), "one per image"),
        (np.zeros((2, 28, 28), np.uint8), np.full((2, 3), 2), "0 or 1 for each of 3 labels"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros((2, 3, 1), np.int64), "one per image"),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64), "at least one image"),
    ],
)
def test_split_refuses_what_does_not_fit(pixels, labels, words):
    with pytest.raises(DataError, match=words):
        Split(pixels, labels)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "regression"}, "multi-label, binary-class, got 'regression'"),
        ({"task": "multi-label, binary-class"}, r"shape \(n, 2\)"),
        ({"val": several(4)}, r"shape \(n,\) for the task binary-class in toy/val"),
        ({"test": Split(np.zeros((1, 28, 30), np.uint8), np.zeros(1, np.int64))}, "28 x 30"),
        ({"class_names": ("a", "b", "c")}, "got 3 for toy"),
        ({"class_names": ("a",), "task": "multi-class"}, "got 1 for toy"),
        ({"channels": 3}, r"3 channel\(s\) in toy/train, got 1"),
        ({"val": colour()}, "toy/val, got 3"),
        ({"test": grey(6, 3)}, "toy/test, got 0…2"),
        ({"test": Split(grey().images, np.full(4, -1))}, "got -1…-1"),
    ],
)
def test_images_refuse_what_contradicts(changes, words):
    with pytest.raises(DataError, match=words):
        images(**changes)


def test_several_labels_per_image():
    names = ("mass", "nodule", "hernia")
    parts = {word: several(3) for word in ("train", "val", "test")}
    data = images(task="multi-label, binary-class", class_names=names, **parts)
    assert data.multi_label
    assert data.val.multi_label
    assert data.num_classes == data.test.num_classes == 3
    assert data.test.part(slice(1, 3)).num_classes == 3
    assert data.test.tensors()[1].shape == (4, 3)
    assert repr(data) == "MedImages(toy: synthetic, 4/4/4 images, 3 labels)"


def test_images_know_their_size_and_whose_they_are():
    wide = {w: Split(np.zeros((2, 20, 30), np.uint8), np.arange(2)) for w in ("train", "val")}
    data = images(**wide, test=wide["val"])
    assert data.size == (20, 30)
    with pytest.raises(DataError, match=r"20 x 30 pixels\. Crop or pad"):
        _ = data.side
    assert images().side == 28
    assert data.own
    assert data.train.own
    assert data.train.part(slice(1)).own
    known = load("phantom")
    assert not known.own
    assert not stratified_subset(known.test, 4, 0).own


@pytest.mark.parametrize("shape", [(9, 6, 8), (9, 6, 8, 3)])
def test_pixels_are_the_tensors_batch_by_batch(rng, shape):
    split = Split(rng.integers(0, 256, shape, dtype=np.uint8), np.arange(9) % 2)
    whole, pixels = split.tensors()[0], split.pixels()
    assert pixels.shape == tuple(whole.shape)
    assert len(pixels) == 9
    order = torch.from_numpy(rng.permutation(9))
    assert torch.equal(pixels[order], whole[order])
    assert torch.equal(torch.cat(list(pixels.split(4))), whole)
    assert pixels[order].stride() == whole[order].stride()


def test_split_by_name():
    data = images()
    assert data.split("val") is data.val
    assert data.num_classes == 2
    assert repr(data) == "MedImages(toy: synthetic, 6/2/3 images, 2 classes)"
    assert repr(data.val) == "Split(images=(2, 28, 28), labels=(2,))"
    with pytest.raises(DataError, match=r"train, val and test, got 'dev'"):
        data.split("dev")


def test_load_knows_phantom_and_medmnist(tmp_path):
    assert load("Phantom").synthetic
    assert "phantom" in names()
    assert "retinamnist" in names()
    with pytest.raises(DataError, match=r"breastmnist\.npz"):
        load("BreastMNIST", tmp_path, download=False)
    assert len(stratified_subset(load("phantom").test, 10, 0)) == 10
