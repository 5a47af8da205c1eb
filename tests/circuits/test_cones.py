import numpy as np
import pytest
from qiskit.circuit import ParameterVector, QuantumCircuit
from reference import dense, finite
from reference.random_circuits import random_circuit

from qvit_qiskit.circuits import QNNCircuit, build_circuit, z_observables
from qvit_qiskit.circuits.cones.light_cone import ConeFinder, cone_widths
from qvit_qiskit.circuits.lowering import Rotation, lower


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_chain_has_cones_of_two_qubits_a_layer_and_one(layers):
    for family in ("ry-chain", "cz-ring"):
        assert max(cone_widths(build_circuit(family, 30, layers))) == 2 * layers + 1
    assert cone_widths(build_circuit("ry-chain", 30, layers))[0] == layers + 1


def test_lattices_have_the_cones_of_their_neighbourhoods():
    assert max(cone_widths(build_circuit("lattice", 60, 2))) == 7
    assert max(cone_widths(build_circuit("square-lattice", 60, 2))) == 13


def test_rings_of_cnots_have_no_narrow_cones():
    assert max(cone_widths(build_circuit("ry-ring", 40, 2))) == 40


def test_what_commutes_with_an_rzz_gate_stays_outside():
    """An RZZ gate is CX, RZ, CX: seen gate by gate, its second qubit would be in every cone."""
    w = ParameterVector("w", 3)
    circuit = QuantumCircuit(3)
    circuit.rzz(w[0], 0, 1)
    circuit.rzz(w[1], 1, 2)
    circuit.rx(w[2], 2)
    layer = QNNCircuit(circuit, (), tuple(w), z_observables(3))
    assert cone_widths(layer) == (1, 1, 2)


@pytest.mark.parametrize("seed", range(12))
def test_what_an_output_depends_on_is_in_its_cone(rng, seed):
    """The derivative by an angle outside is zero, at a random point."""
    circuit = random_circuit(rng, int(rng.integers(2, 6)), int(rng.integers(1, 12)))
    lowered = lower(circuit.canonical)
    finder = ConeFinder(lowered)
    point = rng.uniform(-np.pi, np.pi, (1, len(lowered.parameters)))
    slopes = finite.jacobian(
        lambda rows: dense.values(circuit.canonical, circuit.observables, rows), point
    )[0]
    for terms, slope in zip(circuit.pauli_terms, slopes, strict=True):
        cone = finder.cone(terms)
        inside = {lowered.operations[place] for place in cone.places
                  if isinstance(lowered.operations[place], Rotation)}  # fmt: skip
        known = {p for operation in inside for p in lowered.angles[operation.index].parameters}
        outside = [k for k, p in enumerate(lowered.parameters) if p not in known]
        np.testing.assert_allclose(slope[outside], 0.0, atol=1e-9)
