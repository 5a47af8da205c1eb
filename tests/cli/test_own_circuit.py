"""A circuit of the user's own: trained from Python, evaluated and submitted without its code."""

import json

import numpy as np
import pytest
from qiskit.circuit import ParameterVector, QuantumCircuit

import qvit_qiskit as qvit
from qvit_qiskit.circuits import FAMILIES, z_observables
from qvit_qiskit.cli import run
from qvit_qiskit.study import make_plan
from qvit_qiskit.training import TrainConfig

JOB = """
dataset = "phantom"
backend = "fake-fez-packed"
shots = 32
subset = 2
budget_seconds = 1000
"""
STUDY = """
datasets = ["phantom"]
heads = [1]
qubits = [2]
seeds = [0]
models.own = { circuit = "mine", circuit_layers = 1, patch_size = 14 }
"""


def mine(qubits, layers):
    x, w = ParameterVector("x", qubits), ParameterVector("w", layers * qubits)
    circuit = QuantumCircuit(qubits)
    for q in range(qubits):
        circuit.ry(x[q], q)
    for k, weight in enumerate(w):
        circuit.crx(weight, k % qubits, (k + 1) % qubits)
    return qvit.QNNCircuit(circuit, tuple(x), tuple(w), z_observables(qubits))


@pytest.fixture
def family():
    qvit.register_family("mine", mine)
    yield "mine"
    FAMILIES.pop("mine", None)


def said(capsys, *line):
    assert run([str(word) for word in (*line, "--json")]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.check
def test_commands_need_no_code_of_the_users(tmp_path, monkeypatch, capsys, family):
    monkeypatch.chdir(tmp_path)
    data = qvit.load("phantom")
    config = qvit.ViTConfig(width=4, heads=2, patch_size=14, circuit=family, circuit_layers=2)
    options = TrainConfig(epochs=1, subset=16)
    fitted = qvit.fit(config, options, data, folder=tmp_path / "model")
    expected = qvit.evaluate(fitted.model, data.test.part(slice(0, 2)))
    FAMILIES.pop("mine")  # as in a process that never heard of it
    (tmp_path / "job.toml").write_text(JOB)
    assert said(capsys, "evaluate", "model")["images"] == 200
    assert said(capsys, "estimate", "job.toml", "--checkpoint", "model")["executions"] > 0
    line = ("submit", "job.toml", "--checkpoint", "model", "--wait", "--run", "run")
    assert said(capsys, *line)["state"] == "finished"
    compared = qvit.compare("run", draws=0)
    assert "mine with 2 layers" in compared.facts["model"]
    again = qvit.load_checkpoint("run/checkpoint.safetensors").model
    found = qvit.evaluate(again, data.test.part(slice(0, 2)))
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-6)
    assert run(["train", "--resume", "model"]) == 0


def test_keys_of_studies_follow_the_circuit_and_not_its_object(tmp_path, family):
    path = tmp_path / "own.toml"
    path.write_text(STUDY)
    (first,) = make_plan(path).cells
    qvit.register_family(family, mine)  # as another process would
    (again,) = make_plan(path).cells
    assert again.config.circuit is not first.config.circuit
    assert again.key == first.key
    qvit.register_family(family, lambda qubits, layers: mine(qubits, layers + 1))
    (other,) = make_plan(path).cells
    assert other.key != first.key
