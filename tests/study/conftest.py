"""Studies in empty places."""

import pytest
from study.studies import EPOCHS, write_spec

from qvit_qiskit.study import make_plan, run_study


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """The working directory is empty, and no teacher's logits are kept outside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QVIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def plan(tmp_path):
    """A plan of `TINY` with other keys."""
    return lambda **changes: make_plan(write_spec(tmp_path / "tiny.toml", **changes))


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A plan of two cells, the quantum one last, and the folder of its run in this process."""
    folder = tmp_path_factory.mktemp("whole")
    vit, qvit = {"patch_size": 14, "matched": True}, {"patch_size": 14}
    training = {"epochs": EPOCHS, "subset": 8, "batch_size": 4}
    models = {"vit": vit, "qvit": qvit}
    spec = write_spec(folder / "whole.toml", seeds=[0], models=models, training=training)
    plan = make_plan(spec)
    run_study(plan, folder / "s")
    return plan, folder / "s"
