"""Checkpoints of other people's modules."""

import base64
import json

import pytest
import torch
from field import strangers as s
from qiskit import qpy
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from qvit_qiskit import (
    QuantumLinear,
    ViTConfig,
    build_circuit,
    build_model,
    convert,
    load_checkpoint,
    save_checkpoint,
)
from qvit_qiskit.circuits.circuit_record import OLDEST, pack_circuit, same_circuit, unpack_circuit
from qvit_qiskit.exceptions import CheckpointError, CircuitError


def model(circuit=None):
    return s.Around(QuantumLinear(circuit or s.own_qnn()))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "own.safetensors"
    first = model()
    save_checkpoint(path, first, {"dataset": "mine"})
    return path, first


def change(path, **changes):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | changes
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata)


def test_weights_come_back_to_the_bit(saved):
    path, first = saved
    other = model()
    loaded = load_checkpoint(path, model=other)
    assert loaded.model is other
    assert loaded.provenance["dataset"] == "mine"
    assert not other.training
    state = other.state_dict()
    assert all(torch.equal(state[name], value) for name, value in first.state_dict().items())


def test_shared_layers_and_converted_models(tmp_path):
    def shared():
        layer = s.stock_layer()
        return convert(nn.Sequential(nn.Linear(2, 2), layer, nn.Tanh(), layer))

    first, other = shared(), shared()
    with torch.no_grad():
        first[1].weight.add_(1)
    save_checkpoint(tmp_path / "shared.safetensors", first, {})
    load_checkpoint(tmp_path / "shared.safetensors", model=other)
    assert torch.equal(other[3].weight, first[1].weight)


def test_the_circuit_is_in_the_file(saved):
    path, first = saved
    with safe_open(path, framework="pt") as file:
        stored = json.loads(file.metadata()["circuits"])
    circuit = unpack_circuit(stored["layer"])
    assert same_circuit(circuit, first.layer.circuit)
    assert [p.name for p in circuit.inputs] == ["zeta[0]", "zeta[1]"]


def test_a_class_is_no_module(saved):
    with pytest.raises(CheckpointError, match="Expected a module to load the weights into, but"):
        load_checkpoint(saved, model=nn.Linear)


def test_without_the_module_it_says_what_to_pass(saved):
    with pytest.raises(CheckpointError, match=r"strangers.Around, .*load_checkpoint\(path, model="):
        load_checkpoint(saved[0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: model(build_circuit("ry-ring", 2, 1)), "'layer' is another one than in the model"),
        (lambda: model(build_circuit("ry-ring", 2, 2)), "has the shape"),
        (lambda: s.Around(None), "the model lacks"),
        (lambda: nn.Sequential(model()), "the model lacks"),
    ],
)
def test_another_module_is_refused_and_left_as_it_was(saved, make, words):
    other = make()
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(saved[0], model=other)
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())


def packed(**changes):
    return json.dumps({"layer": pack_circuit(s.own_qnn()) | changes})


def with_version(version):
    raw = bytearray(base64.b64decode(pack_circuit(s.own_qnn())["qpy"]))
    raw[6] = version
    return base64.b64encode(bytes(raw)).decode()


@pytest.mark.parametrize(
    ("circuits", "words"),
    [
        (packed(qpy=with_version(OLDEST - 1)), "foreign payloads"),
        (packed(qpy=with_version(5)), "foreign payloads"),
        (packed(qpy=with_version(qpy.common.QPY_VERSION + 1)), "newer qiskit"),
        (packed(qpy=base64.b64encode(b"\x80\x04K\x01.").decode()), "but got None"),
        (packed(qpy="no base64"), "incomplete|damaged"),
        (packed(qpy=pack_circuit(s.own_qnn())["qpy"][:200]), "damaged|incomplete"),
        (packed(inputs=["alpha[0]", "zeta[1]"]), "unassigned|twice"),
        (packed(weights=["nobody"]), "incomplete"),
        (packed(observables=[[["ZZZ", 1.0]]]), "on 2 qubits"),
        ("{}", "only the model has a quantum layer 'layer'"),
        ("[", "Expecting value"),
    ],
)
def test_damaged_circuits_are_refused(saved, circuits, words):
    change(saved[0], circuits=circuits)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(saved[0], model=model())
    assert "\n" not in str(caught.value)


def test_what_cannot_be_stored_is_refused_and_nothing_is_written(tmp_path):
    class Extra(nn.Module):
        def get_extra_state(self):
            return {"code": print}

    for bad, words in ((s.InAList(QuantumLinear(s.own_qnn())), "'layers\\[0\\]'"),
                       (Extra(), "_extra_state")):  # fmt: skip
        with pytest.raises(CheckpointError, match=words):
            save_checkpoint(tmp_path / "bad.safetensors", bad, {})
    assert not list(tmp_path.iterdir())


def test_a_model_of_ours_may_be_passed_too(tmp_path):
    config = ViTConfig(width=2, heads=1, patch_size=14)
    save_checkpoint(tmp_path / "vit.safetensors", build_model(config, seed=1), {})
    other = build_model(config, seed=2)
    assert load_checkpoint(tmp_path / "vit.safetensors", model=other).model is other


def test_packing_refuses_what_qpy_cannot_hold():
    with pytest.raises(CircuitError, match="incomplete"):
        unpack_circuit({})
