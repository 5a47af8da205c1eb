"""Every notebook runs top to bottom, in its short mode."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


SLOW = ("05_bring_your_own_model",)
"""Those that `make check` runs."""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.check] * (path.stem in SLOW))
        for path in NOTEBOOKS
    ],
)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QVIT_NOTEBOOK_SHORT", "1")
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert all(
        "error" not in str(c.get("outputs", "")).split("output_type") for c in notebook.cells
    )


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
