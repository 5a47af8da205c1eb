"""Counts, moments and extrapolation against slow twins; what is compiled keeps its meaning."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator, SparsePauliOp

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.devices.compiled_circuit import (
    Compiled,
    Placement,
    compile_bases,
    from_qpy,
    to_qpy,
)
from qvit_qiskit.devices.regions import best_region, bundled_device, compile_region
from qvit_qiskit.execution import registry
from qvit_qiskit.hardware.values.counts import Counts, extrapolate, moments

TERMS = [{"IIZ": 1.0}, {"ZIZ": 0.5, "IZI": -2.0}, {"ZZZ": 1.0, "III": 0.25}]


def parity(bits: np.ndarray, letters: str) -> np.ndarray:
    """The ±1 of a Z string for bits (..., n), qubit 0 first."""
    out = np.ones(bits.shape[:-1])
    for qubit, letter in enumerate(reversed(letters)):
        if letter == "Z":
            out = out * (1 - 2 * bits[..., qubit])
    return out


def test_counts_are_the_bits(rng):
    bits = rng.integers(0, 2, (4, 50, 3)).astype(bool)
    counts = Counts.of(bits)
    np.testing.assert_array_equal(counts.shots(), [50] * 4)
    for row in range(4):
        for state in range(8):
            expected = sum((bits[row] @ [1, 2, 4]) == state)
            found = counts.count[(counts.row == row) & (counts.state == state)]
            assert found.sum() == expected


def test_moments_are_those_of_every_shot(rng):
    bits = rng.random((5, 400, 3)) < rng.uniform(0.1, 0.9, (5, 1, 3))
    (basis,) = measurement_bases(TERMS)
    mean, covariance = moments(basis, 3, Counts.of(bits), None)
    shots = np.stack(
        [sum(c * parity(bits, p) for p, c in terms.items()) for terms in TERMS], axis=-1
    )  # (R, shots, K)
    np.testing.assert_allclose(mean, shots.mean(axis=1))
    for row in range(5):
        expected = np.cov(shots[row].T, bias=True) / 400
        np.testing.assert_allclose(covariance[row], expected, atol=1e-15)


def test_a_calibration_divides_each_term(rng):
    """Readout that flips bits at random, undone; its own shot noise is in the covariance."""
    truth = np.array([0.9, 0.3, 0.2])  # of reading 1
    flips = np.array([0.02, 0.08, 0.05])
    trials, shots, calibrated = 200, 500, 500
    (basis,) = measurement_bases(TERMS)
    means, variances = [], []
    for _ in range(trials):
        bits = (rng.random((1, shots, 3)) < truth) ^ (rng.random((1, shots, 3)) < flips)
        zero = rng.random((1, calibrated, 3)) < flips
        mean, covariance = moments(basis, 3, Counts.of(bits), Counts.of(zero))
        means.append(mean[0])
        variances.append(np.diag(covariance[0]))
    z = 1 - 2 * truth
    expected = np.array([z[0], 0.5 * z[0] * z[2] - 2 * z[1], z.prod() + 0.25])
    spread = np.std(means, axis=0)
    assert np.all(np.abs(np.mean(means, axis=0) - expected) < 5 * spread / np.sqrt(trials) + 1e-3)
    # the standard deviation of 200 trials is known to 5 %; five times that
    np.testing.assert_allclose(np.sqrt(np.mean(variances, axis=0)), spread, rtol=0.25)


def test_every_copy_has_its_own_calibration(rng):
    """Row r was measured on copy r % k: packed rows equal the copies taken apart."""
    bits = rng.random((6, 300, 3)) < 0.4
    zero = rng.random((2, 400, 3)) < np.array([[[0.02, 0.1, 0.05]], [[0.2, 0.01, 0.1]]])
    (basis,) = measurement_bases(TERMS)
    mean, covariance = moments(basis, 3, Counts.of(bits), Counts.of(zero))
    for copy in (0, 1):
        own = moments(basis, 3, Counts.of(bits[copy::2]), Counts.of(zero[copy : copy + 1]))
        np.testing.assert_allclose(mean[copy::2], own[0])
        np.testing.assert_allclose(covariance[copy::2], own[1])


def test_a_line_is_extrapolated_to_zero(rng):
    slope, at_zero = rng.normal(size=(2, 4, 3))
    covariances = [np.stack([np.eye(3) * s] * 4) for s in (1.0, 2.0, 3.0)]
    found = [(at_zero + f * slope, c) for f, c in zip((1, 3, 5), covariances, strict=True)]
    mean, covariance = extrapolate(found, (1, 3, 5))
    np.testing.assert_allclose(mean, at_zero, atol=1e-12)
    weights = np.array([13 / 12, 1 / 3, -5 / 12])  # by hand: least squares at 1, 3, 5
    np.testing.assert_allclose(covariance[0], np.eye(3) * (weights**2 @ [1.0, 2.0, 3.0]))


@pytest.mark.parametrize("k", [1, 3])
def test_a_record_brings_everything_back(k):
    circuit = build_circuit("ry-ring", 3, 1)
    terms = [{"IIZ": 1.0}, {"IIX": 2.0}]
    device = bundled_device("fake_torino")
    found = compile_bases(circuit.canonical, terms, device, Placement(1, k, buffer=1))
    assert len(found) == 2
    for compiled in found:
        assert compiled.k == k
        circuits = from_qpy(to_qpy([copy.circuit for copy in compiled.copies]))
        again = Compiled.from_record(compiled.record(), circuits)
        assert again.record() == compiled.record()
        for fold in (None, 1, 3):
            wide = again.wide(fold, device.num_qubits)
            assert str(wide.draw()) == str(compiled.wide(fold, device.num_qubits).draw())
            assert wide.num_clbits == 3 * k


def test_folding_repeats_gates_and_keeps_the_unitary(rng):
    circuit = build_circuit("ry-ring", 3, 1).canonical
    region = best_region(circuit, bundled_device("fake_boston"), 0)
    values = rng.uniform(-2, 2, region.circuit.num_parameters)

    def unitary(fold: int) -> tuple[Operator, int]:
        folded = region.measured(fold=fold)
        folded.remove_final_measurements()
        return Operator(folded.assign_parameters(values)), folded.count_ops()["cz"]

    plain, gates = unitary(1)
    for fold in (3, 5):
        found, repeated = unitary(fold)
        assert repeated == fold * gates
        assert found.equiv(plain)


@pytest.mark.parametrize("k", [1, 4])
def test_a_wide_circuit_is_the_narrow_ones_on_their_qubits(k, rng):
    """Gate by gate, with every copy's own parameter values."""
    circuit = build_circuit("ry-chain", 3, 1)
    device = bundled_device("fake_boston")
    (compiled,) = compile_bases(
        circuit.canonical, circuit.pauli_terms, device, Placement(0, k, buffer=1)
    )
    values = rng.normal(size=(k, circuit.canonical.num_parameters))
    wide = compiled.wide(1, device.num_qubits)
    order = np.concatenate([values[c, compiled.columns[c]] for c in range(k)])
    bound = wide.assign_parameters(order)
    found, expected = [], []
    for item in bound.data:
        qubits = tuple(bound.find_bit(q).index for q in item.qubits)
        clbits = tuple(bound.find_bit(c).index for c in item.clbits)
        found.append(
            (item.operation.name, tuple(map(float, item.operation.params)), qubits, clbits)
        )
    for c, copy in enumerate(compiled.copies):
        alone = compiled.narrow(c, 1).assign_parameters(values[c, compiled.columns[c]])
        for item in alone.data:
            qubits = tuple(copy.qubits[alone.find_bit(q).index] for q in item.qubits)
            clbits = tuple(3 * c + alone.find_bit(b).index for b in item.clbits)
            gate = item.operation
            expected.append((gate.name, tuple(map(float, gate.params)), qubits, clbits))
    assert sorted(found) == sorted(expected)
    assert len({q for copy in compiled.copies for q in copy.qubits}) == compiled.qubits


@pytest.mark.parametrize("k", [1, 3])
def test_a_program_is_the_same_to_the_byte_in_any_process(k):
    """Circuits count their instances and parameters are born with random ids: none may show."""
    circuit = build_circuit("ry-ring", 3, 1)
    device = bundled_device("fake_torino")
    (compiled,) = compile_bases(
        circuit.canonical, circuit.pauli_terms, device, Placement(1, k, buffer=1)
    )
    stored = to_qpy([copy.circuit for copy in compiled.copies])
    programs = []
    for _ in range(2):
        QuantumCircuit(1)  # another instance
        again = Compiled.from_record(compiled.record(), from_qpy(stored))
        programs.append(to_qpy([again.wide(fold, 133) for fold in (None, 1, 3)]))
    assert programs[0] == programs[1]


def test_without_noise_every_copy_equals_the_logical_circuit(rng):
    """To 1e-12: the exact engine on each copy's ISA circuit, measured where its outputs are."""
    circuit = build_circuit("ry-ring", 4, 2)
    device = bundled_device("fake_fez")
    (compiled,) = compile_bases(
        circuit.canonical, circuit.pauli_terms, device, Placement(0, "auto", buffer=1)
    )
    assert compiled.k >= 27
    rows = rng.uniform(-3, 3, (compiled.k, 3, circuit.canonical.num_parameters))
    estimator = registry.open("aer-exact").estimator
    column = [[o] for o in circuit.observables]
    for c, copy in enumerate(compiled.copies):
        wires = [
            [SparsePauliOp.from_sparse_list([("Z", [w], 1.0)], copy.circuit.num_qubits)]
            for w in copy.outputs
        ]
        pubs = [
            (circuit.canonical, column, rows[c]),
            (copy.circuit, wires, rows[c][:, compiled.columns[c]]),
        ]
        logical, placed = (r.data.evs for r in estimator.run(pubs).result())
        np.testing.assert_allclose(placed, logical, atol=1e-12)


def test_the_best_of_several_layouts_is_kept():
    circuit = build_circuit("ry-ring", 4, 2).canonical
    device = bundled_device("fake_torino")
    best = best_region(circuit, device, 5)
    seeds = np.random.SeedSequence(5).generate_state(8, dtype=np.uint32) >> 1
    every = [compile_region(circuit, device, int(s)).scheduled().fidelity() for s in seeds]
    assert best.fidelity() == max(every)
    assert 0.5 < best.fidelity() < 1


def test_fidelity_is_the_product_of_what_is_reported():
    """One gate and one readout, by hand."""
    circuit = QuantumCircuit(1)
    circuit.x(0)
    device = bundled_device("fake_boston")
    region = best_region(circuit, device, 0)
    (qubit,) = region.qubits
    expected = (1 - device.target["x"][(qubit,)].error) * (
        1 - device.target["measure"][(qubit,)].error
    )
    assert region.fidelity() == pytest.approx(expected)
