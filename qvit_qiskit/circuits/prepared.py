"""The door that circuits come in by: private, on the qubits in use, of unitary gates alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from qiskit.circuit import (
    Barrier,
    CircuitInstruction,
    ControlFlowOp,
    ControlledGate,
    Instruction,
    Measure,
    QuantumCircuit,
    Reset,
)
from qiskit.circuit.library import (
    Initialize,
    PauliEvolutionGate,
    PermutationGate,
    get_standard_gate_name_mapping,
)

from qvit_qiskit.circuits.lowering import lower, refusal
from qvit_qiskit.circuits.memo import Memo
from qvit_qiskit.exceptions import CircuitError

Terms = dict[str, complex]
"""An observable: Pauli strings (qubit 0 is the last letter) and coefficients."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A circuit as estimators evaluate it.

    Final measurements are left out, an `Initialize` or reset that comes first prepares its state,
    and idle qubits are gone, so that a circuit transpiled to a large device costs what its qubits
    in use cost. Nobody else holds ``circuit``, so that it never changes.
    """

    circuit: QuantumCircuit
    """Its parameters are those of the circuit that was given, in the same order."""
    kept: tuple[int, ...]
    """The qubit of the given circuit that each wire was."""
    width: int
    """Qubits of the given circuit."""
    measured: frozenset[int]
    """Qubits of the given circuit that a final measurement has read."""

    @property
    def whole(self) -> bool:
        """Whether every qubit is kept and none was measured."""
        return len(self.kept) == self.width and not self.measured

    def restrict(self, terms: Mapping[str, complex]) -> Mapping[str, complex]:
        """An observable of the given circuit as one of this circuit.

        A qubit that is gone is in |0⟩: Z is 1 there, X and Y are 0. X and Y are 0 on measured
        qubits, too, as they are for Aer's ``EstimatorV2``: a measurement leaves no coherence.
        """
        if self.whole:
            return terms
        kept = set(self.kept) - self.measured  # where X and Y are seen
        out: Terms = {}
        for string, coefficient in terms.items():
            letters = string[::-1]
            if len(letters) != self.width:
                raise CircuitError(
                    f"Expected an observable on {self.width} qubits, but got {string!r} on "
                    f"{len(letters)}. For a transpiled circuit, apply its layout to it."
                )
            if not any(a in "XY" and q not in kept for q, a in enumerate(letters)):
                short = "".join(letters[q] for q in reversed(self.kept))
                out[short] = out.get(short, 0) + coefficient
        return out or {"I" * len(self.kept): 0.0}


_PREPARED: Memo[Prepared] = Memo(256)


def prepare(
    circuit: QuantumCircuit, observed: Iterable[int] = (), *, dynamic: bool = False
) -> Prepared:
    """A circuit as estimators evaluate it; the same object until it is edited.

    Args:
        circuit: Any circuit; parameters may be unbound.
        observed: Qubits to keep although no gate touches them: where readout has errors, also an
            idle qubit's value is not exactly 1.
        dynamic: Whether a circuit that measures, resets or branches in its middle is left as it
            is, instead of being refused.

    Raises:
        CircuitError: If it holds more than unitary gates, but for measurements at its end and
            states prepared at its beginning.
    """
    return _PREPARED.get(circuit, (frozenset(observed), dynamic), _prepare)


def prepare_with(
    circuit: QuantumCircuit,
    terms: Sequence[Mapping[str, complex]],
    *,
    perfect: bool = False,
    dynamic: bool = False,
) -> tuple[Prepared, list[Mapping[str, complex]]]:
    """A circuit as estimators evaluate it, and its observables on the wires that it has then.

    Args:
        circuit: Any circuit; parameters may be unbound.
        terms: Its observables, as Pauli strings and coefficients.
        perfect: Whether idle qubits are certainly read as 0, so that observed ones can go, too.
        dynamic: See `prepare`.

    Raises:
        CircuitError: As `prepare`; or if an observable has another width than the circuit.
    """
    prepared = prepare(circuit, () if perfect else qubits_of(terms), dynamic=dynamic)
    return prepared, [prepared.restrict(observable) for observable in terms]


def is_dynamic(circuit: QuantumCircuit) -> bool:
    """Whether a circuit measures, resets or branches, other than at its beginning or end."""
    items, _ = _without_measurements(circuit)
    gates = (item for group in _without_preparations(items) for item in group)
    return any(_is_dynamic(item.operation) for item in gates)


_CHANNELS = frozenset(
    {"kraus", "superop", "quantum_channel", "roerror", "set_statevector", "set_density_matrix"}
)
"""Instructions that Aer alone knows."""


def _is_dynamic(operation: object) -> bool:
    if isinstance(operation, Measure | Reset | Initialize | ControlFlowOp):
        return True
    if getattr(operation, "name", "") in _CHANNELS:
        return True
    inner = getattr(operation, "_definition", None)  # made already if it is not a library gate
    return inner is not None and any(_is_dynamic(item.operation) for item in inner.data)


def qubits_of(terms: Sequence[Mapping[str, complex]]) -> frozenset[int]:
    """The qubits that observables act on."""
    strings = [string[::-1] for observable in terms for string in observable]
    return frozenset(q for letters in strings for q, a in enumerate(letters) if a != "I")


def _prepare(circuit: QuantumCircuit, key: tuple[frozenset[int], bool]) -> Prepared:
    observed, dynamic = key
    if dynamic and is_dynamic(circuit):
        kept = tuple(range(circuit.num_qubits))
        return Prepared(circuit.copy(), kept, circuit.num_qubits, frozenset())
    items, measured = _without_measurements(circuit)
    gates = [gate for item in _without_preparations(items) for gate in item]
    place = {bit: k for k, bit in enumerate(circuit.qubits)}
    touched = {place[q] for i in gates if not isinstance(i.operation, Barrier) for q in i.qubits}
    kept = tuple(sorted(touched | {q for q in observed if q < circuit.num_qubits})) or (0,)
    kept = kept if circuit.num_qubits else ()
    wire = {circuit.qubits[q]: k for k, q in enumerate(kept)}
    small = QuantumCircuit(len(kept), global_phase=circuit.global_phase, name=circuit.name)
    for item in gates:
        if item.clbits or isinstance(item.operation, Measure):
            raise refusal(item.name)
        if isinstance(item.operation, Barrier):
            wires = [wire[q] for q in item.qubits if q in wire]
            if wires:
                small.barrier(wires)
        else:
            wires = [wire[q] for q in item.qubits]
            if isinstance(item.operation, PermutationGate):  # it has no definition
                _append_swaps(small, item.operation.pattern, wires)
            else:
                small.append(_fresh(item.operation), wires)
    lower(small)  # the same sentence on every route for what none of them evaluates
    return Prepared(small, kept, circuit.num_qubits, frozenset(place[q] for q in measured))


def _append_swaps(circuit: QuantumCircuit, pattern: Iterable[int], wires: Sequence[int]) -> None:
    """A permutation as swaps: wire k gets what wire ``pattern[k]`` had."""
    holds = list(range(len(wires)))
    for k, wanted in enumerate(pattern):
        place = holds.index(wanted)
        if place != k:
            circuit.swap(wires[k], wires[place])
            holds[k], holds[place] = holds[place], holds[k]


def _fresh(operation: Any) -> Any:
    """A copy that no edit of the operation object reaches, and that has a name of its own.

    Qiskit makes a library gate's definition on first use and keeps it, whatever is assigned to the
    gate afterwards (``PauliEvolutionGate.time``): there it is made anew, unless somebody assigned
    another one. Transpilers and Aer know gates by name, so a gate of the user's own that bears the
    name of a standard one gets another.
    """
    copied = operation.copy() if hasattr(operation, "copy") else deepcopy(operation)
    if not isinstance(copied, Instruction) or not copied.mutable:
        return copied
    kind = copied.base_class
    ours = kind.__module__.startswith("qiskit.circuit.library")
    if isinstance(copied, ControlledGate):
        copied.base_gate = _fresh(copied.base_gate)
    if copied._definition is not None:  # noqa: SLF001 - the public one would make a definition that is missing
        if isinstance(copied, PauliEvolutionGate):
            if not _made_by_synthesis(copied):  # compilers ask the synthesis: show them this
                return copied._definition.to_gate()  # noqa: SLF001 - the public one would make a definition that is missing
            copied._definition = None  # noqa: SLF001 - the public one would make a definition that is missing
        else:
            definition = copied._definition.copy_empty_like()  # noqa: SLF001 - the public one would make a definition that is missing
            for item in copied._definition.data:  # noqa: SLF001 - the public one would make a definition that is missing
                definition.append(_fresh(item.operation), item.qubits, item.clbits)
            copied._definition = definition  # noqa: SLF001 - the public one would make a definition that is missing
    if not ours and kind.__module__ not in _KNOWN and copied.name in _STANDARD:
        copied.name = f"own_{copied.name}"
    return copied


_STANDARD = frozenset(get_standard_gate_name_mapping())
_KNOWN = ("qiskit.circuit.barrier", "qiskit.circuit.delay", "qiskit.circuit.measure",
          "qiskit.circuit.reset")  # fmt: skip


def _made_by_synthesis(gate: PauliEvolutionGate) -> bool:
    """Whether an evolution gate's kept definition is what its synthesis made at some time.

    One that was assigned instead, e.g. with more repetitions, has another number of gates.
    """
    return len(gate._definition.data) == len(gate.synthesis.synthesize(gate).data)  # noqa: SLF001 - the public one would make a definition that is missing


def _without_measurements(circuit: QuantumCircuit) -> tuple[list[CircuitInstruction], set[object]]:
    """Instructions without the measurements that nothing follows, and the qubits of these."""
    items: list[CircuitInstruction] = []
    followed: set[object] = set()
    measured: set[object] = set()
    for item in reversed(circuit.data):
        if isinstance(item.operation, Measure) and followed.isdisjoint(
            (*item.qubits, *item.clbits)
        ):
            measured.update(item.qubits)
            continue
        if not isinstance(item.operation, Barrier):
            followed.update((*item.qubits, *item.clbits))
        items.append(item)
    return items[::-1], measured


def _without_preparations(
    items: Iterable[CircuitInstruction],
) -> Iterable[Sequence[CircuitInstruction]]:
    """Instructions, with resets and `Initialize` on qubits still in |0⟩ as gates."""
    touched: set[object] = set()
    for item in items:
        fresh = touched.isdisjoint(item.qubits)
        if not isinstance(item.operation, Barrier):
            touched.update(item.qubits)
        if fresh and isinstance(item.operation, Reset):
            yield []
        elif fresh and isinstance(item.operation, Initialize):
            definition = item.operation.definition
            outer = dict(zip(definition.qubits, item.qubits, strict=True))
            yield [
                inner.replace(qubits=[outer[q] for q in inner.qubits])
                for inner in definition.data
                if not isinstance(inner.operation, Reset)
            ]
        else:
            yield [item]
