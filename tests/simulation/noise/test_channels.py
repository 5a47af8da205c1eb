"""Pauli transfer matrices, and how neighbours are joined."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import DensityMatrix, Operator, Pauli, SuperOp, random_quantum_channel

from qvit_qiskit.circuits import ry_ring
from qvit_qiskit.circuits.lowering import Rotation
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.simulation.noise.channels import (
    Channel,
    fuse,
    gate_errors,
    transfer_matrix,
    with_errors,
)
from qvit_qiskit.simulation.noise.evolution import evolve
from qvit_qiskit.simulation.noise.noisy_engine import product_values, z_coefficients

LETTERS = "IXYZ"


def strings(wires: int) -> list[str]:
    """Pauli strings in the order of the vectors: wire 0 is the lowest digit, the last letter."""
    return [
        "".join(LETTERS[(k >> 2 * w) & 3] for w in reversed(range(wires))) for k in range(4**wires)
    ]


def vector(state: DensityMatrix, wires: int) -> np.ndarray:
    return np.array([state.expectation_value(Pauli(s)).real for s in strings(wires)])


def random_steps(rng: np.random.Generator, wires: int, count: int) -> list[Channel | Rotation]:
    steps: list[Channel | Rotation] = []
    for k in range(count):
        width = int(rng.integers(1, min(wires, 2) + 1))
        qubits = tuple(rng.permutation(wires)[:width].tolist())
        if rng.random() < 0.3:
            steps.append(Rotation("xyz"[rng.integers(3)], qubits[:1], k))
        else:
            channel = random_quantum_channel(2**width, 2**width, seed=int(rng.integers(2**31)))
            steps.append(Channel(transfer_matrix(SuperOp(channel)), qubits))
    return steps


def by_qiskit(steps, angles: np.ndarray, wires: int) -> DensityMatrix:
    """Step by step on a density matrix."""
    state = DensityMatrix.from_label("0" * wires)
    for step in steps:
        if isinstance(step, Rotation):
            pauli = Operator(Pauli(step.axis.upper())).data
            angle = angles[step.index] / 2
            gate = Operator(np.cos(angle) * np.eye(2) - 1j * np.sin(angle) * pauli)
            state = state.evolve(gate, list(step.qubits))
        else:
            state = state.evolve(SuperOp(from_transfer(step.matrix)), list(step.qubits))
    return state


def from_transfer(matrix: np.ndarray) -> np.ndarray:
    """The superoperator of a transfer matrix, column by column: Σ_P M_PQ |P⟩⟩⟨⟨Q| / 2**k."""
    wires = (len(matrix).bit_length() - 1) // 2
    paulis = np.stack([Pauli(s).to_matrix().ravel(order="F") for s in strings(wires)], axis=1)
    return np.asarray(paulis @ matrix @ paulis.conj().T / 2**wires)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(0, 8))
@settings(max_examples=25, derandomize=True, deadline=None)
def test_states_forwards_and_observables_backwards(seed, wires, count):
    """Against Qiskit's density matrices; joined steps are the same map."""
    rng = np.random.default_rng(seed)
    steps, angles = random_steps(rng, wires, count), rng.uniform(-3, 3, count)
    expected = vector(by_qiskit(steps, angles, wires), wires)
    tensors = {k: torch.tensor(a).view(1, 1, 1) for k, a in enumerate(angles)}
    zero = vector(DensityMatrix.from_label("0" * wires), wires)
    for some in (steps, fuse(steps)):
        state = torch.from_numpy(zero).view(1, 1, 1, -1)
        state = evolve(some, state, wires, tensors, backwards=False)
        np.testing.assert_allclose(state[0, 0, 0], expected, atol=1e-10)
        everything = torch.eye(4**wires, dtype=torch.float64)[None, None]
        pulled = evolve(some, everything, wires, tensors, backwards=True)
        np.testing.assert_allclose(pulled[0, 0] @ torch.from_numpy(zero), expected, atol=1e-10)
    assert len(fuse(steps)) <= len(steps)


def test_neighbours_vanish_in_two_wire_channels(rng):
    """Between two rotations of a wire nothing but one channel is left."""
    region = place(ry_ring(4, 2).canonical, bundled_device("fake_fez"), 0)
    noisy = with_errors(region.circuit, region.target, ry_ring(4, 2).canonical.parameters)
    fused = fuse(noisy.steps)
    for a, b in pairwise(fused):
        assert not (isinstance(a, Channel) and isinstance(b, Channel) and a.qubits == b.qubits)
    two = [s for s in noisy.steps if isinstance(s, Channel) and len(s.qubits) == 2]
    assert len([s for s in fused if len(s.qubits) == 2]) <= len(two) / 2
    assert len(fused) < len(noisy.steps) / 3


def test_errors_are_what_the_device_reports():
    """Average gate infidelity of each error is the reported error, where relaxation allows it."""
    region = place(ry_ring(3, 1).canonical, bundled_device("fake_torino"), 0)
    wires = [(w,) for w in range(3)]
    gates = {("sx", w) for w in wires} | {("cz", (a, b)) for a in range(3) for b in range(3)}
    errors = gate_errors(region.target, gates | {("rz", w) for w in wires})
    assert {name for name, _ in errors} == {"cz", "sx"}  # RZ is virtual
    for (name, qubits), matrix in errors.items():
        d = 2 ** len(qubits)
        process = np.trace(matrix) / d**2
        infidelity = 1 - (d * process + 1) / (d + 1)
        assert infidelity == pytest.approx(region.target[name][qubits].error, rel=0.2)
        np.testing.assert_allclose(matrix[0], np.eye(len(matrix))[0], atol=1e-12)  # keeps traces


def test_product_states(rng):
    """Rows on some wires, |0⟩ on the others, against Kronecker products."""
    rows, wires = 6, 4
    bloch = {w: torch.from_numpy(rng.normal(size=(2, 1, rows, 4))) for w in (0, 1, 3)}
    observables = torch.from_numpy(rng.normal(size=(2, 3, 5, 4**wires)))
    found = product_values(bloch, observables, wires)
    ground = np.array([1.0, 0, 0, 1])
    for h in range(2):
        for r in range(rows):
            state = np.ones(1)
            for w in reversed(range(wires)):
                state = np.kron(state, bloch[w][h, 0, r].numpy() if w in bloch else ground)
            expected = observables[h].numpy() @ state  # (3, 5)
            np.testing.assert_allclose(found[h, :, r], expected, atol=1e-12)


def test_diagonals_as_z_strings(rng):
    diagonal = rng.normal(size=(8, 3))
    found = z_coefficients(diagonal)
    for k in range(3):
        terms = [Pauli(s).to_matrix().diagonal().real for s in strings(3) if set(s) <= {"I", "Z"}]
        np.testing.assert_allclose(found[:, k] @ np.array(terms), diagonal[:, k], atol=1e-12)
