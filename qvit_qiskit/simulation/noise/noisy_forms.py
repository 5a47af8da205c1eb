"""The form of a circuit's values under noise: the whole state of its qubits, or light cones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from qiskit.circuit import Parameter

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.engine import Pullback, Request, pullback_of
from qvit_qiskit.simulation.noise.cone_engine import ConeTask
from qvit_qiskit.simulation.noise.noisy_cones import ConeCompiler, NoisyConeProgram
from qvit_qiskit.simulation.noise.noisy_engine import NoisyTask
from qvit_qiskit.simulation.noise.noisy_program import MAX_WIRES, NoisyProgram, compile_noisy

SMALL = 8
"""Circuits of so many wires or fewer keep the whole state: it takes milliseconds."""
NoisyForm = NoisyProgram | NoisyConeProgram


def compile_values(
    region: Region,
    parameters: Sequence[Parameter],
    basis: Basis,
    row_columns: Collection[int],
    text: str,
    readout: np.ndarray | None = None,
) -> NoisyForm:
    """Compile a placed circuit for its values: on light cones where the whole state is larger.

    Args:
        region: The circuit, placed, its basis rotation included.
        parameters: Of the logical circuit; their order is the order of the value columns.
        basis: The measurement basis.
        row_columns: Columns whose values differ from row to row.
        text: Where it runs, for people.
        readout: Shape (n, 2, 2), [qubit, read, prepared]; by default the region's.

    Raises:
        CircuitError: If neither fits, or it holds more than unitary gates and delays.
    """
    wires = region.circuit.num_qubits
    if wires > SMALL:
        try:
            cones = ConeCompiler(region, parameters, row_columns, text, readout).program(basis)
        except CircuitError:
            if wires > MAX_WIRES:
                raise
        else:
            work = sum(len(b.outputs) * b.coefficients for b in cones.batches)
            if wires > MAX_WIRES or work < len(cones.batches) * 4**wires:
                return cones
    return compile_noisy(region, parameters, basis, row_columns, text, readout)


class NoisyFormEngine:
    """Runs each request in the form of its program."""

    perfect = False

    def values(self, requests: Sequence[Request[Any]]) -> list[np.ndarray]:
        """Expectation values of every request, each of shape (G, observables, R)."""
        return [_task(request).run() for request in requests]

    def probabilities(self, request: Request[NoisyProgram]) -> np.ndarray:
        """Probabilities of the basis states as they are read, shape (G, 2**n, R)."""
        program = request.program
        everything = program.read(np.eye(2**program.num_qubits))
        return NoisyTask(Request(program, request.rows, request.shared, everything)).run()

    def linearize(self, requests: Sequence[Request[Any]]) -> tuple[list[np.ndarray], Pullback]:
        """Values and their vector–Jacobian product, as `Engine.linearize`."""
        tasks = [_task(request, differentiate=True) for request in requests]
        values = [task.run() for task in tasks]
        return values, pullback_of(tasks)


def _task(request: Request[Any], *, differentiate: bool = False) -> NoisyTask:
    kind = ConeTask if request.program.form == "cones" else NoisyTask
    return kind(request, differentiate)
