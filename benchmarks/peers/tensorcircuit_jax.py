"""TensorCircuit-NG with its JAX backend, jitted, inside a torch graph."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import tensorcircuit as tc
from cases import Case, z_signs
from step import Builders, Step

from peers import jax_bridge
from peers import tensorcircuit_gates as gates

PACKAGES = ("tensorcircuit-ng", "cotengra", "jax", "jaxlib", "torch", "numpy")


def variants(case: Case, dtype: str) -> Builders:
    tc.set_backend("jax")
    tc.set_dtype(dtype)
    jax_bridge.enable(dtype)
    real = jnp.float64 if dtype == "complex128" else jnp.float32
    signs = jnp.asarray(z_signs(case.qubits, big_endian=True), dtype=real)
    heads = jnp.asarray([case.head_of(p) for p in range(case.projections)])

    def expectations(x: Any, w: Any) -> Any:
        over_rows = jax.vmap(lambda a, b: gates.expectations(case, a, b), in_axes=(0, None))
        return jax.vmap(over_rows)(x[heads], w)

    def states(x: Any, w: Any) -> Any:
        over_rows = jax.vmap(lambda a, b: gates.probabilities(case, a, b), in_axes=(0, None))
        return jax.vmap(over_rows)(x[heads], w) @ signs

    def by_matrix(x: Any, w: Any) -> Any:
        one = jax.vmap(lambda a, b: gates.probabilities_by_matrix(case, a, b))
        return one(x[heads], w) @ signs

    own = tc.interfaces.torch_interface
    made = {
        "jit, vmap, expectation_ps": lambda: jax_bridge.to_torch(expectations),
        "jit, vmap, state": lambda: jax_bridge.to_torch(states),
        "jit, vmap, state, torch_interface": lambda: own(states, jit=True, enable_dlpack=True),
    }
    if gates.matrix_fits(case):
        made["jit, vmap, Circuit.matrix()"] = lambda: jax_bridge.to_torch(by_matrix)
    return {name: lambda make=make: Step(case, dtype, make()) for name, make in made.items()}
