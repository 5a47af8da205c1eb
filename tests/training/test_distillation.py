import json

import numpy as np
import pytest
import torch
from torch import nn

from qvit_qiskit.data import MedImages, Split
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import CheckpointError, ConfigError
from qvit_qiskit.inference.prediction import predict
from qvit_qiskit.metrics import softmax
from qvit_qiskit.models import ResNetConfig, ViTConfig, build_model
from qvit_qiskit.training import (
    Distillation,
    TrainConfig,
    fit,
    load_checkpoint,
    loop,
    resume,
    save_checkpoint,
)
from qvit_qiskit.training.losses import Objective
from qvit_qiskit.training.phases import plan

MODEL = ViTConfig(width=2, heads=1, patch_size=14)
TOKEN = MODEL.model_copy(update={"distillation_token": True})
RESNET = ResNetConfig(width=2, blocks=(1, 1))
DATA = phantom(sizes=(24, 12, 12))
PLAIN = {"augment": "none", "contrast": 0.0}
SOFT, HARD = Distillation(temperature=2.0), Distillation(kind="hard")
TWO_PHASES = Distillation(pretrain_epochs=2)
OTHER_SET = Distillation(pretrain_epochs=2, pretrain_dataset="toy")


def toy(classes=3, channels=1, count=18):
    """Another set, whose classes are brightnesses."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    shape = (count, 28, 28) if channels == 1 else (count, 28, 28, channels)
    bright = (200 * labels // classes).reshape(-1, *[1] * (len(shape) - 1))
    part = Split((rng.integers(0, 50, shape) + bright).astype(np.uint8), labels.astype(np.int64))
    return MedImages(
        name="toy", train=part, val=part, test=part, task="multi-class",
        class_names=tuple("abcdefg"[:classes]), channels=channels, md5="toy", synthetic=True,
    )  # fmt: skip


def by_brightness(classes):
    """A teacher of so many classes that looks at the brightness."""

    def teacher(images):
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([(k + 1) * mean for k in range(classes)], dim=1)

    return teacher


def train(model=MODEL, how=SOFT, data=DATA, folder=None, on_epoch=None, **options):
    given = {key: options.pop(key) for key in ("teacher", "pretrain_data") if key in options}
    if how is not None:
        given = {"teacher": by_brightness(2)} | given
    settings = {"epochs": 2, "batch_size": 8, "learning_rate": 0.02} | PLAIN | options
    config = TrainConfig(distill=how, **settings)
    return fit(model, config, data, folder=folder, on_epoch=on_epoch, **given)


def stop_after(epochs):
    def on_epoch(record, total):
        if record.epoch == epochs:
            raise KeyboardInterrupt

    return on_epoch


def lines(result):
    """The history without times."""
    return [{k: v for k, v in vars(r).items() if k != "seconds"} for r in result.history]


def same(first, second):
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- what is learnt --------------------------------------------------------------------------


def test_the_history_tells_the_terms_of_the_loss():
    result = train(how=Distillation(alpha=0.3))
    for record in result.history:
        total = 0.7 * record.cross_entropy + 0.3 * record.distillation
        assert record.loss == pytest.approx(total)
        assert record.phase == "train"
    assert result.best.phase == "train"


@pytest.mark.parametrize("config", [MODEL, RESNET], ids=["qvit", "resnet"])
def test_alpha_0_is_training_without_a_teacher_to_the_bit(config):
    plain, taught = train(config, None), train(config, Distillation(alpha=0.0))
    assert same(plain.model, taught.model)
    assert [r.loss for r in plain.history] == [r.loss for r in taught.history]
    assert all(r.distillation is None for r in plain.history)
    assert all(r.distillation > 0 for r in taught.history)


def test_the_terms_are_means_over_all_images_of_all_batches(monkeypatch):
    seen, call = [], Objective.__call__

    def spy(self, heads, labels, teacher=None):
        terms = call(self, heads, labels, teacher)
        seen.append((len(labels), terms.cross_entropy.item(), terms.distillation.item()))
        return terms

    monkeypatch.setattr(Objective, "__call__", spy)
    record = train(epochs=1, batch_size=10).history[0]
    assert [count for count, *_ in seen] == [10, 10, 4]
    for place, name in ((1, "cross_entropy"), (2, "distillation")):
        mean = sum(one[0] * one[place] for one in seen) / 24
        assert getattr(record, name) == pytest.approx(mean)


@pytest.mark.parametrize("subset", [None, 8])
def test_each_image_gets_its_own_answer(monkeypatch, subset):
    seen, call = [], Objective.__call__

    def spy(self, heads, labels, teacher=None):
        seen.extend(teacher.tolist())
        return call(self, heads, labels, teacher)

    images, steps = [], loop.Loop._step  # noqa: SLF001 - a step that nothing public does alone

    def watch(self, batch, moves):
        images.extend(self.images[batch])
        return steps(self, batch, moves)

    monkeypatch.setattr(Objective, "__call__", spy)
    monkeypatch.setattr(loop.Loop, "_step", watch)
    train(epochs=1, subset=subset)
    torch.testing.assert_close(torch.tensor(seen), by_brightness(2)(torch.stack(images)))
    assert len(seen) == (subset or 24)


def by_side(images):
    """A teacher that sees on which side the lesion lies, which the labels do not tell."""
    left, right = (part.mean(dim=(1, 2, 3)) for part in images.split(14, dim=-1))
    return torch.stack([20 * (right - left), 20 * (left - right)], dim=1)


def test_a_distilled_student_answers_more_like_its_teacher(tmp_path):
    data = phantom(sizes=(120, 30, 100))
    images = data.test.tensors()[0]
    wanted = softmax(by_side(images).numpy())

    def apart(name, how):
        """KL divergence from the teacher and agreement with it, after the last epoch."""
        folder, shape = tmp_path / name, ViTConfig(width=4, heads=1, patch_size=14)
        teacher = by_side if how else None
        options = {"data": data, "teacher": teacher, "epochs": 15, "learning_rate": 0.03}
        train(shape, how, folder=folder, batch_size=12, **options)
        model = build_model(shape, seed=0)
        model.load_state_dict(torch.load(folder / "state.pt", weights_only=True)["model"])
        found = softmax(predict(model, images))
        agreement = (found.argmax(axis=1) == wanted.argmax(axis=1)).mean()
        return (wanted * np.log(wanted / found)).sum(axis=1).mean(), agreement

    far, chance = apart("plain", None)
    for name, how in (
        ("beside labels", Distillation(alpha=0.9)),
        ("before labels", Distillation(pretrain_epochs=5, alpha=1.0)),
    ):
        near, agreement = apart(name, how)
        assert near < 0.8 * far
        assert agreement > chance + 0.15


def test_hard_distillation_trains_the_two_heads_on_their_own():
    result = train(TOKEN, HARD, epochs=15, learning_rate=0.05)
    images, _ = DATA.train.tensors()
    label_head, teacher_head = result.model.heads(images)
    decided = by_brightness(2)(images).argmax(dim=1)
    right = (teacher_head.argmax(dim=1) == decided).double().mean()
    assert right > 0.9
    # by how sure they are: both may be right everywhere
    entropy = torch.nn.functional.cross_entropy
    assert entropy(teacher_head, decided) < entropy(label_head, decided)
    assert torch.equal(result.model(images), (label_head + teacher_head) / 2)


def test_a_checkpoint_named_in_the_settings_teaches(tmp_path):
    model = build_model(RESNET, seed=1)
    save_checkpoint(tmp_path / "teacher.safetensors", model, {})
    how = Distillation(teacher=str(tmp_path / "teacher.safetensors"))
    named = fit(MODEL, TrainConfig(epochs=1, distill=how), DATA, folder=tmp_path / "run")
    given = fit(MODEL, TrainConfig(epochs=1, distill=SOFT), DATA, teacher=model)
    assert not same(named.model, given.model)  # of another temperature
    again = fit(MODEL, TrainConfig(epochs=1, distill=Distillation()), DATA, teacher=model)
    assert same(named.model, again.model)
    told = load_checkpoint(tmp_path / "run").provenance["teacher"]
    assert told["name"] == how.teacher
    assert len(told["digest"]) == 64


def test_two_trainings_ask_the_teacher_once(monkeypatch):
    class Flat(nn.Sequential):
        def forward(self, images):
            calls.append(len(images))
            return super().forward(images)

    calls = []
    teacher = Flat(nn.Flatten(), nn.Linear(784, 2))
    for how in (SOFT, TWO_PHASES, Distillation(pretrain_epochs=1, alpha=0.5)):
        train(how=how, teacher=teacher)
    assert calls == [24]


# --- two phases ------------------------------------------------------------------------------


def test_pre_training_sees_no_label_and_fine_tuning_no_teacher():
    swapped = MedImages(**{**vars(DATA), "train": Split(DATA.train.images, 1 - DATA.train.labels)})
    told = []
    first, second = (
        train(how=TWO_PHASES, data=data, on_epoch=lambda *args: told.append(args))
        for data in (DATA, swapped)
    )
    assert [record.phase for record in first.history] == ["pretrain"] * 2 + ["train"] * 2
    assert [record.epoch for record in first.history] == [1, 2, 3, 4]
    assert {total for _, total in told} == {4}
    assert TrainConfig(epochs=2, distill=TWO_PHASES).planned_epochs == 4
    assert TrainConfig(epochs=2).planned_epochs == 2
    for a, b in zip(first.history[:2], second.history[:2], strict=True):
        assert a.loss == a.distillation == b.distillation
        assert a.cross_entropy != b.cross_entropy
    for record in first.history[2:]:
        assert record.loss == record.cross_entropy
        assert record.distillation is None
    assert first.best.phase == "train"
    assert first.history[3].learning_rate == first.history[1].learning_rate  # a cosine each


def test_the_teacher_may_go_on_beside_the_labels():
    result = train(how=Distillation(pretrain_epochs=1, alpha=0.5))
    assert all(record.distillation > 0 for record in result.history)


def test_fine_tuning_begins_where_pre_training_ended(monkeypatch):
    weights, enter = [], loop.Loop._enter  # noqa: SLF001 - a step that nothing public does alone

    def snapshot(training):
        weights.append({n: t.clone() for n, t in training.model.state_dict().items()})

    def watch(self, phase):
        if hasattr(self, "phase"):
            snapshot(self)
        enter(self, phase)
        snapshot(self)

    monkeypatch.setattr(loop.Loop, "_enter", watch)
    train(how=TWO_PHASES)
    fresh, *_, ended, begun = weights
    assert all(torch.equal(ended[name], begun[name]) for name in ended)
    assert not any(torch.equal(ended[name], fresh[name]) for name in ended)


@pytest.mark.parametrize("model", [MODEL, TOKEN, RESNET], ids=["qvit", "token", "resnet"])
def test_other_classes_get_fresh_heads_and_keep_the_rest(model):
    how = OTHER_SET
    config = TrainConfig(distill=how, seed=3)
    first, second = plan(model, config, DATA, toy(), lambda: None)
    assert (first.config.classes, second.config.classes) == (3, 2)
    trained = first.model()
    with torch.no_grad():
        for p in trained.parameters():
            p += 1
    found = second.model((first, trained)).state_dict()
    fresh, kept = build_model(model, seed=3).state_dict(), trained.state_dict()
    for name in found:
        source = fresh if "head." in name else kept
        assert torch.equal(found[name], source[name]), name
    same_classes = MedImages(**{**vars(toy()), "class_names": ("x", "y", "z")})
    other = model.model_copy(update={"classes": 3})
    first, second = plan(other, config, toy(), same_classes, lambda: None)
    found = second.model((first, trained)).state_dict()
    assert not torch.equal(found["head.weight"], kept["head.weight"])  # as many, but others


@pytest.mark.parametrize("model", [MODEL, TOKEN, RESNET], ids=["qvit", "token", "resnet"])
def test_another_set_of_other_classes(tmp_path, model):
    result = train(
        model, OTHER_SET, folder=tmp_path, teacher=by_brightness(3), pretrain_data=toy(), subset=8
    )
    assert [record.phase for record in result.history] == ["pretrain"] * 2 + ["train"] * 2
    assert result.model.config == model
    stored = load_checkpoint(tmp_path)
    assert stored.provenance["dataset"] == "phantom"
    assert stored.provenance["phase"] == "train"
    assert same(stored.model, result.model)


# --- resuming --------------------------------------------------------------------------------

SITUATIONS = {
    "soft": (MODEL, Distillation(alpha=0.5), 2, {}),
    "hard": (TOKEN, HARD, 2, {}),
    "two phases": (MODEL, TWO_PHASES, 2, {}),
    "another set": (MODEL, OTHER_SET, 3, {}),
    "a teacher": (RESNET, None, 2, {"optimizer": "sgd", "augment": "modality"}),
    "shots": (MODEL, TWO_PHASES, 2, {"backend": "aer-shots"}),
}


@pytest.fixture
def teachers(tmp_path):
    """Checkpoints of teachers of two and three classes."""
    for classes in (2, 3):
        config = RESNET.model_copy(update={"classes": classes})
        save_checkpoint(tmp_path / f"{classes}.safetensors", build_model(config, seed=1), {})
    return tmp_path


def load_both(name):
    return {"phantom": DATA, "toy": toy()}[name]


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_stop_in_any_phase_changes_nothing_to_the_bit(teachers, name):
    model, how, classes, options = SITUATIONS[name]
    if how is not None:
        path = str(teachers / f"{classes}.safetensors")
        how = how.model_copy(update={"teacher": path})
    options = options | {"epochs": 3, "seed": 1, "teacher": None}
    if how is OTHER_SET or name == "another set":
        options["pretrain_data"] = toy()
    whole = train(model, how, **options)
    last = len(whole.history)
    assert last == (5 if how and how.pretrain_epochs else 3)
    for stop in range(1, last):
        folder = teachers / f"stopped-{stop}"
        stopped = train(model, how, folder=folder, on_epoch=stop_after(stop), **options)
        assert stopped.interrupted
        assert stopped.model.config.classes == load_checkpoint(folder).model.config.classes
        finished = resume(folder, load_both)
        assert same(finished.model, whole.model)
        assert lines(finished) == lines(whole)
        assert same(load_checkpoint(folder).model, whole.model)


def test_a_stop_within_the_first_epoch_of_fine_tuning(tmp_path, monkeypatch):
    teacher = by_brightness(3)
    whole = train(how=OTHER_SET, teacher=teacher, pretrain_data=toy())
    call, calls = Objective.__call__, []

    def interrupted(*args):
        calls.append(0)
        if len(calls) == 8:  # 3 steps in each of two epochs, then in the second step of the next
            raise KeyboardInterrupt
        return call(*args)

    monkeypatch.setattr(Objective, "__call__", interrupted)
    stopped = train(how=OTHER_SET, teacher=teacher, pretrain_data=toy(), folder=tmp_path)
    assert [record.phase for record in stopped.history] == ["pretrain"] * 2
    assert stopped.best.phase == "pretrain"
    assert stopped.model.config.classes == 3  # what there is, is the pre-trained model
    assert load_checkpoint(tmp_path).provenance["dataset"] == "toy"
    finished = resume(tmp_path, load_both, teacher=teacher)
    assert same(finished.model, whole.model)
    assert lines(finished) == lines(whole)


def test_a_finished_training_needs_no_teacher(teachers):
    path = teachers / "2.safetensors"
    how = Distillation(teacher=str(path))
    whole = train(how=how, folder=teachers / "run", teacher=None)
    path.unlink()
    assert same(resume(teachers / "run", load_both).model, whole.model)


def test_another_teacher_is_refused(teachers):
    path = teachers / "2.safetensors"
    how, folder = Distillation(teacher=str(path)), teachers / "run"
    train(how=how, folder=folder, teacher=None, on_epoch=stop_after(1))
    kept = path.read_bytes()
    save_checkpoint(path, build_model(RESNET, seed=2), {})
    with pytest.raises(CheckpointError, match=r"begun with another teacher than .*\. Restore"):
        resume(folder, load_both)
    moved = teachers / "moved.safetensors"
    moved.write_bytes(kept)
    assert len(resume(folder, load_both, teacher=moved).history) == 2


def test_a_teacher_from_python_is_asked_for(tmp_path):
    train(folder=tmp_path, on_epoch=stop_after(1))
    with pytest.raises(CheckpointError, match=r"teacher 'teacher' from Python\. Pass it"):
        resume(tmp_path, load_both)
    assert len(resume(tmp_path, load_both, teacher=by_brightness(2)).history) == 2


def test_another_pre_training_set_is_refused(tmp_path):
    data = toy()
    train(how=OTHER_SET, teacher=by_brightness(3), pretrain_data=data, folder=tmp_path)
    changed = MedImages(**{**vars(data), "md5": "other"})
    with pytest.raises(CheckpointError, match=r"trained on toy with MD5 toy, but .* have other"):
        resume(tmp_path, lambda name: changed if name == "toy" else DATA)


def test_a_folder_from_before_there_were_teachers_is_continued(tmp_path):
    model = MODEL.model_copy(update={"stem": "patch", "position": "learned"})
    whole = train(model, how=None, epochs=4)
    train(model, how=None, epochs=4, folder=tmp_path, on_epoch=stop_after(2))
    settings = json.loads((tmp_path / "train.json").read_text())
    for key in ("kind", "teacher", "pretrain_md5"):
        del settings[key]
    for key in ("distill", "augment", "optimizer", "contrast", "ema", "select"):
        del settings["train"][key]
    for key in ("distillation_token", "stem", "stem_width", "position"):
        del settings["model"][key]
    (tmp_path / "train.json").write_text(json.dumps(settings))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for record in (*state["history"], state["best"]):
        for key in ("phase", "cross_entropy", "distillation"):
            del record[key]
    torch.save(state, tmp_path / "state.pt")
    finished = resume(tmp_path, load_both)
    assert same(finished.model, whole.model)
    assert lines(finished) == lines(whole)


# --- teachers are trained too ----------------------------------------------------------------


def test_a_resnet_learns_what_is_easy(tmp_path):
    bright = toy(2, count=24)
    result = train(RESNET, None, bright, tmp_path, epochs=6, optimizer="sgd", augment="shift")
    assert result.best.val_auc == 1.0
    stored = load_checkpoint(tmp_path)
    assert stored.model.config == RESNET
    assert same(stored.model, result.model)
    assert not stored.model.training


def test_the_optimizer_is_the_one_asked_for(monkeypatch):
    made = []
    for name in ("AdamW", "SGD"):
        kind = getattr(torch.optim, name)

        def spy(*args, kind=kind, name=name, **options):
            made.append((name, options))
            return kind(*args, **options)

        monkeypatch.setattr(torch.optim, name, spy)
    train(RESNET, None, epochs=1)
    train(RESNET, None, epochs=1, optimizer="sgd", weight_decay=0.1)
    assert made[0] == ("AdamW", {"lr": 0.02, "weight_decay": 1e-2, "fused": True})
    sgd = {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "fused": True}
    assert made[1] == ("SGD", sgd)


def test_augmentation_changes_images_and_not_their_order():
    plain, again, moved = (
        train(RESNET, None, augment=kind, epochs=1) for kind in ("none", "none", "shift")
    )
    assert same(plain.model, again.model)
    assert not same(plain.model, moved.model)


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temprature": 2}, "Unknown distillation option 'temprature'. Did you mean 'temperature'"),
        ({"kind": "firm"}, "kind: .* but got 'firm'"),
        ({"temperature": 0}, "temperature: .* but got 0"),
        ({"alpha": 1.5}, "alpha: .* but got 1.5"),
        ({"pretrain_epochs": -1}, "pretrain_epochs: .* but got -1"),
        ({"pretrain_dataset": "toy"}, "'toy' has no effect without pretrain_epochs"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_one_sentence(values, words):
    with pytest.raises(ConfigError, match=words) as caught:
        Distillation.create(**values)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=words):
        TrainConfig.create(distill=values)


def test_settings_survive_json():
    config = TrainConfig(distill=OTHER_SET, augment="shift", optimizer="sgd")
    assert TrainConfig.create(**json.loads(config.model_dump_json())) == config


@pytest.mark.parametrize(
    ("model", "how", "given", "words"),
    [
        (MODEL, SOFT, {"teacher": by_brightness(3)}, "teacher of 2 classes for phantom.*knows 3"),
        (MODEL, SOFT, {"teacher": None}, "Expected a teacher to distil from"),
        (MODEL, None, {"teacher": by_brightness(2)}, "have no effect"),
        (MODEL, None, {"pretrain_data": DATA}, "have no effect"),
        (MODEL, HARD, {}, "distillation_token=True for hard"),
        (RESNET, HARD, {}, "distillation_token=True for hard"),
        (MODEL, OTHER_SET, {}, "pretrain_dataset='toy' and none"),
        (MODEL, TWO_PHASES, {"pretrain_data": toy()}, "pretrain_dataset=None and some"),
        (MODEL, OTHER_SET, {"pretrain_data": toy()}, "teacher of 3 classes for toy.*knows 2"),
        (
            MODEL,
            OTHER_SET,
            {"pretrain_data": toy(3, 3)},
            r"set of 1 channel\(s\) of 28 x 28 pixels, but toy has 3",
        ),
        (RESNET.model_copy(update={"classes": 3}), None, {}, "2 classes, but got 1 and 3"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, model, how, given, words
):
    with pytest.raises(ConfigError, match=words):
        train(model, how, folder=tmp_path / "run", **given)
    assert list(tmp_path.iterdir()) == []
