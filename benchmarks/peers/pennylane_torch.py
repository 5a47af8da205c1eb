"""PennyLane `default.qubit`: torch interface, parameter broadcasting, backpropagation.

In complex64 the circuit starts from a complex64 state: without it the device keeps complex128.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pennylane as qml
import torch
from cases import Case, z_signs
from step import Builders, Forward, Step, per_projection, real_dtype
from torch import Tensor

from peers import pennylane_gates as gates

PACKAGES = ("pennylane", "torch", "numpy")


def variants(case: Case, dtype: str) -> Builders:
    made: Builders = {
        "broadcast, expval": lambda: Step(case, dtype, expval(case, dtype)),
        "broadcast, probs": lambda: Step(case, dtype, probs(case, dtype, gates.circuit)),
    }
    if gates.matrix_fits(case):
        made["broadcast, qml.matrix, probs"] = lambda: Step(
            case, dtype, probs(case, dtype, gates.circuit_by_matrix)
        )
    if case.projections > 1:
        made["projections broadcast too, probs"] = lambda: Step(
            case, dtype, all_at_once(case, dtype)
        )
    return made


def expval(case: Case, dtype: str) -> Forward:
    def circuit(x: Tensor, w: Tensor) -> list[Any]:
        prepare(case, dtype)
        gates.circuit(case, x, w)
        return [qml.expval(qml.PauliZ(q)) for q in range(case.qubits)]

    node = qnode(case, circuit)
    return per_projection(case, lambda x, w: torch.stack(node(x, w), dim=-1))


def probs(case: Case, dtype: str, body: Callable[[Case, Any, Any], None]) -> Forward:
    node, signs = probs_node(case, dtype, body), signs_of(case, dtype)
    return per_projection(case, lambda x, w: node(x, w).to(signs.dtype) @ signs)


def all_at_once(case: Case, dtype: str) -> Forward:
    """One execution for all projections: rows and weights are broadcast to (P·rows, …)."""
    node, signs = probs_node(case, dtype, gates.circuit), signs_of(case, dtype)
    heads = [case.head_of(p) for p in range(case.projections)]

    def forward(x: Tensor, w: Tensor) -> Tensor:
        rows = x[heads].reshape(-1, case.qubits)  # (P·rows, n)
        weights = w.repeat_interleave(case.rows, dim=0)  # (P·rows, W)
        out = node(rows, weights).to(signs.dtype) @ signs
        return out.reshape(case.projections, case.rows, case.qubits)

    return forward


def probs_node(case: Case, dtype: str, body: Callable[[Case, Any, Any], None]) -> Any:
    def circuit(x: Tensor, w: Tensor) -> Any:
        prepare(case, dtype)
        body(case, x, w)
        return qml.probs(wires=range(case.qubits))

    return qnode(case, circuit)


def prepare(case: Case, dtype: str) -> None:
    if dtype == "complex64":
        zero = torch.zeros(2**case.qubits, dtype=torch.complex64)
        zero[0] = 1.0
        qml.StatePrep(zero, wires=range(case.qubits), validate_norm=False)


def qnode(case: Case, circuit: Callable[..., Any]) -> Any:
    device = qml.device("default.qubit", wires=case.qubits)
    return qml.QNode(circuit, device, interface="torch", diff_method="backprop")


def signs_of(case: Case, dtype: str) -> Tensor:
    return torch.tensor(z_signs(case.qubits, big_endian=True), dtype=real_dtype(dtype))
