"""Small studies for the tests: specs as text, and folders with made-up results."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from qvit_qiskit.hardware.journal import pack_arrays
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.plan import Places, Plan, draft_cells
from qvit_qiskit.study.profiles import Profile
from qvit_qiskit.study.running.session import as_dict
from qvit_qiskit.study.spec import known_set, load_study

TINY = {
    "datasets": ["phantom"],
    "heads": [1],
    "qubits": [2],
    "seeds": [0, 1],
    "models": {"qvit": {"patch_size": 14}, "vit": {"patch_size": 14, "matched": True}},
    "training": {"epochs": 2, "subset": 8, "batch_size": 4},
}
"""Four cells of a second."""


EPOCHS = 40
"""Of cells that can be caught half-trained."""


def epochs(history: Path) -> list[str]:
    """The lines of a training's history, one for each epoch."""
    return history.read_text().splitlines()[1:] if history.exists() else []


def toml(value):
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def write_spec(path: Path, **changes) -> Path:
    """A spec: `TINY` with other keys; ``None`` leaves one out."""
    told = {key: value for key, value in (TINY | changes).items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in told.items()))
    return path


def made_up(path: Path, folder: Path, answers, unfinished=()) -> Plan:
    """A folder in which every cell has the logits that ``answers(cell)`` makes up.

    Args:
        path: The spec.
        folder: To be written.
        answers: From a cell to labels (n,) and logits (n, classes).
        unfinished: Labels of cells without a result.
    """
    spec = load_study(path)
    profiles = tuple(Profile(name, f"digest of {name}", None) for name in spec.profiles)
    plan = Plan(path, spec, tuple(draft_cells(spec)), profiles, Places())
    place = StudyFolder(folder)
    (folder / "cells").mkdir(parents=True)
    place.write_plan(path.read_text(), as_dict(plan))
    for cell in plan.cells:
        if cell.label in unfinished:
            continue
        own = place.cell(cell.key)
        own.mkdir()
        labels, logits = answers(cell)
        (own / "logits.npz").write_bytes(pack_arrays({"labels": labels, "logits": logits}))
        result = {
            "key": cell.key,
            "history": {
                "epochs": 3,
                "seconds": 10.0 + cell.seed,
                "best": {"epoch": 2, "val_auc": 0.75 + cell.seed / 100, "val_acc": 0.5},
            },
            "cost": {
                "parameters": 900 + cell.heads, "quantum_parameters": 20, "circuits": 48,
                "classical_flops": 10_000, "simulation_flops": 20_000,
            },
            "versions": {
                "git": "c0ffee", "qvit-qiskit": "0.1.0", "qiskit": "2", "qiskit-aer": "0.18",
                "torch": "2",
            },
            "evaluations": [
                {
                    "profile": profile.name, "digest": profile.digest, "split": cell.split,
                    "images": len(labels), "auc": 0.5, "acc": 0.5, "logits": "logits.npz",
                }
                for profile in profiles
            ],
        }  # fmt: skip
        (own / "result.json").write_text(json.dumps(result))
    return plan


def same_answers(plan, one, two):
    """All logits and scores of two folders are equal to the bit."""
    for cell in plan.cells:
        folders = [StudyFolder(path) for path in (one, two)]
        results = [folder.result(cell.key)["evaluations"] for folder in folders]
        for first, second in zip(*results, strict=True):
            scores = [{k: e[k] for k in ("auc", "acc", "logits")} for e in (first, second)]
            assert scores[0] == scores[1]
            bytes_ = [(f.cell(cell.key) / first["logits"]).read_bytes() for f in folders]
            assert bytes_[0] == bytes_[1]


def random_answers(images: int = 40):
    """Answers that depend on the cell; labels on the data set alone."""

    def answers(cell):
        classes = known_set(cell.dataset).classes
        labels = _rng(cell.dataset).permutation(np.arange(images) % classes)
        rng = _rng(cell.label)
        return labels, rng.normal(size=(images, classes)) + 0.7 * np.eye(classes)[labels]

    return answers


def _rng(text: str) -> np.random.Generator:
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
