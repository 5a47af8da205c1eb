"""What people put around a training, as the documents show it: callbacks, loggers, Lightning."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import qvit_qiskit as qvit

PAGE = Path(__file__).parents[2] / "docs" / "around-a-training.md"


def importable(*names):
    """Skip where one of these packages is not installed, or cannot be imported here."""
    for name in names:
        try:
            __import__(name)
        except (ImportError, RuntimeError) as error:
            pytest.skip(f"{name} cannot be imported here: {str(error).splitlines()[0]}")


def example(title):
    """The code block under a heading of the page."""
    found = re.search(rf"^## {title}\n.*?```python\n(.*?)```", PAGE.read_text(), re.M | re.S)
    assert found, title
    return found[1]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(title):
    names = {}
    exec(compile(example(title), f"{PAGE.name}: {title}", "exec"), names)
    return names


def test_callbacks_stop_a_training(place):
    names = run("Callbacks")
    result = names["result"]
    assert result.interrupted
    assert len(result.history) < names["settings"].epochs
    state = qvit.evaluate(result.model, qvit.load("phantom").val).scores
    assert state.auc == pytest.approx(result.best.val_auc)


def test_tensorboard(place):
    importable("tensorboard", "torch.utils.tensorboard")
    result = run("TensorBoard")["result"]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(place / "logs"))
    events.Reload()
    for tag in ("loss", "val_auc", "val_acc", "learning_rate"):
        told = [event.value for event in events.Scalars(tag)]
        np.testing.assert_allclose(told, [getattr(one, tag) for one in result.history], rtol=1e-6)


def test_mlflow(place):
    importable("mlflow")
    names = run("MLflow")
    import mlflow

    run_id, result = names["run"].info.run_id, names["result"]
    found = mlflow.get_run(run_id).data
    assert found.metrics["val_auc"] == pytest.approx(result.history[-1].val_auc)
    assert found.metrics["test_auc"] == pytest.approx(names["scores"].auc)
    assert found.params["epochs"] == str(len(result.history))
    history = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    assert [one.value for one in history] == pytest.approx([one.loss for one in result.history])


def test_lightning(place):
    importable("lightning")
    names = run("Lightning")
    module, before = names["module"], names["before"]
    after = module.model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert "connector.weight" in " ".join(after)
    assert names["scores"].n == 200
