"""What the commands do when all is well."""

import json
import os
import re
import subprocess
import sys

import pytest

import qvit_qiskit
from qvit_qiskit.cli import main, run
from qvit_qiskit.cli.app import app
from qvit_qiskit.training import load_checkpoint

SMALL = "--patch 14 --width 2 --heads 1 --subset 8"


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """The working directory is empty, and standard error no terminal."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def qvit(capsys):
    """Run a line that must succeed and say nothing on standard error; returns what it prints."""

    def call(line):
        assert run(line.split()) == 0
        said = capsys.readouterr()
        assert said.err == ""
        return said.out

    return call


COMMANDS = [command.name for command in app.registered_commands] + ["backends", "backends show"]


@pytest.mark.parametrize("line", ["", *COMMANDS])
def test_help_has_an_example(qvit, line):
    text = qvit(f"{line} --help")
    assert f"Usage: qvit {line}".rstrip() in text
    if line:
        assert re.search(rf"Example: qvit {line}\b", text)


@pytest.mark.parametrize("line", COMMANDS)
def test_examples_use_options_that_exist(qvit, line):
    text = qvit(f"{line} --help")
    example = re.search(r"Example: (qvit .*?)\n\n", text, re.DOTALL).group(1)
    options = re.findall(r"--[a-z-]+", example)
    if line == "backends":
        text = qvit("backends show --help")  # its example
    assert all(re.search(rf"^ +{option}\b", text, re.MULTILINE) for option in options)


def test_without_arguments_there_is_help(qvit):
    assert qvit("") == qvit("--help")
    for command in ("demo", "train", "evaluate", "backends"):
        assert f"\n  {command}" in qvit("")


def test_the_version(qvit):
    assert qvit("--version") == f"qvit {qvit_qiskit.__version__}\n"


def test_main_exits_with_the_code():
    for line, code in ((["--version"], 0), (["trian"], 2)):
        with pytest.raises(SystemExit) as caught:
            main(line)
        assert caught.value.code == code


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from qvit_qiskit.cli import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'torch', 'qiskit', 'qiskit_aer', 'sklearn', 'pydantic', 'numpy', 'sympy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_reader_that_goes_away_is_no_error(monkeypatch, capsys):
    def gone(*args, **options):
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", gone)
    assert run(["--version"]) == 0
    assert capsys.readouterr().err == ""


# --- backends --------------------------------------------------------------------------------


def test_backends_are_listed_with_their_files(qvit, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "few.toml").write_text('kind = "aer"\nshots = 3\nnoise = "fake_fez"')
    rows = {row["name"]: row for row in json.loads(qvit("backends --json --backends-dir mine"))}
    assert {"aer-exact", "aer-shots", "aer-boston", "fake-torino", "few"} <= rows.keys()
    few = rows["few"]
    assert (few["kind"], few["file"]) == ("aer", os.path.join("mine", "few.toml"))  # noqa: PTH118
    assert few["simulates"] == "noise of fake_fez, 3 shots"
    assert rows["fake-torino"]["kind"] == "fake"
    text = qvit("backends")
    assert "few" not in text
    assert all(word in text for word in ("aer-exact", "kind", "simulates", "file"))


def test_a_backend_is_shown_as_it_would_run(qvit):
    facts = json.loads(qvit("backends show fake-torino --qubits 3 --circuit ry-chain --json"))
    assert facts["profile"] == "fake-torino"
    assert facts["gradient"] == "none: evaluation only"
    assert "3 qubits, 2 layers" in str(facts)
    assert "fake_torino, qubits " in str(facts)
    assert "AdjointGradient" in qvit("backends show aer-exact")


# --- train and evaluate ----------------------------------------------------------------------


def test_train_then_evaluate_then_resume(qvit, tmp_path):
    line = f"train --dataset phantom {SMALL} --epochs 2 --out run"
    row = json.loads(qvit(f"{line} --json"))
    assert row["model"] == "qvit"
    assert row["epochs"] == 2
    assert row["folder"] == "run"
    assert row["interrupted"] is False
    loaded = load_checkpoint(tmp_path / "run")
    assert row["parameters"] == sum(p.numel() for p in loaded.model.parameters())
    assert row["best epoch"] == loaded.provenance["epoch"]
    assert row["val AUC"] == loaded.provenance["val_auc"]

    result = json.loads(qvit("evaluate run --backend aer-shots --subset 4 --json"))
    assert result["images"] == 4
    assert result["backend"] == "aer-shots"
    assert result["data"] == "phantom (synthetic) test"
    assert result["profile"].endswith("aer-shots.toml")
    assert 0 <= result["AUC"] <= 1
    assert 0 <= result["ACC"] <= 1
    assert json.loads(qvit("evaluate run --split val --json"))["images"] == 120
    one = json.loads(qvit("evaluate run/best.safetensors --subset 1 --dataset phantom --json"))
    assert one["AUC"] is None  # one image has no AUC, and JSON no NaN

    again = json.loads(qvit("train --resume run --json"))
    assert (again["epochs"], again["val AUC"]) == (2, row["val AUC"])


def test_what_a_person_reads(qvit, tmp_path):
    text = qvit(f"train --dataset phantom {SMALL} --epochs 1")
    assert "val AUC" in text
    assert "qvit evaluate checkpoints/phantom-qvit-seed0 --backend aer-shots" in text
    text = qvit("evaluate checkpoints/phantom-qvit-seed0 --subset 2")
    assert "phantom" in text
    assert "synthetic" in text
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_each_training_gets_a_folder_of_its_own(qvit, tmp_path):
    for model in ("vit", "vit", "vit-matched"):
        qvit(f"train --dataset phantom {SMALL} --epochs 1 --model {model}")
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"phantom-vit-seed0", "phantom-vit-seed0-2", "phantom-vit-matched-seed0"}
    matched = load_checkpoint(tmp_path / "checkpoints" / "phantom-vit-matched-seed0").model.config
    plain = load_checkpoint(tmp_path / "checkpoints" / "phantom-vit-seed0").model.config
    assert plain.projection == matched.projection == "linear"


def test_every_option_of_train_arrives(qvit, tmp_path):
    qvit(
        "train --dataset Phantom --model qvit --width 4 --heads 2 --depth 2 --patch 14 --pool cls "
        "--position learned --stem patch --mlp-ratio 0.5 --augment shift --circuit ry-chain "
        "--layers 1 --backend aer-spsa "
        "--epochs 1 --batch-size 4 --learning-rate 0.02 --weight-decay 0.1 --class-weights "
        "--contrast 0.1 --ema 0.9 --select last --subset 6 --threads 2 --seed 3 --out run"
    )
    settings = json.loads((tmp_path / "run" / "train.json").read_text())
    assert settings["train"] == {
        "dataset": "Phantom", "subset": 6, "backend": "aer-spsa", "epochs": 1, "batch_size": 4,
        "learning_rate": 0.02, "weight_decay": 0.1, "warmup_epochs": 2, "class_weights": True,
        "threads": 2, "seed": 3, "optimizer": "adamw", "augment": "shift", "distill": None,
        "contrast": 0.1, "ema": 0.9, "select": "last",
    }  # fmt: skip
    assert settings["model"] == {
        "channels": 1, "classes": 2, "image_size": 28, "patch_size": 14, "width": 4, "depth": 2,
        "heads": 2, "mlp_ratio": 0.5, "pool": "cls", "projection": "qnn", "circuit": "ry-chain",
        "circuit_layers": 1, "distillation_token": False, "stem": "patch",
        "stem_width": 4, "position": "learned",
    }  # fmt: skip


def test_an_interrupt_says_how_to_go_on(capsys, monkeypatch):
    import torch

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    line = f"train --dataset phantom {SMALL} --epochs 3 --out run"
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.CrossEntropyLoss, "forward", interrupted)
        assert run(line.split()) == 130
        assert run(["demo", "--out", "demo"]) == 130
    said = capsys.readouterr()
    assert "qvit train --resume run" in said.out
    assert run(["evaluate", "run", "--subset", "2"]) == 0
    assert run(["train", "--resume", "run"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr("qvit_qiskit.data.load", interrupted)
        assert run(["evaluate", "run"]) == 130
        patch.setattr("typer.main.get_command", interrupted)
        assert run(["evaluate", "run"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_progress_is_drawn_on_a_terminal_only(capsys, monkeypatch):
    line = f"train --dataset phantom {SMALL} --epochs 2 --out run"
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    monkeypatch.setenv("COLUMNS", "200")
    assert run(line.split()) == 0
    bar = capsys.readouterr().err
    assert "qvit on phantom" in bar
    assert re.search(r"loss \d\.\d+ +AUC \d\.\d+", bar)
    assert "2/2" in bar
    assert re.search(r"\d\d:\d\d\S* left", bar)
    assert run(["evaluate", "run", "--subset", "4"]) == 0
    assert "phantom test on aer-exact" in capsys.readouterr().err


def test_demo_climbs_the_ladder(qvit, tmp_path):
    result = json.loads(qvit("demo --epochs 1 --images 2 --out run --json"))
    rungs = {row["rung"]: row for row in result["rungs"]}
    assert list(rungs) == ["exact", "shot noise", "device noise"]
    assert rungs["exact"]["agrees with exact"] == 1.0
    assert result["folder"] == "run"
    assert load_checkpoint(tmp_path / "run").provenance["synthetic"] is True
    page = (tmp_path / result["report"]).read_text()
    assert "loss of AUC" in page


def test_demo_says_that_its_images_are_synthetic(qvit):
    text = qvit("demo --epochs 1 --images 2")
    assert "on synthetic images for 1 epoch " in text
    assert "qvit evaluate checkpoints/demo --backend fake-boston" in text
    assert "device noise" in text


# --- official files --------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "shape"), [("breastmnist", (1, 2)), ("retinamnist", (3, 5))])
def test_official_files(qvit, data_root, tmp_path, name, shape):
    if not (data_root / f"{name}.npz").exists():
        pytest.skip(f"needs the official {name}.npz in QVIT_DATA_ROOT")
    line = f"--subset 20 --data-root {data_root} --json"
    row = json.loads(qvit(f"train --dataset {name} {SMALL} --epochs 1 --out run {line}"))
    assert row["epochs"] == 1
    loaded = load_checkpoint(tmp_path / "run")
    assert (loaded.model.config.channels, loaded.model.config.classes) == shape
    assert loaded.provenance["synthetic"] is False
    result = json.loads(qvit(f"evaluate run {line}"))
    assert result["data"] == f"{name} test"
    assert result["images"] == 20


def test_resume_refuses_options_it_would_ignore(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--resume", "somewhere", "--epochs", "100"]) == 2
    assert "--epochs has no effect" in capsys.readouterr().err


def test_profiles_of_another_folder_train(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "quick.toml").write_text('kind = "aer"\nprecision = "single"\n')
    options = ["--backends-dir", "mine", "--backend", "quick", "--patch", "14", "--subset", "8"]
    line = ["train", "--dataset", "phantom", "--epochs", "1", "--out", "here", *options]
    assert run(line) == 0
    assert run(["train", "--resume", "here", "--backends-dir", "mine"]) == 0
    assert run(["train", "--resume", "here"]) == 2
    assert "quick" in capsys.readouterr().err


def test_too_many_qubits_are_refused(capsys):
    assert run(["backends", "show", "aer-exact", "--qubits", "40"]) == 2
    assert "at most 24 qubits" in capsys.readouterr().err
