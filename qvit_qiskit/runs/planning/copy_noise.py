"""What the copies of a layout read under the reported errors: bit strings, or on light cones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from qiskit import QuantumCircuit
from qiskit.transpiler import Target

from qvit_qiskit.devices.client_template import SentWaits
from qvit_qiskit.devices.compiled_circuit import Compiled
from qvit_qiskit.devices.prices import extrapolation
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.devices.transpiler import plain
from qvit_qiskit.exceptions import CircuitError, RouteError
from qvit_qiskit.runs.planning.chip_layout import ChipLayout
from qvit_qiskit.runs.planning.cone_readings import ConeReadings, PlacedCopy
from qvit_qiskit.runs.planning.distributions import (
    BitDistribution,
    Distribution,
    IndependentBits,
    NormalDistribution,
    NormalRows,
)
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.exact.estimator import Columns, varying_columns
from qvit_qiskit.simulation.noise.gate_errors import reported_errors
from qvit_qiskit.simulation.noise.noisy_forms import NoisyFormEngine
from qvit_qiskit.simulation.noise.noisy_program import MAX_WIRES, NoisyProgram, compile_noisy

NARROW = 6
"""Circuits on more wires are followed on the light cones of their outputs where these are no wider,
instead of as whole states of 4**wires entries."""
BAND = 6
"""Diagonals of the covariances of many outputs, about: those of chains of two layers."""


@dataclass(frozen=True)
class BasisReadings:
    """What rows give in one measurement basis."""

    folds: tuple[Distribution, ...]
    """For each number of folded gates."""
    shares: np.ndarray  # shape: (folds,), what each counts in the extrapolated values
    weights: np.ndarray  # shape: (T, K), of the terms in the observables
    calibration: Distribution | None
    """How |0…0⟩ is read on each copy, where readout is mitigated."""

    def values(
        self, copies: np.ndarray, shots: int | None, rng: np.random.Generator, rows: slice
    ) -> np.ndarray:
        """One draw of the shots of rows as outputs, shape (r, K); see `Readings.values`."""
        scale: np.ndarray | float = 1.0
        if self.calibration is not None:
            scale = self.calibration.means(shots, rng)[copies[rows]]  # of (k, T)
        folds = zip(self.folds, self.shares, strict=True)
        means = sum(share * fold.means(shots, rng, rows) for fold, share in folds)
        return np.asarray(means / scale @ self.weights)


@dataclass(frozen=True)
class Readings:
    """What rows of one circuit give, each on its own copy."""

    bases: tuple[BasisReadings, ...]
    copies: np.ndarray  # shape: (R,)

    def values(
        self, shots: int | None, rng: np.random.Generator, rows: slice = slice(None)
    ) -> np.ndarray:
        """One draw of the shots of rows, as outputs.

        At resilience levels 1 and 2 every copy is calibrated once with as many shots as a row.

        Args:
            shots: Of every row and circuit; None for the values of infinitely many.
            rng: The random stream.
            rows: Which rows.

        Returns:
            Shape (r, K).
        """
        parts = [basis.values(self.copies, shots, rng, rows) for basis in self.bases]
        return np.asarray(np.sum(parts, axis=0))


class CopyNoise:
    """Predicts what the copies of a layout read.

    Circuits of many qubits are followed on their light cones, and their means over shots are normal
    draws; circuits of few are whole states, whose bit strings are counted.

    Args:
        layout: The circuits on the chip.
        target: Of the device.
        perfect: Whether nothing errs at all: what no device is better than.
        most_bits: Circuits on more wires have no bit strings, and nor have those on more than
            `NARROW` whose outputs have narrow light cones.
    """

    def __init__(
        self,
        layout: ChipLayout,
        target: Target,
        *,
        perfect: bool = False,
        most_bits: int = MAX_WIRES,
    ) -> None:
        self.layout, self.perfect, self.most_bits = layout, perfect, most_bits
        self.waits = SentWaits(layout.mitigation, target)
        self._programs: dict[object, NoisyProgram] = {}
        self._cones: dict[object, ConeReadings] = {}
        self._narrow: dict[tuple[int, Columns], bool] = {}
        self._numbers: dict[int, tuple[QuantumCircuit, int]] = {}

    @property
    def copies(self) -> int:
        """k; copies without an error are all alike."""
        return 1 if self.perfect else int(self.layout.arrangement.k)

    def table_bytes(self, circuit: QuantumCircuit, rows: np.ndarray, draws: int) -> int:
        """What readings of rows that share their weights keep in memory, about.

        Args:
            circuit: One of the layout's.
            rows: Values of its parameters, shape (R, P).
            draws: S, of their seats.
        """
        number, each = self._number(circuit), 0
        wide = self._is_wide(number, varying_columns(circuit, rows))
        for compiled in self.layout.programs[number]:
            terms = len(compiled.basis.terms)
            different = min(draws, self.copies) if wide else draws
            each += different * (terms * (2 + BAND) if wide else 2 ** len(_outputs(compiled)))
        return 8 * len(rows) * each * len(self.layout.mitigation.factors)

    def readings(self, circuit: QuantumCircuit, rows: np.ndarray, copies: np.ndarray) -> Readings:
        """What rows that share their weights give.

        Args:
            circuit: One of the layout's.
            rows: Values of its parameters, shape (R, P).
            copies: Where each runs, shape (R,), or (S, R) for S draws of their seats.

        Returns:
            Of R rows, or of S · R rows, one draw after the other.
        """
        number = self._number(circuit)
        circuit, terms = self.layout.circuits[number]
        copies = np.atleast_2d(copies)
        asked = _Asked(circuit, rows, copies, varying_columns(circuit, rows))
        bases, wide = [], self._is_wide(number, asked.columns)
        for compiled in self.layout.programs[number]:
            factors = self.layout.mitigation.factors
            read = self._normal if wide else self._counted
            weights = np.zeros((len(compiled.basis.terms), len(terms)))
            for place, (output, coefficient, _) in enumerate(compiled.basis.terms):
                weights[place, output] = coefficient
            bases.append(
                BasisReadings(
                    tuple(read(asked, compiled, fold) for fold in factors),
                    extrapolation(factors),
                    weights,
                    self._calibration(compiled, wide=wide),
                )
            )
        return Readings(tuple(bases), copies.ravel())

    def _is_wide(self, number: int, columns: Columns) -> bool:
        """Whether a circuit's means over shots are normal draws, from light cones."""
        wires = [len(copy.qubits) for each in self.layout.programs[number] for copy in each.copies]
        if not NARROW < max(wires) <= self.most_bits:
            return max(wires) > self.most_bits
        if (number, columns) not in self._narrow:
            self._narrow[number, columns] = self._is_narrow(number, columns)
        return self._narrow[number, columns]

    def _is_narrow(self, number: int, columns: Columns) -> bool:
        """Whether all outputs of a circuit depend on few qubits."""
        circuit, _ = self.layout.circuits[number]
        try:
            return all(
                ConeReadings(self._placed(circuit, compiled, 0, 1), compiled.basis, columns).widest
                <= NARROW
                for compiled in self.layout.programs[number]
            )
        except CircuitError:  # data that enter behind entangling gates have no cones
            return False

    def _number(self, circuit: QuantumCircuit) -> int:
        """The place of a circuit in the layout; estimators get copies of it."""
        known = self._numbers.get(id(circuit))
        if known is not None:
            return known[1]
        for number, (one, _) in enumerate(self.layout.circuits):
            if one is circuit or one == circuit:
                self._numbers[id(circuit)] = circuit, number  # it keeps its identity
                return number
        raise RouteError(
            "The model evaluates a circuit that none of its quantum layers holds, so its places "
            "are unknown. State shots and copies yourself."
        )

    def _counted(self, asked: _Asked, compiled: Compiled, fold: int) -> BitDistribution:
        """Rows by the probabilities of their bit strings as they are read."""
        rows = np.tile(asked.rows, (len(asked.copies), 1))
        copies = asked.copies.ravel()
        out = np.zeros((len(rows), 2 ** len(_outputs(compiled))))
        for copy in np.unique(copies):
            mine = copies == copy
            key = (id(compiled), int(copy), fold, asked.columns)
            if key not in self._programs:
                placed = self._placed(asked.circuit, compiled, int(copy), fold)
                self._programs[key] = compile_noisy(
                    placed.region, placed.parameters, compiled.basis, asked.columns, "",
                    placed.readout, errors_of=placed.errors_of,
                )  # fmt: skip
            request = Request.of(self._programs[key], rows[mine], np.zeros((1, 0)))
            out[mine] = NoisyFormEngine().probabilities(request)[0].T
        out = out.clip(0.0)
        return BitDistribution(out / out.sum(axis=1, keepdims=True), _signs(compiled))

    def _normal(self, asked: _Asked, compiled: Compiled, fold: int) -> NormalDistribution:
        """Rows by the means and covariances of their terms, from light cones."""
        parts: list[NormalRows] = []
        part, place = np.zeros((2, *asked.copies.shape), int)
        for copy in np.unique(asked.copies).tolist():
            mine = asked.copies == copy  # (S, R)
            used = np.flatnonzero(mine.any(axis=0))
            counted = np.cumsum(mine.any(axis=0)) - 1
            part, place = np.where(mine, len(parts), part), np.where(mine, counted, place)
            key = (id(compiled), copy, fold, asked.columns)
            if key not in self._cones:
                placed = self._placed(asked.circuit, compiled, copy, fold)
                self._cones[key] = ConeReadings(placed, compiled.basis, asked.columns)
            parts.append(self._cones[key].of(asked.rows[used]))
        return NormalDistribution(tuple(parts), part.ravel(), place.ravel())

    def _placed(
        self, circuit: QuantumCircuit, compiled: Compiled, copy: int, fold: int
    ) -> PlacedCopy:
        """A copy with its errors."""
        placed = _region(compiled, copy)
        parameters = list(circuit.parameters)
        wanted = [parameters[column] for column in compiled.columns[copy]]
        gates = plain(placed.folded(fold))
        named = gates.assign_parameters(dict(zip(gates.parameters, wanted, strict=True)))
        region = Region(named, placed.qubits, placed.outputs, placed.target)
        if self.perfect:
            ideal = np.stack([np.eye(2)] * len(region.outputs))
            return PlacedCopy(region, parameters, ideal, lambda *_: {})
        if placed.waits is not None:
            region = replace(region, waits=self.waits.of(compiled, copy, fold, region))
        readout = region.readout()
        if self.layout.mitigation.level > 0:
            readout = _twirled(readout)
        return PlacedCopy(region, parameters, readout, reported_errors)

    def _calibration(self, compiled: Compiled, *, wide: bool) -> Distribution | None:
        """How |0…0⟩ is read on every copy where readout is mitigated."""
        if self.layout.mitigation.level == 0 or self.perfect:
            return None
        zeros = [_twirled(_region(compiled, copy).readout())[:, :, 0] for copy in range(compiled.k)]
        if wide:
            bits = range(len(_outputs(compiled)))
            masks = [[bool(mask >> bit & 1) for _, _, mask in compiled.basis.terms] for bit in bits]
            return IndependentBits(np.stack(zeros)[:, :, 1], np.array(masks))
        strings = [reduce(lambda low, high: np.kron(high, low), each) for each in zeros]
        return BitDistribution(np.stack(strings), _signs(compiled))


@dataclass(frozen=True)
class _Asked:
    """Rows of one circuit, and where they run."""

    circuit: QuantumCircuit
    rows: np.ndarray  # shape: (R, P)
    copies: np.ndarray  # shape: (S, R)
    columns: Columns


def _outputs(compiled: Compiled) -> tuple[int, ...]:
    return compiled.copies[0].outputs


def _region(compiled: Compiled, copy: int) -> Region:
    placed = compiled.copies[copy]
    assert isinstance(placed, Region)  # fresh from a placement
    return placed


def _twirled(readout: np.ndarray) -> np.ndarray:
    """Confusion matrices (n, 2, 2) of qubits that are flipped at random before they are read."""
    error = (readout[:, 1, 0] + readout[:, 0, 1]) / 2
    return np.stack([np.stack([1 - error, error], -1), np.stack([error, 1 - error], -1)], axis=1)


def _signs(compiled: Compiled) -> np.ndarray:
    """(−1)^parity of every term at every bit string, shape (2**n, T)."""
    states = np.arange(2 ** len(_outputs(compiled)))
    masks = np.array([mask for _, _, mask in compiled.basis.terms], dtype=np.int64)
    return 1.0 - 2.0 * (np.bitwise_count(states[:, None] & masks) & 1)
