"""PennyLane `default.qubit` with the JAX interface, jitted, inside a torch graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pennylane as qml
from cases import Case, z_signs
from step import Builders, Step

from peers import jax_bridge
from peers import pennylane_gates as gates

PACKAGES = ("pennylane", "jax", "jaxlib", "torch", "numpy")

Body = Callable[[Case, Any, Any], None]


def variants(case: Case, dtype: str) -> Builders:
    jax_bridge.enable(dtype)
    bodies: dict[str, Body] = {"gates": gates.circuit}
    if gates.matrix_fits(case):
        bodies["qml.matrix"] = gates.circuit_by_matrix
    made: Builders = {}
    for name, body in bodies.items():
        made[f"jit, broadcast, {name}"] = lambda body=body: build(case, dtype, body, vmap=False)
        made[f"jit, vmap, {name}"] = lambda body=body: build(case, dtype, body, vmap=True)
    return made


def build(case: Case, dtype: str, body: Body, *, vmap: bool) -> Step:
    """Broadcast: one execution for each projection. vmap: rows and projections by `jax.vmap`."""
    device = qml.device("default.qubit", wires=case.qubits)
    real = jnp.float64 if dtype == "complex128" else jnp.float32
    signs = jnp.asarray(z_signs(case.qubits, big_endian=True), dtype=real)

    def circuit(x: Any, w: Any) -> Any:
        body(case, x, w)
        return qml.probs(wires=range(case.qubits))

    node = qml.QNode(circuit, device, interface="jax", diff_method="backprop")
    heads = [case.head_of(p) for p in range(case.projections)]

    def broadcast(x: Any, w: Any) -> Any:
        return jnp.stack([node(x[head], w[p]) for p, head in enumerate(heads)]) @ signs

    over_rows = jax.vmap(node, in_axes=(0, None))

    def mapped(x: Any, w: Any) -> Any:
        return jax.vmap(over_rows)(x[jnp.asarray(heads)], w) @ signs

    return Step(case, dtype, jax_bridge.to_torch(mapped if vmap else broadcast))
