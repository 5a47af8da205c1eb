"""Anchor rows: the same rows on the same qubits in every job, and what they tell of drift."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error
from scipy.stats import chi2

from qvit_qiskit.circuits import QNNCircuit, build_circuit
from qvit_qiskit.circuits.pubs import flatten
from qvit_qiskit.devices import prices as cost
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.execution import registry
from qvit_qiskit.hardware.events import RouteOrder
from qvit_qiskit.hardware.hardware_run import HardwareRun
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.hardware.values.repeats import Anchors
from qvit_qiskit.ibm.local import LocalSender
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.simulation.shifts import circuit_pub

SHOTS, ANCHORS, SIGMAS = 512, 2, 5.0


class Device:
    """What every qubit of the simulated device suffers; changed between jobs."""

    error = 0.0
    """Of each two-qubit gate."""

    def simulator(self, backend: object) -> AerSimulator:
        noise = NoiseModel()
        if self.error:
            noise.add_all_qubit_quantum_error(depolarizing_error(self.error, 2), ["cz"])
        return AerSimulator(noise_model=noise)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    """Without noise, unless a test says so."""
    found = Device()
    monkeypatch.setattr(AerSimulator, "from_backend", found.simulator)
    monkeypatch.setattr(cost, "MERGE_SECONDS", 0.0)
    return found


class Drifting(LocalSender):
    """Its device changes before every job but the first."""

    def __init__(self, profile: FakeProfile, device: Device, errors: list[float]) -> None:
        super().__init__(profile)
        self.changed, self.errors = device, iter(errors)

    def run(self, items, shots, seed):
        self.changed.error = next(self.errors)
        return super().run(items, shots, seed)


def two_bases() -> QNNCircuit:
    plain = build_circuit("ry-ring", 2, 1)
    observables = (SparsePauliOp("XX"), SparsePauliOp(["ZI", "IZ"], [1.0, 0.5]))
    return QNNCircuit(plain.circuit, plain.inputs, plain.weights, observables)


def asked(rng: np.random.Generator, *circuits: QNNCircuit, rows: int = 6) -> Rows:
    pubs = []
    for circuit in circuits:
        inputs = rng.uniform(-1.5, 1.5, (rows, circuit.num_inputs))
        pub = circuit_pub(circuit, inputs, rng.uniform(-1, 1, circuit.num_weights))
        pubs.append(flatten(EstimatorPub.coerce(pub, None)))
    return Rows.gather(pubs)


def terms(seconds: float, **keys: object) -> Terms:
    """Of a run whose jobs take at most so long."""
    values = {"kind": "fake", "device": "fake_torino", "shots": SHOTS, "seed": 2} | keys
    return Terms(FakeProfile.create(**values), SHOTS, seconds, max_loss=1.0, anchor_rows=ANCHORS)


def finished(folder: Path, terms: Terms, rows: Rows, *errors: float, device: Device) -> HardwareRun:
    run = HardwareRun.at(folder, terms)
    if errors:
        run._sender = Drifting(terms.profile, device, list(errors))  # noqa: SLF001 - a device that changes stands in
    number = run.write_stage(rows)
    run.advance(number)
    run.wait(number)
    return run


def exact(circuit: QNNCircuit, parameters: np.ndarray) -> np.ndarray:
    """Shape (R, K)."""
    pub = (circuit.canonical, [[o] for o in circuit.observables], parameters)
    return registry.open("aer-exact").estimator.run([pub]).result()[0].data.evs.T


@pytest.mark.parametrize(
    ("k", "level", "seconds"),
    [(1, 0, 4.4), (1, 1, 4.6), (1, 2, 4.5), (2, 0, 3.3), (2, 1, 3.6), (2, 2, 3.5)],
)
def test_anchors_are_measured_in_every_job(
    device: Device, tmp_path: Path, rng: np.random.Generator, k: int, level: int, seconds: float
) -> None:
    """Without noise their values are the exact ones, within shot noise, at every level."""
    circuits = [build_circuit("ry-ring", 3, 1)] + [two_bases()] * (level < 2)
    rows = asked(rng, *circuits)
    agreed = terms(seconds, resilience_level=level, k=k)
    run = finished(tmp_path / "run", agreed, rows, device=device)
    layout = run.layout(0)
    assert len(layout.chunks) == 2
    mitigation = run.terms.mitigation
    for chunk in layout.chunks:
        items = layout.items(chunk, rows.groups, mitigation)
        each = np.prod(mitigation.split(SHOTS))
        assert chunk.executions == sum(item.rows for item in items) * each
        names = [item.name for item in items]
        assert len(set(names)) == len(names)
        assert {f"anchors{g}" for g in range(len(circuits))} < {n.split("-")[0] for n in names}
    found, answers = run.reader.stage(0).anchors, run.reader.stage(0).answers
    assert len(found) == len(circuits)
    for g, (circuit, anchors, group) in enumerate(zip(circuits, found, rows.groups, strict=True)):
        outputs = len(circuit.observables)
        assert anchors.jobs == tuple(chunk.name for chunk in layout.chunks)
        assert list(anchors.times) == sorted(anchors.times)
        assert anchors.parameters.shape == (ANCHORS, group.rows.shape[1])
        assert anchors.values.shape == (2, ANCHORS, outputs)
        assert anchors.covariances.shape == (2, ANCHORS, outputs, outputs)
        assert anchors.calibrated == (level > 0)
        assert all((group.rows == row).all(axis=1).any() for row in anchors.parameters)
        assert len(np.unique(anchors.parameters, axis=0)) == ANCHORS
        for parameters, values, covariances in (
            (anchors.parameters, anchors.values, anchors.covariances),
            (group.rows[rows.pubs[g][1]], *answers[g]),
        ):
            errors = np.sqrt(np.einsum("...kk->...k", covariances) + 1 / SHOTS**2)
            assert np.all(np.abs(values - exact(circuit, parameters)) < SIGMAS * errors)
        assert steady(anchors)


def steady(anchors: Anchors, tail: float = 1e-7) -> bool:
    """Whether all outputs changed between jobs by no more than shots explain.

    The variance over J jobs has a χ² distribution with J − 1 degrees of freedom, whose tail for two
    jobs is far longer than a normal one. A probability of ``tail`` is shared by all outputs.
    """
    jobs = len(anchors.values)
    spread = anchors.values.var(axis=0, ddof=1)
    noise = np.einsum("jakk->jak", anchors.covariances).mean(axis=0) + 1 / SHOTS**2
    return bool(np.all(spread <= noise * chi2.ppf(1 - tail / spread.size, jobs - 1) / (jobs - 1)))


def test_how_anchors_are_judged(rng: np.random.Generator) -> None:
    """Nothing that does not change is called unsteady; a change of seven errors is."""
    covariances = np.broadcast_to(0.01 * np.eye(2), (2, 3, 2, 2))
    still = Anchors(("", ""), (), np.zeros((3, 0)), np.zeros((2, 3, 2)), 0 * covariances, False)
    assert steady(still)
    for _ in range(2000):
        values = 0.1 * rng.normal(size=(2, 3, 2))
        assert steady(replace(still, values=values, covariances=covariances))
    values = np.zeros((2, 3, 2))
    values[1, 1, 1] = 7 * np.sqrt(2 * 0.01)
    assert not steady(replace(still, values=values, covariances=covariances))


def test_anchors_sit_on_the_same_qubits_in_every_job(
    device: Device, tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = asked(rng, build_circuit("ry-chain", 2, 1))
    run = finished(tmp_path / "run", terms(2.4, k=2), rows, device=device)
    layout = run.layout(0)
    jobs = [layout.items(chunk, rows.groups, run.terms.mitigation) for chunk in layout.chunks]
    anchors = [next(i for i in items if i.name.startswith("anchors")) for items in jobs]
    assert len(anchors) > 1
    for other in anchors:
        np.testing.assert_array_equal(other.values, anchors[0].values)
        assert other.compiled is anchors[0].compiled is layout.programs[0][0]


@pytest.mark.parametrize("level", [0, 1])
def test_a_device_that_changes_shows(
    device: Device, tmp_path: Path, rng: np.random.Generator, level: int
) -> None:
    """Where the rows' own values tell nothing: each is measured once."""
    rows = asked(rng, build_circuit("ry-ring", 3, 2), rows=8)
    found = {}
    for name, errors in {"constant": [0.02] * 9, "changing": [0.0, *[0.3] * 8]}.items():
        folder = tmp_path / name
        agreed = terms(2.8 if level else 2.55, resilience_level=level)
        run = finished(folder, agreed, rows, *errors, device=device)
        (found[name],) = run.reader.stage(0).anchors
        assert len(found[name].jobs) > 2
    assert steady(found["constant"])
    assert not steady(found["changing"])
    square, error = found["changing"].drift()
    assert square > SIGMAS * error
    first, *others = found["changing"].values
    assert np.abs(first).mean() > 1.2 * np.abs(others).mean()


@pytest.mark.parametrize("calibrated", [False, True])
def test_drift_is_zero_on_average_within_its_error(
    rng: np.random.Generator, calibrated: bool
) -> None:
    """Many trials of correlated normal outputs; with a calibration, rows are wholly dependent."""
    jobs, rows, outputs, trials = 4, 3, 2, 2000
    root = rng.normal(size=(outputs, outputs))
    covariances = np.broadcast_to(root @ root.T, (jobs, rows, outputs, outputs))
    squares = []
    for _ in range(trials):
        draws = rng.normal(size=(jobs, 1 if calibrated else rows, outputs)) @ root.T
        values = 0.3 + np.broadcast_to(draws, (jobs, rows, outputs))
        anchors = Anchors(("",) * jobs, (), np.zeros((rows, 0)), values, covariances, calibrated)
        square, error = anchors.drift()
        squares.append(square)
    assert abs(np.mean(squares)) < SIGMAS * error / np.sqrt(trials)
    # the standard deviation of 2000 trials is known to a few per cent
    np.testing.assert_allclose(np.std(squares), error, rtol=0.2)


def test_one_job_shows_no_drift() -> None:
    one = Anchors(("a",), (), np.zeros((1, 0)), np.ones((1, 1, 1)), np.ones((1, 1, 1, 1)), False)
    assert np.isnan(one.drift()).all()


def test_there_are_no_more_anchors_than_rows(
    device: Device, tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = asked(rng, build_circuit("ry-chain", 2, 1), rows=1)
    run = finished(tmp_path / "run", terms(9.0), rows, device=device)
    assert run.reader.stage(0).anchors[0].values.shape == (1, 1, 2)


def test_a_run_begun_before_there_were_anchors(
    device: Device, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Its terms do not have the key: it opens and reads, and other terms are still refused."""
    now = terms(9.0)
    before = Terms(now.profile, SHOTS, 10.0, max_loss=1.0)
    folder = tmp_path / "run"
    old = json.loads(json.dumps(before.record()))
    del old["anchor_rows"], old["budget"]
    Journal.create(folder).append(RouteOrder(terms=old))
    run = finished(folder, before, asked(rng, build_circuit("ry-chain", 2, 1)), device=device)
    assert HardwareRun.at(folder, before).reader.stage(0).answers[0][0].shape == (6, 2)
    assert run.reader.stage(0).anchors == []
    assert run.layout(0).anchors == {}
    with pytest.raises(JobError, match="other shots"):
        HardwareRun.at(folder, now)
