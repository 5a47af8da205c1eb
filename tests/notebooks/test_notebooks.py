"""Every notebook runs top to bottom, in its short mode."""

import os
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from own_images import arrays, write_archive

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


SLOW = ("05_bring_your_own_model",)
"""Those that `make check` runs."""


TRAINED = '"breastmnist", "zoo:qvit-breastmnist"'
"""What notebooks begin with that start from a trained model, and its images."""


def opened(path: Path, instead: str = TRAINED) -> nbformat.NotebookNode:
    """A notebook, whose first cell names other images where the published ones are not at hand."""
    notebook = nbformat.read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    if instead == TRAINED and "QVIT_DATA_ROOT" not in os.environ:
        instead = '"phantom", None'
    first.source = first.source.replace(TRAINED, instead)
    return notebook


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.check] * (path.stem in SLOW))
        for path in NOTEBOOKS
    ],
)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QVIT_NOTEBOOK_SHORT", "1")
    notebook = opened(path)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert all(
        "error" not in str(c.get("outputs", "")).split("output_type") for c in notebook.cells
    )


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


DEFAULTS = {
    "01": "breastmnist", "02": "breastmnist", "03": "breastmnist", "04": "breastmnist",
    "05": "cells",
}  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_data_set_is_named_in_one_cell(path: Path) -> None:
    """Where else a set is named, a change of that cell would be forgotten."""
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    name = DEFAULTS[path.stem[:2]]
    naming = [k for k, source in enumerate(cells) if f'"{name}"' in source]
    assert naming[0] == 0
    assert re.search(rf'^DATASET.* = "{name}"', cells[0], re.M)
    assert all(f'DATASET == "{name}"' in cells[k] for k in naming[1:])


@pytest.mark.check
def test_a_notebook_runs_twice_and_on_another_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Five classes in colour, of 32 pixels, by a change of the first cell; the same folder."""
    monkeypatch.setenv("QVIT_NOTEBOOK_SHORT", "1")
    counts = {"train": 30, "val": 15, "test": 15}
    write_archive(tmp_path / "five.npz", arrays(rng, side=32, classes=5, counts=counts))
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith("04"))
    resources = {"metadata": {"path": str(tmp_path)}}
    journals = []
    for _ in range(2):
        notebook = opened(path, '"five.npz", None')
        NotebookClient(notebook, timeout=300, resources=resources).execute()
        (journal,) = tmp_path.glob("runs/*/journal.jsonl")
        journals.append(journal.read_bytes())
    assert journals[0] == journals[1]  # nothing was sent again
