"""Wide circuits on a lattice: as they are, on the best qubits, or refused in a sentence."""

from itertools import pairwise

import numpy as np
import pytest
import rustworkx as rx
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from qvit_qiskit.circuits import Patch, build_circuit
from qvit_qiskit.circuits.families import lattice_circuit
from qvit_qiskit.devices.packing import pack, place
from qvit_qiskit.devices.paths import PathSearch
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import RouteError


def every_path(lattice, length):
    """All of them, from either end."""
    ways = [[node] for node in lattice.node_indices()]
    for _ in range(length - 1):
        ways = [
            [*way, node] for way in ways for node in lattice.neighbors(way[-1]) if node not in way
        ]
    return ways


def ladder(rng):
    """Two rows of seven with some rungs, nodes of different costs, one of them broken."""
    pairs = [(k, k + 1) for k in range(13) if k != 6] + [(0, 7), (3, 10), (6, 13)]
    lattice = rx.PyGraph(multigraph=False)
    lattice.add_nodes_from(range(14))
    lattice.add_edges_from([(a, b, float(rng.uniform(0.01, 1))) for a, b in pairs])
    nodes = rng.uniform(0.01, 1, 14)
    nodes[rng.integers(14)] = np.inf
    return lattice, nodes


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("length", [1, 5, 9, 11])
def test_paths_cost_as_little_as_any(rng, case, length):
    lattice, nodes = ladder(rng)
    costs = {frozenset((a, b)): c for a, b, c in lattice.weighted_edge_list()}

    def cost(way):
        edges = (costs[frozenset(edge)] for edge in pairwise(way))
        return sum(nodes[k] for k in way) + sum(edges)

    search = PathSearch(lattice, nodes, lattice.edges())
    ways = [way for way in every_path(lattice, length) if np.isfinite(cost(way))]
    paths = search.paths(length)
    assert bool(paths) == bool(ways)
    if ways:
        assert cost(paths[0]) == pytest.approx(min(map(cost, ways)))
    for path in paths:
        assert sorted(path) in [sorted(way) for way in ways]
    longest = max(k for k in range(1, 15)
                  if any(np.isfinite(cost(way)) for way in every_path(lattice, k)))  # fmt: skip
    assert search.longest() == longest


def on_the_chip(region):
    """The errors of a region's couplers, and its virtual qubits' outputs, as physical qubits."""
    gates = region.circuit.data
    pairs = [tuple(region.circuit.find_bit(q).index for q in item.qubits) for item in gates]
    errors = [region.target["cz"][pair].error for pair in pairs if len(pair) == 2]
    return errors, [region.qubits[wire] for wire in region.outputs]


@pytest.mark.parametrize("family", ["ry-chain", "cz-ring", "lattice"])
def test_a_placed_circuit_is_the_circuit(rng, family):
    size = 12 if family != "lattice" else 10
    circuit = lattice_circuit(Patch("heavy-hex", 2, 4)) if family == "lattice" else None
    circuit = (circuit or build_circuit(family, size, 1)).canonical
    size = circuit.num_qubits
    region = place(circuit, bundled_device("fake_fez"))
    values = rng.uniform(-np.pi, np.pi, circuit.num_parameters)
    state = Statevector(circuit.assign_parameters(values))
    names = dict(zip(circuit.parameters, values, strict=True))
    placed = Statevector(region.circuit.assign_parameters(names))
    for qubit, wire in enumerate(region.outputs):
        here = SparsePauliOp.from_sparse_list([("Z", [qubit], 1)], size)
        there = SparsePauliOp.from_sparse_list([("Z", [wire], 1)], size)
        expected = state.expectation_value(here).real
        assert placed.expectation_value(there).real == pytest.approx(expected)
    assert region.two_qubit_gates() == circuit.count_ops()["cz"]
    assert max(on_the_chip(region)[0]) < 0.1


@pytest.mark.check
@pytest.mark.parametrize("device", ["fake_fez", "fake_boston", "fake_kingston"])
@pytest.mark.parametrize("qubits", [64, 100])
def test_long_chains_have_no_swap_and_no_bad_coupler(device, qubits):
    circuit = build_circuit("ry-chain", qubits, 2).canonical
    region = place(circuit, bundled_device(device))
    errors, outputs = on_the_chip(region)
    assert region.two_qubit_gates() == 2 * (qubits - 1)
    assert max(errors) < 0.1
    assert len(set(outputs)) == qubits
    lattice = bundled_device(device).coupling_map
    pairs = {frozenset(edge) for edge in lattice.get_edges()}
    assert all(frozenset(pair) in pairs for pair in pairwise(outputs))


def test_chains_lie_side_by_side():
    packing = pack(build_circuit("ry-chain", 10, 1).canonical, bundled_device("fake_fez"), k=3)
    qubits = [qubit for region in packing.regions for qubit in region.qubits]
    assert len(set(qubits)) == 30
    assert all(region.two_qubit_gates() == 9 for region in packing.regions)


def test_patches_that_a_device_lacks_are_refused_with_the_largest_that_it_has():
    device = bundled_device("fake_fez")
    with pytest.raises(RouteError, match=r"5 x 10 of 60 .* is 6 x 6\. Choose a model of 43 qubits"):
        place(build_circuit("lattice", 60, 1).canonical, device)
    with pytest.raises(RouteError, match=r"no square patch does\. Choose the family ry-chain"):
        place(build_circuit("square-lattice", 12, 1).canonical, device)


@pytest.mark.check
def test_chains_that_are_too_long_are_refused_with_the_longest():
    with pytest.raises(RouteError, match=r"chain of 140 qubits fits nowhere .* longest .* has 1"):
        place(build_circuit("ry-chain", 140, 1).canonical, bundled_device("fake_fez"))


def test_other_wide_circuits_are_routed():
    circuit = QuantumCircuit(9)
    for qubit in range(1, 9):
        circuit.cz(0, qubit)
    region = place(circuit, bundled_device("fake_fez"))
    assert len(region.outputs) == 9
    assert region.two_qubit_gates() > 8


@pytest.mark.check
def test_broken_qubits_are_used_where_no_way_leads_around_them_and_named():
    region = place(build_circuit("ry-chain", 100, 1).canonical, bundled_device("fake_kingston"))
    assert "whose one-qubit gates are reported as broken" in region.describe("fake_kingston")
