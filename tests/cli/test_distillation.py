"""Teachers and students from the command line."""

import json

import pytest

from qvit_qiskit.cli import run
from qvit_qiskit.models import ResNetConfig, ViTConfig, build_model
from qvit_qiskit.training import load_checkpoint, save_checkpoint

SMALL = "--patch 14 --width 2 --heads 1 --subset 8"


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """The working directory holds teachers, of 2 and 5 classes; caches are empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QVIT_CACHE", str(tmp_path / "cache"))
    for classes in (2, 5):
        model = build_model(ResNetConfig(width=2, blocks=(1,), classes=classes), seed=1)
        save_checkpoint(tmp_path / f"{classes}.safetensors", model, {"dataset": "phantom"})
    model = build_model(ResNetConfig(width=2, blocks=(1,), channels=3), seed=1)
    save_checkpoint(tmp_path / "colour.safetensors", model, {})


@pytest.fixture
def qvit(capsys):
    """Run a line that must succeed and say nothing on standard error; returns what it prints."""

    def call(line):
        assert run(line.split()) == 0
        said = capsys.readouterr()
        assert said.err == ""
        return said.out

    return call


def settings(folder):
    return json.loads((folder / "train.json").read_text())


def history(folder):
    return json.loads((folder / "history.json").read_text())


def test_a_teacher_is_trained_evaluated_and_teaches(qvit, tmp_path, monkeypatch):
    tiny = {"width": 2, "blocks": (1,)}
    create = ResNetConfig.create.__func__
    small = classmethod(lambda cls, **values: create(cls, **(tiny | values)))
    monkeypatch.setattr(ResNetConfig, "create", small)  # a fast one in the place of ResNet-18
    line = "train --dataset phantom --model resnet18 --epochs 2 --subset 20 --optimizer sgd"
    row = json.loads(qvit(f"{line} --json"))
    folder = tmp_path / "checkpoints" / "phantom-resnet18-seed0"
    assert row["folder"] == str(folder.relative_to(tmp_path))
    made = settings(folder)["train"]
    chosen = {"batch_size": 64, "learning_rate": 1e-3, "augment": "modality", "optimizer": "sgd"}
    assert chosen.items() <= made.items()
    assert made["epochs"] == 2
    assert isinstance(load_checkpoint(folder).model.config, ResNetConfig)

    result = json.loads(qvit(f"evaluate {folder} --subset 4 --json"))
    assert (result["images"], result["backend"]) == (4, "nothing in it was routed")
    assert "aer-shots" not in qvit(f"train --resume {folder}")  # it has no circuits

    qvit(f"train --dataset phantom --teacher {folder} {SMALL} --epochs 1")
    student = tmp_path / "checkpoints" / "phantom-qvit-distilled-seed0"
    assert settings(student)["teacher"]["digest"]
    assert load_checkpoint(student).model.config.projection == "qnn"
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1


def test_the_full_resnet_18_is_what_the_option_says():
    assert ResNetConfig.create(channels=1, classes=2) == ResNetConfig()


def test_every_option_of_distillation_arrives(qvit, tmp_path):
    qvit(
        f"train --dataset phantom {SMALL} --epochs 1 --teacher 2.safetensors --distill soft "
        "--temperature 3 --alpha 0.25 --pretrain-epochs 2 --pretrain-dataset Phantom "
        "--augment shift --out run"
    )
    made = settings(tmp_path / "run")
    assert made["train"]["distill"] == {
        "teacher": str(tmp_path / "2.safetensors"), "kind": "soft", "temperature": 3.0,
        "alpha": 0.25, "pretrain_epochs": 2, "pretrain_dataset": "Phantom",
    }  # fmt: skip
    assert made["train"]["augment"] == "shift"
    assert made["model"]["distillation_token"] is False
    phases = [row["phase"] for row in history(tmp_path / "run")]
    assert phases == ["pretrain", "pretrain", "train"]


def test_hard_distillation_brings_its_token(qvit, tmp_path):
    line = f"train --dataset phantom {SMALL} --epochs 1 --teacher 2.safetensors --distill hard"
    qvit(f"{line} --model vit --out run")
    assert load_checkpoint(tmp_path / "run").model.config.distillation_token
    assert history(tmp_path / "run")[0]["distillation"] > 0
    assert json.loads(qvit("evaluate run --subset 4 --json"))["images"] == 4
    qvit(f"{line} --model vit-matched --out matched")
    matched = ViTConfig(width=2, heads=1, patch_size=14, distillation_token=True)
    assert load_checkpoint(tmp_path / "matched").model.config == matched.parameter_matched()


def test_a_stopped_training_goes_on_with_a_teacher_that_has_moved(
    qvit, tmp_path, monkeypatch, capsys
):
    from qvit_qiskit.training import loop

    calls, step = [], loop.Loop._step  # noqa: SLF001 - a step that nothing public does alone

    def interrupted(*args):
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_step", interrupted)
        line = f"train --dataset phantom {SMALL} --epochs 2 --teacher 2.safetensors --out run"
        assert run(line.split()) == 130
    assert "qvit train --resume run" in capsys.readouterr().out
    (tmp_path / "2.safetensors").rename(tmp_path / "moved.safetensors")
    assert run(["train", "--resume", "run"]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert run(["train", "--resume", "run", "--teacher", "5.safetensors"]) == 2
    assert "begun with another teacher" in capsys.readouterr().err
    qvit("train --resume run --teacher moved.safetensors")
    assert len(history(tmp_path / "run")) == 2


def test_progress_of_the_teacher_is_drawn_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    monkeypatch.setenv("COLUMNS", "200")
    line = f"train --dataset phantom {SMALL} --epochs 1 --teacher 2.safetensors --out run"
    assert run(line.split()) == 0
    bars = capsys.readouterr().err
    assert "teacher on phantom" in bars
    assert "600/600" in bars


START = "train --dataset phantom --epochs 1 --out new"


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("--temperature 4", "--temperature has no effect without a teacher"),
        ("--pretrain-epochs 3", "--pretrain-epochs has no effect without a teacher"),
        ("--distill soft", "--distill has no effect without a teacher"),
        ("--teacher no.safetensors", "does not exist"),
        ("--teacher 2.safetensors --distill firm", "'soft' or 'hard', but got 'firm'"),
        ("--teacher 2.safetensors --alpha 2", "alpha: Input should be less than"),
        ("--teacher 2.safetensors --temperature 0", "temperature: Input should be greater than 0"),
        ("--teacher 2.safetensors --distill hard --temperature 4", "decisions have none"),
        ("--teacher 2.safetensors --pretrain-dataset phantom", "no effect without pretrain_epochs"),
        ("--teacher 2.safetensors --pretrain-epochs -1", "pretrain_epochs: Input should be"),
        ("--teacher 5.safetensors", "teacher of 2 classes for phantom"),
        ("--teacher colour.safetensors", "Expected images of shape (B, 3, 28, 28)"),
        ("--teacher 2.safetensors --model resnet18 --distill hard", "no distillation token"),
        ("--model resnet18 --heads 2", "--heads has no effect on resnet18"),
        ("--model resnet18 --backend aer-shots", "--backend has no effect on resnet18"),
        ("--model resnet", "Did you mean 'resnet18'"),
        ("--optimizer adam", "'adamw' or 'sgd', but got 'adam'"),
        ("--augment flip", "'none', 'shift' or 'modality', but got 'flip'"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(tmp_path, capsys, line, fragment):
    before = {path.name for path in tmp_path.iterdir()}
    assert run([*START.split(), *line.split()]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert fragment in said.err
    assert said.out == ""
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == before


def test_sets_of_other_channels_cannot_be_pre_trained_on(data_root, capsys):
    line = "--teacher 5.safetensors --pretrain-epochs 1 --pretrain-dataset retinamnist"
    assert run([*START.split(), *line.split(), "--data-root", str(data_root)]) == 2
    assert "but retinamnist has 3 of 28 x 28" in capsys.readouterr().err


def test_help_shows_how_to_distil(qvit):
    text = " ".join(qvit("train --help").split())
    assert "Distilled: qvit train --dataset breastmnist --teacher checkpoints/" in text
