"""Noise of circuits whose last gates are done on the bits: against Aer's simulation of the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.circuits.parity_readout import reading
from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.devices.compiled_circuit import compile_bases
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.devices.regions import Region, bundled_device
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.profile_route import open_route
from qvit_qiskit.hardware.estimators import RehearsalEstimator
from qvit_qiskit.ibm.local import LocalSender
from qvit_qiskit.profile import AerProfile, FakeProfile
from qvit_qiskit.simulation.bitstrings import BitstringEstimator
from qvit_qiskit.simulation.noise import readout_choice
from qvit_qiskit.simulation.noise.compiler import noisy
from qvit_qiskit.simulation.noise.readout_choice import compile_readout, mean_square_error
from qvit_qiskit.simulation.shifts import circuit_pub
from tests.reference import aer_noise
from tests.reference.tailed_circuits import tailed_circuit

READOUTS = ["gates", "parity"]


def factors(region: Region, mask: int) -> tuple[float, float]:
    """(λ, μ) of one bit's confusion: what is read is λ Z + μ."""
    confusion = region.readout()[mask.bit_length() - 1]
    p01, p10 = confusion[1, 0], confusion[0, 1]
    return 1 - p01 - p10, p10 - p01


def aer_values(circuit, device, seed, readout, rows):
    """Values (K, R): Aer's density matrices, and each qubit's misreading worked out by hand."""
    prepared, terms = prepare_with(circuit.canonical, circuit.pauli_terms)
    out = np.zeros((circuit.num_outputs, len(rows)))
    for basis in measurement_bases(terms):
        read = reading(prepared.circuit, basis, readout)
        region = place(read.circuit, device, seed, reads=read.reads)
        n = len(region.outputs)
        for output, coefficient, mask in read.basis.terms:
            strings = {"I" * n: coefficient}
            for q in range(n):
                if mask >> q & 1:
                    scale, shift = factors(region, 1 << q)
                    with_z = {s[: n - 1 - q] + "Z" + s[n - q :]: c * scale
                              for s, c in strings.items()}  # fmt: skip
                    strings = {s: c * shift for s, c in strings.items()} | with_z
            observable = SparsePauliOp(list(strings), list(strings.values()))
            out[output] += aer_noise.values(region, prepared.circuit, [observable], rows)[0]
    return out


@pytest.mark.parametrize("name", ["fake_fez", "fake_torino"])
@pytest.mark.parametrize("readout", READOUTS)
def test_each_readout_equals_aer(rng, readout, name):
    device = bundled_device(name)
    circuits = [build_circuit("ry-ring", 3, 2), tailed_circuit(rng, 3)]
    for circuit in circuits:
        inputs = rng.uniform(-np.pi, np.pi, (3, circuit.num_inputs))
        pub = circuit_pub(circuit, inputs, rng.uniform(-np.pi, np.pi, circuit.num_weights))
        found = noisy(device, 2, readout=readout).run([pub]).result()[0].data.evs
        expected = aer_values(circuit, device, 2, readout, pub[2])
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_shots_of_parities_and_their_covariances(rng):
    """Means within five standard errors of the noise engine's, covariances near the repeats'."""
    device, circuit = bundled_device("fake_torino"), build_circuit("ry-ring", 4, 2)
    pub = circuit_pub(circuit, rng.uniform(-2, 2, (4, 4)), rng.uniform(-2, 2, circuit.num_weights))
    exact = noisy(device, readout="parity")
    expected = exact.run([pub]).result()[0].data.evs
    estimator = BitstringEstimator(exact.engine, exact.compiler, 500, seed=3)
    found = [estimator.run([pub]).result()[0].data for _ in range(200)]
    means = np.array([data.evs for data in found])  # (200, K, R)
    assert np.abs((means[0] - expected) / found[0].stds).max() < 5
    spread = np.einsum("tkr,tlr->krl", means - expected, means - expected) / len(means)
    told = np.mean([data.covariances for data in found], axis=0)
    np.testing.assert_allclose(spread, told, atol=7 * told.max() / np.sqrt(len(means) / 2))


def test_auto_takes_the_smaller_error(rng):
    """At both kinds of weights it has the error of the better readout."""
    circuit = build_circuit("ry-ring", 4, 2)
    profiles = {
        name: open_route(name, AerProfile(kind="aer", noise="fake_torino", readout=name), Path("x"))
        for name in ("gates", "parity", "auto")
    }
    for size in (0.3, np.pi):
        pub = circuit_pub(circuit, rng.normal(size=(30, 4)), rng.uniform(-size, size, 8))
        exact = registry.open("aer-exact").estimator.run([pub]).result()[0].data.evs
        errors = {
            name: np.mean((route.estimator.run([pub]).result()[0].data.evs - exact) ** 2)
            for name, route in profiles.items()
        }
        assert errors["auto"] == min(errors["gates"], errors["parity"])
        assert errors["gates"] != errors["parity"]


def test_wide_circuits_are_not_chosen_for(monkeypatch):
    """Their errors cannot be predicted; either readout still runs."""
    circuit, device = build_circuit("ry-ring", 3, 1), bundled_device("fake_torino")
    rows, terms = np.zeros((1, 6)), list(circuit.pauli_terms)
    monkeypatch.setattr(readout_choice, "MAX_WIRES", 2)
    asked = [circuit.canonical, terms, rows, device, Placement()]
    with pytest.raises(RouteError, match='Set readout = "gates" or "parity"'):
        compile_readout(*asked, "auto", Mitigation(0), 100)
    (compiled,) = compile_readout(*asked, "parity", Mitigation(0), 100)
    assert compiled.copies[0].two_qubit_gates() == 0


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_predicted_error_is_what_rehearsals_have(rng, level):
    """Of parities, on the same copy: many shots of few rows, each on its own."""
    circuit, device = build_circuit("ry-ring", 3, 2), bundled_device("fake_torino")
    rows = rng.uniform(-2, 2, (40, 9))
    profile = FakeProfile(kind="fake", device="fake_torino", shots=2000, readout="parity",
                          resilience_level=level)  # fmt: skip
    estimator = RehearsalEstimator(LocalSender(profile))
    pub = (circuit.canonical, [[o] for o in circuit.observables], rows)
    found = estimator.run([pub]).result()[0].data.evs
    exact = registry.open("aer-exact").estimator.run([pub]).result()[0].data.evs
    terms = list(circuit.pauli_terms)
    programs = compile_bases(circuit.canonical, terms, device, profile.placement, "parity")
    expected = mean_square_error(programs, circuit.canonical, terms, rows, device,
                                 profile.mitigation, 2000)  # fmt: skip
    assert 0.6 < np.mean((found - exact) ** 2) / expected < 1.6


def test_auto_does_not_train():
    route = open_route("x", AerProfile(kind="aer", noise="fake_torino", readout="auto"), Path("x"))
    assert not route.trainable
    with pytest.raises(RouteError, match='Train with readout = "gates" or "parity"'):
        raise route.refusal()


def test_keys_name_the_readout_only_where_it_is_new():
    """Digests and trainings of earlier versions keep their profiles."""
    assert "readout" not in AerProfile(kind="aer").ingredients()
    assert AerProfile(kind="aer", readout="parity").ingredients()["readout"] == "parity"
