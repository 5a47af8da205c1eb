"""What waits in the IBM client's template of a whole chip, against Qiskit's own passes."""

from __future__ import annotations

import numpy as np
import pytest
from reference import qiskit_schedule

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.devices.client_template import between, placed, template, twirled_waits
from qvit_qiskit.devices.compiled_circuit import Compiled, compile_bases
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.devices.timetable import padded, waits

LEVEL = Mitigation(2)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    """Two copies of a ring on fake_torino."""
    circuit = build_circuit("ry-ring", 3, 2)
    device = bundled_device("fake_torino")
    return compile_bases(circuit.canonical, circuit.pauli_terms, device, Placement(k=2))[0]


@pytest.mark.parametrize("fold", LEVEL.factors)
def test_copies_wait_for_each_other_where_gates_are_twirled(compiled, fold):
    target = bundled_device("fake_torino").target
    sent = template(compiled.wide(fold, target.num_qubits), LEVEL)
    expected = qiskit_schedule.between(sent, target)
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
