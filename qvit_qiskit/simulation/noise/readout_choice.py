"""Which readout has the smaller error: every gate run, or parities of earlier bits.

A CNOT that is left out does not err, but an output that is the parity of w bits suffers w readout
errors. Which weighs more depends on the device, on the weights and on whether readout is
mitigated, so both are predicted: the mean square error of the outputs over a sample of rows. Shot
noise is a part of it, since dividing by a parity's readout factor enlarges it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.circuits.memo import Memo
from qvit_qiskit.circuits.parity_readout import Readout, reading
from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.devices.client_template import SentWaits
from qvit_qiskit.devices.compiled_circuit import Compiled, Terms, compile_bases
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.prices import Mitigation, extrapolation
from qvit_qiskit.devices.regions import Region, region_target
from qvit_qiskit.devices.transpiler import plain
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.exact.estimator import ExactEstimator, varying_columns
from qvit_qiskit.simulation.noise.noisy_forms import NoisyFormEngine
from qvit_qiskit.simulation.noise.noisy_program import MAX_WIRES, compile_noisy
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator

READOUTS: tuple[Readout, Readout] = ("gates", "parity")
SAMPLE = 64
"""Rows of which errors are predicted, at most."""
COPIES = 3
"""Copies of which errors are predicted, at most: the best, the worst and one between."""


def has_tail(circuit: QuantumCircuit, terms: Terms) -> bool:
    """Whether the two readouts of a circuit differ.

    Args:
        circuit: The circuit.
        terms: Its observables.
    """
    for basis in measurement_bases(terms):
        whole, body = reading(circuit, basis), reading(circuit, basis, "parity")
        if len(body.circuit.data) < len(whole.circuit.data):
            return True
    return False


def compile_readout(
    circuit: QuantumCircuit,
    terms: Terms,
    rows: np.ndarray,
    device: BackendV2,
    placement: Placement,
    readout: Literal["gates", "parity", "auto"],
    mitigation: Mitigation,
    shots: int,
) -> list[Compiled]:
    """Compile a circuit once per measurement basis, in the readout that is asked for or better.

    Args:
        circuit: The logical circuit, parameters unbound.
        terms: Its observables.
        rows: Values of its parameters, shape (R, P): those that will run.
        device: A device or a snapshot of one.
        placement: On how many regions, and how they are chosen.
        readout: ``"auto"`` for the one of which a smaller error is predicted; gates if equal.
        mitigation: The resilience level.
        shots: Per row.

    Raises:
        RouteError: If the device is too small, or errors of so wide a circuit cannot be predicted.
    """
    if readout != "auto":
        return compile_bases(circuit, terms, device, placement, readout)
    ways = READOUTS if has_tail(circuit, terms) and len(rows) else READOUTS[:1]
    programs = [compile_bases(circuit, terms, device, placement, way) for way in ways]
    if len(programs) == 1:
        return programs[0]
    widest = max(len(copy.qubits) for way in programs for one in way for copy in one.copies)
    if widest > MAX_WIRES:
        raise RouteError(
            f'Expected at most {MAX_WIRES} qubits for readout = "auto", which predicts errors, but '
            f'got {widest}. Set readout = "gates" or "parity" in the profile.'
        )
    some = rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(int))]
    errors = [
        mean_square_error(compiled, circuit, terms, some, device, mitigation, shots)
        for compiled in programs
    ]
    return programs[int(np.argmin(errors))]


def mean_square_error(
    programs: Sequence[Compiled],
    circuit: QuantumCircuit,
    terms: Terms,
    rows: np.ndarray,
    device: BackendV2,
    mitigation: Mitigation,
    shots: int | None,
) -> float:
    """The predicted mean square error of a circuit's outputs.

    Readout mitigation is taken to remove the readout's bias, as it does where errors of qubits are
    independent, and gate folding to extrapolate what the noise engine gives for each fold. Where
    the circuits were placed with their waits, qubits wait as in what is sent for each fold.

    Args:
        programs: The circuit compiled, once per measurement basis.
        circuit: The logical circuit.
        terms: Its K observables.
        rows: Values of its parameters, shape (R, P).
        device: With its reported errors.
        mitigation: The resilience level.
        shots: Per row; None for infinitely many.

    Returns:
        The mean over rows, outputs and some of the copies.
    """
    exact = ExactEstimator().run([(circuit, [[dict(t)] for t in terms], rows)]).result()[0].data.evs
    folds = extrapolation(mitigation.factors)
    waits = SentWaits(mitigation, device.target)
    count = min(compiled.k for compiled in programs)
    errors = []
    for copy in sorted({0, count // 2, count - 1})[:COPIES]:
        gap, noise = -np.asarray(exact), np.zeros_like(exact)
        for compiled in programs:
            for fold, weight in zip(mitigation.factors, folds, strict=True):
                error, spread = _one(compiled, copy, fold, circuit, rows, len(terms), device,
                                     waits)  # fmt: skip
                gap = gap + weight * error
                noise += weight**2 * spread
        errors.append(np.mean(gap**2 + (noise / shots if shots else 0.0)))
    return float(np.mean(errors))


def _one(
    compiled: Compiled,
    copy: int,
    fold: int,
    circuit: QuantumCircuit,
    rows: np.ndarray,
    outputs: int,
    device: BackendV2,
    waits: SentWaits,
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted values (K, R) of one copy in one basis, and the variance of a shot."""
    placed, mitigated = compiled.copies[copy], waits.mitigation.level > 0
    parameters = list(circuit.parameters)
    wanted = [parameters[column] for column in compiled.columns[copy]]
    gates = plain(placed.folded(fold))
    named = gates.assign_parameters(dict(zip(gates.parameters, wanted, strict=True)))
    region = Region(named, placed.qubits, placed.outputs, region_target(device, placed.qubits))
    if isinstance(placed, Region) and placed.waits is not None:
        region = replace(region, waits=waits.of(compiled, copy, fold, region))
    columns = varying_columns(circuit, rows)
    program = compile_noisy(region, parameters, compiled.basis, columns, "")
    diagonal = compiled.basis.diagonal(outputs)
    if not mitigated:
        diagonal = program.read(diagonal)
    values = NoisyFormEngine().values([Request.of(program, rows, diagonal)])[0][0]
    confusion = region.readout()  # (n, 2, 2)
    factors = confusion[:, 0, 0] - confusion[:, 0, 1] if mitigated else np.ones(len(confusion))
    square = np.zeros(outputs)
    for output, coefficient, mask in compiled.basis.terms:
        used = [factor for qubit, factor in enumerate(factors) if mask >> qubit & 1]
        square[output] += (coefficient / np.prod(used)) ** 2
    return values, np.clip(square[:, None] - values**2, 0.0, None)


class ChosenReadout(RowEstimator):
    """Values under a device's noise, circuit by circuit in the readout that errs less.

    The choice is made for the weights of a circuit, with the first rows that come with them, and
    kept for as long as the weights stay.
    """

    def __init__(
        self,
        ways: Mapping[Readout, RowEstimator],
        predicted: Mapping[Readout, ExactEstimator],
        shots: int | None,
    ) -> None:
        self.ways, self.predicted, self.shots = ways, predicted, shots
        self.samples = shots is not None
        self._chosen: Memo[Readout] = Memo(private=True)

    def reseed(self, *seed: int) -> None:
        """Start the random streams anew; the same seed gives the same streams."""
        for way in self.ways.values():
            if self.samples:
                way.reseed(*seed)

    def describe(self, circuit: QNNCircuit) -> str:
        """One line: where a circuit runs in either readout."""
        lines = [f"{name}: {way.describe(circuit)}" for name, way in self.predicted.items()]
        return f"whichever errs less for a model's weights: {'; '.join(lines)}"

    def choice(self, flat: FlatPub) -> Readout:
        """The readout of a PUB's circuit at its weights."""
        columns = varying_columns(flat.circuit, flat.values)
        weights = np.delete(flat.values[:1], columns, axis=1).tobytes()
        terms = tuple(tuple(sorted(observable.items())) for observable in flat.observables)

        def choose(circuit: QuantumCircuit, _: object) -> Readout:
            rows = flat.values[:SAMPLE]
            pub = [(circuit, [[dict(observable)] for observable in flat.observables], rows)]
            exact = ExactEstimator().run(pub).result()[0].data.evs
            square = np.array([sum(abs(c) ** 2 for c in o.values()) for o in flat.observables])
            errors = []
            for way in READOUTS:
                values = self.predicted[way].run(pub).result()[0].data.evs
                noise = np.clip(square[:, None] - values**2, 0.0, None) / (self.shots or np.inf)
                errors.append(float(np.mean((values - exact) ** 2 + noise)))
            return READOUTS[int(np.argmin(errors))]

        if not has_tail(flat.circuit, flat.observables) or not len(flat.values):
            return READOUTS[0]
        return self._chosen.get(flat.circuit, (weights, terms), choose)

    def _begin(self, count: int) -> Any:
        ways = self.ways.items()
        return {name: way._begin(count) for name, way in ways}  # noqa: SLF001 - of its own kind

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        answers: dict[int, Answer] = {}
        choices = [self.choice(flat) for flat in flats]
        for name, way in self.ways.items():
            own = [k for k, choice in enumerate(choices) if choice == name]
            seeds = begun[name] and [begun[name][k] for k in own]
            results = way._answer([flats[k] for k in own], seeds)  # noqa: SLF001 - of its own kind
            answers |= dict(zip(own, results, strict=True))
        return [answers[k] for k in range(len(flats))]
