"""Gradients under device noise, against parameter shifts and differences."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import finite
from reference.bundles import random_bundle, random_cotangents
from reference.random_circuits import random_circuit

from qvit_qiskit.circuits import FAMILIES, build_circuit
from qvit_qiskit.circuits.bundle import Bundle
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.execution.profile_route import ProfileRoute, open_route
from qvit_qiskit.profile import AerProfile
from qvit_qiskit.qnn import QuantumProjections
from qvit_qiskit.simulation.exact.gradient import AdjointGradient
from qvit_qiskit.simulation.noise import noisy_engine as engine
from qvit_qiskit.simulation.noise.compiler import noisy
from qvit_qiskit.simulation.shifts import ParameterShiftGradient


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "rows"), [(2, 3), (3, 9), (4, 2)])
def test_equal_to_parameter_shifts(rng, family, n, rows):
    """The noise sits behind gates that no angle changes, so that the shift rule stays exact."""
    circuit, estimator = build_circuit(family, n, 2), noisy(bundled_device("fake_fez"))
    bundles = [random_bundle(rng, circuit, rows, groups=3) for _ in range(2)]
    cotangents = [random_cotangents(rng, bundle) for bundle in bundles]
    values, pull = AdjointGradient(estimator).vjp(bundles)
    shifted, pull_shifted = ParameterShiftGradient(estimator).vjp(bundles)
    np.testing.assert_allclose(np.stack(values), np.stack(shifted), atol=1e-12)
    for one, two in zip(pull(cotangents), pull_shifted(cotangents), strict=True):
        np.testing.assert_allclose(one.inputs, two.inputs, atol=1e-10)
        np.testing.assert_allclose(one.weights, two.weights, atol=1e-10)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(0, 6))
@settings(max_examples=8, derandomize=True, deadline=None)
def test_random_circuits(seed, qubits, depth):
    """Angles of every kind, in a random direction, against differences."""
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, qubits, depth)
    gradient = AdjointGradient(noisy(bundled_device("fake_torino"), seed=1))
    bundle = random_bundle(rng, circuit, 3, groups=2)
    along = random_bundle(rng, circuit, 3, groups=2)
    cotangents = random_cotangents(rng, bundle)

    def moved(step: float) -> float:
        weights = tuple(w + step * d for w, d in zip(bundle.weights, along.weights, strict=True))
        there = Bundle(bundle.circuits, weights, bundle.inputs + step * along.inputs)
        values = gradient.vjp([there])[0][0]
        return sum(float(np.vdot(g, v)) for g, v in zip(cotangents, values, strict=True))

    slope = finite.jacobian(
        lambda t: np.array([[moved(float(s))] for s in t[:, 0]]), np.zeros((1, 1)), 2e-3
    )
    found = gradient.vjp([bundle])[1]([cotangents])[0]
    total = np.vdot(found.inputs, along.inputs) + np.vdot(found.weights, along.weights)
    assert total == pytest.approx(slope.item(), abs=1e-8)


@pytest.mark.parametrize("family", ["ry-ring", "reupload-ring"])
@pytest.mark.parametrize("kept", [0, 100])
def test_chunks_change_nothing(rng, monkeypatch, family, kept):
    """Whether the states of a chunk are kept for the way back or computed again."""
    circuit = build_circuit(family, 3, 2)
    gradient = AdjointGradient(noisy(bundled_device("fake_torino")))
    bundle = random_bundle(rng, circuit, 20, groups=2)
    cotangents = random_cotangents(rng, bundle)
    expected = gradient.vjp([bundle])[1]([cotangents])[0]
    monkeypatch.setattr(engine, "CHUNK_BYTES", 2**11)
    monkeypatch.setattr(engine, "TAPE_BYTES", 2**15)
    monkeypatch.setattr(engine, "MAX_KEPT", kept)
    found = gradient.vjp([bundle])[1]([cotangents])[0]
    np.testing.assert_allclose(found.inputs, expected.inputs, atol=1e-12)
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-12)


@pytest.fixture(scope="module")
def route() -> ProfileRoute:
    profile = AerProfile(kind="aer", noise="fake_torino")
    return open_route("noisy", profile, Path("built in"))


def test_gradcheck_through_the_connector(rng, route):
    projections = QuantumProjections(build_circuit("ry-ring", 2, 1), heads=2, route=route).double()
    tokens = torch.from_numpy(rng.uniform(-1, 1, (1, 2, 4))).requires_grad_()
    weights = [p for p in projections.parameters()]

    def run(x: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return projections(x)

    assert torch.autograd.gradcheck(run, (tokens, *weights))
