"""The exact engine as a Qiskit estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveJob, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.execution.exact.engine import Engine, P, Request, RowEngine
from qvit_qiskit.execution.exact.program import compile_program
from qvit_qiskit.execution.exact.readout import Basis, measurement_bases
from qvit_qiskit.execution.memo import Memo
from qvit_qiskit.execution.pubs import FlatPub, flatten

Columns = tuple[int, ...]


class Compiler(Generic[P]):
    """Compiles each circuit once per measurement basis and choice of varying columns."""

    def __init__(self, compile: Callable[[QuantumCircuit, Basis, Columns], P]) -> None:
        self._compile = compile
        self._programs: Memo[P] = Memo()
        self._passes: Memo[list[tuple[P, np.ndarray]]] = Memo()

    def program(self, circuit: QuantumCircuit, basis: Basis, columns: Columns) -> P:
        """A circuit measured in a basis.

        Args:
            circuit: The circuit.
            basis: The measurement basis.
            columns: Columns of the parameter values that differ from row to row.
        """
        return self._programs.get(circuit, (basis, columns), lambda c, k: self._compile(c, *k))

    def describe(self, circuit: QNNCircuit, basis: Basis) -> str:
        """One line: which engine a circuit gets when its inputs vary by row."""
        columns = tuple(range(circuit.num_inputs))
        return self.program(circuit.canonical, basis, columns).describe()

    def passes(
        self, circuit: QuantumCircuit, observables: Sequence[Mapping[str, Any]], columns: Columns
    ) -> list[tuple[P, np.ndarray]]:
        """One program per measurement basis, with the observables' diagonals.

        Args:
            circuit: The circuit.
            observables: Pauli strings to coefficients, one mapping per observable.
            columns: Columns of the parameter values that differ from row to row.
        """

        def make(circuit: QuantumCircuit, key: Any) -> list[tuple[P, np.ndarray]]:
            bases = measurement_bases(observables)
            count = len(observables)
            programs = [self.program(circuit, b, columns) for b in bases]
            return [(program, program.diagonals(count)) for program in programs]

        readout = tuple(tuple(sorted(o.items())) for o in observables)
        return self._passes.get(circuit, (readout, columns), make)


def varying_columns(circuit: QuantumCircuit, values: np.ndarray) -> Columns:
    """Columns to treat as row data: the inputs of a network, and whatever else is not constant.

    ``EstimatorQNN`` names its input parameters ``inputs``.
    """
    constant = (values == values[:1]).all(axis=0)
    named = [getattr(p, "vector", None) is not None for p in circuit.parameters]
    return tuple(
        k
        for k, parameter in enumerate(circuit.parameters)
        if not constant[k] or (named[k] and parameter.vector.name == "inputs")
    )


class ExactEstimator(BaseEstimatorV2):
    """Exact expectation values, with or without noise; ``precision`` is not needed.

    Rows of a PUB that share trained parameters share their simulation (see `Engine`, and
    `NoisyEngine` for values under noise).
    """

    def __init__(
        self, engine: RowEngine[Any] | None = None, compiler: Compiler[Any] | None = None
    ) -> None:
        self.engine: RowEngine[Any] = engine or Engine()
        self.compiler: Compiler[Any] = compiler or Compiler(compile_program)

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Evaluate PUBs; all of them share one Aer job.

        Args:
            pubs: The PUBs.
            precision: Ignored: values are exact, and so ``stds`` is 0.
        """
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        job = PrimitiveJob(self._run, coerced)
        job._submit()
        return job

    def describe(self, circuit: QNNCircuit) -> str:
        """One line: which engine a circuit gets."""
        basis = measurement_bases(circuit.pauli_terms)[0]
        return self.compiler.describe(circuit, basis)

    def _run(self, pubs: list[EstimatorPub]) -> PrimitiveResult[PubResult]:
        flats = [flatten(pub) for pub in pubs]
        owners: list[int] = []
        requests: list[Request[Any]] = []
        for k, flat in enumerate(flats):
            if len(flat.values):
                for request in self._requests(flat):
                    owners.append(k)
                    requests.append(request)
        tables = [np.zeros((len(flat.observables), len(flat.values))) for flat in flats]
        for k, values in zip(owners, self.engine.values(requests), strict=True):
            tables[k] += values[0]
        results = []
        for flat, table in zip(flats, tables, strict=True):
            evs = flat.pick(table)
            data = DataBin(evs=evs, stds=np.zeros_like(evs), shape=flat.shape)
            results.append(PubResult(data, metadata={"exact": True}))
        return PrimitiveResult(results)

    def _requests(self, flat: FlatPub) -> list[Request[Any]]:
        columns = varying_columns(flat.circuit, flat.values)
        found = self.compiler.passes(flat.circuit, flat.observables, columns)
        return [Request.of(program, flat.values, diagonal) for program, diagonal in found]
