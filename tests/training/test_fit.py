import csv
import json
import math

import numpy as np
import pytest
import torch

from qvit_qiskit.data import MedImages, Split
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import CheckpointError, ConfigError, DataError, QvitError, RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.training import TrainConfig, fit, load_checkpoint, loop
from qvit_qiskit.training.history import Epoch

TINY = ViTConfig(width=2, heads=1, patch_size=14)
LINEAR = TINY.model_copy(update={"projection": "linear"})
PLAIN = {"augment": "none", "contrast": 0.0}
DATA = phantom(sizes=(40, 20, 20))


def train(model=TINY, data=DATA, folder=None, on_epoch=None, **options):
    return fit(model, TrainConfig(**PLAIN | options), data, folder=folder, on_epoch=on_epoch)


def lines(result):
    """The history without times."""
    return [(r.epoch, r.loss, r.val_auc, r.val_acc, r.learning_rate) for r in result.history]


def same(first, second):
    """Whether two models are equal to the bit."""
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def bright_and_dark(rng, count=24):
    """A set that anything can learn."""

    def split():
        labels = rng.permutation(np.arange(count) % 2)
        pixels = rng.integers(0, 60, (count, 28, 28)) + 190 * labels[:, None, None]
        return Split(pixels.astype(np.uint8), labels.astype(np.int64))

    parts = {word: split() for word in ("train", "val", "test")}
    return MedImages(
        name="toy", **parts, task="binary-class", class_names=("dark", "bright"), channels=1,
        md5="toy", synthetic=True,
    )  # fmt: skip


@pytest.mark.parametrize("model", [TINY, LINEAR], ids=["qvit", "vit"])
def test_a_model_learns_what_is_easy(rng, model):
    model = model.model_copy(update={"width": 4})
    result = train(model, bright_and_dark(rng), epochs=20, batch_size=8, learning_rate=0.03)
    losses = [record.loss for record in result.history]
    assert losses[-1] < 0.5 * losses[0]
    assert result.best.val_auc == 1.0
    merits = [(record.val_auc, record.val_acc) for record in result.history]
    assert result.best == result.history[merits.index(max(merits))]  # of equals the first
    assert result.best != result.history[-1]
    assert result.history[-1].val_acc == 1.0
    assert not result.interrupted


def test_circuit_weights_are_trained():
    before = build_model(TINY, seed=0).blocks[0].attention.projections.value[0].weight
    after = train(epochs=1).model.blocks[0].attention.projections.value[0].weight
    assert (before != after).all()


def test_the_result_holds_the_best_epoch_and_nothing_random(tmp_path):
    result = train(epochs=5, folder=tmp_path / "run", learning_rate=0.05)
    assert result.best.val_auc == max(record.val_auc for record in result.history)
    merits = [(record.val_auc, record.val_acc) for record in result.history]
    assert result.best == result.history[merits.index(max(merits))]
    stored = load_checkpoint(result.folder)
    assert same(result.model, stored.model)
    assert not result.model.training
    assert stored.provenance["epoch"] == result.best.epoch


@pytest.mark.parametrize("backend", ["aer-exact", "aer-shots", "aer-spsa"])
def test_a_seed_decides_everything_to_the_bit(backend):
    first, again, other = (
        train(epochs=2, backend=backend, subset=8, batch_size=4, seed=seed) for seed in (0, 0, 1)
    )
    assert lines(first) == lines(again)
    assert same(first.model, again.model)
    assert lines(first)[0][1] != lines(other)[0][1]
    assert not same(first.model, other.model)


def test_training_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    train(epochs=1, subset=8)
    after = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]


def test_every_image_is_seen_once_per_epoch_in_a_new_order(monkeypatch):
    seen = []
    forward = torch.nn.CrossEntropyLoss.forward

    def spy(self, logits, labels):
        seen.append(len(labels))
        return forward(self, logits, labels)

    monkeypatch.setattr(torch.nn.CrossEntropyLoss, "forward", spy)
    orders = []
    permute = np.random.Generator.permutation

    class Spy:
        def __init__(self, seed):
            self.rng = np.random.Generator(np.random.PCG64(seed))

        def permutation(self, count):
            orders.append(permute(self.rng, count).tolist())
            return np.array(orders[-1])

    monkeypatch.setattr(loop.np.random, "default_rng", Spy)
    train(LINEAR, epochs=2, batch_size=16)
    assert seen == [16, 16, 8] * 2
    assert [sorted(order) for order in orders] == [list(range(40))] * 2
    assert orders[0] != orders[1]


def test_a_subset_is_stratified_and_drawn_by_seed(monkeypatch):
    sizes = []
    forward = torch.nn.CrossEntropyLoss.forward

    def spy(self, logits, labels):
        sizes.append(sorted(labels.tolist()))
        return forward(self, logits, labels)

    monkeypatch.setattr(torch.nn.CrossEntropyLoss, "forward", spy)
    train(LINEAR, epochs=1, subset=10)
    assert sizes == [[0] * 5 + [1] * 5]


def test_class_weights_are_inverse_frequencies(monkeypatch, rng):
    seen = []
    forward = torch.nn.CrossEntropyLoss.forward

    def spy(self, logits, labels):
        seen.append(self.weight)
        return forward(self, logits, labels)

    monkeypatch.setattr(torch.nn.CrossEntropyLoss, "forward", spy)
    toy = bright_and_dark(rng)
    few = np.concatenate([np.flatnonzero(toy.train.labels == 0), [toy.train.labels.argmax()]])
    skewed = MedImages(
        **{**vars(toy), "train": Split(toy.train.images[few], toy.train.labels[few])}
    )
    train(LINEAR, skewed, epochs=1, class_weights=True)
    train(LINEAR, skewed, epochs=1)
    torch.testing.assert_close(seen[0], torch.tensor([13 / (2 * 12), 13 / 2]))
    assert seen[1] is None


def test_the_rate_warms_up_and_falls_along_a_cosine():
    whole = train(LINEAR, epochs=10, batch_size=40, learning_rate=0.01, warmup_epochs=2)
    rates = [record.learning_rate for record in whole.history]  # one step per epoch
    warm = [0.01 * (t + 0.1) / 2.1 for t in (0, 1)]
    cosine = [0.005 * (1 + math.cos(math.pi * (t - 2) / 8)) for t in range(2, 10)]
    assert rates == pytest.approx(warm + cosine)
    assert rates.index(max(rates)) == 2
    short = train(LINEAR, epochs=1, batch_size=40, learning_rate=0.01, warmup_epochs=2)
    assert short.history[0].learning_rate == pytest.approx(0.01 * 0.1 / 2.1)


def test_every_epoch_is_told_and_written_down(tmp_path):
    told = []
    result = train(epochs=3, folder=tmp_path / "run", on_epoch=lambda *args: told.append(args))
    assert told == [(record, 3) for record in result.history]
    folder = tmp_path / "run"
    names = {"best.safetensors", "history.csv", "history.json", "state.pt", "train.json"}
    assert {path.name for path in folder.iterdir()} == names
    rows = json.loads((folder / "history.json").read_text())
    assert rows == [vars(record) for record in result.history]
    with (folder / "history.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {row.pop("phase") for row in table} == {row.pop("phase") for row in rows} == {"train"}
    read = [{k: float(v) if v else None for k, v in row.items()} for row in table]
    assert read == rows
    assert all(row["cross_entropy"] == row["loss"] and row["distillation"] is None for row in rows)
    settings = json.loads((folder / "train.json").read_text())
    assert settings["md5"] == DATA.md5
    assert ViTConfig(**settings["model"]) == TINY
    assert TrainConfig(**settings["train"]) == TrainConfig(**PLAIN, epochs=3)


def test_a_history_without_auc_is_still_json(tmp_path):
    one = Split(DATA.val.images[:1], DATA.val.labels[:1])
    result = train(data=MedImages(**{**vars(DATA), "val": one}), epochs=1, folder=tmp_path / "a")
    assert math.isnan(result.best.val_auc)
    text = (tmp_path / "a" / "history.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)[0]["val_auc"] is None


# --- what is refused -------------------------------------------------------------------------


def test_a_folder_is_trained_in_once(tmp_path):
    train(epochs=1, folder=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CheckpointError, match=r"already holds a training.*--resume .*--out"):
        train(epochs=1, folder=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("model", "options", "kind", "words"),
    [
        (TINY.model_copy(update={"classes": 3}), {}, ConfigError, "2 classes, but got 1 and 3"),
        (TINY.model_copy(update={"channels": 3}), {}, ConfigError, "but got 3 and 2"),
        (TINY, {"subset": 41}, DataError, "subset of 1 to 40 images, got 41"),
        (TINY, {"backend": "fake-torino"}, RouteError, "only evaluates: .*kind 'aer'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, model, options, kind, words
):
    with pytest.raises(kind, match=words):
        train(model, folder=tmp_path / "run", epochs=1, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_open_route_of_the_wrong_kind_is_refused_too():
    with pytest.raises(RouteError, match="only evaluates"):
        fit(TINY, TrainConfig(), DATA, route=registry.open("fake-torino"))


@pytest.mark.parametrize(
    ("model", "words"), [(LINEAR, "The loss became nan in epoch 1"), (TINY, "finite angles")]
)
def test_a_training_that_diverges_at_once_leaves_no_folder(tmp_path, model, words):
    options = {"learning_rate": 10, "weight_decay": 1e38, "batch_size": 8}
    with pytest.raises(QvitError, match=f"{words}.*[Ll]ower"):
        train(model, folder=tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_diverges_later_keeps_its_checkpoint(tmp_path, monkeypatch):
    forward = torch.nn.CrossEntropyLoss.forward
    calls = []

    def diverge(self, logits, labels):
        calls.append(0)
        return forward(self, logits, labels) * (math.inf if len(calls) > 2 else 1)

    monkeypatch.setattr(torch.nn.CrossEntropyLoss, "forward", diverge)
    with pytest.raises(ConfigError, match=r"epoch 3: training diverged\. Lower --learning-rate"):
        train(LINEAR, folder=tmp_path, epochs=5, batch_size=40)
    stored = load_checkpoint(tmp_path)
    assert stored.provenance["epoch"] in (1, 2)
    assert all(torch.isfinite(t).all() for t in stored.model.state_dict().values())
    assert len(json.loads((tmp_path / "history.json").read_text())) == 2


def test_an_undefined_auc_never_displaces_a_known_one():
    known, unknown = Epoch(1, 0.1, 0.2, 0.5, 0.1, 1.0), Epoch(2, 0.1, float("nan"), 0.9, 0.1, 1.0)
    assert known.merit > unknown.merit
    assert not unknown.merit > known.merit


def test_threads_are_set_for_training_and_restored(monkeypatch):
    import torch

    seen = []
    before = torch.get_num_threads()
    train(epochs=1, threads=2, on_epoch=lambda *_: seen.append(torch.get_num_threads()))
    assert seen == [2]
    assert torch.get_num_threads() == before
