"""What the copies of a layout read, bit string by bit string, under the reported errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
from qiskit import QuantumCircuit
from qiskit.transpiler import Target

from qvit_qiskit.devices.client_template import SentWaits
from qvit_qiskit.devices.compiled_circuit import Compiled
from qvit_qiskit.devices.embeddings import plain
from qvit_qiskit.devices.prices import extrapolation
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.runs.planning.chip_layout import ChipLayout
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.exact.estimator import Columns, varying_columns
from qvit_qiskit.simulation.noise.gate_errors import reported_errors
from qvit_qiskit.simulation.noise.noisy_engine import NoisyEngine
from qvit_qiskit.simulation.noise.noisy_program import MAX_WIRES, NoisyProgram, compile_noisy

MANY_SHOTS = 256
"""From so many shots on a row's means are drawn as normal, with the covariances of its counts."""


@dataclass(frozen=True)
class Distribution:
    """How the rows of a basis are read, and what the means of their terms scatter by."""

    probabilities: np.ndarray  # shape: (R, 2**n), of the bit strings
    signs: np.ndarray  # shape: (2**n, T), of the terms

    def means(
        self, shots: int | None, rng: np.random.Generator, rows: slice = slice(None)
    ) -> np.ndarray:
        """One draw of the terms' means over so many shots, shape (r, T).

        Few shots are counted bit string by bit string. The means of many are drawn as normal with
        the same expectations and covariances, which takes a fraction of the time.

        Args:
            shots: Of every row; None for the means of infinitely many.
            rng: The random stream.
            rows: Which rows.
        """
        if shots is None:
            return self._expected[rows]
        if shots < MANY_SHOTS or self.signs.shape[1] ** 2 > len(self.signs):
            counts = rng.multinomial(shots, self.probabilities[rows])
            return np.asarray(counts / shots @ self.signs)
        expected, roots = self._expected[rows], self._roots[rows]
        normal = rng.standard_normal((*expected.shape, 1))
        return np.asarray(expected + (roots @ normal)[..., 0] / np.sqrt(shots))

    @cached_property
    def _expected(self) -> np.ndarray:
        return np.asarray(self.probabilities @ self.signs)

    @cached_property
    def _roots(self) -> np.ndarray:
        """Cholesky factors of the covariances of one shot, shape (R, T, T)."""
        terms = self.signs.shape[1]
        pairs = (self.signs[:, :, None] * self.signs[:, None, :]).reshape(-1, terms**2)
        squares = (self.probabilities @ pairs).reshape(-1, terms, terms)  # (R, T, T)
        covariances = squares - self._expected[:, :, None] * self._expected[:, None, :]
        return np.linalg.cholesky(covariances + 1e-9 * np.eye(terms))  # some bits never scatter


@dataclass(frozen=True)
class BasisReadings:
    """What rows give in one measurement basis."""

    folds: tuple[Distribution, ...]
    """For each number of folded gates."""
    shares: np.ndarray  # shape: (folds,), what each counts in the extrapolated values
    signs: np.ndarray  # shape: (2**n, T), of the basis's terms
    weights: np.ndarray  # shape: (T, K), of the terms in the observables
    calibration: np.ndarray | None
    """For each copy the probabilities of the bit strings in |0…0⟩, shape (k, 2**n)."""

    def values(
        self, copies: np.ndarray, shots: int | None, rng: np.random.Generator, rows: slice
    ) -> np.ndarray:
        """One draw of the shots of rows as outputs, shape (r, K); see `Readings.values`."""
        scale: np.ndarray | float = 1.0
        if self.calibration is not None:
            calibration = Distribution(self.calibration, self.signs).means(shots, rng)  # (k, T)
            scale = calibration[copies[rows]]
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

    Args:
        layout: The circuits on the chip.
        target: Of the device.
        perfect: Whether nothing errs at all: what no device is better than.
    """

    def __init__(self, layout: ChipLayout, target: Target, *, perfect: bool = False) -> None:
        widest = max(len(copy.qubits) for one in layout.programs for c in one for copy in c.copies)
        if widest > MAX_WIRES:
            raise RouteError(
                f"Expected circuits on at most {MAX_WIRES} qubits, whose errors can be predicted, "
                f"but got {widest}. State shots, copies and level yourself for so wide a model."
            )
        self.layout, self.perfect = layout, perfect
        self.waits = SentWaits(layout.mitigation, target)
        self._programs: dict[object, NoisyProgram] = {}
        self._numbers: dict[int, tuple[QuantumCircuit, int]] = {}

    @property
    def copies(self) -> int:
        """k; copies without an error are all alike."""
        return 1 if self.perfect else int(self.layout.arrangement.k)

    def readings(self, circuit: QuantumCircuit, rows: np.ndarray, copies: np.ndarray) -> Readings:
        """What rows that share their weights give.

        Args:
            circuit: One of the layout's.
            rows: Values of its parameters, shape (R, P).
            copies: Where each runs, shape (R,).
        """
        number = self._number(circuit)
        circuit, terms = self.layout.circuits[number]
        columns = varying_columns(circuit, rows)
        bases = []
        for compiled in self.layout.programs[number]:
            factors = self.layout.mitigation.factors
            signs = _signs(compiled)
            folds = [
                Distribution(
                    self._probabilities(circuit, compiled, fold, columns, rows, copies), signs
                )
                for fold in factors
            ]
            weights = np.zeros((len(compiled.basis.terms), len(terms)))
            for place, (output, coefficient, _) in enumerate(compiled.basis.terms):
                weights[place, output] = coefficient
            shares = extrapolation(factors)
            bases.append(
                BasisReadings(tuple(folds), shares, signs, weights, self._calibration(compiled))
            )
        return Readings(tuple(bases), copies)

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

    def _probabilities(
        self,
        circuit: QuantumCircuit,
        compiled: Compiled,
        fold: int,
        columns: Columns,
        rows: np.ndarray,
        copies: np.ndarray,
    ) -> np.ndarray:
        """Of the bit strings as they are read, shape (R, 2**n)."""
        out = np.zeros((len(rows), 2 ** len(compiled.copies[0].outputs)))
        for copy in np.unique(copies):
            mine = copies == copy
            program = self._program(circuit, compiled, int(copy), fold, columns)
            request = Request.of(program, rows[mine], np.zeros((1, 0)))
            out[mine] = NoisyEngine().probabilities(request)[0].T
        out = out.clip(0.0)
        return np.asarray(out / out.sum(axis=1, keepdims=True))

    def _program(
        self, circuit: QuantumCircuit, compiled: Compiled, copy: int, fold: int, columns: Columns
    ) -> NoisyProgram:
        key = (id(compiled), copy, fold, columns)
        if key not in self._programs:
            self._programs[key] = self._compile(circuit, compiled, copy, fold, columns)
        return self._programs[key]

    def _compile(
        self, circuit: QuantumCircuit, compiled: Compiled, copy: int, fold: int, columns: Columns
    ) -> NoisyProgram:
        placed = _region(compiled, copy)
        parameters = list(circuit.parameters)
        wanted = [parameters[column] for column in compiled.columns[copy]]
        gates = plain(placed.folded(fold))
        named = gates.assign_parameters(dict(zip(gates.parameters, wanted, strict=True)))
        region = Region(named, placed.qubits, placed.outputs, placed.target)
        if self.perfect:
            ideal = np.stack([np.eye(2)] * len(region.outputs))
            return compile_noisy(
                region, parameters, compiled.basis, columns, "", ideal, errors_of=lambda *_: {}
            )
        if placed.waits is not None:
            region = replace(region, waits=self.waits.of(compiled, copy, fold, region))
        readout = region.readout()
        if self.layout.mitigation.level > 0:
            readout = _twirled(readout)
        return compile_noisy(
            region, parameters, compiled.basis, columns, "", readout, errors_of=reported_errors
        )

    def _calibration(self, compiled: Compiled) -> np.ndarray | None:
        """What |0…0⟩ is read as on every copy where readout is mitigated, shape (k, 2**n)."""
        if self.layout.mitigation.level == 0 or self.perfect:
            return None
        calibrations = []
        for copy in range(compiled.k):
            zeros = _twirled(_region(compiled, copy).readout())[:, :, 0]  # (n, 2)
            calibrations.append(reduce(lambda low, high: np.kron(high, low), zeros))
        return np.stack(calibrations)


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
    states = np.arange(2 ** len(compiled.copies[0].outputs))
    masks = np.array([mask for _, _, mask in compiled.basis.terms], dtype=np.int64)
    return 1.0 - 2.0 * (np.bitwise_count(states[:, None] & masks) & 1)
