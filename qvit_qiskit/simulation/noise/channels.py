"""Gates and errors as Pauli transfer matrices.

A state of m wires is the real vector r_P = Tr(P ρ) over the Pauli strings P, an observable the
vector o_P of O = Σ o_P P, and ⟨O⟩ = Σ o_P r_P. Wire i is digit i of the index in base four, with
the digits I, X, Y, Z. A channel E is the matrix M_PQ = Tr(P E(Q)) / 2**k: states go to M r, and
observables, backwards, to Mᵀ o (Greenbaum, arXiv 1509.02921).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from qiskit.circuit import Delay, Parameter, QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import PTM, Operator, SuperOp
from qiskit.transpiler import Target

from qvit_qiskit.circuits.lowering import Lowered, Operation, Rotation, lower
from qvit_qiskit.devices.timetable import Wait, delay_seconds, relaxation_times
from qvit_qiskit.exceptions import CircuitError


@dataclass(frozen=True)
class Channel:
    """A constant channel on some wires."""

    matrix: np.ndarray  # shape: (4**k, 4**k); digit j of the index belongs to qubits[j]
    qubits: tuple[int, ...]


Step = Rotation | Channel
"""What a noisy circuit is made of."""


@dataclass(frozen=True)
class NoisyCircuit:
    """A compiled circuit with its errors in place."""

    num_qubits: int
    steps: tuple[Step, ...]
    lowered: Lowered
    """The same circuit without errors: its angles, by the index of each `Rotation`."""


Place = tuple[str, tuple[int, ...]]
"""A gate's name and its qubits."""


def gate_errors(target: Target, gates: Collection[Place]) -> dict[Place, np.ndarray]:
    """The error after each gate, as Aer's device noise models have it.

    Depolarising and thermal relaxation, so that together they have the reported error. Aer turns
    them into superoperators, because its simulators leave out terms that are less likely than
    about 1e-9.

    Args:
        target: Gates and their reported errors.
        gates: The gates in use.

    Returns:
        Transfer matrices; gates without an error are left out.
    """
    from qiskit_aer import AerSimulator
    from qiskit_aer.library import SaveSuperOp
    from qiskit_aer.noise import NoiseModel
    from qiskit_aer.noise.device import basic_device_gate_errors

    found = [
        (name, tuple(qubits), error)
        for name, qubits, error in basic_device_gate_errors(
            target=_in_use(target, gates), gate_error=True, thermal_relaxation=True
        )
        if not error.ideal()
    ]
    if not found:
        return {}
    model, circuits = NoiseModel(), []
    for k, (_, qubits, error) in enumerate(found):
        model.add_all_qubit_quantum_error(error, f"error{k}")
        circuit = QuantumCircuit(len(qubits))
        circuit.append(UnitaryGate(np.eye(2 ** len(qubits)), label=f"error{k}"), circuit.qubits)
        circuit.append(SaveSuperOp(len(qubits)), circuit.qubits)
        circuits.append(circuit)
    simulator = AerSimulator(method="superop", noise_model=model)
    result = simulator.run(circuits).result()
    return {
        (name, qubits): transfer_matrix(SuperOp(np.asarray(result.data(k)["superop"])))
        for k, (name, qubits, _) in enumerate(found)
    }


def _in_use(target: Target, gates: Collection[Place]) -> Target:
    """A target without the gates that are not in use: Aer takes tens of milliseconds for each."""
    small = Target(
        num_qubits=target.num_qubits, dt=target.dt, qubit_properties=target.qubit_properties
    )
    for name in sorted({name for name, _ in gates}):
        known = target[name] or {}
        entries = {
            qubits: known[qubits] for own, qubits in gates if own == name and qubits in known
        }
        small.add_instruction(target.operation_from_name(name), entries)
    return small


def transfer_matrix(channel: SuperOp | Operator) -> np.ndarray:
    """The real Pauli transfer matrix of a channel."""
    return np.real(PTM(channel).data)


def relaxation(seconds: float, t1: float, t2: float) -> np.ndarray:
    """Thermal relaxation towards |0⟩ as a transfer matrix, digits I, X, Y, Z.

    Args:
        seconds: How long.
        t1: In seconds.
        t2: In seconds, at most 2·T1.
    """
    lost, mixed = np.exp(-seconds / t1), np.exp(-seconds / t2)
    matrix = np.diag([1.0, mixed, mixed, lost])
    matrix[3, 0] = 1 - lost
    return matrix


Errors = Callable[[Target, Collection[Place]], dict[Place, np.ndarray]]
"""What gives the error after each of some gates of a target, as a transfer matrix."""


def with_errors(
    circuit: QuantumCircuit,
    target: Target,
    parameters: Sequence[Parameter],
    waits: Sequence[Wait] | None = None,
    errors_of: Errors = gate_errors,
) -> NoisyCircuit:
    """Put a device's errors behind the gates of a circuit, and those of its waits between them.

    Args:
        circuit: An ISA circuit for the target; parameters may be unbound.
        target: Gates and their errors, qubits and their T1 and T2.
        parameters: In the order of value columns; all parameters of the circuit are among them.
        waits: By the place of the instruction that ends them; behind the last one where it is a
            measurement. None where qubits wait without an error, and delays are refused.
        errors_of: What gives the errors of the gates in use.

    Raises:
        CircuitError: If it holds more than unitary gates, or one that the target lacks.
    """
    decays = _Decays(target, waits)
    places = [
        (item.operation.name, tuple(circuit.find_bit(q).index for q in item.qubits))
        for item in circuit.data
    ]
    for name, qubits in places:
        if name == "delay" and waits is not None:
            continue
        if name not in target.operation_names or qubits not in (target[name] or {}):
            raise CircuitError(
                f"The calibration reports no gate {name} on the wires {qubits}, so its error is "
                "unknown. Compile the circuit for the gates that the device reports."
            )
    errors = errors_of(target, set(places))
    lowered = replace(lower(circuit), parameters=tuple(parameters))
    gates = iter(lowered.operations)
    steps: list[Step] = []
    for place, (item, (name, qubits)) in enumerate(zip(circuit.data, places, strict=True)):
        steps += decays.before(place)
        if isinstance(item.operation, Delay):
            steps += decays.during(qubits[0], delay_seconds(item.operation, target.dt))
            continue
        single = QuantumCircuit(circuit.num_qubits)
        single.append(item.operation, qubits)
        count = len(lower(single).operations)
        steps += [_channel(next(gates)) for _ in range(count)]
        if (name, qubits) in errors:
            steps.append(Channel(errors[name, qubits], qubits))
    for place in decays.places_from(len(places)):
        steps += decays.before(place)
    return NoisyCircuit(circuit.num_qubits, tuple(steps), lowered)


class _Decays:
    """What happens to the qubits of a target while they wait."""

    def __init__(self, target: Target, waits: Sequence[Wait] | None) -> None:
        self.target = target
        self.waits: dict[int, list[Wait]] = {}
        for wait in waits or ():
            self.waits.setdefault(wait.before, []).append(wait)

    def before(self, place: int) -> list[Channel]:
        """The waits that an instruction ends."""
        ended = self.waits.get(place, ())
        return [channel for wait in ended for channel in self.during(wait.wire, wait.seconds)]

    def places_from(self, count: int) -> list[int]:
        """The instructions behind the first so many that end a wait: measurements."""
        return sorted(place for place in self.waits if place >= count)

    def during(self, wire: int, seconds: float) -> list[Channel]:
        """A wait of one qubit; nothing where T1 or T2 is not reported."""
        times = relaxation_times(self.target, wire)
        return [Channel(relaxation(seconds, *times), (wire,))] if times else []


def _channel(operation: Operation) -> Step:
    if isinstance(operation, Rotation):
        return operation
    return Channel(transfer_matrix(Operator(operation.matrix)), operation.qubits)


def fuse(steps: Iterable[Step]) -> list[Step]:
    """The same steps with neighbouring channels joined: one-wire ones vanish in two-wire ones."""
    out: list[Step | None] = []
    last: dict[int, int] = {}  # wire -> place of its latest step
    for step in steps:
        if isinstance(step, Channel):
            joined = _absorb(step, out, last)
            if joined is None:
                continue
            step = joined
        last |= dict.fromkeys(step.qubits, len(out))
        out.append(step)
    return [step for step in out if step is not None]


def _absorb(step: Channel, out: list[Step | None], last: dict[int, int]) -> Channel | None:
    """Join a channel with what stands right before it; None if it went into an earlier one."""
    places = {last.get(q) for q in step.qubits}
    if len(places) == 1 and (place := places.pop()) is not None:
        before = out[place]
        if isinstance(before, Channel) and set(step.qubits) <= set(before.qubits):
            out[place] = Channel(_embed(step, before.qubits) @ before.matrix, before.qubits)
            return None
    for qubit in step.qubits:
        place = last.get(qubit)
        before = None if place is None else out[place]
        if place is not None and isinstance(before, Channel) and before.qubits == (qubit,):
            step = Channel(step.matrix @ _embed(before, step.qubits), step.qubits)
            out[place] = None
            del last[qubit]
    return step


def _embed(channel: Channel, qubits: tuple[int, ...]) -> np.ndarray:
    """A channel's matrix on more wires, or on the same in another order."""
    k = len(qubits)
    if channel.qubits == qubits:
        return channel.matrix
    own = [k - 1 - qubits.index(q) for q in reversed(channel.qubits)]
    rest = [axis for axis in range(k) if axis not in own]
    size, unit = len(channel.matrix), np.eye(4 ** len(rest))
    # PERF: np.kron takes ten times as long, and compiling asks for thousands of these
    whole = (channel.matrix[:, None, :, None] * unit[None, :, None, :]).reshape((4,) * (2 * k))
    order = [*own, *rest]
    if order == list(range(k)):
        return whole.reshape(size * len(unit), -1)
    back = list(np.argsort(order))
    return whole.transpose([*back, *(k + axis for axis in back)]).reshape(4**k, 4**k)
