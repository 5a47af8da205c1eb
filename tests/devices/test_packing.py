"""Copies of a circuit on disjoint regions: that they are legal, equal, and the best there are."""

from itertools import combinations

import numpy as np
import pytest
import rustworkx as rx
from qiskit.circuit import Measure, Parameter, QuantumCircuit
from qiskit.circuit.library import CXGate, CZGate, ECRGate, RZGate, SXGate, XGate
from qiskit.providers import BackendV2, Options
from qiskit.quantum_info import Statevector
from qiskit.transpiler import InstructionProperties, Target

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.devices.embeddings import embed
from qvit_qiskit.devices.packing import choose, pack
from qvit_qiskit.devices.regions import Region, best_region, bundled_device
from qvit_qiskit.exceptions import CircuitError, RouteError


class Device(BackendV2):
    """A made-up calibration: some edges, and errors by gate and qubits (0.001 unless told)."""

    def __init__(self, edges, errors=None, gate=CZGate, both=True):
        super().__init__(name="device")
        size = 1 + max(map(max, edges))
        pairs = [*edges, *((b, a) for a, b in edges)] if both else edges
        wires = [(gate(), pairs)]
        for one in (RZGate(Parameter("θ")), SXGate(), XGate(), Measure()):
            wires.append((one, [(q,) for q in range(size)]))
        self._target = Target(num_qubits=size)
        for operation, places in wires:
            known = {
                place: InstructionProperties(
                    error=(errors or {}).get((operation.name, place), 1e-3)
                )
                for place in places
            }
            self._target.add_instruction(operation, known)

    @property
    def target(self):
        return self._target

    @property
    def max_circuits(self):
        return None

    @classmethod
    def _default_options(cls):
        return Options()

    def run(self, run_input, **options):
        raise NotImplementedError


def line(size):
    return [(q, q + 1) for q in range(size - 1)]


def grid(rows, columns):
    across = [
        (r * columns + c, r * columns + c + 1) for r in range(rows) for c in range(columns - 1)
    ]
    down = [
        (r * columns + c, r * columns + c + columns)
        for r in range(rows - 1)
        for c in range(columns)
    ]
    return across + down


def device_graph(device):
    graph = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(device.num_qubits))
    graph.add_edges_from([(a, b, None) for a, b in device.target.build_coupling_map().get_edges()])
    return graph


def distances(device):
    return rx.distance_matrix(device_graph(device), null_value=np.inf)


def check_legal(packing, device, buffer):
    """Native gates on existing couplers only, regions apart, best first."""
    for region, fidelity in zip(packing.regions, packing.fidelities, strict=True):
        assert region.circuit.global_phase == 0
        assert region.fidelity() == fidelity
        for item in region.circuit.data:
            wires = [region.circuit.find_bit(q).index for q in item.qubits]
            name, physical = item.operation.name, tuple(region.qubits[w] for w in wires)
            assert region.target.instruction_supported(name, tuple(wires))
            assert device.target[name][physical].error == region.target[name][tuple(wires)].error
            assert device.target[name][physical].error < 0.1
    apart = distances(device)
    for one, other in combinations(packing.regions, 2):
        assert apart[np.ix_(one.qubits, other.qubits)].min() > buffer
    assert list(packing.fidelities) == sorted(packing.fidelities, reverse=True)


def check_equal(circuit, region, rng):
    """A region's circuit with its outputs in order is the logical circuit, on random values."""
    assert set(region.circuit.parameters) == set(circuit.parameters)
    values = {p: rng.uniform(-3, 3) for p in circuit.parameters}
    expected = Statevector(circuit.assign_parameters(values)).probabilities()
    state = Statevector(region.circuit.assign_parameters(values))
    assert np.allclose(state.probabilities(list(region.outputs)), expected, atol=1e-9)
    width = len(region.outputs)
    tidy = QuantumCircuit(width)
    tidy.append(region.circuit.assign_parameters(values).to_gate(), range(width))
    order = [region.outputs.index(w) for w in range(width)]  # wire w holds this virtual qubit
    moved = QuantumCircuit(width)
    moved.compose(tidy, order, inplace=True)
    assert Statevector(moved).equiv(Statevector(circuit.assign_parameters(values)))


BARS = [
    ("fake_fez", 4, 0, 37),
    ("fake_fez", 4, 1, 27),
    ("fake_torino", 4, 0, 31),
    ("fake_torino", 4, 1, 23),
    ("fake_fez", 8, 0, 16),
    ("fake_torino", 8, 0, 13),
    ("fake_torino", 8, 1, 12),
]


@pytest.mark.parametrize(("name", "qubits", "buffer", "bar"), BARS)
def test_how_many_fit(name, qubits, buffer, bar):
    device = bundled_device(name)
    packing = pack(build_circuit("ry-ring", qubits).circuit, device, buffer=buffer)
    assert len(packing) >= bar
    check_legal(packing, device, buffer)


@pytest.mark.parametrize("name", ["fake_fez", "fake_torino"])
def test_the_best_copies_are_nearly_as_good_as_one(name):
    """The first of them is at least as good as the best of several whole-device transpilations."""
    device, circuit = bundled_device(name), build_circuit("ry-ring", 4).circuit
    found = embed(circuit, device)
    one = pack(circuit, device, k=1, embeddings=found)
    assert one.mean_fidelity == pytest.approx(np.exp(-found.cost[0]))
    assert one.mean_fidelity >= best_region(circuit, device, 0).fidelity() - 1e-12
    means = [pack(circuit, device, k=k, embeddings=found).mean_fidelity for k in (1, 5, 10, 20)]
    assert means == sorted(means, reverse=True)
    if name == "fake_fez":
        assert means[-1] >= 0.97 * means[0]


CASES = [
    ("fake_fez", "ry-ring", 2),
    ("fake_fez", "ry-ring", 3),
    ("fake_fez", "rx-rz-ring", 4),
    ("fake_torino", "reupload-ring", 5),
    ("fake_fez", "ry-chain", 6),
    ("fake_fez", "ry-ring", 1),
    ("fake_sherbrooke", "rx-rz-ring", 4),  # ECR, one way on each coupler
    ("fake_nighthawk", "ry-ring", 4),  # square lattice
    ("fake_almaden", "rx-rz-ring", 3),  # u1, u2, u3
]


@pytest.mark.parametrize(("name", "family", "qubits"), CASES)
@pytest.mark.filterwarnings("ignore:Properties of fake_nighthawk")
def test_every_copy_is_the_circuit(name, family, qubits, rng):
    device, circuit = bundled_device(name), build_circuit(family, qubits).circuit
    packing = pack(circuit, device, k=4, buffer=1)
    assert len(packing) == 4
    check_legal(packing, device, 1)
    for region in packing.regions:
        check_equal(circuit, region, rng)


@pytest.mark.parametrize(("family", "qubits"), [("ry-chain", 11), ("rx-rz-ring", 7)])
def test_wide_circuits(family, qubits, rng):
    device, circuit = bundled_device("fake_fez"), build_circuit(family, qubits, 1).circuit
    packing = pack(circuit, device, k=2)
    check_legal(packing, device, 0)
    check_equal(circuit, packing.regions[-1], rng)


def test_dense_lattices_are_searched_by_windows(monkeypatch, rng):
    """Too many embeddings to list: then some around every qubit, and still disjoint copies."""
    monkeypatch.setattr("qvit_qiskit.devices.embeddings.MAX_MAPPINGS", 100)
    device, circuit = Device(grid(5, 5)), build_circuit("ry-chain", 4, 1).circuit
    found = embed(circuit, device)
    assert set(found.qubits.flat) == set(range(25))
    packing = pack(circuit, device, k=4, embeddings=found)
    check_legal(packing, device, 0)
    check_equal(circuit, packing.regions[-1], rng)


def test_twelve_qubits_close_a_ring_on_heavy_hex(rng):
    device, circuit = bundled_device("fake_fez"), build_circuit("ry-ring", 12).circuit
    packing = pack(circuit, device, k=2)
    check_legal(packing, device, 0)
    check_equal(circuit, packing.regions[-1], rng)
    assert [region.two_qubit_gates() for region in packing.regions] == [24, 24]


def test_constants_phases_barriers_and_idle_qubits(rng):
    circuit = QuantumCircuit(4, global_phase=0.3)
    circuit.h(0)
    circuit.rzz(0.4, 0, 2)
    circuit.barrier()
    circuit.swap(0, 1)
    circuit.ccx(0, 1, 2)
    packing = pack(circuit, bundled_device("fake_fez"), k=3)
    for region in packing.regions:
        assert "barrier" not in region.circuit.count_ops()
        check_equal(circuit, region, rng)


def test_no_two_qubit_gate(rng):
    circuit = QuantumCircuit(3)
    for q in range(3):
        circuit.ry(Parameter(f"θ{q}"), q)
    packing = pack(circuit, Device(line(7)))
    assert len(packing) == 2
    check_equal(circuit, packing.regions[0], rng)


def test_regions_simulate_with_both_readout_errors():
    device = bundled_device("fake_torino")
    region = pack(build_circuit("ry-ring", 4).circuit, device, k=1).regions[0]
    assert isinstance(region, Region)
    for output, matrix in zip(region.outputs, region.readout(), strict=True):
        known = device.properties().qubit_property(region.qubits[output])
        assert matrix[1, 0] == known["prob_meas1_prep0"][0]
        assert matrix[0, 1] == known["prob_meas0_prep1"][0]


# --- the choice against a slow, obviously right twin ---


def packings(sets, apart, buffer):
    """Every collection of sets that are farther apart than the buffer, as lists of indices."""
    found = [[]]
    for i, one in enumerate(sets):
        found += [
            [*chosen, i]
            for chosen in found
            if all(apart[np.ix_(one, sets[j])].min() > buffer for j in chosen)
        ]
    return found


@pytest.mark.parametrize("buffer", [0, 1, 2, 3])
@pytest.mark.parametrize("trial", range(4))
def test_choices_are_the_best_there_are(trial, buffer, rng):
    graph = rx.undirected_gnp_random_graph(14, 0.12, seed=int(rng.integers(2**31)))
    width = int(rng.integers(1, 4))
    sets = [s for s in combinations(range(14), width) if rx.is_connected(graph.subgraph(list(s)))]
    sets = [sets[i] for i in rng.permutation(len(sets))[:22]]
    cost = rng.exponential(size=len(sets))
    every = packings(sets, rx.distance_matrix(graph, null_value=np.inf), buffer)
    most = max(map(len, every))
    for k in (None, *range(1, most + 2)):
        chosen = choose(np.array(sets), cost, graph, buffer, k).tolist()
        assert chosen in every
        size = most if k is None else min(k, most)
        assert len(chosen) == size
        if k is None or k <= most:
            best = min(cost[c].sum() for c in every if len(c) == size)
            assert cost[chosen].sum() <= best * (1 + 2e-3)


@pytest.mark.parametrize("buffer", [0, 1])
def test_a_grid_is_packed_as_well_as_can_be(buffer, rng):
    """All pairs on a 5×5 grid: 12 dominoes without a buffer, and the cheapest 12 of them."""
    device = Device(grid(5, 5), {("cz", pair): e for pair, e in grid_errors(rng)})
    packing = pack(build_circuit("ry-ring", 2).circuit, device, buffer=buffer)
    check_legal(packing, device, buffer)
    graph = device_graph(device)
    if buffer == 0:
        matching = rx.max_weight_matching(graph, max_cardinality=True)
        assert len(packing) == len(matching) == 12
    else:
        assert len(packing) == largest(graph.edge_list(), distances(device), buffer)


def grid_errors(rng):
    for pair in grid(5, 5):
        error = rng.uniform(0.001, 0.02)
        yield from ((pair, error), (pair[::-1], error))


def largest(sets, apart, buffer):
    """Size of the largest packing by depth-first search: the first set is in it or not."""
    if not sets:
        return 0
    first, *rest = sets
    free = [s for s in rest if apart[np.ix_(first, s)].min() > buffer]
    with_first = 1 + largest(free, apart, buffer)
    if len(free) == len(rest) or with_first > len(rest):
        return with_first
    return max(with_first, largest(rest, apart, buffer))


def test_the_best_orientation_of_every_set_of_qubits():
    """On a line, qubits and couplers differ in how often they are used: turning it round counts."""
    circuit = QuantumCircuit(3)
    for _ in range(3):
        circuit.cx(0, 1)
        circuit.ry(Parameter(f"θ{_}"), 1)
    circuit.cx(1, 2)
    errors = {("cz", pair): 0.05 for pair in [(0, 1), (1, 0)]}
    region = pack(circuit, Device(line(3), errors)).regions[0]
    uses = [
        tuple(region.qubits[region.circuit.find_bit(q).index] for q in item.qubits)
        for item in region.circuit.data
        if len(item.qubits) == 2
    ]
    assert [sorted(pair) for pair in uses].count([0, 1]) == 1


# --- what is left out ---


@pytest.mark.parametrize("bad", [None, np.nan, 1.0, 0.1, -0.2])
def test_bad_couplers_are_not_used(bad):
    errors = {("cz", pair): bad for pair in [(3, 4), (4, 3)]}
    packing = pack(build_circuit("ry-chain", 4).circuit, Device(line(9), errors))
    left, right = sorted(tuple(sorted(region.qubits)) for region in packing.regions)
    assert left == (0, 1, 2, 3)
    assert right in {(4, 5, 6, 7), (5, 6, 7, 8)}


@pytest.mark.parametrize("bad", [None, np.nan, 1.0, 0.2])
@pytest.mark.parametrize("name", ["measure", "sx"])
def test_bad_qubits_are_not_used(bad, name):
    packing = pack(build_circuit("ry-chain", 4).circuit, Device(line(9), {(name, (4,)): bad}))
    assert {frozenset(region.qubits) for region in packing.regions} == {
        frozenset(range(4)),
        frozenset(range(5, 9)),
    }


def test_bad_couplers_are_neighbours_all_the_same():
    errors = {("cz", pair): 1.0 for pair in [(3, 4), (4, 3)]}
    device = Device(line(9), errors)
    packing = pack(build_circuit("ry-chain", 4).circuit, device, buffer=1)
    check_legal(packing, device, 1)


def test_a_device_without_any_reported_error_is_ideal():
    """Of shapes that cost the same, nothing, the one with the fewest gates is taken."""
    device = Device(grid(2, 2))
    for name in ("cz", "sx", "x", "rz", "measure"):
        for place in device.target[name]:
            device.target.update_instruction_properties(name, place, InstructionProperties())
    packing = pack(build_circuit("ry-ring", 4).circuit, device)
    assert packing.fidelities == (1.0,)
    assert packing.regions[0].two_qubit_gates() == 8


@pytest.mark.parametrize("gate", [ECRGate, CXGate])
def test_couplers_that_work_one_way(gate, rng):
    circuit = build_circuit("rx-rz-ring", 3).circuit
    device = Device([(1, 0), (1, 2), (3, 2), (3, 4), (5, 4)], gate=gate, both=False)
    packing = pack(circuit, device)
    assert len(packing) == 2
    check_legal(packing, device, 0)
    for region in packing.regions:
        check_equal(circuit, region, rng)


def test_turned_gates_count_for_the_smallest_fidelity():
    """An embedding is scored without turning gates; what is returned keeps the promise anyway."""
    circuit, device = build_circuit("ry-ring", 3).circuit, bundled_device("fake_sherbrooke")
    floor = pack(circuit, device, k=10).fidelities[-1] + 1e-6
    packing = pack(circuit, device, min_fidelity=floor)
    assert packing.fidelities[-1] >= floor
    estimate = np.exp(-embed(circuit, device).cost[0])
    with pytest.raises(RouteError, match="No region of fake_sherbrooke reaches"):
        pack(circuit, device, min_fidelity=estimate - 1e-9)


def test_a_smallest_fidelity():
    device, circuit = bundled_device("fake_fez"), build_circuit("ry-ring", 4).circuit
    found = embed(circuit, device)
    every = pack(circuit, device, embeddings=found)
    good = pack(circuit, device, min_fidelity=0.88, embeddings=found)
    assert good.fidelities[-1] >= 0.88
    assert sum(f >= 0.88 for f in every.fidelities) <= len(good) < len(every)


def test_the_same_every_time():
    device, circuit = bundled_device("fake_torino"), build_circuit("ry-ring", 4).circuit
    one, other = (pack(circuit, device, k=12, buffer=1, seed=3) for _ in range(2))
    assert [r.qubits for r in one.regions] == [r.qubits for r in other.regions]
    assert [r.circuit for r in one.regions] == [r.circuit for r in other.regions]


def test_description():
    packing = pack(build_circuit("ry-ring", 4).circuit, bundled_device("fake_fez"), k=2)
    assert packing.describe("fake_fez").startswith("fake_fez, 2 copies of 4 qubits, expected")


# --- what cannot be done ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 3}, r'Only 2 of 3 copies fit on device\. Ask for at most 2, or for k="auto"\.'),
        ({"k": 2, "buffer": 2}, r"Only 1 of 2 copies fit on device with a buffer of 2\. Ask"),
        ({"k": 0}, 'Expected `k` to be a positive number or "auto", but got 0'),
        ({"k": "all"}, "Expected `k` .* 'all'"),
        ({"k": True}, "Expected `k` .* True"),
        ({"buffer": -1}, "Expected `buffer` to be 0 qubits or more, but got -1"),
        ({"min_fidelity": 1.5}, "Expected `min_fidelity` to be from 0 to 1, but got 1.5"),
        (
            {"min_fidelity": 0.9999},
            r"No region of device reaches .* 0.9999; the best one has about 0\.9",
        ),
    ],
)
def test_what_cannot_be_had(options, message):
    with pytest.raises(RouteError, match=message):
        pack(build_circuit("ry-chain", 3).circuit, Device(line(7)), **options)


def test_a_device_that_is_too_small():
    with pytest.raises(RouteError, match="needs 4 qubits, but device has 3"):
        pack(build_circuit("ry-ring", 4).circuit, Device(line(3)))


def test_a_circuit_that_fits_nowhere():
    errors = {("cz", pair): 1.0 for pair in [(1, 2), (2, 1)]}
    with pytest.raises(RouteError, match="fits nowhere on device: it needs 3 connected qubits"):
        pack(build_circuit("ry-ring", 3).circuit, Device(line(4), errors))


def test_a_calibration_without_usable_qubits():
    errors = {("measure", (q,)): np.nan for q in range(4)}
    with pytest.raises(RouteError, match=r"reports no qubit with a readout error below 0\.2"):
        pack(build_circuit("ry-ring", 2).circuit, Device(line(4), errors))


def test_a_circuit_that_measures():
    circuit = QuantumCircuit(2)
    circuit.measure_all()
    with pytest.raises(CircuitError, match=r"Expected a circuit of gates .* got measure"):
        pack(circuit, Device(line(4)))
