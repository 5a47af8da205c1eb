"""Bundles and cotangents at random."""

from __future__ import annotations

import numpy as np

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.bundle import Bundle


def random_bundle(
    rng: np.random.Generator, circuit: QNNCircuit, rows: int, groups: int = 1
) -> Bundle:
    weights = rng.uniform(-np.pi, np.pi, (groups, circuit.num_weights))
    inputs = rng.uniform(-np.pi, np.pi, (rows, circuit.num_inputs))
    return Bundle((circuit,) * groups, tuple(weights), inputs)


def random_cotangents(rng: np.random.Generator, bundle: Bundle) -> list[np.ndarray]:
    shape = len(bundle.inputs), bundle.circuits[0].num_outputs
    return [rng.standard_normal(shape) for _ in bundle.circuits]
