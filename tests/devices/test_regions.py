import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target
from qiskit_aer.noise import NoiseModel
from reference import dense

from qvit_qiskit.circuits import build_circuit, ry_ring, z_observables
from qvit_qiskit.devices.regions import (
    Region,
    TargetDevice,
    bundled_device,
    compile_region,
    slice_target,
)
from qvit_qiskit.exceptions import RouteError

DEVICES = ["fake_torino", "fake_boston"]


def readout_of(name: str, qubit: int) -> tuple[float, float]:
    """P(read 1 | 0) and P(read 0 | 1) as the snapshot's properties state them."""
    properties = bundled_device(name).properties().qubit_property(qubit)
    return properties["prob_meas1_prep0"][0], properties["prob_meas0_prep1"][0]


@pytest.mark.parametrize("name", ["fake_torino", "FakeTorino", "torino", "FAKE_TORINO"])
def test_names(name):
    device = bundled_device(name)
    assert (device.name, device.num_qubits) == ("fake_torino", 133)
    assert bundled_device(name) is device


@pytest.mark.parametrize("name", ["fake_manila", "fake_manila_v2", "FakeManilaV2"])
def test_versions_in_class_names_are_optional(name):
    assert bundled_device(name).name == "fake_manila"


@pytest.mark.parametrize("name", ["fake_bostn", "fake_provider_for_backend_v2", "ibm_boston", ""])
def test_unknown_names(name):
    with pytest.raises(RouteError, match=r"Unknown device snapshot .*Choose from: .*fake_boston"):
        bundled_device(name)


def test_the_nearest_name_is_suggested():
    with pytest.raises(RouteError, match=r"'fake_bostn'\. Did you mean 'fake_boston'\?"):
        bundled_device("fake_bostn")


@pytest.mark.parametrize("name", DEVICES)
def test_a_sliced_target_keeps_errors(name):
    """Qubits are renumbered in the order given; what connects two of them stays."""
    whole = bundled_device(name).target
    first, second = next(pair for pair in whole["cz"] if 100 not in pair)
    chosen = (second, 100, first)
    small = slice_target(whole, chosen)
    assert small.num_qubits == 3
    assert small.dt == whole.dt
    for wire, physical in enumerate(chosen):
        assert small.qubit_properties[wire].t1 == whole.qubit_properties[physical].t1
        for gate in ("sx", "x", "rz", "measure"):
            ours, theirs = small[gate][(wire,)], whole[gate][(physical,)]
            assert (ours.error, ours.duration) == (theirs.error, theirs.duration)
    back = {(second, first): (0, 2), (first, second): (2, 0)}
    expected = {wires: whole["cz"][pair] for pair, wires in back.items() if pair in whole["cz"]}
    assert small["cz"].keys() == expected.keys()
    assert all(small["cz"][wires].error == entry.error > 0 for wires, entry in expected.items())
    assert "if_else" not in small.operation_names


def test_a_slice_without_neighbours_has_no_pairs():
    whole = bundled_device("fake_torino").target
    assert "cz" in whole.operation_names
    assert "cz" not in slice_target(whole, (0, 60)).operation_names


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize(("family", "n"), [("ry-ring", 4), ("rx-rz-ring", 3), ("ry-chain", 5)])
def test_a_region_is_the_circuit(rng, name, family, n):
    """Its outputs are the circuit's, wherever the router left them."""
    circuit = build_circuit(family, n, 1).canonical
    region = compile_region(circuit, bundled_device(name), seed=7)
    assert region.circuit.num_qubits == len(region.qubits) == region.target.num_qubits
    assert sorted(set(region.qubits)) == list(region.qubits)
    assert set(region.circuit.count_ops()) <= set(region.target.operation_names)
    assert region.circuit.global_phase == 0
    for item in region.circuit.data:
        wires = tuple(region.circuit.find_bit(q).index for q in item.qubits)
        assert wires in region.target[item.operation.name]

    rows = rng.uniform(-np.pi, np.pi, (2, circuit.num_parameters))
    order = [list(circuit.parameters).index(p) for p in region.circuit.parameters]
    placed = [
        SparsePauliOp.from_sparse_list([("Z", [wire], 1.0)], len(region.qubits))
        for wire in region.outputs
    ]
    found = dense.values(region.circuit, placed, rows[:, order])
    expected = dense.values(circuit, z_observables(n), rows)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_routing_moves_outputs():
    """The test above means something: a ring of four ends on other wires than it began."""
    region = compile_region(ry_ring(4, 1).circuit, bundled_device("fake_boston"), seed=0)
    assert region.outputs != tuple(range(4))


def test_qubits_without_gates_are_kept():
    circuit = QuantumCircuit(3)
    circuit.ry(Parameter("a"), 1)
    circuit.barrier()
    region = compile_region(circuit, bundled_device("fake_torino"), seed=0)
    assert len(region.qubits) == 3
    assert sorted(region.outputs) == [0, 1, 2]
    assert "barrier" not in region.circuit.count_ops()


@pytest.mark.parametrize("name", DEVICES)
def test_readout_is_the_devices_own(name):
    """Both errors of the qubit on which each output ends, ``[output, read, prepared]``."""
    region = compile_region(ry_ring(3, 1).circuit, bundled_device(name), seed=1)
    readout = region.readout()
    assert readout.shape == (3, 2, 2)
    for confusion, wire in zip(readout, region.outputs, strict=True):
        p01, p10 = readout_of(name, region.qubits[wire])
        np.testing.assert_array_equal(confusion, [[1 - p01, p10], [p01, 1 - p10]])
    assert np.abs(readout[:, 1, 0] - readout[:, 0, 1]).max() > 1e-4  # not symmetric


def test_aer_reads_the_same_readout_errors():
    region = compile_region(ry_ring(3, 1).circuit, bundled_device("fake_torino"), seed=1)
    model = NoiseModel.from_backend(TargetDevice(region.target))
    for wire, confusion in zip(region.outputs, region.readout(), strict=True):
        theirs = model._local_readout_errors[(wire,)].probabilities  # [prepared, read]  # noqa: SLF001 - Aer tells its noise nowhere else
        np.testing.assert_allclose(confusion, theirs.T, atol=1e-12)


def test_a_device_without_properties_has_mean_readout_errors():
    device = GenericBackendV2(3, seed=5)
    assert not hasattr(device, "properties")
    region = compile_region(ry_ring(2, 1).circuit, device, seed=0)
    for confusion, wire in zip(region.readout(), region.outputs, strict=True):
        mean = device.target["measure"][(region.qubits[wire],)].error
        assert mean > 0
        np.testing.assert_array_equal(confusion, [[1 - mean, mean], [mean, 1 - mean]])


def test_a_region_is_a_backend_that_does_not_run():
    region = compile_region(ry_ring(2, 1).circuit, bundled_device("fake_torino"), seed=0)
    backend = TargetDevice(region.target)
    assert (backend.target, backend.num_qubits) == (region.target, 2)
    assert backend.max_circuits is None
    with pytest.raises(NotImplementedError):
        backend.run(region.circuit)


def test_description_counts_two_qubit_gates():
    circuit = QuantumCircuit(3)
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    circuit.rx(0.3, 2)
    region = Region(circuit, (4, 5, 9), (0, 1, 2), Target(num_qubits=3))
    assert region.describe("somewhere") == "somewhere, qubits 4, 5, 9, 2 two-qubit gates"


def test_too_few_qubits():
    with pytest.raises(
        RouteError, match=r"needs 6 qubits, but fake_manila has 5\. Choose a larger"
    ):
        compile_region(ry_ring(6, 1).circuit, bundled_device("fake_manila"), seed=0)


def test_the_seed_decides_the_layout():
    device = bundled_device("fake_torino")
    one, again = (compile_region(ry_ring(4, 1).circuit, device, seed=3) for _ in range(2))
    assert (one.qubits, one.outputs) == (again.qubits, again.outputs)
