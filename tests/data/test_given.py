"""Arrays and datasets of other people: one rule, and a sentence for whatever it does not cover."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from qvit_qiskit import ViTConfig, compare, evaluate, fit, load_checkpoint
from qvit_qiskit.data import PreparedSplit, Split, as_images, as_split
from qvit_qiskit.exceptions import CheckpointError, DataError, QvitError
from qvit_qiskit.training import TrainConfig, resume

N = 12


class Pairs(Dataset):
    """A dataset of whatever pairs; it says how long it is."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, k):
        return self.images[k], self.labels[k]


class Stream(IterableDataset):
    """The same without a length."""

    def __init__(self, images, labels):
        self.pairs = list(zip(images, labels, strict=True))

    def __iter__(self):
        return iter(self.pairs)


@pytest.fixture
def colour(rng):
    return rng.integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)


LABELS = np.arange(N) % 2


def holders(images, labels):
    """The same images and labels in everything that may hold them."""
    first = np.moveaxis(images, 3, 1)
    column = labels.astype(np.uint8)[:, None]
    return {
        "pair": (images, labels),
        "channels first": (first, labels),
        "tensors": (torch.tensor(first), torch.tensor(column)),
        "tensor dataset": TensorDataset(torch.tensor(images), torch.tensor(labels)),
        "dataset": Pairs(list(images), list(labels)),
        "dataset of columns": Pairs(list(first), list(column)),
        "stream": Stream(list(first), [int(label) for label in labels]),
        "pillow": Pairs([Image.fromarray(image) for image in images], list(labels)),
        "list of pairs": list(zip(images, labels, strict=True)),
        "booleans": (images, labels.astype(bool)),
        "split": Split(images, labels),
    }


@pytest.mark.parametrize("name", holders(np.zeros((N, 8, 8, 3), np.uint8), LABELS))
def test_whatever_holds_pictures_the_split_is_the_same(name, colour):
    split = as_split(holders(colour, LABELS)[name])
    np.testing.assert_array_equal(split.images, colour)
    np.testing.assert_array_equal(split.labels, LABELS)
    assert (split.channels, split.size, split.own) == (3, (8, 8), True)


@pytest.mark.parametrize("shape", [(N, 8, 9), (N, 8, 9, 1), (N, 1, 8, 9)])
def test_grey_pictures(shape, rng):
    raw = rng.integers(0, 256, shape, dtype=np.uint8)
    split = as_split((raw, LABELS))
    np.testing.assert_array_equal(split.images, raw.reshape(N, 8, 9))
    assert split.tensors()[0].shape == (N, 1, 8, 9)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_views_that_run_backwards(kind, rng):
    """Numpy turns arrays round by strides below zero, which torch does not take."""
    images = rng.integers(0, 256, (N, 1, 8, 9)).astype(kind)
    if kind is np.float32:
        images /= 255
    labels = np.arange(N) % 2
    turned = as_split((images[::-1, :, ::-1], labels[::-1]))
    plain = as_split((images[::-1, :, ::-1].copy(), labels[::-1].copy()))
    for one, other in zip(turned.tensors(), plain.tensors(), strict=True):
        assert torch.equal(one, other)
    split = Split(np.zeros((2, 4, 4), np.uint8)[::-1], np.arange(2)[::-1])
    assert split.tensors()[1].tolist() == [1, 0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, torch.bfloat16])
def test_floats_stay_as_they_are(dtype, rng):
    raw = rng.normal(size=(N, 3, 8, 8))
    images = torch.tensor(raw).to(dtype) if dtype is torch.bfloat16 else raw.astype(dtype)
    split = as_split((images, LABELS))
    assert isinstance(split, PreparedSplit)
    expected = torch.as_tensor(images).float()
    assert torch.equal(split.tensors()[0], expected)
    part = split.part(np.array([3, 1]))
    assert torch.equal(part.pixels()[:], expected[[3, 1]])
    assert torch.equal(split.pixels()[torch.tensor([5, 0])], expected[[5, 0]])
    assert (split.channels, split.size, split.pixels().shape) == (3, (8, 8), (N, 3, 8, 8))


def test_several_labels_and_names():
    several = np.array([[0, 1, 1], [1, 0, 0]] * 6)
    for labels in (several, several.astype(bool), several.astype(np.float32)):
        split = as_split((np.zeros((N, 8, 8), np.uint8), labels))
        np.testing.assert_array_equal(split.labels, several)
    data = as_images((np.zeros((N, 8, 8), np.uint8), several), split, class_names=("a", "b", "c"))
    assert (data.multi_label, data.num_classes, data.class_names) == (True, 3, ("a", "b", "c"))
    assert data.test.part(slice(2)).class_names == ("a", "b", "c")
    assert data.own
    assert not data.synthetic


def test_the_digest_follows_images_and_labels(colour):
    def digest(images, labels=LABELS, **more):
        return as_images((images, labels), (images, labels), **more).md5

    other = colour.copy()
    other[3, 2, 1, 0] ^= 1
    known = {digest(colour), digest(other), digest(colour, LABELS[::-1]),
             digest(colour.astype(np.float32).transpose(0, 3, 1, 2) / 255)}  # fmt: skip
    assert len(known) == 4
    assert digest(colour.copy(), name="mine") == digest(colour)


# --- trained, kept, evaluated, compared ---------------------------------------------------------


def test_training_on_arrays_is_training_on_the_set(tmp_path, colour):
    """Pictures as arrays or as a dataset: the same weights as with a `MedImages`, to the bit."""
    config = ViTConfig(channels=3, image_size=8, patch_size=4, width=2, heads=1, circuit_layers=1)
    train = TrainConfig(epochs=2, batch_size=4)
    data = as_images(Split(colour, LABELS), Split(colour[:6], LABELS[:6]))
    whole = fit(config, train, data, folder=tmp_path / "run")
    val = (np.moveaxis(colour[:6], 3, 1), LABELS[:6, None])
    for given_ in ((colour, LABELS), TensorDataset(torch.tensor(colour), torch.tensor(LABELS))):
        result = fit(config, train, given_, val=val)
        for one, other in zip(result.model.parameters(), whole.model.parameters(), strict=True):
            assert torch.equal(one, other)
    provenance = load_checkpoint(tmp_path / "run").provenance
    assert (provenance["dataset"], provenance["md5"]) == ("images", data.md5)
    assert provenance["own"]
    one, other = evaluate(whole.model, data.val), evaluate(whole.model, val)
    np.testing.assert_array_equal(one.logits, other.logits)
    assert one.scores == other.scores
    found = compare(model=whole.model, data=val, backends=["aer-shots"], draws=0)
    np.testing.assert_allclose(found.exact.logits, one.logits, atol=1e-9)
    (tmp_path / "run" / "state.pt").unlink()
    again = resume(tmp_path / "run", lambda _: data)
    assert again.best.val_auc == whole.best.val_auc
    changed = as_images((colour, LABELS[::-1]), val)
    with pytest.raises(CheckpointError, match="Restore its images"):
        resume(tmp_path / "run", lambda _: changed)


def test_floats_of_any_channels_train_a_module_of_ones_own(rng):
    images = rng.normal(size=(N, 5, 6, 7))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(210, 2)).double()
    result = fit(model, TrainConfig(epochs=1), (images, LABELS), val=(images, LABELS))
    found = evaluate(result.model, Pairs(images, LABELS))
    with torch.no_grad():
        expected = result.model(torch.tensor(images.astype(np.float32)).double())
    np.testing.assert_allclose(found.logits, expected.numpy(), atol=1e-12)


# --- what is refused ----------------------------------------------------------------------------

GREY = np.zeros((N, 8, 8), np.uint8)
FLOATS = np.zeros((N, 3, 8, 8), np.float32)
ONE_HOT = np.eye(2)[LABELS]


def nan(place=(3, 0, 1, 1)):
    images = FLOATS.copy()
    images[place] = np.nan
    return images


def last(value):
    labels = LABELS.copy()
    labels[-1] = value
    return labels


REFUSED = {
    "none": (None, "got a NoneType. Read files"),
    "a path": ("images.npz", "got a str. Read files with load"),
    "images alone": (GREY, "Expected pairs of an image and its label"),
    "a number": (3, "got a int"),
    "a dictionary": ({"images": GREY}, "got a dict"),
    "a loader": (DataLoader(TensorDataset(torch.tensor(FLOATS))), "Pass loader.dataset"),
    "no labels in a dataset": (TensorDataset(torch.tensor(FLOATS)), "wrap|Wrap"),
    "three in a dataset": ([(GREY[0], 0, 0)], "got a tuple at 0"),
    "dictionaries in a dataset": ([{"image": GREY[0], "label": 0}], "got a dict at 0"),
    "nothing": ([], "the dataset is empty"),
    "no images": ((GREY[:0], LABELS[:0]), r"at least one image, .* got \(0, 8, 8\)"),
    "a scalar": ((np.uint8(3), LABELS), r"got \(\)"),
    "one picture": ((GREY[0], LABELS), "Expected uint8 images of shape"),
    "volumes": ((np.zeros((N, 8, 8, 8), np.uint8), LABELS), "volumes are not read"),
    "five axes": ((np.zeros((N, 1, 8, 8, 8), np.uint8), LABELS), "volumes are not read"),
    "alpha": ((np.zeros((N, 8, 8, 4), np.uint8), LABELS), "1 or 3"),
    "either axis": ((np.zeros((N, 3, 8, 3), np.uint8), LABELS), "Both axes could be"),
    "16 bits": ((GREY.astype(np.uint16), LABELS), "got uint16. Convert them with the window"),
    "int64": ((GREY.astype(int), LABELS), "got int64"),
    "booleans": ((GREY > 0, LABELS), "got bool"),
    "complex": ((FLOATS.astype(complex), LABELS), "got complex128"),
    "objects": ((np.array([[{}, {}]] * N, object), LABELS), "got object"),
    "bytes as floats": ((GREY[:, None] + np.float32(200), LABELS), "whole numbers up to 200"),
    "nan": ((nan(), LABELS), "NaN or infinity"),
    "infinity": ((np.where(np.isnan(nan()), np.inf, 0.0), LABELS), "NaN or infinity"),
    "mixed sizes": ([(GREY[0], 0), (GREY[0, :4], 1)], r"uint8 of \(4, 8\) at 1"),
    "mixed kinds": ([(GREY[0], 0), (FLOATS[0, 0], 1)], r"float32 of \(8, 8\) at 1"),
    "grey beside colour": ([(GREY[0], 0), (np.zeros((8, 8, 3), np.uint8), 1)], "one size and kind"),
    "transparent": ([(Image.new("RGBA", (8, 8)), 0)], "transparent in places"),
    "16-bit pillow": ([(Image.new("I;16", (8, 8)), 0)], "holds I;16 pixels"),
    "too few labels": ((GREY, LABELS[:-1]), rf"for {N} images, got \(11,\)"),
    "labels of three axes": ((GREY, LABELS[:, None, None]), "Check how they were read"),
    "no labels": ((GREY, np.zeros((N, 0))), "Check how they were read"),
    "float labels": ((GREY, LABELS.astype(float)), r"got float64 of 0.0…1.0"),
    "negative labels": ((GREY, last(-1)), "got int64 of -1…1"),
    "text labels": ((GREY, LABELS.astype(str)), "Number the classes from 0"),
    "one-hot": ((GREY, ONE_HOT), r"Pass labels.argmax\(axis=1\)"),
    "one-hot in a dataset": (Pairs(GREY, ONE_HOT), "single 1 in every row"),
    "several of 2": ((GREY, np.full((N, 3), 2)), "Expected 0 or 1 for each of 3 labels"),
    "soft labels": ((GREY, np.full((N, 2), 0.5)), "Expected 0 or 1"),
    "different labels": ([(GREY[0], 0), (GREY[0], [0, 1])], "got different"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_have_to_be_guessed_is_refused(name):
    data, words = REFUSED[name]
    with pytest.raises(DataError, match=words) as caught:
        as_split(data)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


GOOD = (GREY, LABELS)
UNFIT = {
    "no validation": (GOOD, None, {}, "Expected val= with images"),
    "one class": ((GREY, 0 * LABELS), GOOD, {}, "class 1 has none"),
    "a gap": ((GREY, 2 * LABELS), GOOD, {}, "class 1 has none"),
    "out of range": (GOOD, (GREY, last(2)), {}, r"Expected labels 0…1 in images/val, got 0…2"),
    "other size": (GOOD, (GREY[:, :4], LABELS), {}, "images of one size"),
    "other channels": (GOOD, (np.zeros((N, 8, 8, 3), np.uint8), LABELS), {}, "Expected 1 channel"),
    "bytes and floats": (GOOD, (FLOATS[:, :1], LABELS), {}, "train holds uint8 and val float32"),
    "several and one": (GOOD, (GREY, np.tile([0, 1, 1], (N, 1))), {}, "Expected labels of shape"),
    "channels last": ((np.zeros((N, 8, 8, 3)), LABELS), (np.zeros((N, 8, 8, 3)), LABELS), {},
                      "Move the channels"),
    "features": ((np.zeros((N, 8)), LABELS), (np.zeros((N, 8)), LABELS), {}, "add their axis"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_parts_that_do_not_fit_are_refused_and_nothing_is_written(name, tmp_path):
    data, val, more, words = UNFIT[name]
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    with pytest.raises(QvitError, match=words):
        fit(model, TrainConfig(epochs=1), data, val=val, folder=tmp_path / "run", **more)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["phantom", "BreastMNIST", ""])
def test_names_of_known_sets_are_theirs(name):
    with pytest.raises(DataError, match="a name of its own"):
        as_images(GOOD, GOOD, name=name)


def test_a_whole_set_is_one_argument_or_one_split():
    data = as_images(GOOD, GOOD)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    with pytest.raises(DataError, match=r"Pass data.train, data.val or data.test"):
        evaluate(model, data)
    with pytest.raises(DataError, match=r"val=\.\.\."):
        fit(model, TrainConfig(epochs=1), data, val=GOOD)


shapes = st.lists(st.sampled_from([0, 1, 2, 3, 4, 8]), min_size=0, max_size=5).map(tuple)
kinds = st.sampled_from(["?", "B", "b", "H", "i", "q", "e", "f", "d", "F", "U3", "O", "M8[s]"])


@settings(max_examples=150, deadline=None)
@given(shapes, kinds, shapes, kinds, st.integers(0, 300))
def test_any_arrays_make_a_split_or_a_sentence(shape, kind, labelled, label_kind, value):
    """An adversary of shapes and dtypes: nothing but a `DataError`, and what passes is whole."""

    def array(shape, kind):
        return np.full(shape, value % 2 if kind == "?" else value).astype(kind, casting="unsafe")

    try:
        split = as_split((array(shape, kind), array(labelled, label_kind)))
    except DataError:
        return
    assert len(split.labels) == len(split.images) > 0
    assert split.labels.dtype == np.int64
    assert np.isfinite(split.tensors()[0].numpy()).all()
    assert split.tensors()[0].shape[0] == shape[0]
