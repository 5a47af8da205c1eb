"""Random circuits of library gates, with evolution, powered, controlled and nested ones; edits."""

from __future__ import annotations

import numpy as np
from qiskit.circuit import ControlledGate, Instruction, Parameter, QuantumCircuit
from qiskit.circuit import library as gates
from qiskit.quantum_info import SparsePauliOp
from qiskit.synthesis import LieTrotter, SuzukiTrotter

from qvit_qiskit.circuits import QNNCircuit
from reference.random_circuits import CONSTANT, random_circuit


def library_circuit(rng: np.random.Generator, qubits: int, depth: int) -> QNNCircuit:
    """`random_circuit` with a few instructions of the library, at random places."""
    base = random_circuit(rng, qubits, depth)
    circuit = base.circuit.copy()
    for _ in range(int(rng.integers(1, 4))):
        kind = LIBRARY[rng.integers(len(LIBRARY))]
        gate = kind(rng, qubits, base.weights[rng.integers(len(base.weights))])
        if gate is not None:
            circuit.append(gate, rng.permutation(qubits)[: gate.num_qubits].tolist())
            place = int(rng.integers(len(circuit.data)))
            circuit.data.insert(place, circuit.data.pop())
    return QNNCircuit(circuit, base.inputs, base.weights, base.observables)


def _sum_of_paulis(rng: np.random.Generator, qubits: int) -> SparsePauliOp:
    strings = {"".join(rng.choice(list("IXYZ"), qubits)) for _ in range(3)} - {"I" * qubits}
    strings = sorted(strings) or ["X" * qubits]
    return SparsePauliOp(strings, rng.uniform(-1, 1, len(strings)))


def _evolution(rng: np.random.Generator, qubits: int, w: Parameter) -> gates.PauliEvolutionGate:
    width = int(rng.integers(1, min(qubits, 3) + 1))
    synthesis = [LieTrotter(reps=2), SuzukiTrotter(order=2)][rng.integers(2)]
    time = [0.7, w, 0.5 * w][rng.integers(3)]
    return gates.PauliEvolutionGate(_sum_of_paulis(rng, width), time, synthesis=synthesis)


def _controlled_evolution(rng: np.random.Generator, qubits: int, w: Parameter):
    if qubits < 2:
        return None
    gate = gates.PauliEvolutionGate(SparsePauliOp(["X", "Z"], [0.4, 0.9]), 0.8)
    return gate.control(1, annotated=False)


def _nested(rng: np.random.Generator, qubits: int, w: Parameter) -> Instruction:
    """A gate of a gate, with a parameter and an evolution inside."""
    inner = QuantumCircuit(1, name="inner")
    inner.ry(w + 0.1, 0)
    inner.append(gates.PauliEvolutionGate(SparsePauliOp(["X", "Y"]), 0.3), [0])
    outer = QuantumCircuit(min(qubits, 2), name="outer")
    outer.append(inner.to_gate(), [0])
    outer.h(outer.num_qubits - 1)
    return outer.to_gate() if rng.integers(2) else outer.to_instruction()


def _powered(rng: np.random.Generator, qubits: int, w: Parameter) -> Instruction:
    width = int(rng.integers(1, min(qubits, 2) + 1))
    gate = CONSTANT[width][rng.integers(len(CONSTANT[width]))]
    return gate.power(float(rng.choice([2, 0.5, -1.3])), annotated=False)


def _controlled(rng: np.random.Generator, qubits: int, w: Parameter):
    if qubits < 2:
        return None
    gate = [gates.RYGate(w), gates.UGate(0.3, w, 0.2), gates.SXGate(), gates.RZGate(2 * w)][
        rng.integers(4)
    ]
    controls = int(rng.integers(1, min(qubits, 3)))
    return gate.control(controls, ctrl_state=int(rng.integers(2**controls)), annotated=False)


def _feature_map(rng: np.random.Generator, qubits: int, w: Parameter):
    if qubits < 2:
        return None
    return gates.zz_feature_map(2, reps=1).assign_parameters([w, w]).to_gate()


def _whole(rng: np.random.Generator, qubits: int, w: Parameter) -> Instruction:
    kinds = [
        gates.QFTGate(min(qubits, 3)),
        gates.PermutationGate(rng.permutation(qubits).tolist()),
        gates.DiagonalGate(np.exp(1j * rng.uniform(-3, 3, 2 ** min(qubits, 3)))),
        gates.RVGate(0.3, -0.4, 0.5),
    ]
    return kinds[rng.integers(len(kinds))]


LIBRARY = [
    *(_evolution, _evolution, _controlled_evolution, _nested, _powered, _controlled),
    *(_feature_map, _whole),
]


def by_definition(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with every evolution gate, however deep, written out as its definition."""
    out = circuit.copy_empty_like()
    for item in circuit.data:
        if _evolves(item.operation):
            inner = by_definition(item.operation.definition)
            out.compose(inner, item.qubits, inplace=True)
        else:
            out.append(item.operation, item.qubits)
    return out


def _evolves(gate: Instruction) -> bool:
    if isinstance(gate, gates.PauliEvolutionGate):
        return True
    if isinstance(gate, ControlledGate):
        return _evolves(gate.base_gate)
    kind = getattr(gate, "base_class", type(gate))  # singletons have classes of their own
    if kind.__module__.startswith("qiskit.circuit.library"):
        return False
    return gate.definition is not None and any(_evolves(i.operation) for i in gate.definition.data)


def edit(rng: np.random.Generator, circuit: QuantumCircuit) -> None:
    """Change a circuit in place, in one of the ways that Qiskit allows."""
    EDITS[rng.integers(len(EDITS))](rng, circuit)


def _pop(rng: np.random.Generator, circuit: QuantumCircuit) -> None:
    circuit.data.pop(int(rng.integers(len(circuit.data))))


def _replace(rng: np.random.Generator, circuit: QuantumCircuit) -> None:
    """Another gate on the same qubits."""
    places = [k for k, item in enumerate(circuit.data) if len(item.qubits) == 1]
    place = places[rng.integers(len(places))]
    angle = float(rng.uniform(-3, 3))
    circuit.data[place] = circuit.data[place].replace(operation=gates.RYGate(angle))


def _exchange(rng: np.random.Generator, circuit: QuantumCircuit) -> None:
    i, j = rng.integers(len(circuit.data), size=2)
    circuit.data[int(i)], circuit.data[int(j)] = circuit.data[int(j)], circuit.data[int(i)]


def _assign(rng: np.random.Generator, circuit: QuantumCircuit) -> None:
    parameters = list(circuit.parameters)
    one = parameters[rng.integers(len(parameters))]
    value = float(rng.uniform(-3, 3)) if rng.integers(2) else 0.5 * one + 0.2
    circuit.assign_parameters({one: value}, inplace=True)


def _rewrite(rng: np.random.Generator, circuit: QuantumCircuit) -> None:
    items = list(circuit.data)
    circuit.clear()
    circuit.ry(0.4, 0)
    for item in items[::-1]:
        circuit.append(item.operation, item.qubits)


def _phase(rng: np.random.Generator, circuit: QuantumCircuit) -> None:
    circuit.global_phase = 0.7
    circuit.rx(0.3, 0)


def _inside(rng: np.random.Generator, circuit: QuantumCircuit) -> None:
    """A gate of the user's own, changed by its definition; any other circuit grows."""
    for item in circuit.data:
        own = type(item.operation).__module__ == "qiskit.circuit.gate"
        if own and item.operation.definition is not None and not item.operation.label:
            item.operation.definition.ry(0.9, 0)
            return
    circuit.h(0)


EDITS = [_pop, _replace, _exchange, _assign, _rewrite, _phase, _inside]
