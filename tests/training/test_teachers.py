import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from qvit_qiskit.data import MedImages, Split
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import CheckpointError, ConfigError, DataError
from qvit_qiskit.inference.prediction import predict
from qvit_qiskit.models import ResNetConfig, ViTConfig, build_model
from qvit_qiskit.training import Teacher, open_teacher, save_checkpoint
from qvit_qiskit.training.teachers import logits
from qvit_qiskit.training.teachers.teacher import digest

DATA = phantom(sizes=(70, 6, 6))
RESNET = ResNetConfig(width=2, blocks=(1,))


class Flat(nn.Module):
    """A teacher of one's own, which counts how often it is asked."""

    def __init__(self, classes=2, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.linear = nn.Linear(784, classes)
        self.drop = nn.Dropout(0.5)
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        return self.linear(self.drop(images.flatten(1)))


def by_hand(model, split="train"):
    return predict(model, DATA.split(split).tensors()[0])


# --- who may teach ---------------------------------------------------------------------------


@pytest.mark.parametrize("config", [RESNET, ViTConfig(width=2, heads=1, patch_size=14)])
def test_a_checkpoint_teaches_as_its_model_does(tmp_path, config):
    model = build_model(config, seed=1)
    save_checkpoint(tmp_path / "best.safetensors", model, {})
    teacher = open_teacher(str(tmp_path))
    found = teacher.logits(DATA)
    np.testing.assert_allclose(found, by_hand(model.eval()), atol=1e-6)
    assert found.dtype == np.float64
    assert teacher.name == str(tmp_path)
    assert teacher.digest == open_teacher(model).digest  # the file's provenance does not count


def test_a_module_teaches_without_dropout_and_keeps_its_mode():
    model = Flat().train()
    model.drop.eval()
    found = open_teacher(model).logits(DATA, "val")
    assert model.training
    assert not model.drop.training
    np.testing.assert_array_equal(found, by_hand(model, "val"))


def test_a_module_in_double_precision_gets_such_images():
    model = Flat().double()
    assert open_teacher(model).logits(DATA, "val").shape == (6, 2)


def test_a_function_teaches_and_is_asked_once():
    calls = []

    def brightness(images):
        calls.append(len(images))
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([-mean, mean], dim=1)

    teacher = open_teacher(brightness)
    first = teacher.logits(DATA)
    assert (teacher.name, teacher.digest) == ("brightness", None)
    assert teacher.logits(DATA) is first
    assert calls == [64, 6]
    np.testing.assert_allclose(first[:, 1], DATA.train.tensors()[0].mean(dim=(1, 2, 3)).numpy())


def test_an_answer_with_logits_in_it_is_understood():
    class Output:
        def __init__(self, logits):
            self.logits = logits

    teacher = open_teacher(lambda images: Output(images.flatten(1)[:, :2]))
    np.testing.assert_array_equal(
        teacher.logits(DATA, "val"), DATA.val.tensors()[0].flatten(1)[:, :2]
    )


def test_a_teacher_is_itself():
    teacher = open_teacher(Flat())
    assert open_teacher(teacher) is teacher


def test_a_missing_checkpoint_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        open_teacher(tmp_path / "no.safetensors")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda images: images.flatten(1)[:, :3], ConfigError, "2 classes for phantom.*knows 3"),
        (lambda images: images.mean(dim=(1, 2, 3)), DataError, r"shape \(70, classes\).*\(70,\)"),
        (lambda images: images[:1].flatten(1)[:, :2], DataError, r"\(2, 2\)"),
        (lambda images: images.flatten(1)[:, :2] * torch.nan, DataError, "NaN or infinity"),
    ],
)
def test_answers_that_do_not_fit_are_refused(answer, kind, words):
    with pytest.raises(kind, match=words):
        open_teacher(answer).logits(DATA)


# --- the cache -------------------------------------------------------------------------------


def test_a_teacher_is_asked_once_for_all_trainings(cache_folder):
    first, ticks = Flat(), []
    found = open_teacher(first).logits(DATA, tick=ticks.append)
    assert (first.calls, ticks) == (2, [64, 6])
    again = Flat()
    kept = open_teacher(again).logits(DATA, tick=ticks.append)
    assert (again.calls, ticks) == (0, [64, 6, 70])
    np.testing.assert_array_equal(kept, found)
    (path,) = cache_folder.rglob("*.npz")
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {"logits", "key"}
        assert str(arrays["key"]) == path.stem


def test_other_weights_splits_and_sets_are_asked_anew(cache_folder):
    model = Flat()
    open_teacher(model).logits(DATA)
    open_teacher(model).logits(DATA, "val")
    open_teacher(model).logits(phantom(seed=1, sizes=(70, 6, 6)))
    assert model.calls == 2 + 1 + 2
    with torch.no_grad():
        model.linear.bias[0] += 1e-6
    open_teacher(model).logits(DATA)
    assert model.calls == 7
    assert len(list(cache_folder.rglob("*.npz"))) == 4


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "shape", "nan", "key", "pickle"])
def test_a_damaged_file_is_made_again(cache_folder, caplog, damage):
    found = open_teacher(Flat()).logits(DATA)
    (path,) = cache_folder.rglob("*.npz")
    raw = path.read_bytes()
    arrays = {"logits": found, "key": np.array(path.stem)}
    arrays |= {
        "shape": {"logits": found[:5]},
        "nan": {"logits": found * np.nan},
        "key": {"key": np.array("other")},
        "pickle": {"logits": np.array([Flat()], dtype=object)},
    }.get(damage, {})
    np.savez(path, **arrays)
    if damage in ("cut", "text", "empty"):
        path.write_bytes({"cut": raw[:100], "text": b"logits", "empty": b""}[damage])
    model = Flat()
    np.testing.assert_array_equal(open_teacher(model).logits(DATA), found)
    assert model.calls == 2
    assert "made again" in caplog.text
    assert zipfile.is_zipfile(path)
    assert open_teacher(again := Flat()).logits(DATA).shape == (70, 2)
    assert again.calls == 0


def test_where_nothing_can_be_written_it_goes_without(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("QVIT_CACHE", str(tmp_path / "file"))
    assert open_teacher(Flat()).logits(DATA).shape == (70, 2)
    assert "are not kept" in caplog.text


def test_an_interrupted_write_leaves_nothing(cache_folder, monkeypatch):
    def half(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(logits.np, "savez", half)
    with pytest.raises(KeyboardInterrupt):
        open_teacher(Flat()).logits(DATA)
    assert [path for path in cache_folder.rglob("*") if path.is_file()] == []


def test_the_folder_is_the_platforms_if_none_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("QVIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert logits.cache_folder().name == "qvit"


# --- keys ------------------------------------------------------------------------------------

WORDS = st.text("ab", max_size=3)
PIXELS = st.lists(st.integers(0, 255), min_size=3, max_size=3)


def tiny(md5, pixels):
    """A set of three one-coloured training images."""
    images = np.repeat(np.array(pixels, np.uint8), 784).reshape(3, 28, 28)
    part, rest = Split(images, np.array([0, 1, 0])), DATA.val
    return MedImages(
        name="toy", train=part, val=rest, test=DATA.test, task="binary-class",
        class_names=("a", "b"), channels=1, md5=md5, synthetic=True,
    )  # fmt: skip


INGREDIENTS = st.tuples(WORDS, WORDS, WORDS, PIXELS, st.sampled_from(["train", "val", "test"]))


@given(INGREDIENTS, INGREDIENTS)
def test_a_key_changes_with_every_ingredient_and_with_nothing_else(one, other):
    def key(teacher, preprocessing, md5, pixels, split):
        return logits.key(teacher, preprocessing, tiny(md5, pixels), split)

    def seen(teacher, preprocessing, md5, pixels, split):
        return (teacher, preprocessing, md5, split, tuple(pixels) if split == "train" else ())

    assert (key(*one) == key(*other)) == (seen(*one) == seen(*other))
    for k in range(5):  # one ingredient at a time
        mixed = (*one[:k], other[k], *one[k + 1 :])
        assert (key(*mixed) == key(*one)) == (seen(*mixed) == seen(*one))


def test_a_digest_is_made_of_weights_structure_and_source():
    class Flat2(Flat):
        def forward(self, images):
            return 2 * super().forward(images)

    def dropless():
        model = Flat()
        model.drop = nn.Identity()
        return model

    buffered = Flat()
    buffered.register_buffer("extra", torch.zeros(1))
    models = [Flat(), Flat(seed=1), Flat(classes=3), Flat().double(), Flat2(), dropless(), buffered]
    models += [build_model(config, 0) for config in (RESNET, ViTConfig(), ViTConfig(pool="cls"))]
    assert len({digest(model) for model in models}) == len(models)
    assert digest(Flat()) == digest(Flat().eval())


def test_one_may_name_a_digest_oneself(cache_folder):
    def answer(split, tell):
        tell(len(split))
        return np.zeros((len(split), 2))

    Teacher("mine", answer, digest="version 1").logits(DATA)
    assert len(list(cache_folder.rglob("*.npz"))) == 1
