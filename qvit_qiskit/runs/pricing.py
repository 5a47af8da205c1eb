"""What an evaluation will cost, from a device snapshot: no network, no account."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from qiskit.providers import BackendV2
from torch import nn

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.circuits.parity_readout import Readout, reading
from qvit_qiskit.devices.compiled_circuit import Compiled, compile_bases, copies_of, longest_timing
from qvit_qiskit.devices.embeddings import embed
from qvit_qiskit.devices.packing import Packing, pack
from qvit_qiskit.devices.prices import (
    MAX_JOB_SECONDS,
    Estimate,
    Mitigation,
    Procedure,
    Timing,
    estimate,
)
from qvit_qiskit.devices.regions import bundled_device, bundled_names
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.hardware.shot_shares import Quiet, estimate_shares
from qvit_qiskit.hardware.stages.stage import Layout
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.profile import FakeProfile, IbmProfile
from qvit_qiskit.qnn import QuantumLinear, QuantumProjections

USUAL_SHOTS = 1024
"""What a table prices where a profile leaves shots to a plan."""


@dataclass(frozen=True)
class Price:
    """An estimate, and what it was made from.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model
        >>> from qvit_qiskit.profile import IbmProfile
        >>> from qvit_qiskit.runs import price
        >>> model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
        >>> profile = IbmProfile(kind="ibm", device="ibm_torino")
        >>> priced = price(model, model.stage_rows(), images=10, profile=profile, shots=100)
        >>> priced.estimate.executions
        12000
    """

    estimate: Estimate
    snapshot: str
    """The device snapshot."""
    images: int
    """How many are evaluated."""
    stage_rows: tuple[int, ...]
    """Rows of every stage for all images."""
    procedure: Procedure
    """How they are run."""
    inputs: int
    """Of a circuit."""
    outputs: int
    """Of a circuit."""
    projections: int
    """Of the first quantum layer."""
    quiet: Quiet | None
    """Which of them have fewer shots."""
    shots: int
    """Per row, as they were asked for."""
    compiled: tuple[Compiled, ...]
    """The model's circuits on the snapshot."""

    @property
    def copies(self) -> int:
        """Rows that share an execution, side by side on the chip."""
        return self.procedure.copies

    @property
    def unpacked(self) -> int:
        """Executions without copies side by side."""
        alone = replace(self, procedure=replace(self.procedure, copies=1))
        return alone.with_shots(self.shots).executions

    @property
    def request_bytes(self) -> int:
        """About how large the request of one job is.

        It holds the inputs' values; weights are the same in all rows and compressed away, and
        single precision leaves five bytes of eight, three of which are written as four.
        """
        # the jobs of the quiet share hold most rows
        priced = self.with_shots(self.quiet.shots) if self.quiet else self.estimate
        rows = sum(self.stage_rows) / priced.jobs
        again = self.procedure.bases * self.procedure.mitigation.circuits_per_row
        return math.ceil(rows * self.inputs * again * 5 * 4 / 3)

    @property
    def stock(self) -> int:
        """Executions of a stock ``EstimatorQNN`` at equal shots: one circuit for each output."""
        executions = sum(self.stage_rows) * self.estimate.shots
        return self.outputs * executions * self.procedure.mitigation.circuits_per_row

    def _priced(self, images: int, shots: int) -> Estimate:
        rows = [n * images // self.images for n in self.stage_rows]
        return estimate_shares(rows, shots, self.quiet, self.projections, self.procedure)

    def with_shots(self, shots: int) -> Estimate:
        """The same with other shots."""
        return self._priced(self.images, shots)

    def affordable(self, budget: float) -> tuple[int, int]:
        """What would fit a budget: (shots for all images, images at all shots); 0 if nothing does.

        Args:
            budget: QPU seconds.
        """
        shots = _largest(lambda n: self._priced(self.images, n).seconds, self.shots, budget)
        images = _largest(lambda n: self._priced(n, self.shots).seconds, self.images, budget)
        few = self.quiet.shots if self.quiet else 0  # the other projections have more
        return (shots if shots > few else 0), images


def _largest(seconds: Callable[[int], float], most: int, budget: float) -> int:
    """The largest n in 1 … most whose price fits, by bisection; 0 if 1 does not."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if seconds(middle) <= budget else (low, middle - 1)
    return low


def price(
    model: nn.Module,
    stage_rows: Sequence[int],
    images: int,
    profile: IbmProfile | FakeProfile,
    shots: int,
    *,
    control_rows: int = 0,
    anchor_rows: int = 0,
    job_seconds: float = MAX_JOB_SECONDS,
    device: BackendV2 | None = None,
    quiet: Quiet | None = None,
) -> Price:
    """Price an evaluation on a snapshot, or on the device itself.

    Args:
        model: The model; its longest circuit sets the length of an execution.
        stage_rows: Circuits to run per image in every quantum layer.
        images: Images to evaluate.
        profile: The profile.
        shots: Per row.
        control_rows: Where copies share the chip: rows of a stage that run once more, alone.
        anchor_rows: Rows of a stage that each of its jobs runs besides.
        job_seconds: No job is planned longer than this, or than a minute where that is more.
        device: Instead of the snapshot that the profile names.
        quiet: Projections of its only quantum layer with fewer shots.

    Returns:
        The estimate, in QPU seconds and executions, and what it was made from.

    Raises:
        RouteError: If the snapshot does not exist, or the device is too small.
        JobError: If the quiet projections are none that can be.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model
        >>> from qvit_qiskit.profile import IbmProfile
        >>> from qvit_qiskit.runs import price
        >>> model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
        >>> profile = IbmProfile(kind="ibm", device="ibm_torino")
        >>> price(model, model.stage_rows(), 10, profile, shots=100).copies
        1
    """
    device = device or pricing_device(profile)
    circuits = _circuits(model)
    projections = _projections(model)
    if quiet:
        quiet.check(shots, projections)
    programs, longest = _compiled({id(c): c for c in circuits}.values(), device, profile)
    rows = tuple(images * n for n in stage_rows)
    how = Procedure(
        longest, profile.mitigation, max(len(p) for p in programs), min(p[0].k for p in programs),
        control_rows, anchor_rows, job_seconds,
    )  # fmt: skip
    return Price(
        estimate_shares(rows, shots, quiet, projections, how),
        device.name,
        images,
        rows,
        how,
        max(c.num_inputs for c in circuits),
        max(c.num_outputs for c in circuits),
        projections,
        quiet,
        shots,
        tuple(compiled for program in programs for compiled in program),
    )


def _compiled(
    circuits: Iterable[QNNCircuit], device: BackendV2, profile: IbmProfile | FakeProfile
) -> tuple[list[list[Compiled]], Timing]:
    """Each circuit in every basis, and the timing of the longest."""
    programs = [
        compile_bases(c.canonical, c.pauli_terms, device, profile.placement, _dearer(profile))
        for c in circuits
    ]
    return programs, longest_timing(copies_of(programs), device, profile.rep_delay)


def _dearer(profile: IbmProfile | FakeProfile) -> Readout:
    """The readout that is priced: gates for ``"auto"``, since they take longer."""
    return "parity" if profile.readout == "parity" else "gates"


def price_circuit(circuit: QNNCircuit, profile: IbmProfile) -> tuple[Compiled, Estimate]:
    """One circuit on the profile's snapshot, and the price of a job of 1,000 executions of it.

    Args:
        circuit: The circuit of a projection.
        profile: Names the device, or the snapshot that stands for it.
    """
    device = pricing_device(profile)
    programs, longest = _compiled([circuit], device, profile)
    return programs[0][0], estimate([1], 1000, Procedure(longest, Mitigation(0)))


def packing_choices(
    circuit: QNNCircuit, profile: IbmProfile | FakeProfile, device: BackendV2
) -> tuple[list[dict[str, Any]], Packing]:
    """How the number of copies trades quality against price, and the profile's own choice.

    Args:
        circuit: The circuit.
        profile: Its buffer, shots and smallest fidelity count.
        device: The device.

    Returns:
        One row for each k, with the mean and the worst expected success and the QPU seconds of
        1,000 rows; and the packing for the profile's k (for as many as fit where that is 1).

    Raises:
        RouteError: If the circuit fits nowhere, or not as often as the profile wants.
    """
    basis = measurement_bases(circuit.pauli_terms)[0]
    read = reading(circuit.canonical, basis, _dearer(profile))
    measured = read.circuit
    found = embed(measured, device, profile.seed, read.reads, idle=profile.idle)
    free: dict[str, Any] = {
        "buffer": profile.buffer, "seed": profile.seed, "idle": profile.idle, "embeddings": found
    }  # fmt: skip
    floor = profile.min_fidelity
    most = len(pack(measured, device, k="auto", min_fidelity=floor, **free))
    rows = []
    for k in sorted({1, most, *range(5, most, 5)}):
        packing = pack(measured, device, k=k, **free)
        longest = longest_timing(packing.regions, device, profile.rep_delay)
        how = Procedure(longest, profile.mitigation, copies=k)
        cost = estimate([1000], usual_shots(profile), how)
        rows.append(
            {
                "k": k,
                "mean fidelity": packing.mean_fidelity,
                "worst": min(packing.fidelities),
                "executions": f"{cost.executions:,}",
                "QPU seconds": cost.seconds,
            }
        )
    chosen: int | Literal["auto"] = "auto" if profile.k == 1 else profile.k
    return rows, pack(measured, device, k=chosen, min_fidelity=floor, **free)


def live_estimate(
    images: int, stage_rows: Sequence[int], terms: Terms, layout: Layout, projections: int
) -> Estimate:
    """The price of a run with its first layer's circuits as they lie on the device.

    Args:
        images: How many there are.
        stage_rows: Rows that an image takes in each quantum layer.
        terms: What the run may cost.
        layout: Of the first stage.
        projections: Of the first quantum layer.
    """
    rows = [images * rows for rows in stage_rows]
    how = terms.procedure(layout)
    return estimate_shares(rows, terms.shots, terms.quiet, projections, how)


def usual_shots(profile: IbmProfile | FakeProfile) -> int:
    """A profile's shots, or 1,024 where they are planned for each job."""
    return USUAL_SHOTS if profile.shots == "auto" else profile.shots


def pricing_device(profile: IbmProfile | FakeProfile) -> BackendV2:
    """The snapshot on which a profile is priced.

    Raises:
        RouteError: If the device has none and the profile names none.
    """
    if isinstance(profile, FakeProfile):
        return bundled_device(profile.device)
    if profile.priced_as:
        return bundled_device(profile.priced_as)
    if profile.device == "least-busy":
        return _dearest(profile)
    try:
        return bundled_device(f"fake_{profile.device.partition('_')[2]}")
    except RouteError as error:
        raise RouteError(
            f"No bundled snapshot is named after {profile.device}. Say in the profile which one "
            'to price it as, e.g. priced_as = "fake_boston".'
        ) from error


def _dearest(profile: IbmProfile) -> BackendV2:
    """The snapshot with the longest default delay among those that the filters admit."""
    admitted = bundled_names(profile.min_qubits, profile.family)
    if not admitted:
        raise RouteError(
            f"No bundled snapshot is of the family {profile.family!r} with at least "
            f"{profile.min_qubits} qubits. Change family or min_qubits, or set priced_as."
        )
    return max(map(bundled_device, admitted), key=_delay)


def _delay(device: BackendV2) -> tuple[float, float]:
    found = getattr(device.configuration(), "default_rep_delay", None) or 0.0
    pairs = device.target[_two_qubit_gate(device)]
    lengths = [entry.duration or 0.0 for entry in pairs.values() if entry]
    return float(found), sum(lengths) / max(1, len(lengths))


def _two_qubit_gate(device: BackendV2) -> str:
    names = {"cz", "ecr", "cx"} & set(device.target.operation_names)
    return sorted(names)[0]


def _projections(model: nn.Module) -> int:
    """What the first quantum layer asks together; modules may stand there twice, or elsewhere."""
    layers = (m for m in model.modules() if isinstance(m, QuantumProjections))
    return next((3 * layer.heads for layer in layers), len(_circuits(model)))


def _circuits(model: nn.Module) -> list[QNNCircuit]:
    return [m.circuit for m in model.modules() if isinstance(m, QuantumLinear)]
