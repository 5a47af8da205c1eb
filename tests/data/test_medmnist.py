import dataclasses
import hashlib
import http.server
import importlib.util
import os
import subprocess
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from qvit_qiskit.data import medmnist
from qvit_qiskit.data.medmnist import INFO, find, load_medmnist, load_npz
from qvit_qiskit.exceptions import DataError


def arrays(name, rng, n=6):
    """The six arrays of a tiny file in the official format."""
    info = INFO[name]
    shape = (n, info.side, info.side) if info.channels == 1 else (n, info.side, info.side, 3)
    made = {}
    for word in ("train", "val", "test"):
        made[f"{word}_images"] = rng.integers(0, 256, shape, dtype=np.uint8)
        count = len(info.class_names)
        labels = rng.integers(0, count, (n, 1), dtype=np.uint8)
        if info.multi_label:
            labels = rng.integers(0, 2, (n, count), dtype=np.uint8)
        made[f"{word}_labels"] = labels
    return made


def write(folder, name, rng, **changes):
    path = folder / f"{name}.npz"
    np.savez(path, **{k: v for k, v in (arrays(name, rng) | changes).items() if v is not None})
    return path


# --- names -----------------------------------------------------------------------------------


def test_twelve_sets_are_known_in_four_sizes_and_one_is_multi_label():
    assert len(medmnist.names()) == 12
    assert len(INFO) == 48
    assert [name for name in medmnist.names() if INFO[name].multi_label] == ["chestmnist"]
    assert INFO["retinamnist"].sizes == {"train": 1080, "val": 120, "test": 400}
    assert INFO["dermamnist"].license == "CC BY-NC 4.0"


@pytest.mark.parametrize("name", ["retinamnist", "RetinaMNIST", "RETINAMNIST", " RetinaMnist "])
def test_any_case_is_accepted(name):
    assert find(name) is INFO["retinamnist"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("retinmnist", "did you mean 'retinamnist'"),
        ("breast", "did you mean 'breastmnist'"),
        ("phantm", "did you mean 'phantom'"),
        ("", "Choose one of pathmnist, "),
        ("NoduleMNIST3D", "NoduleMNIST3D holds volumes"),
        ("organmnist3d_64", "holds volumes"),
        ("breastmnist_63", "did you mean"),
    ],
)
def test_other_names_are_answered_with_the_next_step(name, words):
    with pytest.raises(DataError, match=words):
        find(name)


def test_a_size_chooses_the_file():
    larger = find("BreastMNIST", 64)
    assert larger is find("breastmnist_64") is find("breastmnist_64", 64)
    assert larger.url.endswith("breastmnist_64.npz?download=1")
    assert (larger.side, len(larger.md5)) == (64, 32)
    assert larger.md5 != find("breastmnist", 28).md5
    with pytest.raises(DataError, match="28, 64, 128, 224 pixels, got 32"):
        find("breastmnist", 32)
    with pytest.raises(DataError, match="contradict"):
        find("breastmnist_64", 128)
    with pytest.raises(DataError, match="holds volumes"):
        find("nodulemnist3d", 64)


@pytest.mark.parametrize("text", [None, "", "INFO = {'a': open('b')}", "INFO = {'a': {}}"])
def test_an_unreadable_medmnist_package_is_said_so(monkeypatch, tmp_path, text):
    spec = None
    if text is not None:
        (tmp_path / "info.py").write_text(text)
        spec = importlib.util.spec_from_file_location("medmnist", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match="pip install 'medmnist>=3"):
        medmnist._read_info()  # noqa: SLF001 - a step that nothing public does alone


# --- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*medmnist.names(), "breastmnist_64", "retinamnist_128"])
def test_every_set_loads(tmp_path, rng, name):
    path = write(tmp_path, name, rng)
    data = load_npz(path, name, check_md5=False)
    assert data.name == name
    assert (data.num_classes, data.channels) == (len(INFO[name].class_names), INFO[name].channels)
    assert data.val.labels.shape == ((6, 14) if data.multi_label else (6,))
    assert data.test.tensors()[0].shape == (6, data.channels, data.side, data.side)
    assert not data.own
    assert data.md5 == hashlib.md5(path.read_bytes()).hexdigest()
    assert not data.synthetic


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"val_labels": None}, "val_labels"),
        ({"test_images": np.zeros((6, 64, 64), np.uint8)}, r"\(6, 64, 64\)"),
        ({"test_images": np.zeros((6, 28, 28, 3), np.uint8)}, "1 channel"),
        ({"train_images": np.zeros((6, 28, 28))}, "uint8 array, got float64"),
        ({"train_labels": np.zeros((6, 1))}, "integer labels"),
        ({"train_labels": np.zeros((6, 14), np.uint8)}, r"\(6, 14\)"),
        ({"train_labels": np.zeros((5, 1), np.uint8)}, "one per image"),
        ({"train_labels": np.full((6, 1), 2, np.uint8)}, "labels 0…1"),
        ({"train_images": np.array([{"a": 1}] * 6)}, "allow_pickle=False"),
    ],
)
def test_wrong_contents_are_refused(tmp_path, rng, changes, words):
    path = write(tmp_path, "breastmnist", rng, **changes)
    with pytest.raises(DataError, match=words):
        load_npz(path, "breastmnist", check_md5=False)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "npy", "other zip"])
def test_damaged_files_are_refused(tmp_path, rng, damage):
    path = write(tmp_path, "breastmnist", rng)
    raw = bytearray(path.read_bytes())
    if damage == "other zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("train_images.npy", "no array")
    elif damage == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        flipped = raw.copy()
        flipped[3000] ^= 255
        contents = {"empty": b"", "text": b"<html>", "cut": raw[:9000], "flipped": flipped}
        path.write_bytes(contents[damage])
    with pytest.raises(DataError, match=r"breastmnist\.npz, got: .*Delete the file"):
        load_npz(path, "breastmnist", check_md5=False)


def test_a_wrong_md5_names_file_and_both_sums(tmp_path, rng):
    path = write(tmp_path, "breastmnist", rng)
    with pytest.raises(DataError, match="Delete the file and download it again") as caught:
        load_medmnist("BreastMNIST", tmp_path)
    for word in (path, INFO["breastmnist"].md5, hashlib.md5(path.read_bytes()).hexdigest()):
        assert str(word) in str(caught.value)
    assert path.exists()


def test_a_missing_file_is_answered_with_url_folder_and_phantom(tmp_path):
    for call in (
        partial(load_medmnist, "bloodmnist", tmp_path / "no", download=False),
        partial(load_npz, tmp_path / "no" / "bloodmnist.npz", "bloodmnist"),
    ):
        with pytest.raises(DataError) as caught:
            call()
        for word in (INFO["bloodmnist"].url, tmp_path / "no", "--dataset phantom"):
            assert str(word) in str(caught.value)
    assert not (tmp_path / "no").exists()


def test_the_root_is_argument_then_variable_then_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QVIT_DATA_ROOT", raising=False)
    assert medmnist.data_root() == tmp_path / "data" / "medmnist"
    monkeypatch.setenv("QVIT_DATA_ROOT", "")
    assert medmnist.data_root() == tmp_path / "data" / "medmnist"
    monkeypatch.setenv("QVIT_DATA_ROOT", str(tmp_path / "there"))
    assert medmnist.data_root() == tmp_path / "there"
    assert medmnist.data_root(Path("here")) == tmp_path / "here"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["breastmnist", "retinamnist", "pneumoniamnist"])
def test_official_files(name):
    root = os.environ.get("QVIT_DATA_ROOT")
    if not root or not Path(root, f"{name}.npz").exists():
        pytest.skip(f"needs the official {name}.npz in QVIT_DATA_ROOT")
    data = load_medmnist(name, download=False)
    assert {word: len(data.split(word)) for word in INFO[name].sizes} == INFO[name].sizes
    assert data.md5 == INFO[name].md5


def test_nothing_is_written_to_the_home_folder(tmp_path, rng):
    home, root = tmp_path / "home", tmp_path / "root"
    home.mkdir()
    root.mkdir()
    path = write(root, "breastmnist", rng)
    code = (
        "import sys, qvit_qiskit.data as data\n"
        "from qvit_qiskit.data.medmnist import load_npz\n"
        f"load_npz({str(path)!r}, 'breastmnist', check_md5=False)\n"
        "data.load('phantom')\n"
        "assert not {'medmnist', 'pooch', 'requests', 'torch', 'sklearn'} & set(sys.modules)\n"
    )
    environment = os.environ | {"HOME": str(home), "USERPROFILE": str(home)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    assert list(home.iterdir()) == []


# --- downloads -------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, rng, monkeypatch):
    """A tiny BreastMNIST on a loopback server, which `INFO` names as the official one."""
    folder = tmp_path / "served"
    folder.mkdir()
    path = write(folder, "breastmnist", rng)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        pretend(
            monkeypatch,
            url=f"http://127.0.0.1:{server.server_port}/breastmnist.npz?download=1",
            md5=hashlib.md5(path.read_bytes()).hexdigest(),
        )
        yield path
        server.shutdown()


def pretend(monkeypatch, **changes):
    info = dataclasses.replace(INFO["breastmnist"], **changes)
    monkeypatch.setitem(INFO, "breastmnist", info)


def test_an_absent_file_is_downloaded_once(served, tmp_path, monkeypatch, caplog):
    root = tmp_path / "new" / "root"
    with caplog.at_level("INFO", logger="qvit_qiskit"):
        data = load_medmnist("BreastMNIST", root, progress=False)
    assert str(root / "breastmnist.npz") in caplog.text
    assert [path.name for path in root.iterdir()] == ["breastmnist.npz"]
    pretend(monkeypatch, url="http://127.0.0.1:1/breastmnist.npz")
    assert load_medmnist("BreastMNIST", root).md5 == data.md5


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_is_drawn_on_request(served, tmp_path, capfd, progress):
    load_medmnist("BreastMNIST", tmp_path / "root", progress=progress)
    assert ("100%" in capfd.readouterr().err) is progress


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"md5": "0" * 32}, "does not match the known hash"),
        ({"url": "http://127.0.0.1:1/breastmnist.npz"}, "got: no connection. Download"),
        ({"url": "no-protocol"}, "Unrecognized URL protocol"),
    ],
)
def test_a_failed_download_leaves_nothing(served, tmp_path, monkeypatch, changes, words):
    pretend(monkeypatch, **changes)
    root = tmp_path / "root"
    with pytest.raises(DataError, match=words) as caught:
        load_medmnist("breastmnist", root)
    assert str(root) in str(caught.value)
    assert "--dataset phantom" in str(caught.value)
    assert not root.exists() or list(root.iterdir()) == []


def test_an_answer_without_the_file_leaves_nothing(served, tmp_path):
    served.unlink()
    with pytest.raises(DataError, match="404"):
        load_medmnist("breastmnist", tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


def test_a_connection_that_breaks_leaves_nothing(served, tmp_path, monkeypatch):
    def cut(self, source, target):
        target.write(source.read(100))

    monkeypatch.setattr(Quiet, "copyfile", cut)
    with pytest.raises(DataError, match="--dataset phantom"):
        load_medmnist("breastmnist", tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []
