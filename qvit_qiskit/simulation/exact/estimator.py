"""The exact engine as a Qiskit estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

import numpy as np
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.measurement_bases import Basis, measurement_bases
from qvit_qiskit.circuits.memo import Memo
from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.engine import Engine, P, Request, RowEngine
from qvit_qiskit.simulation.exact.program import MAX_QUBITS, compile_program
from qvit_qiskit.simulation.moments import Moments
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator

Columns = tuple[int, ...]


class Compiler(Generic[P]):
    """Compiles each prepared circuit once per measurement basis and choice of varying columns."""

    most_bits = MAX_QUBITS
    """Qubits of the widest circuit whose basis states have probabilities."""

    def __init__(self, compile: Callable[[QuantumCircuit, Basis, Columns], P]) -> None:
        self._compile = compile
        self._programs: Memo[P] = Memo(private=True)
        self._passes: Memo[list[tuple[P, np.ndarray]]] = Memo(private=True)
        self._moments: Memo[Moments[Any]] = Memo(private=True)

    def program(self, circuit: QuantumCircuit, basis: Basis, columns: Columns) -> P:
        """A circuit measured in a basis.

        Args:
            circuit: A prepared circuit.
            basis: The measurement basis.
            columns: Columns of the parameter values that differ from row to row.
        """
        return self._programs.get(circuit, (basis, columns), lambda c, k: self._compile(c, *k))

    def describe(self, circuit: QNNCircuit) -> str:
        """One line: which engine a circuit gets when its inputs vary by row."""
        columns = tuple(range(circuit.num_inputs))
        prepared, terms = prepare_with(circuit.canonical, circuit.pauli_terms)
        return self.program(prepared.circuit, measurement_bases(terms)[0], columns).describe()

    def describe_values(self, circuit: QNNCircuit) -> str:
        """One line: how a circuit's expectation values come about when its inputs vary by row."""
        return self.describe(circuit)

    def passes(
        self, circuit: QuantumCircuit, observables: Sequence[Mapping[str, Any]], columns: Columns
    ) -> list[tuple[P, np.ndarray]]:
        """One program per measurement basis, with the observables' diagonals.

        Args:
            circuit: A prepared circuit.
            observables: Pauli strings to coefficients, one mapping per observable.
            columns: Columns of the parameter values that differ from row to row.
        """

        def make(circuit: QuantumCircuit, key: Any) -> list[tuple[P, np.ndarray]]:
            return self._make_passes(circuit, observables, columns)

        readout = tuple(tuple(sorted(o.items())) for o in observables)
        return self._passes.get(circuit, (readout, columns), make)

    def moments(
        self, circuit: QuantumCircuit, basis: Basis, columns: Columns, outputs: int
    ) -> Moments[Any]:
        """Programs for means and covariances of a circuit that is too wide for bitstrings.

        Args:
            circuit: A prepared circuit.
            basis: The measurement basis.
            columns: Columns of the parameter values that differ from row to row.
            outputs: K.

        Raises:
            CircuitError: If there is no such program: this compiler knows whole states only.
        """
        return self._moments.get(
            circuit, (basis, columns, outputs), lambda c, key: self._make_moments(c, *key)
        )

    def _make_moments(
        self, circuit: QuantumCircuit, basis: Basis, columns: Columns, outputs: int
    ) -> Moments[Any]:
        raise CircuitError(
            f"Expected at most {self.most_bits} qubits where bitstrings are drawn from whole "
            f"states, but got {circuit.num_qubits}. Use the profile aer-shots, which draws wider "
            "circuits otherwise."
        )

    def _make_passes(
        self, circuit: QuantumCircuit, observables: Sequence[Mapping[str, Any]], columns: Columns
    ) -> list[tuple[P, np.ndarray]]:
        programs = [self.program(circuit, b, columns) for b in measurement_bases(observables)]
        return [(program, program.diagonals(len(observables))) for program in programs]


def varying_columns(circuit: QuantumCircuit, values: np.ndarray) -> Columns:
    """Columns to treat as row data: the inputs of a network, and whatever else is not constant.

    ``EstimatorQNN`` names its input parameters ``inputs``.

    Args:
        circuit: A circuit of P parameters.
        values: Shape (R, P).
    """
    constant = (values == values[:1]).all(axis=0)
    named = [getattr(p, "vector", None) is not None for p in circuit.parameters]
    return tuple(
        k
        for k, parameter in enumerate(circuit.parameters)
        if not constant[k] or (named[k] and parameter.vector.name == "inputs")
    )


class ExactEstimator(RowEstimator):
    """Exact expectation values, with or without noise; ``precision`` is not needed.

    Rows of a PUB that share trained parameters share their simulation (see `Engine`, and
    `NoisyFormEngine` for values under noise).
    """

    def __init__(
        self, engine: RowEngine[Any] | None = None, compiler: Compiler[Any] | None = None
    ) -> None:
        self.engine: RowEngine[Any] = engine or Engine()
        self.compiler: Compiler[Any] = compiler or Compiler(compile_program)

    @property
    def perfect(self) -> bool:
        """Whether there is no readout error."""
        return self.engine.perfect

    def describe(self, circuit: QNNCircuit) -> str:
        """One line: which engine a circuit gets."""
        return self.compiler.describe_values(circuit)

    def programs(
        self, circuit: QuantumCircuit, terms: Sequence[Mapping[str, Any]], columns: Columns
    ) -> list[tuple[Any, np.ndarray]]:
        """Programs and diagonals of a circuit that was given, for gradients.

        Args:
            circuit: Any circuit.
            terms: Its observables, as Pauli strings and coefficients.
            columns: Columns of the parameter values that differ from row to row.
        """
        prepared, short = prepare_with(circuit, terms, perfect=self.perfect)
        return self.compiler.passes(prepared.circuit, short, columns)

    def tables(self, flats: Sequence[FlatPub]) -> list[np.ndarray]:
        """Values of all observables at all rows of PUBs, each of shape (K, R).

        Args:
            flats: The PUBs; all of them share one Aer job.
        """
        owners: list[int] = []
        requests: list[Request[Any]] = []
        for k, flat in enumerate(flats):
            if len(flat.values):
                columns = varying_columns(flat.circuit, flat.values)
                passes = self.compiler.passes(flat.circuit, flat.observables, columns)
                requests += [Request.of(p, flat.values, diagonal) for p, diagonal in passes]
                owners += [k] * len(passes)
        tables = [np.zeros((len(flat.observables), len(flat.values))) for flat in flats]
        for k, values in zip(owners, self.engine.values(requests), strict=True):
            tables[k] += values[0]
        return tables

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        return [Answer(table, metadata={"exact": True}) for table in self.tables(flats)]
