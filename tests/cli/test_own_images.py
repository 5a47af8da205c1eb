"""Own images from training to comparison: the command line and Python, folder and file."""

import json
import stat

import numpy as np
import pandas as pd
import pytest
from own_images import CLASSES, arrays, write_archive, write_folder

import qvit_qiskit as qvit
from qvit_qiskit import metrics
from qvit_qiskit.cli import run
from qvit_qiskit.data import load, medmnist
from qvit_qiskit.runs.evaluation import Evaluation
from qvit_qiskit.runs.predictions import prediction_frame
from qvit_qiskit.training import TrainConfig

SHAPE = "--patch 32 --width 4 --heads 2 --layers 1 --epochs 1"
JOB = """
dataset = "{data}"
backend = "fake-fez-packed"
shots = 32
subset = 2
budget_seconds = 1000
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QVIT_DATA_ROOT", str(tmp_path / "nowhere"))
    return tmp_path


def said(capsys, *line):
    """What a command that succeeds prints as JSON."""
    assert run([str(word) for word in (*line, "--json")]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def whole_way(place, capsys, data, *size):
    """train, evaluate, estimate, submit, compare: returns what they say."""
    trained = said(capsys, "train", "--dataset", data, *size, *SHAPE.split(), "--out", "model")
    job = place / "jobs" / "own.toml"
    job.parent.mkdir()
    lines = f"size = {size[1]}\n" if size else ""
    job.write_text(JOB.format(data=data if size else f"../{data}") + lines)
    return {
        "train": trained,
        "evaluate": said(capsys, "evaluate", "model"),
        "estimate": said(capsys, "estimate", job, "--checkpoint", "model"),
        "submit": said(
            capsys,
            "submit",
            job,
            "--checkpoint",
            "model/best.safetensors",
            "--wait",
            "--run",
            "run",
        ),
        "compare": said(capsys, "compare", "run", "--draws", 0, "--out", "report"),
    }


def check_folders(place):
    """Copies of images are for their owner; the checkpoint tells the data's name and digest."""
    assert stat.S_IMODE((place / "run").stat().st_mode) == 0o700
    provenance = qvit.load_checkpoint("model").provenance
    data = load("own" if (place / "own").exists() else "own.npz")
    assert (provenance["dataset"], provenance["md5"]) == ("own", data.md5)
    assert provenance["own"]
    assert json.loads((place / "model" / "train.json").read_text())["origin"] == data.origin
    assert str(place).encode() not in (place / "model" / "best.safetensors").read_bytes()


def test_a_folder_of_colour_images_all_the_way(place, capsys, rng):
    write_folder(place / "own", arrays(rng))
    told = whole_way(place, capsys, "own")
    assert told["evaluate"]["data"] == "own test"
    assert told["evaluate"]["images"] == 6
    assert told["estimate"]["executions"] > 0
    assert told["submit"]["state"] == "finished"
    assert told["compare"]["classes"] == list(CLASSES)
    assert told["compare"]["images"] == 2
    check_folders(place)


@pytest.mark.check
def test_an_archive_all_the_way(place, capsys, rng):
    write_archive(place / "own.npz", arrays(rng))
    told = whole_way(place, capsys, "own.npz")
    assert told["submit"]["state"] == "finished"
    assert told["compare"]["classes"] == ["0", "1"]
    check_folders(place)


@pytest.mark.check
def test_several_labels_all_the_way(place, capsys, rng):
    write_archive(place / "own.npz", arrays(rng, channels=1, labels=14))
    told = whole_way(place, capsys, "own.npz")
    assert 0 < told["evaluate"]["ACC"] < 1
    assert told["submit"]["state"] == "finished"
    assert len(told["compare"]["classes"]) == 14
    check_folders(place)


@pytest.mark.check
def test_a_larger_file_of_medmnist_all_the_way(place, capsys, rng, monkeypatch):
    path = write_archive(place / "breastmnist_64.npz", arrays(rng, channels=1))
    known = medmnist.INFO["breastmnist_64"]
    import dataclasses
    import hashlib

    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    sizes = {"train": 12, "val": 6, "test": 6}
    monkeypatch.setitem(
        medmnist.INFO, "breastmnist_64", dataclasses.replace(known, md5=md5, sizes=sizes)
    )
    monkeypatch.setenv("QVIT_DATA_ROOT", str(place))
    told = whole_way(place, capsys, "breastmnist", "--size", "64")
    assert told["evaluate"]["data"] == "breastmnist_64 test"
    assert told["submit"]["state"] == "finished"
    assert told["compare"]["classes"] == list(known.class_names)
    assert stat.S_IMODE((place / "run").stat().st_mode) != 0o700


def test_predictions_by_image(place, capsys, rng):
    write_folder(place / "own", arrays(rng, 16))
    shape = ["--model", "vit", "--width", "2", "--heads", "1", "--epochs", "1"]
    assert run(["train", "--dataset", "own", *shape, "--out", "model"]) == 0
    assert run(["evaluate", "model", "--subset", "4", "--predictions", "all.csv"]) == 0
    capsys.readouterr()
    found = pd.read_csv("all.csv")
    assert list(found.columns) == [
        "image", "class", "answer", "probability of benign", "probability of malignant",
    ]  # fmt: skip
    data = load("own")
    assert list(found["class"]) == [CLASSES[k] for k in data.test.labels[found["image"]]]
    likely = found["probability of malignant"] > 0.5
    assert list(found["answer"] == "malignant") == list(likely)
    scores = said(capsys, "evaluate", "model", "--subset", "4")
    assert scores["ACC"] == (found["class"] == found["answer"]).mean()


def test_predictions_of_several_labels():
    labels, logits = np.array([[0, 1], [1, 1]]), np.array([[-1.0, 2.0], [0.5, -3.0]])
    found = Evaluation("b", logits, labels, metrics.score(labels, logits), 0.0)
    frame = prediction_frame(found, ["mass", "nodule"])
    assert list(frame["answer mass"]) == [0, 1]
    assert list(frame["nodule"]) == [1, 1]
    np.testing.assert_allclose(frame["probability of nodule"], 1 / (1 + np.exp([-2.0, 3.0])))


def test_resume_finds_the_images_where_they_were(place, capsys, rng):
    write_folder(place / "own", arrays(rng, 16))
    shape = ["--width", "2", "--heads", "1", "--layers", "1"]
    assert run(["train", "--dataset", "own", *shape, "--epochs", "1", "--out", "model"]) == 0
    assert run(["train", "--resume", "model"]) == 0
    capsys.readouterr()
    moved = place / "model" / "best.safetensors"
    (place / "alone").mkdir()
    moved.rename(place / "alone" / "best.safetensors")
    assert run(["evaluate", "alone"]) == 2
    assert "own images called 'own'. Say where they are" in capsys.readouterr().err
    assert run(["evaluate", "alone", "--dataset", "own"]) == 0
    write_folder(place / "own", arrays(rng, 16))
    assert run(["train", "--resume", "model"]) == 2
    assert "the data at hand have" in capsys.readouterr().err


def test_python_all_the_way(place, rng):
    data = load(str(write_folder(place / "own", arrays(rng))))
    config = qvit.ViTConfig(
        channels=3, image_size=data.side, patch_size=32, width=4, heads=2, circuit_layers=1
    )
    fitted = qvit.fit(config, TrainConfig(epochs=1), data, folder=place / "model")
    found = qvit.evaluate(fitted.model, data.test)
    assert found.logits.shape == (6, 2)
    status = qvit.submit(
        fitted.model, data.test.part(slice(0, 2)), "fake-fez-packed", place / "run",
        budget_seconds=1000, shots=16, wait=True,
    )  # fmt: skip
    assert status.state == "finished"
    assert stat.S_IMODE((place / "run").stat().st_mode) == 0o700
    compared = qvit.compare(place / "run", draws=0)
    np.testing.assert_allclose(compared.exact.logits, found.logits[:2], atol=1e-9)
