import json
import os
import platform
from importlib.metadata import version

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import CheckpointError
from qvit_qiskit.models import ResNetConfig, ViTConfig, build_model
from qvit_qiskit.training import (
    TrainConfig,
    checkpoint,
    fit,
    load_checkpoint,
    resume,
    save_checkpoint,
)

CONFIG = ViTConfig(width=2, heads=1, patch_size=14)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, build_model(CONFIG, seed=1), {"dataset": "phantom"})
    return path


def change(path, **changes):
    """Rewrite some of a checkpoint's metadata; `None` drops a key."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | changes
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {k: v for k, v in metadata.items() if v is not None})


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        ViTConfig(projection="linear", pool="cls", depth=2, channels=3, classes=4),
        CONFIG.model_copy(update={"distillation_token": True}),
        ResNetConfig(width=2, blocks=(1, 2), channels=3, classes=4),
    ],
)
def test_a_checkpoint_is_read_back_to_the_bit(tmp_path, config):
    model = build_model(config, seed=7)
    model.train()(torch.rand(4, config.channels, 28, 28))  # where there are norms of a batch
    model.eval()
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, {"note": "ü"})
    loaded = load_checkpoint(str(path))
    assert loaded.model.config == config
    assert loaded.path == path
    assert loaded.provenance["note"] == "ü"
    assert not loaded.model.training
    stored, original = loaded.model.state_dict(), model.state_dict()
    assert stored.keys() == original.keys()
    assert all(torch.equal(stored[name], original[name]) for name in original)
    image = torch.linspace(-1, 1, config.channels * 784).reshape(1, config.channels, 28, 28)
    assert torch.equal(loaded.model(image), model(image))


def test_it_says_where_it_came_from_and_nothing_of_the_environment(tmp_path, monkeypatch):
    secret = "s3cr3t-0123456789"
    monkeypatch.setenv("QISKIT_IBM_TOKEN", secret)
    monkeypatch.setenv("HOME", f"/home/{secret}")
    data = phantom(sizes=(8, 4, 4))
    fit(CONFIG, TrainConfig(epochs=1, seed=5), data, folder=tmp_path)
    provenance = load_checkpoint(tmp_path).provenance
    assert provenance["dataset"] == "phantom"
    assert provenance["md5"] == data.md5
    assert provenance["synthetic"] is True
    assert TrainConfig(**provenance["train"]) == TrainConfig(epochs=1, seed=5)
    assert provenance["epoch"] == 1
    assert {"val_auc", "val_acc"} < provenance.keys()
    found = provenance["versions"]
    assert found["python"] == platform.python_version()
    for package in ("torch", "qiskit", "qiskit-aer", "qvit-qiskit"):
        assert found[package] == version(package)
    for path in tmp_path.iterdir():
        assert secret.encode() not in path.read_bytes(), path
        assert os.environ["PATH"].encode() not in path.read_bytes(), path


@pytest.mark.parametrize("answer", ["commit", "no git", "no checkout"])
def test_the_git_commit_is_noted_where_there_is_one(monkeypatch, tmp_path, answer):
    def run(command, **options):
        if answer == "no git":
            raise FileNotFoundError("git")
        return checkpoint.subprocess.CompletedProcess(command, 0, stdout="abc123\n")

    package = tmp_path / "package"
    (package / "training").mkdir(parents=True)
    if answer != "no checkout":
        (tmp_path / ".git").mkdir()
    monkeypatch.setattr(checkpoint, "__file__", str(package / "training" / "checkpoint.py"))
    monkeypatch.setattr(checkpoint.subprocess, "run", run)
    assert checkpoint.versions().get("git") == ("abc123" if answer == "commit" else None)


def test_a_checkpoint_from_before_there_were_kinds_is_a_vit(tmp_path):
    path = tmp_path / "model.safetensors"
    config = CONFIG.model_copy(update={"stem": "patch", "position": "learned"})
    save_checkpoint(path, build_model(config, seed=1), {"dataset": "phantom"})
    old = json.loads(config.model_dump_json())
    for option in ("distillation_token", "stem", "stem_width", "position"):
        del old[option]
    change(path, kind=None, config=json.dumps(old))
    assert load_checkpoint(path).model.config == config


def test_a_training_folder_stands_for_its_best_checkpoint(saved):
    saved.rename(saved.with_name("best.safetensors"))
    assert load_checkpoint(saved.parent).path == saved.with_name("best.safetensors")


# --- what cannot be read ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no.safetensors", "."])
def test_a_missing_checkpoint_is_answered_with_what_to_give(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"does not exist. Give a \.safetensors file, a"):
        load_checkpoint(tmp_path / name)


@pytest.mark.parametrize("damage", ["cut", "tail", "text", "empty", "header"])
def test_damaged_files_are_refused(saved, damage):
    raw = saved.read_bytes()
    contents = {
        "cut": raw[:100],
        "tail": raw[:-8],
        "text": b"no safetensors file at all",
        "empty": b"",
        "header": raw[:8] + b"#" + raw[9:],
    }
    saved.write_bytes(contents[damage])
    with pytest.raises(CheckpointError, match="is damaged or no safetensors file") as caught:
        load_checkpoint(saved)
    assert str(saved) in str(caught.value)


def flipped(path, rng, start=0):
    """The file with one bit flipped, at or after a byte."""
    raw = bytearray(path.read_bytes())
    raw[rng.integers(start, len(raw))] ^= 1 << rng.integers(8)
    return bytes(raw)


def test_one_flipped_bit_of_the_weights_is_refused(saved, rng):
    whole = saved.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(100):
        saved.write_bytes(flipped(saved, rng, header))
        with pytest.raises(CheckpointError, match="its weights are not those") as caught:
            load_checkpoint(saved)
        assert str(caught.value).endswith("restore a copy.")
        saved.write_bytes(whole)
    load_checkpoint(saved)


def test_weights_under_another_name_or_shape_have_another_digest():
    kinds = [torch.float32, torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.complex64]
    tensors = {str(kind): torch.ones(2, 3).to(kind) for kind in kinds}
    tensors |= {
        "none": torch.zeros(0, 3),
        "scalar": torch.tensor(1.5),
        "strided": torch.rand(4, 4).T,
    }
    known = checkpoint.digest_of(tensors)
    assert known == checkpoint.digest_of(dict(reversed(tensors.items())))
    for name in tensors:
        others = [
            {("x" if n == name else n): t for n, t in tensors.items()},
            {n: t[None] if n == name else t for n, t in tensors.items()},
            {n: t for n, t in tensors.items() if n != name},
        ]
        assert known not in map(checkpoint.digest_of, others)
    assert known != checkpoint.digest_of(tensors | {"strided": tensors["strided"].T})


def test_a_checkpoint_without_a_digest_is_of_an_earlier_version(saved):
    change(saved, sha256=None)
    load_checkpoint(saved)


def test_a_state_with_a_flipped_bit_is_not_trained_on(tmp_path, rng):
    """Torch reads it without looking at the checksums of its archive."""
    data = phantom(sizes=(8, 4, 4))
    fit(CONFIG, TrainConfig(epochs=1), data, folder=tmp_path)
    state = tmp_path / "state.pt"
    weights = torch.load(state, weights_only=True)["model"]["head.weight"].numpy().tobytes()
    raw = bytearray(state.read_bytes())
    place = raw.find(weights)
    assert place > 0
    raw[place + rng.integers(len(weights))] ^= 1
    state.write_bytes(raw)
    with pytest.raises(CheckpointError, match="is damaged"):
        resume(tmp_path, lambda name: data)


def test_a_pickle_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trapped"),))

    torch.save(Trap(), tmp_path / "old.pt")
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load_checkpoint(tmp_path / "old.pt")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("found", [None, "qvit-checkpoint-", "qvit-checkpoint-²", "pt-1"])
def test_other_formats_are_refused(saved, found):
    change(saved, format=found)
    with pytest.raises(CheckpointError, match=f"format qvit-checkpoint-1, but .* has {found!r}"):
        load_checkpoint(saved)


def test_a_later_format_is_refused(saved):
    change(saved, format="qvit-checkpoint-99")
    with pytest.raises(CheckpointError, match=r"checkpoint of format 99, .* up to 1\. Upgrade"):
        load_checkpoint(saved)


def config_with(**changes):
    return json.dumps(CONFIG.model_dump() | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": config_with(width=4)}, "size mismatch for rows"),
        ({"config": config_with(depth=2)}, "Missing key.*blocks.1"),
        ({"config": config_with(projection="linear")}, "Missing key"),
        ({"config": config_with(widht=4)}, "Did you mean 'width'"),
        ({"config": config_with(circuit="gone")}, "Unknown circuit family 'gone'"),
        ({"config": "{"}, "Expecting property name"),
        ({"config": "[]"}, "mapping"),
        ({"config": None}, "'config'"),
        ({"kind": "resent"}, "Unknown kind of model 'resent'. Did you mean 'resnet'"),
        ({"kind": "resnet"}, "Unknown teacher option"),
        ({"provenance": None}, "'provenance'"),
        ({"provenance": "[1]"}, "dictionary"),
    ],
)
def test_contents_that_do_not_fit_are_refused_in_one_line(saved, changes, words):
    change(saved, **changes)
    with pytest.raises(CheckpointError, match=f"usable model: .*{words}.*Train again") as caught:
        load_checkpoint(saved)
    assert "\n" not in str(caught.value)


# --- writing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_save_keeps_the_old_file_and_nothing_else(saved, monkeypatch, error):
    before = saved.read_bytes()

    def half(tensors, path, metadata):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(error):
        save_checkpoint(saved, build_model(CONFIG, seed=2), {})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
