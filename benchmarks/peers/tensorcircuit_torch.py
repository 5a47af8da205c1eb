"""TensorCircuit-NG with its torch backend: `vmap` over rows, and over projections."""

from __future__ import annotations

import tensorcircuit as tc
import torch
from cases import Case, z_signs
from step import Builders, Forward, Step, per_projection, real_dtype
from torch import Tensor

from peers import tensorcircuit_gates as gates

PACKAGES = ("tensorcircuit-ng", "cotengra", "torch", "numpy")


def variants(case: Case, dtype: str) -> Builders:
    tc.set_backend("pytorch")
    tc.set_dtype(dtype)
    signs = torch.tensor(z_signs(case.qubits, big_endian=True), dtype=real_dtype(dtype))
    vmap = tc.backend.vmap

    def expectations(x: Tensor, w: Tensor) -> Tensor:
        return gates.expectations(case, x, w)

    def probabilities(x: Tensor, w: Tensor) -> Tensor:
        return gates.probabilities(case, x, w) @ signs

    def by_matrix(x: Tensor, w: Tensor) -> Tensor:
        return gates.probabilities_by_matrix(case, x, w) @ signs

    made = {
        "vmap, expectation_ps": per_projection(case, vmap(expectations, vectorized_argnums=0)),
        "vmap, state": per_projection(case, vmap(probabilities, vectorized_argnums=0)),
    }
    if case.projections > 1:
        over_rows = vmap(probabilities, vectorized_argnums=0)
        made["nested vmap, state"] = over_projections(case, over_rows)
    if gates.matrix_fits(case):
        made["Circuit.matrix()"] = per_projection(case, by_matrix)
        if case.projections > 1:
            made["vmap, Circuit.matrix()"] = over_projections(case, by_matrix)
    return {name: lambda f=f: Step(case, dtype, f) for name, f in made.items()}


def over_projections(case: Case, one: Forward) -> Forward:
    """`vmap` over projections of a function of a projection's rows and weights."""
    both = tc.backend.vmap(one, vectorized_argnums=(0, 1))
    heads = [case.head_of(p) for p in range(case.projections)]
    return lambda x, w: both(x[heads], w)
