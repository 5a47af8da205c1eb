"""Runs whose last CNOTs are done on the bits: through the real client, against Aer's simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit_aer import AerSimulator
from qiskit_aer.library import SaveProbabilities
from reference import qiskit_schedule
from service.handle import Service

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.devices.client_template import placed, template
from qvit_qiskit.devices.compiled_circuit import Compiled
from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.devices.regions import bundled_device, region_backend, region_target
from qvit_qiskit.devices.timetable import padded
from qvit_qiskit.execution import registry
from qvit_qiskit.hardware.hardware_run import HardwareRun
from qvit_qiskit.qnn import QuantumLinear
from qvit_qiskit.runs.run_noise import recorded_noise
from qvit_qiskit.simulation.noise.noisy_program import misread

SHOTS, ROWS, SIGMAS = 1024, 24, 5.0
QUICK = [("job", 0, 1), ("batch", 1, 20), ("batch", 2, 1)]
EVERY = [(m, level, k) for m in ("job", "batch") for level in (0, 1, 2) for k in (1, 20)]
LONG = [("batch", 2, 20), ("batch", 0, 20), ("job", 1, 20)]
"""The other mode has these levels with as many copies."""


def _tier(case: tuple[str, int, int]) -> object:
    return pytest.param(*case, marks=pytest.mark.soak if case in LONG else pytest.mark.check)


CASES = [case if case in QUICK else _tier(case) for case in EVERY]


def profile(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(f"shots = {SHOTS}\nseed = 2\n{text}\n")
    return str(path)


def waits_of(compiled: Compiled, fold: int, level: int) -> dict[tuple[int, int], float]:
    """By qubit and two-qubit gates behind it, in the client's template of the chip: Qiskit's."""
    target = bundled_device("fake_fez").target
    sent = template(compiled.wide(fold, target.num_qubits), Mitigation(level))
    return qiskit_schedule.between(sent, target)


def predicted(
    compiled: Compiled, copy: int, fold: int, values: np.ndarray, outputs: int, level: int
) -> np.ndarray:
    """Outputs (R, K) of a copy by Aer's density matrices; readout errs at level 0 alone."""
    here, device = compiled.copies[copy], bundled_device("fake_fez")
    waits = {
        (here.qubits.index(qubit), behind): seconds
        for (qubit, behind), seconds in waits_of(compiled, fold, level).items()
        if qubit in here.qubits
    }
    measured = here.measured(fold)
    circuit = padded(measured, placed(measured, waits)).remove_final_measurements(inplace=False)
    assert circuit.count_ops()["delay"] == len(waits) > 0
    circuit.append(SaveProbabilities(len(here.outputs)), here.outputs)
    simulator = AerSimulator.from_backend(
        region_backend(device, here.qubits), method="density_matrix"
    )
    own = values[:, compiled.columns[copy]]
    binds = {p: own[:, k].tolist() for k, p in enumerate(here.circuit.parameters)}
    result = simulator.run(circuit, parameter_binds=[binds]).result()
    table = np.stack([result.data(r)["probabilities"] for r in range(len(values))], axis=1)
    if level == 0:
        target = region_target(device, here.qubits)
        wrong = [
            (e.prob_meas1_prep0, e.prob_meas0_prep1)
            for e in (target["measure"][(w,)] for w in here.outputs)
        ]
        table = misread(table, np.array([[[1 - a, b], [a, 1 - b]] for a, b in wrong]))
    return table.T @ compiled.basis.diagonal(outputs)


@pytest.mark.parametrize(("mode", "level", "k"), CASES)
def test_what_comes_back(
    service: Service, tmp_path: Path, rng: np.random.Generator, mode: str, level: int, k: int
) -> None:
    """Every row within five standard errors; read again from the folder, nothing is sent."""
    layer = QuantumLinear(build_circuit("ry-ring", 4, 2))
    torch.nn.init.uniform_(layer.weight, -1.5, 1.5)
    angles = torch.from_numpy(rng.uniform(-1.5, 1.5, (ROWS if k > 1 else 4, 4)))
    name = profile(
        tmp_path,
        f'kind = "ibm"\ndevice = "ibm_fez"\nmode = "{mode}"\nresilience_level = {level}\n'
        f'k = {k}\nreadout = "parity"',
    )
    before = len(service.executed())
    found = []
    for _ in range(2):
        with (
            registry.route(layer, name, budget_seconds=90, run=tmp_path / "run") as route,
            torch.no_grad(),
        ):
            found.append(layer(angles))
    assert torch.equal(*found)
    assert len(service.executed()) == before + 1
    measured, hardware = layer.network.last, route.estimator.hardware
    assert measured is not None
    assert isinstance(hardware, HardwareRun)
    compiled = hardware.layout(0).programs[0][0]
    assert (compiled.readout, compiled.k) == ("parity", k)
    assert max(copy.two_qubit_gates() for copy in compiled.copies) <= 7  # of twelve
    (copies,) = hardware.reader.stage(0).copies
    weights = layer.weight.detach().double().numpy()
    values = np.hstack([angles.numpy(), np.tile(weights, (len(angles), 1))])
    for copy in set(copies.tolist()):
        own = copies == copy
        lines = [predicted(compiled, copy, f, values[own], 4, level) for f in (1, 3, 5)]
        expected = lines[0]
        if level == 2:
            expected = 13 / 12 * lines[0] + lines[1] / 3 - 5 / 12 * lines[2]
        error = np.sqrt(measured.stds[own] ** 2 + 1e-6)
        assert np.all(np.abs(measured.values[own] - expected) < SIGMAS * error)


def test_a_run_predicts_its_parities(service: Service, tmp_path: Path) -> None:
    """The folder's own compilation and calibration give what the rehearsal measured."""
    rng = np.random.default_rng(4)
    layer = QuantumLinear(build_circuit("ry-ring", 4, 2))
    angles = torch.from_numpy(rng.uniform(-1.5, 1.5, (60, 4)))
    name = profile(tmp_path, 'kind = "fake"\ndevice = "fake_fez"\nk = 5\nreadout = "auto"')
    run = tmp_path / "run"
    with (
        registry.route(layer, name, budget_seconds=90, run=run) as route,
        torch.no_grad(),
    ):
        layer(angles)
    measured = layer.network.last
    assert measured is not None
    (copies,) = route.estimator.hardware.reader.stage(0).copies
    (recorded,) = recorded_noise(run).layers
    weights = layer.weight.detach().double().numpy()
    values = np.hstack([angles.numpy(), np.tile(weights, (60, 1))])
    circuit = layer.circuit
    pub = (circuit.canonical, [[o] for o in circuit.observables], values)
    tables = [copy.run([pub]).result()[0].data.evs.T for copy in recorded.copies]  # (60, 4)
    expected = np.stack(tables)[copies, np.arange(60)]
    gaps = (measured.values - expected) / np.maximum(measured.stds, 1e-3)
    assert 0.8 < gaps.std() < 1.2
