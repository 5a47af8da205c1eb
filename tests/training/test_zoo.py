"""The trained models of the package: all there, found by name, what their cards say."""

import csv
import subprocess
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from qvit_qiskit.data import facts, load, medmnist
from qvit_qiskit.exceptions import CheckpointError, ConfigError, JobError
from qvit_qiskit.models import ViTConfig
from qvit_qiskit.runs import evaluate
from qvit_qiskit.runs.job import read_written
from qvit_qiskit.study.plan import draft_cells
from qvit_qiskit.study.results.trained_models import SOURCES
from qvit_qiskit.study.spec import load_study
from qvit_qiskit.training import TrainConfig, fit, load_checkpoint, open_teacher
from qvit_qiskit.training.presets import preset
from qvit_qiskit.zoo import checkpoint_file, model_card, model_cards, model_names
from qvit_qiskit.zoo.names import FOLDER, shown_name

ROOT = Path(__file__).resolve().parents[2]
CARDS = model_cards()
SEEDS = range(5)
STUDY = ROOT / "docs" / "results" / "three-sets" / "cells.csv"


def test_there_are_two_models_of_three_sets_and_five_seeds():
    expected = {
        f"{model}-{dataset}-{seed}"
        for model in ("qvit", "vit")
        for dataset in ("breastmnist", "retinamnist", "pneumoniamnist")
        for seed in SEEDS
    }
    assert set(model_names()) == expected
    assert all((FOLDER / f"{name}.safetensors").stat().st_size < 10_240 for name in expected)


def test_they_are_in_the_repository():
    """What git ignores would be missing for whoever clones it, and in a wheel built there."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    ask = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    out = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()
    files = {Path(line).name for line in out if line.startswith("qvit_qiskit/zoo/models/")}
    assert files == {f"{name}.safetensors" for name in model_names()}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_card_is_that_of_its_model(card):
    loaded = load_checkpoint(f"zoo:{card.name}")
    origin, config = loaded.provenance, loaded.model.config
    assert (origin["dataset"], origin["train"]["seed"]) == (card.dataset, card.seed)
    assert origin["md5"] == medmnist.find(card.dataset).md5
    assert card.name == f"{card.model}-{card.dataset}-{card.seed}"
    assert config.projection == {"qvit": "qnn", "vit": "linear"}[card.model]
    assert sum(p.numel() for p in loaded.model.parameters()) == card.parameters
    assert card.licence == medmnist.find(card.dataset).license == "CC BY 4.0"
    assert (card.source, card.images) == (SOURCES[card.dataset], facts(card.dataset).sizes["test"])


def test_they_are_the_trainings_of_the_frozen_study():
    """The keys hold every option, the seed and the data: equal keys, equal trainings."""
    rows = {row["key"]: row for row in csv.DictReader(STUDY.read_text().splitlines())}
    for card in CARDS:
        row = rows[card.key]
        place = (row["set"], row["model"], row["heads"], row["qubits"], row["regime"], row["seed"])
        assert place == (card.dataset, card.model, "2", "4", "scratch", str(card.seed))


def test_their_study_and_presets_say_the_same_as_the_frozen_one():
    frozen = load_study(ROOT / "docs" / "studies" / "three-sets.toml")
    own = load_study(ROOT / "docs" / "studies" / "zoo.toml")
    cells = {cell.label: cell for cell in draft_cells(frozen)}
    for cell in draft_cells(own):
        assert (cell.config, cell.train) == (cells[cell.label].config, cells[cell.label].train)
        chosen = preset(f"{cell.model}-{cell.dataset}-{cell.seed}")
        assert (chosen.model, chosen.train) == (cell.config, cell.train)


@pytest.mark.parametrize("name", [card.name for card in CARDS if card.dataset == "breastmnist"])
def test_the_scores_are_reproduced(name, data_root):
    _reproduces(name, data_root)


@pytest.mark.check
@pytest.mark.parametrize("name", [card.name for card in CARDS if card.dataset != "breastmnist"])
def test_the_other_scores_are_reproduced(name, data_root):
    _reproduces(name, data_root)


def _reproduces(name, data_root):
    card = model_card(name)
    scores = evaluate(
        load_checkpoint(f"zoo:{name}").model, load(card.dataset, data_root).test, "aer-exact"
    ).scores
    assert (scores.auc, scores.acc) == pytest.approx((card.auc, card.acc), abs=5e-4)
    assert scores.n == card.images


@pytest.mark.soak  # a training takes a minute or so
@pytest.mark.parametrize("name", ["qvit-pneumoniamnist", "vit-breastmnist", "qvit-retinamnist"])
def test_a_preset_reaches_the_scores_of_the_seeds(name, data_root):
    """Another machine rounds otherwise, so that a training ends elsewhere, as another seed does."""
    chosen = preset(name)
    data = load(chosen.train.dataset, data_root)
    auc = evaluate(fit(chosen.model, chosen.train, data).model, data.test).scores.auc
    known = [card.auc for card in CARDS if card.name.rpartition("-")[0] == name]
    spread = 3 * np.std(known, ddof=1)
    assert np.mean(known) - spread < auc < np.mean(known) + spread


def test_a_name_without_a_seed_is_seed_0():
    assert checkpoint_file("zoo:vit-retinamnist") == checkpoint_file("zoo:vit-retinamnist-0")
    assert checkpoint_file(Path("zoo:vit-retinamnist-1")).name == "vit-retinamnist-1.safetensors"
    assert shown_name(checkpoint_file("zoo:vit-retinamnist-0")) == "zoo:vit-retinamnist"
    assert shown_name(checkpoint_file("zoo:vit-retinamnist-1")) == "zoo:vit-retinamnist-1"
    assert shown_name(Path("checkpoints/mine")) == "checkpoints/mine"
    assert model_card("zoo:qvit-breastmnist").checkpoint == "zoo:qvit-breastmnist"
    assert "CC BY 4.0" in repr(model_card("qvit-breastmnist-1"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zoo:qvit-breastnist", "Did you mean 'qvit-breastmnist'"),
        ("zoo:", "Choose from: qvit-breastmnist, qvit-pneumoniamnist"),
        ("zoo:vit-retinamnist-5", f"vit-retinamnist-{SEEDS[-1]}. `qvit models`"),
        ("zoo:../models/vit-retinamnist-0", "Unknown trained model"),
        ("zoo:qvit-retinamnist-00", "Unknown trained model"),
    ],
)
def test_an_unknown_name_lists_the_others(name, words):
    with pytest.raises(CheckpointError, match="Unknown trained model") as caught:
        load_checkpoint(name)
    assert words in str(caught.value)
    assert "qvit-breastmnist-1, qvit-breastmnist-2, vit" not in str(caught.value)


def test_job_specs_and_teachers_name_them(tmp_path):
    spec = tmp_path / "job.toml"
    text = 'dataset = "breastmnist"\nbackend = "fake-boston"\nshots = 64\nbudget_seconds = 60\n'
    spec.write_text(text + 'checkpoint = "zoo:qvit-breastmnist-1"\n')
    written = read_written(spec)
    assert written.checkpoint.path == checkpoint_file("zoo:qvit-breastmnist-1")
    assert read_written(spec, Path("zoo:qvit-breastmnist")).checkpoint.path.stem[-1] == "0"
    spec.write_text(text + 'checkpoint = "../zoo:qvit-breastmnist-1"\n')
    with pytest.raises(JobError, match="expected a path below"):
        read_written(spec)
    spec.write_text(text)
    with pytest.raises(JobError, match="`qvit models` shows trained ones"):
        read_written(spec)
    teacher = open_teacher("zoo:vit-breastmnist")
    assert teacher.digest != open_teacher("zoo:vit-breastmnist-1").digest


def test_a_preset_is_changed_field_by_field():
    chosen = preset("zoo:qvit-breastmnist-1")
    other = chosen.changed({"circuit_layers": 1}, {"epochs": 3, "dataset": "retinamnist"})
    assert (other.model.circuit_layers, other.train.epochs, other.train.seed) == (1, 3, 1)
    assert other.model == chosen.model.model_copy(update={"circuit_layers": 1})
    assert other.kind == "qvit"
    assert chosen.changed() == chosen
    assert isinstance(chosen.model, ViTConfig)
    assert isinstance(chosen.train, TrainConfig)
    with pytest.raises(ConfigError, match="circuit_layers"):
        chosen.changed({"circuit_layer": 1})


def test_a_damaged_model_is_told(tmp_path, monkeypatch):
    name = "qvit-breastmnist-0"
    (tmp_path / f"{name}.safetensors").write_bytes(b"\x01" * 20)
    monkeypatch.setattr("qvit_qiskit.zoo.names.FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match="Install qvit-qiskit again"):
        model_card(name)


def test_seeds_are_different_trainings():
    for model in ("qvit", "vit"):
        weights = [
            load_checkpoint(f"zoo:{model}-breastmnist-{seed}").model.head.weight for seed in SEEDS
        ]
        for one, other in combinations(weights, 2):
            assert not torch.equal(one, other)
