"""Prices: the snapshot, the dearest device, and what a budget affords."""

from __future__ import annotations

import pytest
from qiskit.quantum_info import SparsePauliOp
from torch import nn

from qvit_qiskit.circuits import QNNCircuit, build_circuit
from qvit_qiskit.devices.compiled_circuit import compile_bases
from qvit_qiskit.devices.regions import bundled_device, bundled_names
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.hardware.shot_shares import Quiet
from qvit_qiskit.hardware.stages.stage import Layout
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.profile import FakeProfile, IbmProfile
from qvit_qiskit.qnn import QuantumLinear, QuantumProjections
from qvit_qiskit.runs.pricing import (
    Price,
    live_estimate,
    price,
    price_circuit,
    pricing_device,
)


def ibm(**keys: object) -> IbmProfile:
    return IbmProfile.create(**({"kind": "ibm", "device": "ibm_torino"} | keys))


def test_a_device_is_priced_on_the_snapshot_of_its_name() -> None:
    assert pricing_device(ibm()).name == "fake_torino"
    assert pricing_device(ibm(priced_as="fake_boston")).name == "fake_boston"
    fake = FakeProfile(kind="fake", device="fake_fez")
    assert pricing_device(fake).name == "fake_fez"


def test_an_unknown_device_needs_to_be_told() -> None:
    with pytest.raises(RouteError, match="priced_as ="):
        pricing_device(ibm(device="ibm_atlantis"))


@pytest.mark.filterwarnings("ignore:Properties of fake_nighthawk")
def test_least_busy_is_priced_at_the_dearest_admitted() -> None:
    found = pricing_device(ibm(device="least-busy", family="Heron", min_qubits=150))
    admitted = [bundled_device(n) for n in bundled_names(150, "heron")]
    assert found.name in {d.name for d in admitted}
    delays = [d.configuration().default_rep_delay for d in admitted]
    assert found.configuration().default_rep_delay == max(delays)
    slow = pricing_device(ibm(device="least-busy", family="Nighthawk"))
    assert slow.configuration().default_rep_delay == 4e-3
    with pytest.raises(RouteError, match="Change family or min_qubits"):
        pricing_device(ibm(device="least-busy", family="Osprey"))


def test_what_is_affordable_is_the_most_that_fits() -> None:
    model = build_model(ViTConfig(patch_size=14), seed=0)
    for level in (0, 1, 2):
        profile = ibm(resilience_level=level)
        found = price(model, model.stage_rows(), 50, profile, 1024)
        budget = found.estimate.seconds / 3
        shots, images = found.affordable(budget)
        assert shots > 0
        for n, count in ((shots, 50), (found.estimate.shots, images)):
            assert price(model, model.stage_rows(), count, profile, n).estimate.seconds <= budget
        more = price(model, model.stage_rows(), images + 1, profile, 1024)
        assert more.estimate.seconds > budget
        assert found.affordable(1.0) == (0, 0)


@pytest.mark.parametrize("level", [0, 1])
def test_what_is_affordable_with_quiet_projections(level: int) -> None:
    """Shots that the quiet ones leave for the others, or none are named."""
    model = build_model(ViTConfig(patch_size=14), seed=0)
    profile = FakeProfile(kind="fake", device="fake_manila", resilience_level=level)
    quiet = Quiet(50, (0, 1, 3, 4))

    def priced(images: int, shots: int) -> Price:
        return price(model, model.stage_rows(), images, profile, shots, quiet=quiet)

    found = priced(40, 1000)
    assert found.unpacked == found.estimate.executions  # a single copy
    assert found.with_shots(1000) == found.estimate
    few = {0: 50, 1: 64}[level]  # in batches of 64
    assert f"shots each ({few} for quiet projections)" in " ".join(str(found.estimate).split())
    shots, images = found.affordable(0.7 * found.estimate.seconds)
    assert 50 < shots < 1000
    assert 0 < images < 40
    for one in (priced(40, shots), priced(images, 1000)):
        assert one.estimate.seconds <= 0.7 * found.estimate.seconds
    for one in (priced(40, shots + 1), priced(images + 1, 1000)):
        assert one.estimate.seconds > 0.7 * found.estimate.seconds
    quietest = priced(40, 51).estimate.seconds
    assert found.affordable(0.99 * quietest)[0] == 0
    first = price(model, model.stage_rows(), 40, profile, 50)  # its jobs hold all rows
    assert found.request_bytes == first.request_bytes


def test_the_projections_are_those_that_the_model_asks() -> None:
    """Not the modules: here Q is K's, and another one is never asked."""
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
    profile = FakeProfile(kind="fake", device="fake_manila", resilience_level=0)
    plain = price(model, model.stage_rows(), 3, profile, 24, quiet=Quiet(4, (0, 1)))
    assert plain.estimate.executions == 3 * 12 * 4 + 3 * 4 * 20
    (projections,) = (m for m in model.modules() if isinstance(m, QuantumProjections))
    projections.key[0] = projections.query[0]
    model.unused = QuantumLinear(projections.circuit)
    tied = price(model, model.stage_rows(), 3, profile, 24, quiet=Quiet(4, (0, 1)))
    assert (tied.projections,) == model.stage_projections()
    assert tied.estimate == plain.estimate


def test_the_price_counts_bases_and_mitigation() -> None:
    model = build_model(ViTConfig(patch_size=14), seed=0)
    plain = price(model, model.stage_rows(), 10, ibm(), 1000).estimate
    assert plain.executions == 10 * 24 * 1000
    folded = price(model, model.stage_rows(), 10, ibm(resilience_level=2), 1000).estimate
    shots = 16 * 64  # 1000 asked for, in batches of at least 64
    assert folded.executions == 10 * 24 * shots * 3 + shots
    compiled, job = price_circuit(build_circuit("ry-chain", 4, 2), ibm())
    assert job.executions == 1000
    assert compiled.copies[0].two_qubit_gates() == 6


def test_a_run_is_priced_on_the_device_as_on_its_snapshot() -> None:
    """Two bases, copies side by side, controls and anchors."""
    plain = build_circuit("ry-ring", 2, 1)
    observables = (SparsePauliOp("XX"), SparsePauliOp("ZI"))
    circuit = QNNCircuit(plain.circuit, plain.inputs, plain.weights, observables)
    model = QuantumLinear(circuit)
    profile = ibm(k=3, resilience_level=1)
    rows = {"control_rows": 5, "anchor_rows": 4}
    found = price(model, [7], 10, profile, 256, job_seconds=25.0, **rows)
    device = pricing_device(profile)
    program = compile_bases(circuit.canonical, circuit.pauli_terms, device, profile.placement)
    layout = Layout([program], found.estimate.timing, [])
    terms = Terms(profile, 256, 100.0, max_loss=0.25, **rows)
    assert live_estimate(10, [7], terms, layout, 3) == found.estimate
    assert found.estimate.executions == 2 * 256 * (24 + 5 + 2 + 1)


def test_forty_thousand_rows_are_priced_by_arithmetic() -> None:
    model = build_model(ViTConfig(patch_size=7), seed=0)
    found = price(model, model.stage_rows(), 417, ibm(), 1024).estimate
    assert found.rows == 417 * 96
    assert found.jobs >= 5  # ten million executions a job


def test_somebody_else_s_projections_are_counted_and_wrong_ones_refused():
    layers = [QuantumLinear(build_circuit("ry-ring", 4, 1)) for _ in range(3)]
    model, profile = nn.Sequential(*layers), ibm()
    quiet = Quiet(10, (0, 1))
    assert price(model, (3,), 100, profile, 100, quiet=quiet).estimate.executions == (
        300 * 10 + 100 * 90
    )
    with pytest.raises(JobError, match="some of the 1 projections"):
        price(layers[0], (1,), 100, profile, 100, quiet=Quiet(10, (0,)))
