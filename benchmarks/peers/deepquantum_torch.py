"""DeepQuantum: batched states in torch.

`QubitCircuit.to(torch.float64)` makes it compute in complex128; its default is complex64. All
weights are handed over as one-dimensional ``data``, so that gradients reach the weight vector.
"""

from __future__ import annotations

import deepquantum as dq
import torch
from cases import Case, z_signs
from step import Builders, Forward, Step, per_projection, real_dtype
from torch import Tensor

PACKAGES = ("deepquantum", "torch", "numpy")


def variants(case: Case, dtype: str) -> Builders:
    made: dict[str, Forward] = {
        "vmap over all data, expectation": all_data(case, dtype),
        "batched state, expectation": batched(case, dtype, by_state=False),
        "batched state, probabilities": batched(case, dtype, by_state=True),
    }
    if case.family != "reupload-ring" and case.qubits <= 8:
        made["get_unitary(), probabilities"] = by_unitary(case, dtype, vmap=False)
        if case.projections > 1:
            made["vmap, get_unitary(), probabilities"] = by_unitary(case, dtype, vmap=True)
    return {name: lambda f=f: Step(case, dtype, f) for name, f in made.items()}


def all_data(case: Case, dtype: str) -> Forward:
    """Rows and weights as one batch of data, (P·rows, n + W): the library's documented way."""
    circuit = _circuit(case, dtype, encoding=True, layers=range(case.layers))
    heads = [case.head_of(p) for p in range(case.projections)]
    n = case.qubits

    def forward(x: Tensor, w: Tensor) -> Tensor:
        rows = x[heads].reshape(-1, n)  # (P·rows, n)
        weights = w.repeat_interleave(case.rows, dim=0)  # (P·rows, W)
        if case.family == "reupload-ring":
            parts = [part for layer in weights.split(n, dim=-1) for part in (rows, layer)]
        else:
            parts = [rows, weights]
        circuit(torch.cat(parts, dim=-1))
        return circuit.expectation().reshape(case.projections, case.rows, n)

    return forward


def batched(case: Case, dtype: str, *, by_state: bool) -> Forward:
    """Encodings row by row (vmap inside), trained layers once on the batch of states."""
    signs = _signs(case, dtype)
    encoder = _circuit(case, dtype, encoding=True, layers=())
    reupload = case.family == "reupload-ring"
    groups = [[layer] for layer in range(case.layers)] if reupload else [range(case.layers)]
    trained = [_circuit(case, dtype, encoding=False, layers=group) for group in groups]

    def one(x: Tensor, w: Tensor) -> Tensor:
        state = None
        for circuit, angles in zip(trained, w.chunk(len(trained)), strict=True):
            state = circuit(angles, state=encoder(x, state=state))  # (rows, 2ⁿ, 1)
        return _probabilities(state) @ signs if by_state else trained[-1].expectation()

    return per_projection(case, one)


def by_unitary(case: Case, dtype: str, *, vmap: bool) -> Forward:
    """The trained part as one matrix, `QubitCircuit.get_unitary`; vmap over projections."""
    heads = [case.head_of(p) for p in range(case.projections)]
    signs = _signs(case, dtype)
    encoder = _circuit(case, dtype, encoding=True, layers=())
    trained = _circuit(case, dtype, encoding=False, layers=range(case.layers))

    def one(x: Tensor, w: Tensor) -> Tensor:
        trained.encode(w)
        state = encoder(x).squeeze(-1) @ trained.get_unitary().T  # (rows, 2ⁿ)
        return (state.real.square() + state.imag.square()) @ signs

    if vmap:
        return lambda x, w: torch.vmap(one)(x[heads], w)
    return per_projection(case, one)


def _circuit(
    case: Case, dtype: str, *, encoding: bool, layers: range | list[int] | tuple[()]
) -> dq.QubitCircuit:
    n = case.qubits
    circuit = dq.QubitCircuit(n)
    complex_ = case.family == "rx-rz-ring"

    def encode() -> None:
        for q in range(n):
            (circuit.rx if complex_ else circuit.ry)(q, encode=True)

    if encoding and not (layers and case.family == "reupload-ring"):
        encode()
    for _ in layers:
        if encoding and case.family == "reupload-ring":
            encode()
        for rotation in (circuit.rx, circuit.rz) if complex_ else (circuit.ry,):
            for q in range(n):
                rotation(q, encode=True)
        for q in range(n):
            circuit.cnot(q, (q + 1) % n)
    for q in range(n):
        circuit.observable(q)
    return circuit.to(real_dtype(dtype))


def _probabilities(state: Tensor) -> Tensor:
    state = state.squeeze(-1)
    return state.real.square() + state.imag.square()


def _signs(case: Case, dtype: str) -> Tensor:
    return torch.tensor(z_signs(case.qubits, big_endian=True), dtype=real_dtype(dtype))
