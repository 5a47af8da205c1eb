"""Qiskit's transpiler, where it can run, and what is kept of its circuits."""

from __future__ import annotations

import os
from typing import Any

import qiskit
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import Target, TranspilerError

from qvit_qiskit.exceptions import RouteError

_process: int | None = None
"""The process whose thread pool the transpiler has started."""


def transpile(circuit: QuantumCircuit, **options: Any) -> QuantumCircuit:
    """``qiskit.transpile``, refused where it would never return.

    Its thread pool does not survive ``os.fork``: in the child of a process that has transpiled
    before, it waits for threads that are not there.

    Args:
        circuit: The circuit.
        options: As for ``qiskit.transpile``.

    Raises:
        RouteError: In a forked child, or if the circuit cannot be translated to the gates of the
            target.
    """
    global _process
    if _process not in (None, os.getpid()):
        raise RouteError(
            "This process was forked from one in which circuits were compiled for a device, and "
            "Qiskit's transpiler would wait for ever here. Start workers by 'spawn': "
            "multiprocessing.get_context('spawn'), or DataLoader(multiprocessing_context='spawn')."
        )
    _process = os.getpid()
    try:
        return qiskit.transpile(circuit, **options)
    except TranspilerError as error:
        if "translate" not in str(error):
            raise RouteError(
                f"Expected a circuit that Qiskit can compile for the device, but its transpiler "
                f"says: {error}. Change the circuit, or choose another device."
            ) from error
        target = options.get("target") or options["backend"].target
        names = sorted(name for name in target.operation_names if name != "measure")
        raise RouteError(
            f"Expected a device whose gates can make up every circuit, but it reports only "
            f"{', '.join(names) or 'none'}. Check its calibration, or choose another device."
        ) from error


def in_place(
    circuit: QuantumCircuit, target: Target, seed: int
) -> tuple[QuantumCircuit, tuple[int, ...]]:
    """A circuit in a target's gates, each qubit on the wire of its number.

    Args:
        circuit: As wide as the target, its two-qubit gates on couplers.
        target: Its gates and couplers.
        seed: Of the transpiler.

    Returns:
        The circuit as `plain` leaves it, and the wire on which each qubit ends.

    Raises:
        RouteError: As `transpile`.
    """
    isa = transpile(
        circuit,
        target=target,
        optimization_level=1,
        initial_layout=list(range(circuit.num_qubits)),
        seed_transpiler=seed,
    )
    return plain(isa), outputs_of(isa)


def plain(isa: QuantumCircuit) -> QuantumCircuit:
    """A transpiled circuit without barriers and without its global phase."""
    gates = QuantumCircuit(isa.num_qubits)
    for item in isa.data:
        if item.operation.name != "barrier":
            gates.append(item.operation, [isa.find_bit(q).index for q in item.qubits])
    return gates


def outputs_of(isa: QuantumCircuit) -> tuple[int, ...]:
    """The wire of a transpiled circuit on which each virtual qubit ends."""
    return tuple(int(wire) for wire in isa.layout.final_index_layout(filter_ancillas=True))


def check_width(circuit: QuantumCircuit, device: BackendV2) -> None:
    """Refuse a circuit that is wider than a device.

    Raises:
        RouteError: If the device has too few qubits.
    """
    if circuit.num_qubits > device.num_qubits:
        raise RouteError(
            f"The circuit needs {circuit.num_qubits} qubits, but {device.name} has "
            f"{device.num_qubits}. Choose a larger device or a narrower model."
        )
