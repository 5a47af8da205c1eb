"""Which outputs of a circuit are correlated, and the products that their covariances need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Generic

import numpy as np

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.simulation.exact.engine import P


@dataclass(frozen=True)
class Moments(Generic[P]):
    """Programs for the means of a circuit's outputs in one basis, and of products of two."""

    means: P
    products: P
    pairs: np.ndarray
    """Shape (p, 2): the outputs of each product; pairs that are left out are uncorrelated."""


def masks(basis: Basis, outputs: int) -> list[dict[int, float]]:
    """By output the coefficients of its products of Zs, by mask.

    Args:
        basis: With the terms.
        outputs: K.
    """
    terms: list[dict[int, float]] = [{} for _ in range(outputs)]
    for output, coefficient, mask in basis.terms:
        terms[output][mask] = terms[output].get(mask, 0.0) + coefficient
    return terms


def paired(
    basis: Basis, reach: Sequence[frozenset[int]]
) -> tuple[np.ndarray, list[dict[int, float]]]:
    """The pairs of outputs that may be correlated, and each pair's product.

    Args:
        basis: With the terms of K outputs.
        reach: For each output what it depends on; outputs that share nothing are uncorrelated.

    Returns:
        Shape (p, 2), and by pair the coefficients by mask.
    """
    terms = masks(basis, len(reach))
    own = [k for k, each in enumerate(terms) if each]
    pairs = [(k, m) for k, m in combinations_with_replacement(own, 2) if reach[k] & reach[m]]
    products = []
    for k, m in pairs:
        product: dict[int, float] = {}
        for first, a in terms[k].items():
            for second, b in terms[m].items():
                product[first ^ second] = product.get(first ^ second, 0.0) + a * b
        products.append(product)
    return np.array(pairs, dtype=int).reshape(-1, 2), products


def as_strings(products: Sequence[Mapping[int, float]], qubits: int) -> list[dict[str, complex]]:
    """Products of Zs by mask as Pauli strings.

    Args:
        products: Coefficients by mask.
        qubits: n.
    """
    return [
        {"".join("IZ"[mask >> q & 1] for q in reversed(range(qubits))): complex(c)
         for mask, c in product.items()}
        for product in products
    ]  # fmt: skip


def as_terms(products: Sequence[Mapping[int, float]]) -> tuple[tuple[int, float, int], ...]:
    """The same as the terms of a basis."""
    return tuple((k, c, mask) for k, product in enumerate(products) for mask, c in product.items())
