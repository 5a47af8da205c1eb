"""The product's own path to hardware: real client, loopback service, values against Aer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit_aer import AerSimulator
from service.handle import Service

from qvit_qiskit.circuits import build_circuit, ry_ring
from qvit_qiskit.devices.compiled_circuit import compile_bases
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.prices import SUBJOB_SECONDS, Mitigation
from qvit_qiskit.devices.regions import bundled_device, region_backend
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.hardware.events import Closure, Intent, Submission, Workload
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.qnn import QuantumLinear

SHOTS = 512
ROWS = 3
SIGMAS = 5.0


def profile(folder: Path, **keys: object) -> str:
    values = {"kind": "ibm", "device": "ibm_torino", "shots": SHOTS, "seed": 3} | keys
    path = folder / "mine.toml"
    lines = [
        f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for k, v in values.items()
    ]
    path.write_text("\n".join(lines).replace("'", '"'))
    return str(path)


@pytest.fixture
def layer() -> QuantumLinear:
    torch.manual_seed(0)
    return QuantumLinear(build_circuit("ry-chain", 3, 1))


@pytest.fixture
def angles(rng: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(rng.uniform(-1.5, 1.5, (ROWS, 3)))


def by_aer(layer: QuantumLinear, angles: torch.Tensor, device: str, fold: int = 1) -> np.ndarray:
    """⟨Z⟩ of the same ISA circuit with the device's noise, from Aer itself; shape (R, 3)."""
    circuit = layer.circuit
    (compiled,) = compile_bases(
        circuit.canonical, circuit.pauli_terms, bundled_device(device), Placement(3)
    )
    weights = layer.weight.detach().double().numpy()
    values = np.hstack([angles.numpy(), np.tile(weights, (len(angles), 1))])[:, compiled.columns[0]]
    backend = region_backend(bundled_device(device), compiled.copies[0].qubits)
    simulator = AerSimulator.from_backend(backend)
    bound = [compiled.narrow(0, fold).assign_parameters(row) for row in values]
    result = simulator.run(bound, shots=40_000, seed_simulator=1).result()
    out = []
    for row in range(len(bound)):
        z = np.zeros(3)
        for key, count in result.get_counts(row).items():
            z += count * np.array([1 - 2 * int(bit) for bit in reversed(key)])
        out.append(z / 40_000)
    return np.array(out)


@pytest.mark.parametrize("mode", ["job", "batch", "session"])
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("device", ["torino", "boston"])
def test_values_usage_and_executions(
    service: Service,
    tmp_path: Path,
    layer: QuantumLinear,
    angles: torch.Tensor,
    mode: str,
    level: int,
    device: str,
) -> None:
    before = len(service.executed())
    name = profile(tmp_path, device=f"ibm_{device}", mode=mode, resilience_level=level)
    with registry.route(layer, name, budget_seconds=60, run=tmp_path / "run"), torch.no_grad():
        found = layer(angles).numpy()
    measured = layer.network.last
    assert measured is not None
    np.testing.assert_allclose(found, measured.values, atol=1e-6)

    mitigation = Mitigation(level)
    done = service.executed()[before:]
    twirls, each = mitigation.split(SHOTS)
    expected = twirls * each * (ROWS * mitigation.circuits_per_row + mitigation.calibration_rows)
    assert sum(job["executions"] for job in done) == expected  # whatever the number of outputs
    intents = Journal.open(tmp_path / "run").of(Intent)
    billed = sum(job["charged"] for job in done)
    assert sum(intent.seconds for intent in intents) == pytest.approx(billed, rel=0.05)

    ideal = QuantumLinear(layer.circuit)
    ideal.load_state_dict(layer.state_dict())
    exact = ideal(angles).detach().double().numpy()
    noisy = by_aer(layer, angles, f"fake_{device}")
    error = np.sqrt(measured.stds**2 + (1 - noisy**2).clip(0.01) / 40_000)
    if level == 0:
        assert np.all(np.abs(found - noisy) < SIGMAS * error)
    else:  # mitigated: no further from the ideal than unmitigated values are
        gap = np.abs(noisy - exact).max()
        assert np.all(np.abs(found - exact) < gap + SIGMAS * error)


def test_a_level_two_value_is_the_line_through_aers_values(
    service: Service, tmp_path: Path, layer: QuantumLinear, angles: torch.Tensor
) -> None:
    """Readout aside, which level 2 removes: a noiseless readout is Aer's values over its own."""
    name = profile(tmp_path, resilience_level=2, shots=2048)
    with registry.route(layer, name, budget_seconds=120, run=tmp_path / "run"), torch.no_grad():
        found = layer(angles[:1]).double().numpy()
    measured = layer.network.last
    assert measured is not None
    device = bundled_device("fake_torino")
    circuit = layer.circuit
    (compiled,) = compile_bases(circuit.canonical, circuit.pauli_terms, device, Placement(3))
    backend = region_backend(device, compiled.copies[0].qubits)
    wires = compiled.copies[0].outputs
    scale = np.array(
        [
            1 - e.prob_meas1_prep0 - e.prob_meas0_prep1
            for e in (backend.target["measure"][(w,)] for w in wires)
        ]
    )
    shift = np.array(
        [
            e.prob_meas0_prep1 - e.prob_meas1_prep0
            for e in (backend.target["measure"][(w,)] for w in wires)
        ]
    )
    lines = [(by_aer(layer, angles[:1], "fake_torino", f) - shift) / scale for f in (1, 3, 5)]
    expected = 13 / 12 * lines[0] + lines[1] / 3 - 5 / 12 * lines[2]
    error = np.sqrt(measured.stds**2 + 2 / 40_000)
    # Twirled gates average coherent errors away that this noise model does not have.
    assert np.all(np.abs(found - expected) < SIGMAS * error)


def test_a_repeated_block_costs_nothing(
    service: Service, tmp_path: Path, layer: QuantumLinear, angles: torch.Tensor
) -> None:
    name, run = profile(tmp_path), tmp_path / "run"
    found = []
    for _ in range(2):
        with registry.route(layer, name, budget_seconds=60, run=run), torch.no_grad():
            found.append(layer(angles))
    assert torch.equal(*found)
    submitted = Journal.open(run).of(Submission)
    assert len(submitted) == 1
    with (
        pytest.raises(JobError, match="other inputs"),
        registry.route(layer, name, budget_seconds=60, run=run),
        torch.no_grad(),
    ):
        layer(angles + 0.1)


def test_nothing_is_spent_by_accident(
    service: Service, tmp_path: Path, layer: QuantumLinear, angles: torch.Tensor
) -> None:
    name = profile(tmp_path)
    before = len(service.jobs())
    with pytest.raises(RouteError, match=r"budget_seconds=…, run=…"), registry.route(layer, name):
        layer(angles)
    with (
        pytest.raises(RouteError, match="together"),
        registry.route(layer, name, budget_seconds=60),
    ):
        layer(angles)
    with (
        pytest.raises(JobError, match="only 2\\.1 are left"),
        registry.route(layer, name, budget_seconds=2.1, run=tmp_path / "run"),
        torch.no_grad(),
    ):
        layer(angles)
    with (
        pytest.raises(RouteError, match="above 0"),
        registry.route(layer, name, budget_seconds=0, run=tmp_path / "other"),
    ):
        layer(angles)
    assert len(service.jobs()) == before


def test_training_is_refused(service: Service, tmp_path: Path, layer: QuantumLinear) -> None:
    with (
        pytest.raises(RouteError, match="only evaluates"),
        registry.route(layer, profile(tmp_path), budget_seconds=60, run=tmp_path / "run"),
    ):
        layer(torch.zeros(1, 3, requires_grad=True))


def test_the_open_plan_has_no_sessions(
    service: Service, tmp_path: Path, layer: QuantumLinear, angles: torch.Tensor
) -> None:
    name = profile(tmp_path, mode="session", instance="loopback-open")
    with (
        pytest.raises(RouteError, match='Set mode = "batch"'),
        registry.route(layer, name, budget_seconds=60, run=tmp_path / "run"),
        torch.no_grad(),
    ):
        layer(angles)
    assert Journal.open(tmp_path / "run").of(Intent) == []


def test_workloads_are_closed_and_jobs_carry_limit_and_tags(
    service: Service, tmp_path: Path, layer: QuantumLinear, angles: torch.Tensor
) -> None:
    name = profile(tmp_path, tags=["paper"])
    with registry.route(layer, name, budget_seconds=60, run=tmp_path / "run"), torch.no_grad():
        layer(angles)
    journal = Journal.open(tmp_path / "run")
    (workload,), (closed,) = journal.of(Workload), journal.of(Closure)
    assert closed.workload == workload.workload
    job = service.jobs()[-1]
    assert job["session_id"] == workload.workload
    (intent,) = journal.of(Intent)
    assert set(job["tags"]) == {"paper", intent.tag, intent.content}
    assert job["cost"] == intent.max_seconds
    assert 1.5 * intent.seconds <= job["cost"] <= 60


def test_decoupling_twirling_and_delay_reach_the_service(
    service: Service, tmp_path: Path, layer: QuantumLinear, angles: torch.Tensor
) -> None:
    before = len(service.executed())
    name = profile(
        tmp_path, rep_delay=400e-6, dynamical_decoupling="XY4", twirl_gates=True, shots=128
    )
    with registry.route(layer, name, budget_seconds=60, run=tmp_path / "run"), torch.no_grad():
        layer(angles)
    (job,) = service.executed()[before:]
    assert job["executions"] == ROWS * 128
    assert job["charged"] - SUBJOB_SECONDS == pytest.approx(ROWS * 128 * 403e-6, rel=0.05)


def test_several_bases_are_several_circuits(
    service: Service, tmp_path: Path, angles: torch.Tensor
) -> None:
    from qiskit.quantum_info import SparsePauliOp

    from qvit_qiskit.circuits import QNNCircuit

    plain = ry_ring(2, 1)
    observables = (SparsePauliOp("XX"), SparsePauliOp(["ZI", "IZ"], [1.0, 0.5]))
    circuit = QNNCircuit(plain.circuit, plain.inputs, plain.weights, observables)
    layer = QuantumLinear(circuit)
    service.configure(noiseless=True)
    before = len(service.executed())
    with (
        registry.route(layer, profile(tmp_path), budget_seconds=60, run=tmp_path / "run"),
        torch.no_grad(),
    ):
        found = layer(angles[:, :2])
    assert service.executed()[before]["executions"] == 2 * ROWS * SHOTS
    measured = layer.network.last
    assert measured is not None
    exact = layer(angles[:, :2]).detach()
    assert np.all(np.abs((found - exact).numpy()) < SIGMAS * measured.stds.clip(0.01))
