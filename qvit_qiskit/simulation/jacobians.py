"""The request format of Qiskit Machine Learning's gradients: one circuit and observable a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit


def alike(circuits: Sequence[QuantumCircuit], observables: Sequence[Any]) -> list[list[int]]:
    """Indices of the requests that share a circuit and an observable.

    Args:
        circuits: Those of the requests.
        observables: Theirs, in the same order.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for k, pair in enumerate(zip(circuits, observables, strict=True)):
        groups.setdefault((id(pair[0]), id(pair[1])), []).append(k)
    return list(groups.values())


def scatter(
    gradients: list[Any],
    members: Sequence[int],
    circuit: QuantumCircuit,
    total: np.ndarray,
    parameters: Sequence[Sequence[Parameter]],
) -> None:
    """Write the wanted columns of ∂/∂parameters to where the requests stood.

    Args:
        gradients: One entry per request, changed in place.
        members: The requests that ``total`` has rows for.
        circuit: Their circuit.
        total: Shape (R, P).
        parameters: For every request the parameters it asked for.
    """
    order = {p: j for j, p in enumerate(circuit.parameters)}
    for place, k in enumerate(members):
        gradients[k] = total[place, [order[p] for p in parameters[k]]]
