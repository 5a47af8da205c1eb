"""What a job spec will cost, from a device snapshot: no network, no account."""

from __future__ import annotations

from torch import nn

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.execution.cost import Estimate, Mitigation, estimate, timing
from qvit_qiskit.execution.devices import bundled_device, compile_region
from qvit_qiskit.execution.profile import IbmProfile
from qvit_qiskit.models import ModelCost
from qvit_qiskit.qnn import QuantumLinear


def price(
    model: nn.Module, cost: ModelCost, images: int, profile: IbmProfile, shots: int
) -> Estimate:
    """Price an evaluation on the snapshot that its profile names.

    Args:
        model: The model; its widest circuit sets the length of an execution.
        cost: The model's cost per image.
        images: Images to evaluate.
        profile: The profile.
        shots: Per row.

    Raises:
        RouteError: If the snapshot does not exist or is too small.
    """
    device = bundled_device(profile.priced_as)
    timings = []
    for circuit in {id(c): c for c in _circuits(model)}.values():
        region = compile_region(circuit.canonical, device, profile.seed)
        timings.append(timing(region.measured(), region.target, device, profile.rep_delay))
    longest = max(timings, key=lambda t: t.execution)
    rows = [images * rows for rows in cost.stage_rows]
    return estimate(rows, shots, longest, Mitigation(profile.resilience_level))


def affordable(found: Estimate, images: int, budget: float) -> tuple[int, int]:
    """What would fit a budget: (shots for all images, images at all shots); 0 if nothing does.

    Args:
        found: The estimate that is too dear.
        images: Images it was made for.
        budget: QPU seconds.
    """
    fixed = found.seconds - found.executions * found.timing.execution
    share = max(0.0, budget - fixed) / (found.seconds - fixed)
    return int(found.shots * share), int(images * share)


def _circuits(model: nn.Module) -> list[QNNCircuit]:
    return [m.circuit for m in model.modules() if isinstance(m, QuantumLinear)]
