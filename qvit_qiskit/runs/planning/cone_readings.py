"""Means and covariances of what one copy of a wide circuit reads, on its light cones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from qiskit.circuit import Parameter

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.runs.planning.distributions import NormalRows
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.exact.estimator import Columns
from qvit_qiskit.simulation.moments import Moments
from qvit_qiskit.simulation.noise.channels import Errors
from qvit_qiskit.simulation.noise.cone_engine import ConeTask
from qvit_qiskit.simulation.noise.noisy_cones import ConeCompiler, NoisyConeProgram

KEPT_ENTRIES = 2**22
"""Of vectors that were followed backwards and are kept for the next rows with the same weights."""


@dataclass(frozen=True)
class PlacedCopy:
    """One copy of a circuit on a chip, with its errors."""

    region: Region
    parameters: Sequence[Parameter]
    """Of the logical circuit; their order is the order of the value columns."""
    readout: np.ndarray  # shape: (n, 2, 2), [qubit, read, prepared]
    errors_of: Errors
    """What gives the errors of gates."""


class ConeReadings:
    """What one copy reads in one basis.

    Args:
        placed: The copy.
        basis: With the terms, as the copy's bits give them.
        columns: Columns of the rows that differ from row to row.
    """

    def __init__(self, placed: PlacedCopy, basis: Basis, columns: Columns) -> None:
        self._compiler = ConeCompiler(
            placed.region, placed.parameters, columns, "", placed.readout, placed.errors_of
        )
        terms = tuple((place, 1.0, mask) for place, (_, _, mask) in enumerate(basis.terms))
        self._terms = Basis(basis.axes, terms)
        self._tasks: dict[tuple[str, bytes], ConeTask] = {}

    @property
    def widest(self) -> int:
        """Wires that an output depends on, at most."""
        return self._compiler.program(self._terms).widest

    @cached_property
    def _moments(self) -> Moments[NoisyConeProgram]:
        return self._compiler.moments(self._terms, len(self._terms.terms))

    def of(self, rows: np.ndarray) -> NormalRows:
        """How rows are read.

        Args:
            rows: Values of the parameters, shape (R, P), of one weight set.
        """
        expected = self._run("means", rows, len(self._terms.terms))
        pairs = self._moments.pairs
        return NormalRows(expected, pairs, lambda: self._run("products", rows, len(pairs)))

    def _run(self, which: str, rows: np.ndarray, count: int) -> np.ndarray:
        program: NoisyConeProgram = getattr(self._moments, which)
        request = Request.of(program, rows, program.diagonals(count))
        key = which, request.shared.tobytes()
        task = self._tasks.get(key)
        task = ConeTask(request) if task is None else task.at(request.rows)
        if task.observables.numel() <= KEPT_ENTRIES:
            self._tasks[key] = task
        return task.run()[0]
