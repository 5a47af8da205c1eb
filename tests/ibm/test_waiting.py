"""What waits in the IBM client's template of a whole chip, against Qiskit's own passes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from reference import qiskit_schedule

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.devices.compiled import Compiled, compile_bases
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.devices.timetable import padded, waits
from qvit_qiskit.ibm.waiting import WaitingSimulator, between, placed, template, twirled_waits

LEVEL = Mitigation(2)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    """Two copies of a ring on fake_torino."""
    circuit = build_circuit("ry-ring", 3, 2)
    device = bundled_device("fake_torino")
    return compile_bases(circuit.canonical, circuit.pauli_terms, device, Placement(k=2))[0]


def twin(circuit, target) -> dict[tuple[int, int], float]:
    """By qubit and the two-qubit gates behind it, its waits after its first gate."""
    seen: Counter[int] = Counter()
    begun, found = set(), Counter()
    done = qiskit_schedule.padded(circuit, target)
    for item in done.data:
        wires = [done.find_bit(qubit).index for qubit in item.qubits]
        if item.operation.name == "delay":
            if wires[0] in begun:
                found[wires[0], seen[wires[0]]] += item.operation.duration * target.dt
        elif item.operation.name != "barrier":
            begun.update(wires)
            seen.update(wires if len(wires) == 2 else ())
    return dict(found)


@pytest.mark.parametrize("fold", LEVEL.factors)
def test_copies_wait_for_each_other_where_gates_are_twirled(compiled, fold):
    target = bundled_device("fake_torino").target
    sent = template(compiled.wide(fold, target.num_qubits), LEVEL)
    expected = twin(sent, target)
    found = twirled_waits(compiled, fold, LEVEL, target)
    for copy, mine in zip(compiled.copies, found, strict=True):
        here = {(q, n): s for (q, n), s in expected.items() if q in copy.qubits}
        assert len(here) == len(mine) > 0
        for (wire, count), seconds in mine.items():
            assert seconds == pytest.approx(here[copy.qubits[wire], count], abs=1e-13)
    alone = [sum(w.seconds for w in copy.scheduled().waits) for copy in compiled.copies]
    if fold == 1:  # barriers lengthen them
        assert sum(sum(mine.values()) for mine in found) > sum(alone)


@pytest.mark.parametrize("level", [0, 1])
def test_waits_of_a_region_are_those_of_the_chip_without_twirled_gates(compiled, level):
    """So that a rehearsal can run copies one by one."""
    target, mitigation = bundled_device("fake_torino").target, Mitigation(level)
    whole = twirled_waits(compiled, 1, mitigation, target)
    for copy, mine in zip(compiled.copies, whole, strict=True):
        alone = template(copy.measured(), mitigation)
        found = between(alone, waits(alone, copy.target))
        assert mine.keys() == found.keys()
        np.testing.assert_allclose([mine[k] for k in found], list(found.values()), atol=1e-13)
        if level == 0:
            assert mine == pytest.approx(between(copy.measured(), copy.scheduled().waits))


def test_waits_find_their_place_again(compiled):
    """In the circuit of a copy, and in the client's template of it."""
    copy = compiled.copies[0]
    pauses = between(copy.measured(), copy.scheduled().waits)
    for circuit in (copy.measured(), template(copy.measured(), LEVEL)):
        assert between(circuit, placed(circuit, pauses)) == pauses
    assert padded(copy.measured(), ()) == copy.measured()


def test_a_simulator_relaxes_what_waits():
    """A qubit turned over, then kept waiting by its neighbour: against the formula."""
    from qiskit import QuantumCircuit

    from qvit_qiskit.devices.regions import region_backend

    device = region_backend(bundled_device("fake_boston"), (14, 15))
    target = device.target
    circuit = QuantumCircuit(2, 1)
    circuit.cz(0, 1)
    circuit.x(0)
    circuit.barrier()
    circuit.delay(250_000, 1, unit="dt")  # a millisecond
    circuit.barrier()
    circuit.measure(0, 0)
    result = WaitingSimulator.of(device).run(circuit, shots=4000, seed_simulator=1).result()
    ones = result.get_counts().get("1", 0) / 4000
    kept = np.exp(-250_000 * target.dt / target.qubit_properties[0].t1)
    assert kept < 0.5
    assert ones == pytest.approx(kept, abs=0.05)  # gates and readout are far better than that
