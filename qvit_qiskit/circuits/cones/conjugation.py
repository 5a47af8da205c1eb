"""Pauli strings seen through a circuit's operations, backwards: U† P U as a sum of strings.

A letter is an integer: 0, 1, 2, 3 for I, X, Y, Z. A string on k qubits is a tuple of k letters, the
first one on ``operation.qubits[0]``.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

from qvit_qiskit.circuits.lowering import Monomial, OneQubit

Letters = tuple[int, ...]

LETTERS = {"I": 0, "X": 1, "Y": 2, "Z": 3}
AXES = {"x": 1, "y": 2, "z": 3}
TURNED = {1: {2: (3, -1), 3: (2, 1)}, 2: {3: (1, -1), 1: (3, 1)}, 3: {1: (2, -1), 2: (1, 1)}}
"""By axis and letter P: the letter Q and the sign s of U† P U = cos φ P + s sin φ Q, for the
rotation U by φ about the axis."""
MAX_WIRES = 3
"""Wider gates are not expanded: a table of four has 65,536 entries."""

_PAULIS = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex
)


class Conjugation:
    """One constant gate's map of Pauli strings: ``U† P U = Σ coefficient · Q``."""

    def __init__(self, matrix: np.ndarray) -> None:
        size = len(matrix).bit_length() - 1
        strings = list(product(range(4), repeat=size))
        table = np.array([_string(letters) for letters in strings])  # (4**k, 2**k, 2**k)
        turned = matrix.conj().T @ table @ matrix
        # tr(U† P U Q) / 2ᵏ, which is real
        entries = np.einsum("aij,bji->ab", turned, table).real / len(matrix)
        self._images: dict[Letters, tuple[tuple[Letters, float], ...]] = {}
        for letters, row in zip(strings, entries, strict=True):
            kept = np.flatnonzero(np.abs(row) > 1e-14)
            self._images[letters] = tuple((strings[k], float(row[k])) for k in kept)

    def image(self, letters: Letters) -> tuple[tuple[Letters, float], ...]:
        """The strings and coefficients that a string becomes."""
        return self._images[letters]


def conjugation(operation: OneQubit | Monomial) -> Conjugation:
    """The map of a constant operation on at most `MAX_WIRES` qubits; remembered by its entries."""
    return _known(operation.matrix.tobytes(), len(operation.matrix))


@lru_cache(maxsize=1024)
def _known(entries: bytes, size: int) -> Conjugation:
    return Conjugation(np.frombuffer(entries, dtype=complex).reshape(size, size))


def _string(letters: Letters) -> np.ndarray:
    out = np.eye(1, dtype=complex)
    for letter in letters:
        out = np.kron(_PAULIS[letter], out)
    return out
