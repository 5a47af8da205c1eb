"""Qiskit's transpiler, where it can run."""

from __future__ import annotations

import os
from typing import Any

import qiskit
from qiskit.circuit import QuantumCircuit
from qiskit.transpiler import TranspilerError

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
