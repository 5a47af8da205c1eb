"""The cheapest form of a circuit's exact values: Pauli strings, light cones or the whole state.

Each form's work for one row is predicted from the circuit alone. The whole state is kept unless
another form is predicted to be clearly cheaper, or the state does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.cones.light_cone import ConeFinder
from qvit_qiskit.circuits.families import LOCAL_FAMILIES
from qvit_qiskit.circuits.lowering import Lowered, Monomial, lower, merge_rotations
from qvit_qiskit.circuits.measurement_bases import Basis, measurement_bases
from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.cone_states import ConeEngine, ConeProgram, compile_cones
from qvit_qiskit.simulation.exact.engine import Engine, Pullback, Request
from qvit_qiskit.simulation.exact.estimator import Columns, Compiler
from qvit_qiskit.simulation.exact.program import (
    MAX_QUBITS,
    Program,
    compile_program,
    pays_as_unitary,
)
from qvit_qiskit.simulation.exact.string_engine import StringEngine
from qvit_qiskit.simulation.exact.strings import StringProgram, compile_strings
from qvit_qiskit.simulation.moments import Moments, as_strings, masks, paired

MAX_PRODUCTS = 2**15
"""Products of a circuit's strings, at most; above it compiling takes minutes."""
MAX_MOMENTS = 2**18
"""The same for products of two outputs, which are many."""
CLEARLY = 2.0
"""A form takes the whole state's place where it is predicted to be this much cheaper."""
Form = Program | ConeProgram | StringProgram


class FormCompiler(Compiler[Program]):
    """Compiles circuits to their cheapest form; whole states where bitstrings are wanted."""

    def __init__(self) -> None:
        super().__init__(compile_program)

    def describe_values(self, circuit: QNNCircuit) -> str:
        """One line: the form that a circuit's values have when its inputs vary by row."""
        columns = tuple(range(circuit.num_inputs))
        prepared, terms = prepare_with(circuit.canonical, circuit.pauli_terms, perfect=True)
        program = self.passes(prepared.circuit, terms, columns)[0][0]
        return program.describe_values() if isinstance(program, Program) else program.describe()

    def _make_passes(
        self, circuit: QuantumCircuit, observables: Sequence[Mapping[str, Any]], columns: Columns
    ) -> list[tuple[Any, np.ndarray]]:
        form = choose(circuit, observables, columns)
        if form is None:
            return super()._make_passes(circuit, observables, columns)
        return [(form, form.diagonals(len(observables)))]

    def _make_moments(
        self, circuit: QuantumCircuit, basis: Basis, columns: Columns, outputs: int
    ) -> Moments[Any]:
        measured = circuit.compose(basis.rotation())
        lowered = merge_rotations(lower(measured))
        finder = ConeFinder(lowered)
        zs = as_strings(masks(basis, outputs), measured.num_qubits)
        reach = [frozenset(finder.cone(observable).qubits) for observable in zs]
        pairs, products = paired(basis, reach)
        seconds = as_strings(products, measured.num_qubits)
        means, both = (
            choose(measured, each, columns, MAX_MOMENTS) or compile_cones(lowered, each, columns)
            for each in (zs, seconds)
        )
        return Moments(means, both, pairs)


def choose(
    circuit: QuantumCircuit,
    observables: Sequence[Mapping[str, complex]],
    columns: Columns,
    most: int = MAX_PRODUCTS,
) -> ConeProgram | StringProgram | None:
    """The form that a circuit's exact values should have; None for the whole state.

    Args:
        circuit: A prepared circuit.
        observables: K sums of Pauli strings.
        columns: Columns of the parameter values that differ from row to row.
        most: Products of its strings, at most.

    Raises:
        CircuitError: If neither the state nor a light cone fits, nor are there few strings.
    """
    bases = measurement_bases(observables)  # refuses what is no observable
    lowered = merge_rotations(lower(circuit))
    finder = ConeFinder(lowered)
    widths = [finder.cone(observable).width for observable in observables]
    fits, narrow = circuit.num_qubits <= MAX_QUBITS, max(widths, default=0) <= MAX_QUBITS
    whole = _state_cost(lowered, circuit.num_qubits, len(bases)) if fits else float("inf")
    small = sum(_state_cost(lowered, width, 1, share=width) for width in widths)
    best = min(whole / CLEARLY, small if narrow else float("inf"))
    limit = int(min(best - STRING_OVERHEAD, most))
    strings = compile_strings(lowered, observables, columns, limit) if limit > 0 else None
    if strings is not None:
        return strings
    if narrow and small < whole / CLEARLY:
        return compile_cones(lowered, observables, columns)
    if not fits:
        raise CircuitError(too_wide(circuit.num_qubits, max(widths)))
    return None


STRING_OVERHEAD = 64
"""What calls cost in the form of strings; the unit of all costs is one product for one row."""


def _state_cost(lowered: Lowered, qubits: int, bases: int, share: int | None = None) -> float:
    """Predicted work of states for one row.

    Args:
        lowered: The circuit.
        qubits: Of the state.
        bases: Passes.
        share: Qubits of the light cone, where only their operations count.
    """
    depth = _depth(lowered)
    if share is None and pays_as_unitary(qubits, depth):
        return bases * 0.5 * 4.0**qubits / 8
    return bases * (depth + 1) * 2.0**qubits


def _depth(lowered: Lowered) -> int:
    """Entangling layers."""
    level = [0] * lowered.num_qubits
    for operation in lowered.operations:
        if not isinstance(operation, Monomial):
            for q in operation.qubits:
                level[q] += level[q] % 2
        else:
            top = max(level[q] for q in operation.qubits)
            for q in operation.qubits:
                level[q] = top + 1 - top % 2
    return max(level, default=0) // 2 + 1


def too_wide(qubits: int, cone: int) -> str:
    """Why a circuit has no exact values, and what to choose instead.

    Args:
        qubits: Those of the circuit.
        cone: Those that its widest output depends on.
    """
    families = ", ".join(LOCAL_FAMILIES[:-1]) + f" and {LOCAL_FAMILIES[-1]}"
    return (
        f"Expected at most {MAX_QUBITS} qubits, or outputs that depend on at most {MAX_QUBITS} "
        f"qubits each, but got a circuit of {qubits} qubits with an output that depends on {cone}. "
        f"The families {families} have narrow light cones at any width; or use more heads or a "
        "narrower model."
    )


class FormEngine:
    """Runs each request on the engine of its program's form."""

    perfect = True

    def __init__(self, *, single: bool = False) -> None:
        states = Engine(single=single)
        self.states, self.single = states, single
        self._engines: dict[str, Any] = {
            "state": states,
            "cones": ConeEngine(states),
            "strings": StringEngine(single=single),
        }

    def values(self, requests: Sequence[Request[Any]]) -> list[np.ndarray]:
        """Expectation values of every request, each of shape (G, observables, R)."""
        out: list[Any] = [None] * len(requests)
        for form, members in _by_form(requests).items():
            results = self._engines[form].values([requests[k] for k in members])
            for k, values in zip(members, results, strict=True):
                out[k] = values
        return out

    def probabilities(self, request: Request[Program]) -> np.ndarray:
        """Probabilities of the basis states, shape (G, 2**n, R)."""
        return self.states.probabilities(request)

    def linearize(self, requests: Sequence[Request[Any]]) -> tuple[list[np.ndarray], Pullback]:
        """Values and their vector–Jacobian product, as `Engine.linearize`."""
        out: list[Any] = [None] * len(requests)
        pulls: list[tuple[list[int], Pullback]] = []
        for form, members in _by_form(requests).items():
            results, pull = self._engines[form].linearize([requests[k] for k in members])
            pulls.append((members, pull))
            for k, values in zip(members, results, strict=True):
                out[k] = values

        def pullback(cotangents: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
            back: list[Any] = [None] * len(requests)
            for members, pull in pulls:
                pulled = pull([cotangents[k] for k in members])
                for k, pair in zip(members, pulled, strict=True):
                    back[k] = pair
            return back

        return out, pullback


def _by_form(requests: Sequence[Request[Any]]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for k, request in enumerate(requests):
        groups.setdefault(request.program.form, []).append(k)
    return groups
