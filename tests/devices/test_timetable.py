"""How long qubits wait, against Qiskit's own scheduling passes."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.transpiler import QubitProperties, Target
from reference.qiskit_schedule import delays
from reference.qiskit_schedule import waits as qiskit_waits

from qvit_qiskit.circuits import FAMILIES, build_circuit
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import bundled_device, slice_target
from qvit_qiskit.devices.reported_costs import Costs
from qvit_qiskit.devices.timetable import padded, waiting_error, waits
from qvit_qiskit.exceptions import CircuitError

DEVICES = ["fake_fez", "fake_boston", "fake_torino", "fake_kingston", "fake_sherbrooke"]


def check(circuit: QuantumCircuit, target: Target) -> int:
    """Every wait is Qiskit's; how many there are."""
    found = delays(padded(circuit, waits(circuit, target)), target.dt)
    expected = qiskit_waits(circuit, target)
    assert found.keys() == expected.keys()
    for key, seconds in expected.items():
        assert found[key] == pytest.approx(seconds, abs=1e-13), key
    return len(found)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("family", FAMILIES)
def test_waits_are_those_of_qiskits_passes(name: str, family: str) -> None:
    region = place(build_circuit(family, 4, 2).canonical, bundled_device(name), seed=1)
    counts = [check(region.measured(fold), region.target) for fold in (1, 3)]
    assert min(counts) > 0
    assert waits(region.measured(), region.target) == region.waits


@pytest.mark.parametrize("part", range(3))
def test_any_circuit_waits_as_in_qiskit(rng: np.random.Generator, part: int) -> None:
    """Gates of two lengths, barriers, delays, readout in the middle of others' gates."""
    for _ in range(20):
        waits_as_in_qiskit(rng)


def waits_as_in_qiskit(rng: np.random.Generator) -> None:
    """One circuit at random."""
    target = slice_target(bundled_device("fake_torino").target, [61, 60, 62, 54, 59])
    edges = sorted(target["cz"])
    circuit = QuantumCircuit(5, 5)
    for _ in range(int(rng.integers(0, 40))):
        kind, wire = rng.integers(5), int(rng.integers(5))
        if kind == 0:
            circuit.sx(wire)
        elif kind == 1:
            circuit.cz(*edges[rng.integers(len(edges))])
        elif kind == 2:
            circuit.rz(0.3, wire)
        elif kind == 3:
            circuit.barrier(sorted({wire, int(rng.integers(5))}))
        else:
            circuit.delay(int(rng.integers(1, 50)), wire)
    measured = rng.permutation(5)[: rng.integers(1, 6)].tolist()
    circuit.measure(measured, measured)
    idle = qiskit_waits(circuit, target)
    found = delays(padded(circuit, waits(circuit, target)), target.dt)
    for key in idle.keys() | found.keys():  # what follows a qubit's last gate is seen by nobody
        last = key[0] not in measured and key[1] == _gates(circuit, key[0])
        assert last or found.get(key, 0) == pytest.approx(idle.get(key, 0), abs=1e-13), key


def test_qubits_without_a_gate_do_not_wait() -> None:
    """Barriers alone hold nothing up that decays."""
    target = slice_target(bundled_device("fake_torino").target, [61, 60])
    circuit = QuantumCircuit(2, 1)
    circuit.sx(0)
    circuit.barrier()
    circuit.sx(0)
    circuit.barrier()
    circuit.measure(0, 0)
    assert waits(circuit, target) == ()


def _gates(circuit: QuantumCircuit, wire: int) -> int:
    on = [i for i in circuit.data if wire in (circuit.find_bit(q).index for q in i.qubits)]
    return sum(item.operation.name not in ("barrier", "delay") for item in on)


def test_qubits_whose_t1_or_t2_is_unknown_do_not_wait() -> None:
    """On fake_kingston that is the qubit 146."""
    target = slice_target(bundled_device("fake_kingston").target, [145, 146, 147])
    circuit = QuantumCircuit(3, 3)
    for wires in ((0, 1), (1, 2)):
        for one, other in (wires, wires[::-1]):  # each in turn waits for the other
            circuit.cz(*wires)
            circuit.sx([one] * 9)
            circuit.cz(*wires)
            circuit.sx([other] * 9)
    circuit.measure(range(3), range(3))
    known = target.qubit_properties
    assert [k.t1 is None or k.t2 is None for k in known] == [False, True, False]
    assert {wait.wire for wait in waits(circuit, target)} == {0, 2}
    target.qubit_properties = [QubitProperties(1e-4, 1e-4)] * 3
    assert {wait.wire for wait in waits(circuit, target)} == {0, 1, 2}


@pytest.mark.parametrize("name", DEVICES)
def test_places_cost_what_their_waits_cost(name: str) -> None:
    """Many places at once as one by one."""
    device = bundled_device(name)
    region = place(build_circuit("ry-ring", 4, 2).canonical, device, seed=0)
    costs, plain = (Costs.of(device.target, idle=idle) for idle in (True, False))
    qubits = np.array([region.qubits, region.qubits[::-1]])
    found = costs.waiting(region.circuit, qubits)
    errors = [
        waiting_error(w.seconds, *_times(device.target, region.qubits[w.wire]))
        for w in region.waits or ()
    ]
    assert found[0] == pytest.approx(-np.log1p(-np.array(errors)).sum(), rel=1e-9)
    assert costs.typical(region.circuit)[0] > plain.typical(region.circuit)[0]
    assert (plain.waiting(region.circuit, qubits) == 0).all()


def _times(target: Target, qubit: int) -> tuple[float, float]:
    known = target.qubit_properties[qubit]
    return known.t1, min(known.t2, 2 * known.t1)


def test_delays_need_a_length() -> None:
    target = slice_target(bundled_device("fake_boston").target, [0])
    circuit = QuantumCircuit(1, 1)
    circuit.sx(0)
    circuit.delay(Parameter("t"), 0, unit="ns")
    circuit.measure(0, 0)
    with pytest.raises(CircuitError, match="fixed length"):
        waits(circuit, target)
    clockless = Target(num_qubits=1, qubit_properties=[QubitProperties(1e-4, 1e-4)])
    cycles = QuantumCircuit(1)
    cycles.delay(100, 0, unit="dt")
    with pytest.raises(CircuitError, match="does not report its dt"):
        waits(cycles, clockless)
