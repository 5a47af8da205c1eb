"""PennyLane `lightning.qubit`: C++ state vectors, adjoint differentiation, row by row.

The device has no native broadcasting, so time grows in proportion to the rows: few are run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml
import torch
from cases import Case
from step import Builders, Step, per_projection, real_dtype
from torch import Tensor

from peers import pennylane_gates as gates

PACKAGES = ("pennylane", "pennylane_lightning", "torch", "numpy")


def variants(case: Case, dtype: str) -> Builders:
    return {
        "adjoint, vector-Jacobian product": lambda: build(case, dtype, device_vjp=True),
        "adjoint, Jacobian": lambda: build(case, dtype, device_vjp=False),
    }


def build(case: Case, dtype: str, *, device_vjp: bool) -> Step:
    device = qml.device("lightning.qubit", wires=case.qubits, c_dtype=np.dtype(dtype).type)

    def circuit(x: Tensor, w: Tensor) -> list[Any]:
        gates.circuit(case, x, w)
        return [qml.expval(qml.PauliZ(q)) for q in range(case.qubits)]

    node = qml.QNode(
        circuit, device, interface="torch", diff_method="adjoint", device_vjp=device_vjp
    )

    def one(x: Tensor, w: Tensor) -> Tensor:
        return torch.stack(node(x, w), dim=-1).to(real_dtype(dtype))

    return Step(case, dtype, per_projection(case, one))
