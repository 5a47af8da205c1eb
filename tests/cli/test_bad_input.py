"""A user's mistake: exit code 2, one sentence on standard error, no traceback, nothing written."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from qvit_qiskit.cli import run
from qvit_qiskit.data import load, medmnist
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.training import TrainConfig, fit, save_checkpoint

SMALL = "--dataset phantom --epochs 1 --patch 14 --width 2 --heads 1 --subset 8"

PROFILES = {
    "malformed": "kind = ",
    "binary": b"\xff\xfe\x00",
    "key": 'kind = "aer"\nshot = 3',
    "kind": 'kind = "ear"',
    "nokind": "shots = 3",
    "device": 'kind = "aer"\nnoise = "fake_bostn"',
    "fakedevice": 'kind = "fake"\ndevice = "fake_torin"',
    "zero": 'kind = "aer"\nshots = 0',
    "many": 'kind = "aer"\nshots = "many"',
    "seed": 'kind = "aer"\nseed = -1',
    "conflict": 'kind = "aer"\nengine = "aer"\nshots = 3',
    "five": 'kind = "aer"\nnoise = "fake_manila"',
    "fakefive": 'kind = "fake"\ndevice = "fake_manila"',
}

CASES = [
    # commands and options
    ("trian", "Did you mean 'train'?"),
    ("--nope", "See `qvit --help`"),
    ("train --epoch 3", "See `qvit train --help`"),
    ("train --dataset phantom --epochs many", "'--epochs'"),
    ("evaluate", "Missing argument 'checkpoint'"),
    ("backends list", "See `qvit backends --help`"),
    ("backends show", "Missing argument 'name'"),
    # models
    ("train --dataset phantom --model qvitt", "Did you mean 'qvit'?"),
    ("train --dataset phantom --circuit ry-rng", "Did you mean 'ry-ring'?"),
    ("train --dataset phantom --heads 3", "choose a width that is a multiple"),
    ("train --dataset phantom --heads 0", "heads: Input should be greater than"),
    ("train --dataset phantom --patch 5", "choose 2, 4, 7 or 14"),
    ("train --dataset phantom --pool max", "'mean', 'mean-max' or 'cls', but got 'max'"),
    ("train --dataset phantom --width 64 --heads 2", "choose a circuit of local gates (ry-chain"),
    ("train --dataset phantom --depth 0", "depth: Input should be greater than"),
    ("train --dataset phantom --layers 0", "circuit_layers: Input should be greater than"),
    ("train --dataset phantom --mlp-ratio inf", "mlp_ratio: Input should be a finite number"),
    # training
    ("train --dataset phantom --epochs 0", "epochs: Input should be greater than"),
    ("train --dataset phantom --batch-size 0", "batch_size: Input should be greater than"),
    ("train --dataset phantom --learning-rate -1", "learning_rate: Input should be greater than 0"),
    ("train --dataset phantom --learning-rate nan", "but got nan"),
    ("train --dataset phantom --weight-decay inf", "weight_decay: Input should be a finite"),
    ("train --dataset phantom --seed -1", "seed: Input should be greater than"),
    ("train --dataset phantom --seed 99999999999999999999", "seed: Input should be less than"),
    ("train --dataset phantom --subset 1", "subset: Input should be greater than"),
    ("train --dataset phantom --subset 100000", "subset of 1 to 600 images, got 100000"),
    (f"train {SMALL} --batch-size 4 --weight-decay 1e38 --out new", "ower the learning rate"),
    (f"train {SMALL} --batch-size 4 --weight-decay 1e38 --out new --model vit", "Lower --learning"),
    ("demo --epochs 0", "See `qvit demo --help`"),
    ("demo --epochs 200000", "epochs: Input should be less than or equal"),
    ("demo --images 1", "See `qvit demo --help`"),
    # data
    ("train", "Expected --dataset"),
    ("train --dataset retinmnist", "did you mean 'retinamnist'?"),
    ("train --dataset breastmnist_63", "did you mean"),
    ("train --dataset nodulemnist3d", "Choose one of pathmnist"),
    ("train --dataset breastmnist --data-root data/text", "Delete the file and download it again"),
    ("train --dataset breastmnist --data-root data/md5", "Delete the file and download it again"),
    ("train --dataset breastmnist --data-root data/empty", "or use the embedded synthetic set"),
    ("train --dataset breastmnist --data-root text.safetensors", "into the folder"),
    # backends
    ("train --dataset phantom --backend aer-exct", "Did you mean 'aer-exact'?"),
    ("train --dataset phantom --backend fake-torino", "Train on a profile of kind 'aer'"),
    ("train --dataset phantom --backend no.toml", "profile file no.toml does not exist"),
    ("train --dataset phantom --backend malformed.toml", "malformed.toml is not valid TOML"),
    ("train --dataset phantom --backend binary.toml", "Cannot read the profile binary.toml"),
    ("train --dataset phantom --backend key.toml", "Did you mean 'shots'?"),
    ("train --dataset phantom --backend kind.toml", "Did you mean 'aer'?"),
    ("train --dataset phantom --backend nokind.toml", "Choose from: aer, fake"),
    ("train --dataset phantom --backend device.toml", "Did you mean 'fake_boston'?"),
    ("backends show fakedevice.toml", "Did you mean 'fake_torino'?"),
    ("train --dataset phantom --backend zero.toml", "shots: Input should be greater than"),
    ("train --dataset phantom --backend many.toml", "shots: Input should be a valid integer"),
    ("train --dataset phantom --backend seed.toml", "seed: Input should be greater than"),
    ("train --dataset phantom --backend conflict.toml", "remove shots and noise"),
    ("backends --backends-dir no", "Create it or unset it"),
    ("backends show nothing", "Choose from: aer-boston"),
    ("backends show aer-exact --qubits 0", "at least one qubit"),
    ("backends show aer-exact --layers -1", "at least one qubit and one layer"),
    ("backends show aer-exact --circuit ring", "Choose from: "),
    ("backends show fake-boston --qubits 200", "Choose a larger device"),
    ("backends show fakefive.toml --qubits 8", "Choose a larger device"),
    (f"train {SMALL} --width 8 --backend five.toml --out new", "Choose a larger device"),
    ("evaluate wide.safetensors --subset 2 --backend five.toml", "or a narrower model"),
    ("evaluate wide.safetensors --subset 2 --backend fakefive.toml", "or a narrower model"),
    # checkpoints
    ("evaluate no.safetensors", "Give a .safetensors file, a training folder"),
    ("evaluate data", "Give a .safetensors file, a training folder"),
    ("evaluate cut.safetensors", "is damaged or no safetensors file"),
    ("evaluate text.safetensors", "is damaged or no safetensors file"),
    ("evaluate plain.safetensors", "Save it with qvit_qiskit.save_checkpoint"),
    ("evaluate shape.safetensors", "size mismatch"),
    ("evaluate unsaid.safetensors", "Name a data set with --dataset"),
    ("evaluate other.safetensors", "Point --data-root at the original file"),
    ("evaluate good.safetensors --split tset", "train, val and test, got 'tset'"),
    ("evaluate good.safetensors --subset 0", "Choose a size within the split"),
    ("evaluate good.safetensors --subset 201", "Choose a size within the split"),
    ("evaluate good.safetensors --subset 2 --seed -1", "seed of 0 or more"),
    ("evaluate good.safetensors --batch-size 0", "See `qvit evaluate --help`"),
    ("evaluate good.safetensors --backend fake-trino", "Did you mean 'fake-torino'?"),
    ("evaluate good.safetensors --backends-dir no", "Create it or unset it"),
    ("evaluate good.safetensors --dataset breast", "did you mean 'breastmnist'?"),
    ("evaluate colour.safetensors --dataset phantom", "Train a model on it first"),
    # folders
    ("train --resume no", "Give the --out folder of `qvit train`"),
    ("train --resume data", "Give the --out folder of `qvit train`"),
    ("train --resume broken", "train again into another --out"),
    ("train --resume elsewhere", "Point --data-root at the original file"),
    (f"train {SMALL} --out trained", "Continue it with --resume trained"),
    (f"train {SMALL} --out good.safetensors", "File exists (good.safetensors). Check the path"),
    (f"train {SMALL} --out good.safetensors/x", "Check the path"),
    ("demo --epochs 1 --images 2 --out trained", "choose another --out"),
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder with everything that the cases speak of."""
    folder = tmp_path_factory.mktemp("shelf")
    for name, text in PROFILES.items():
        raw = text if isinstance(text, bytes) else text.encode()
        (folder / f"{name}.toml").write_bytes(raw)
    for name in ("text", "md5", "empty"):
        (folder / "data" / name).mkdir(parents=True)
    (folder / "data" / "text" / "breastmnist.npz").write_text("<html>404</html>")
    (folder / "data" / "md5" / "breastmnist.npz").write_bytes(b"PK\x05\x06" + bytes(18))
    small = {"width": 2, "heads": 1, "patch_size": 14}
    phantom = load("phantom")
    made_with = {"dataset": "phantom", "md5": phantom.md5}

    def checkpoint(name, provenance, **changes):
        model = build_model(ViTConfig(**small | changes), seed=0)
        save_checkpoint(folder / f"{name}.safetensors", model, provenance)

    checkpoint("good", made_with)
    checkpoint("wide", made_with, width=8)
    checkpoint("colour", made_with, channels=3)
    checkpoint("unsaid", {})
    checkpoint("other", made_with | {"md5": "0" * 32})
    good = folder / "good.safetensors"
    (folder / "cut.safetensors").write_bytes(good.read_bytes()[:-100])
    (folder / "text.safetensors").write_text("no safetensors file")
    save_file({"a": torch.zeros(2)}, folder / "plain.safetensors")
    with safe_open(good, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    wider = metadata | {"config": metadata["config"].replace('"width":2', '"width":4')}
    save_file(tensors, folder / "shape.safetensors", wider)

    trained = folder / "trained"
    fit(ViTConfig(**small), TrainConfig(epochs=1, subset=8), phantom, folder=trained)
    for name in ("broken", "elsewhere"):
        shutil.copytree(trained, folder / name)
    (folder / "broken" / "state.pt").write_bytes(b"half")
    settings = json.loads((trained / "train.json").read_text())
    (folder / "elsewhere" / "train.json").write_text(json.dumps(settings | {"md5": "0" * 32}))
    return folder


@pytest.fixture
def place(shelf, tmp_path, monkeypatch):
    """A copy of the shelf as the working directory; downloads are refused."""
    place = tmp_path / "place"
    shutil.copytree(shelf, place)
    monkeypatch.chdir(place)
    monkeypatch.delenv("QVIT_DATA_ROOT", raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    pretend(monkeypatch, url="http://127.0.0.1:1/breastmnist.npz")
    return place


def pretend(monkeypatch, **changes):
    info = dataclasses.replace(medmnist.INFO["breastmnist"], **changes)
    monkeypatch.setitem(medmnist.INFO, "breastmnist", info)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def one_sentence(text, fragment):
    assert text.startswith("error: ")
    assert text.endswith(".\n")
    assert text.count("\n") == 1
    assert fragment in text
    assert "Traceback" not in text


@pytest.mark.parametrize(("line", "fragment"), CASES, ids=[line for line, _ in CASES])
def test_a_mistake_is_one_sentence_with_the_next_step(place, capsys, line, fragment):
    before = contents(place)
    assert run(line.split()) == 2
    said = capsys.readouterr()
    one_sentence(said.err, fragment)
    assert said.out == ""
    assert contents(place) == before


def test_a_damaged_npz_with_the_right_sum(place, capsys, monkeypatch):
    path = place / "data" / "md5" / "breastmnist.npz"
    pretend(monkeypatch, md5=hashlib.md5(path.read_bytes()).hexdigest())
    before = contents(place)
    assert run(["train", "--dataset", "breastmnist", "--data-root", "data/md5"]) == 2
    one_sentence(capsys.readouterr().err, "Expected the six arrays of BreastMNIST")
    assert contents(place) == before


def test_offline_without_a_data_root(place, capsys):
    before = contents(place)
    assert run(["train", "--dataset", "breastmnist"]) == 2
    folder = place / "data" / "medmnist"
    one_sentence(capsys.readouterr().err, f"into the folder {folder} as breastmnist.npz")
    assert contents(place) == before | {"data/medmnist": None}  # ready for the file


def test_a_data_set_that_does_not_fit_the_checkpoint(place, capsys, data_root):
    arguments = ["evaluate", "good.safetensors", "--dataset", "retinamnist"]
    assert run([*arguments, "--data-root", str(data_root)]) == 2
    one_sentence(capsys.readouterr().err, "retinamnist has 3 and 5. Train a model on it first")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place(place, capsys):
    closed = place / "closed"
    closed.mkdir(mode=0o555)
    assert run(["train", *SMALL.split(), "--out", "closed/new"]) == 2
    one_sentence(capsys.readouterr().err, "Permission denied (closed/new). Check the path")


def test_a_full_disk(place, capsys, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    assert run(["train", *SMALL.split(), "--out", "new"]) == 2
    one_sentence(capsys.readouterr().err, "No space left on device. Check the path")
    assert not [name for name in contents(place) if "/." in name]


def test_one_bad_profile_does_not_hide_the_others(place, capsys):
    assert run(["backends", "--backends-dir", ".", "--json"]) == 2
    said = capsys.readouterr()
    one_sentence(said.err, "zero.toml: shots: Input should be greater than")
    names = [row["name"] for row in json.loads(said.out)]
    assert {"aer-exact", "fake-torino", "five"} <= set(names)
    assert not {"zero", "malformed"} & set(names)


def test_a_folder_named_by_the_environment(place, capsys, monkeypatch):
    monkeypatch.setenv("QVIT_BACKENDS", "no")
    assert run(["backends"]) == 2
    one_sentence(capsys.readouterr().err, "Create it or unset it")


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("trian", "Did you mean 'train'?"),
        ("train --dataset phantom --heads 3", "choose a width"),
        ("backends --backends-dir no", "Create it or unset it"),
    ],
)
def test_the_process_itself(place, line, fragment):
    before = contents(place)
    command = [sys.executable, "-c", "from qvit_qiskit.cli import main; main()", *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    one_sentence(done.stderr, fragment)
    assert done.stdout == ""
    assert contents(place) == before
