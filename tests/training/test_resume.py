import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from qvit_qiskit.data import load
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import CheckpointError
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.simulation.kernel import availability
from qvit_qiskit.training import TrainConfig, fit, load_checkpoint, loop, resume
from qvit_qiskit.training.arithmetic import Arithmetic

MODEL = ViTConfig(width=2, heads=1, patch_size=14)
DATA = phantom(sizes=(40, 20, 20))


def train(folder=None, on_epoch=None, **options):
    options = {"epochs": 4, "subset": 8, "batch_size": 4, "learning_rate": 0.02} | options
    return fit(MODEL, TrainConfig(**options), DATA, folder=folder, on_epoch=on_epoch)


def go_on(folder, **options):
    return resume(folder, lambda name: DATA, **options)


def stop_after(epochs):
    def on_epoch(record, total):
        if record.epoch == epochs:
            raise KeyboardInterrupt

    return on_epoch


def stop_in_step(monkeypatch, step):
    """Ctrl-C in the loss of that training step, once."""
    forward, calls = torch.nn.CrossEntropyLoss.forward, []

    def interrupted(self, logits, labels):
        calls.append(0)
        if len(calls) == step:
            raise KeyboardInterrupt
        return forward(self, logits, labels)

    monkeypatch.setattr(torch.nn.CrossEntropyLoss, "forward", interrupted)


def identical(first, second):
    a, b = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert lines(first.history) == lines(second.history)
    assert lines([first.best]) == lines([second.best])


def lines(history):
    return [(r.epoch, r.loss, r.val_auc, r.val_acc, r.learning_rate) for r in history]


@pytest.mark.parametrize("backend", ["aer-exact", "aer-shots", "aer-spsa"])
def test_two_epochs_a_stop_and_two_more_are_four_epochs_to_the_bit(tmp_path, backend):
    whole = train(tmp_path / "whole", backend=backend)
    stopped = train(tmp_path / "parts", stop_after(2), backend=backend)
    assert stopped.interrupted
    assert len(stopped.history) == 2
    finished = go_on(tmp_path / "parts")
    assert not finished.interrupted
    identical(finished, whole)
    weights = [load_checkpoint(tmp_path / part).model.state_dict() for part in ("whole", "parts")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("step", [1, 2, 4, 5])
def test_ctrl_c_within_an_epoch_loses_that_epoch_and_nothing_else(tmp_path, monkeypatch, step):
    whole = train()
    stop_in_step(monkeypatch, step)  # two steps per epoch
    stopped = train(tmp_path)
    assert stopped.interrupted
    assert len(stopped.history) == (step - 1) // 2
    stored = load_checkpoint(tmp_path)
    assert stored.provenance["epoch"] == stopped.best.epoch
    assert stored.model(DATA.val.tensors()[0]).shape == (20, 2)
    identical(go_on(tmp_path), whole)


def test_ctrl_c_before_the_first_epoch_ends_keeps_what_there_is(tmp_path, monkeypatch):
    stop_in_step(monkeypatch, 2)
    stopped = train(tmp_path)
    assert stopped.history == []
    assert stopped.best.epoch == 0
    fresh = build_model(MODEL, seed=0).state_dict()
    kept = load_checkpoint(tmp_path).model.state_dict()
    assert any(not torch.equal(fresh[name], kept[name]) for name in fresh)  # one step was made


def test_ctrl_c_while_validating(tmp_path, monkeypatch):
    whole = train()
    predict, calls = loop.predict, []

    def interrupted(*args):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(*args)

    monkeypatch.setattr(loop, "predict", interrupted)
    assert len(train(tmp_path).history) == 2
    identical(go_on(tmp_path), whole)


@pytest.mark.parametrize("call", [1, 3])
def test_ctrl_c_while_writing(tmp_path, monkeypatch, call):
    whole = train()
    save, calls = torch.save, []

    def interrupted(state, path):
        calls.append(0)
        if len(calls) == call:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        save(state, path)

    monkeypatch.setattr(torch, "save", interrupted)
    assert train(tmp_path).interrupted
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    identical(go_on(tmp_path), whole)


def test_stopping_twice(tmp_path):
    whole = train()
    train(tmp_path, stop_after(1))
    assert len(go_on(tmp_path, on_epoch=stop_after(3)).history) == 3
    identical(go_on(tmp_path), whole)


def test_a_finished_training_is_returned_as_it_is(tmp_path):
    whole = train(tmp_path)
    told = []
    identical(go_on(tmp_path, on_epoch=lambda *args: told.append(args)), whole)
    assert told == []


# --- folders that cannot be continued --------------------------------------------------------


@pytest.fixture
def stopped(tmp_path):
    train(tmp_path, stop_after(1), epochs=2)
    return tmp_path


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "other"])
def test_a_damaged_state_is_said_so_and_the_checkpoint_stays(stopped, damage):
    path = stopped / "state.pt"
    if damage == "other":
        torch.save({"model": {}}, path)
    else:
        raw = path.read_bytes()
        path.write_bytes({"cut": raw[: len(raw) // 2], "text": b"hello", "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged .* best checkpoint .* --out"):
        go_on(stopped)
    assert load_checkpoint(stopped).provenance["epoch"] == 1


def test_a_state_with_code_in_it_is_not_run(stopped):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(stopped / "trapped"),))

    torch.save(Trap(), stopped / "state.pt")
    with pytest.raises(CheckpointError, match="is damaged"):
        go_on(stopped)
    assert not (stopped / "trapped").exists()


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"model": 1, "train": 2}', "widht", "epochs"]
)
def test_settings_that_cannot_be_read_are_said_so(stopped, text):
    path = stopped / "train.json"
    settings = path.read_text()
    if text is None:
        path.unlink()
    else:
        changed = {"widht": ('"width"', '"widht"'), "epochs": ('"epochs": 2', '"epochs": 0')}
        path.write_text(settings.replace(*changed[text]) if text in changed else text)
    with pytest.raises(CheckpointError, match=r"readable train\.json.*Give the --out folder"):
        go_on(stopped)


def test_other_data_are_refused(stopped):
    other = phantom(seed=1, sizes=(40, 20, 20))
    with pytest.raises(CheckpointError, match="Point --data-root at the original") as caught:
        resume(stopped, lambda name: other)
    for md5 in (DATA.md5, other.md5):
        assert md5 in str(caught.value)


def test_the_data_are_asked_for_by_name(stopped):
    asked = []
    resume(stopped, lambda name: asked.append(name) or DATA)
    assert asked == ["phantom"]


# --- a process that is stopped ---------------------------------------------------------------

START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test runner may have ignored it
from qvit_qiskit.cli import main
main()
"""
OPTIONS = ["--width=4", "--heads=2", "--epochs=4", "--batch-size=16", "--learning-rate=0.01"]


@pytest.fixture(scope="module")
def whole():
    """The same training, never stopped."""
    config = TrainConfig(dataset="phantom", epochs=4, batch_size=16, learning_rate=0.01)
    return fit(ViTConfig(width=4, heads=2), config, load("phantom"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_stopped_process_can_be_continued_to_the_bit(tmp_path, whole, number, code):
    folder = tmp_path / "run"
    arguments = ["train", "--dataset", "phantom", *OPTIONS, "--out", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (folder / "state.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    if number == signal.SIGINT:
        assert f"qvit train --resume {folder}" in out
        assert err == ""
    done = len(json.loads((folder / "history.json").read_text()))
    assert 1 <= done < 4
    assert load_checkpoint(folder).provenance["epoch"] <= done
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    identical(resume(folder, load), whole)


def test_an_interrupt_while_the_first_checkpoint_is_written(tmp_path, monkeypatch):
    from qvit_qiskit.training import loop

    real, calls = loop.save_checkpoint, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(loop, "save_checkpoint", interrupted)
    folder = tmp_path / "run"
    result = train(folder)
    assert result.interrupted
    assert load_checkpoint(folder)


def test_a_changed_profile_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backends").mkdir()
    profile = tmp_path / "backends" / "mine.toml"
    profile.write_text('kind = "aer"\n')
    train(tmp_path / "run", epochs=1, backend="mine")
    profile.write_text('kind = "aer"\nshots = 10\n')
    with pytest.raises(CheckpointError, match="said something else"):
        go_on(tmp_path / "run")


def test_an_average_of_weights_goes_on_to_the_bit(tmp_path):
    options = {"ema": 0.8, "select": "last", "contrast": 0.2, "augment": "shift"}
    whole = train(tmp_path / "whole", **options)
    stopped = train(tmp_path / "parts", stop_after(2), **options)
    assert stopped.interrupted
    identical(go_on(tmp_path / "parts"), whole)


def test_the_average_is_what_is_judged_and_kept(monkeypatch):
    """Against a plain loop over the weights after every step."""
    seen = []
    step = torch.optim.AdamW.step

    def watched(self, *args, **kwargs):
        out = step(self, *args, **kwargs)
        seen.append([p.detach().clone() for group in self.param_groups for p in group["params"]])
        return out

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    found = train(ema=0.7, select="last")
    average = seen[0]
    for weights in seen[1:]:
        average = [0.7 * a + 0.3 * w for a, w in zip(average, weights, strict=True)]
    for expected, kept in zip(average, found.model.parameters(), strict=True):
        torch.testing.assert_close(kept, expected)
    assert found.best.epoch == 4
    assert any(not torch.equal(a, b) for a, b in zip(average, seen[-1], strict=True))


def test_a_training_keeps_the_arithmetic_that_it_began_with(tmp_path, monkeypatch):
    """One of an earlier version, which says nothing of it, goes on to the bit."""
    monkeypatch.setattr(Arithmetic, "now", classmethod(lambda cls: cls()))
    whole = train(tmp_path / "whole")
    train(tmp_path / "run", stop_after(2))
    monkeypatch.undo()
    settings = json.loads((tmp_path / "run" / "train.json").read_text())
    assert settings.pop("arithmetic") == {"fused": False, "loops": 0, "batch": 64}
    (tmp_path / "run" / "train.json").write_text(json.dumps(settings))
    identical(go_on(tmp_path / "run"), whole)
    train(tmp_path / "new", stop_after(1))
    settings = json.loads((tmp_path / "new" / "train.json").read_text())
    assert {"arithmetic": settings["arithmetic"]} == Arithmetic.now().record()


def test_loops_that_are_gone_are_told(tmp_path, monkeypatch):
    train(tmp_path / "run", stop_after(1))
    settings = json.loads((tmp_path / "run" / "train.json").read_text())
    settings["arithmetic"] = {"fused": True, "loops": availability.VERSION}
    (tmp_path / "run" / "train.json").write_text(json.dumps(settings))
    monkeypatch.setattr(availability, "available", lambda: False)
    with pytest.warns(UserWarning, match=r"goes on without, and its numbers .* pip install"):
        go_on(tmp_path / "run")


@pytest.mark.parametrize(("begun", "warned"), [(True, True), (availability.VERSION, False)])
def test_loops_of_an_earlier_version_are_told(tmp_path, monkeypatch, recwarn, begun, warned):
    monkeypatch.setattr(availability, "available", lambda: True)
    settings = {"arithmetic": {"fused": True, "loops": begun, "batch": None}}
    known = Arithmetic.restored(settings, tmp_path)
    assert known == Arithmetic(True, int(begun), None)
    assert [str(w.message) for w in recwarn if "with those of today" in str(w.message)] == [
        f"{tmp_path} was begun with compiled loops (numba) of another version: it goes on with "
        "those of today, and its numbers will differ in their last digits from those of an "
        "uninterrupted training."
    ] * warned
