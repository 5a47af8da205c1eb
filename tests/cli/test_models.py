"""``qvit models``, ``zoo:`` names on the command line, and ``qvit train --preset``."""

import json

import pytest

from qvit_qiskit.cli import run
from qvit_qiskit.training import load_checkpoint
from qvit_qiskit.training.presets import preset
from qvit_qiskit.zoo import model_card, model_cards


@pytest.fixture
def qvit(capsys, monkeypatch, tmp_path):
    """Run a command in an empty folder; its code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(line):
        code = run(line.split())
        return code, *capsys.readouterr()

    return call


def test_the_list_says_first_what_the_names_are_for(qvit):
    code, out, _ = qvit("models")
    assert code == 0
    assert out.startswith(f"{len(model_cards())} trained models. Wherever a checkpoint is expected")
    assert max(map(len, out.splitlines())) <= 80
    line = next(line for line in out.splitlines() if " qvit-retinamnist " in line)
    cards = [one for one in model_cards() if one.name.startswith("qvit-retinamnist")]
    assert f"{cards[0].auc:.3f}" in line
    assert f"{sum(one.auc for one in cards) / len(cards):.3f}" in line
    assert f"{sum(one.acc for one in cards) / len(cards):.3f}" in line


def test_scripts_get_every_card(qvit):
    rows = json.loads(qvit("models --json")[1])
    assert len(rows) == len(model_cards())
    assert {"name", "checkpoint", "auc", "acc", "licence", "citation", "key"} <= rows[0].keys()
    one = json.loads(qvit("models vit-breastmnist-1 --json")[1])
    assert one in rows
    assert one["checkpoint"] == "zoo:vit-breastmnist-1"


def test_a_card_is_shown(qvit):
    code, out, _ = qvit("models zoo:qvit-breastmnist")
    card = model_card("qvit-breastmnist")
    assert code == 0
    assert f"{card.auc:.3f}" in out
    assert "CC BY 4.0" in out
    assert max(map(len, out.splitlines())) <= 80
    code, _, err = qvit("models qvit-breastmist")
    assert code == 2
    assert "Did you mean 'qvit-breastmnist'?" in err


def test_evaluate_takes_a_name_and_says_it(qvit, data_root):
    _, out, _ = qvit(f"evaluate zoo:vit-breastmnist --subset 20 --data-root {data_root}")
    assert out.startswith("zoo:vit-breastmnist ")
    code, _, err = qvit("evaluate zoo:breast")
    assert code == 2
    assert "`qvit models` shows them" in err


def test_a_job_goes_by_its_name(qvit, tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "mine.toml").write_text(
        'dataset = "breastmnist"\ncheckpoint = "zoo:qvit-breastmnist"\nbackend = "fake-boston"\n'
        "subset = 10\nshots = 64\nbudget_seconds = 60\n"
    )
    code, out, err = qvit("estimate mine --json")
    assert code == 0, err
    assert json.loads(out)["seconds"] > 0
    code, _, err = qvit("estimate yours")
    assert code == 2
    assert "the package (first-run, hello-hardware, retina-packed) holds examples" in err


def test_a_preset_trains_as_its_model_was_trained(qvit, data_root, tmp_path):
    line = f"train --preset qvit-breastmnist-1 --data-root {data_root} --json"
    code, out, err = qvit(f"{line} --epochs 1 --subset 16 --out run")
    assert code == 0, err
    assert json.loads(out)["epochs"] == 1
    made = load_checkpoint(tmp_path / "run")
    expected = preset("qvit-breastmnist-1").changed(train={"epochs": 1, "subset": 16})
    assert made.model.config == expected.model
    assert made.provenance["train"] == expected.train.model_dump(mode="json")


def test_a_preset_may_train_on_another_set(qvit, tmp_path):
    line = "train --preset vit-retinamnist --dataset phantom --epochs 1 --subset 8 --seed 7"
    code, _, err = qvit(line)
    assert code == 0, err
    made = load_checkpoint(tmp_path / "checkpoints" / "phantom-vit-seed7")
    config = preset("vit-retinamnist").model
    assert made.model.config == config.model_copy(
        update={key: getattr(made.model.config, key) for key in ("channels", "classes")}
    )
    assert made.provenance["train"]["seed"] == 7


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train --preset qvit-breastmnist --model vit", "Leave --model out"),
        ("train --preset qvit-breast", "Did you mean"),
        ("train --dataset phantom --teacher zoo:nothing", "Unknown trained model"),
        ("train --preset qvit-breastmnist --heads 3", "heads"),
        ("train --resume run --preset qvit-breastmnist", "--preset has no effect"),
        ("compare --checkpoint zoo:nothing", "Unknown trained model"),
    ],
)
def test_what_does_not_go_together_is_refused(qvit, line, words):
    code, _, err = qvit(line)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
