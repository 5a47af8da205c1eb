"""Whether the compiled loops can be used, and whether they may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

MAX_QUBITS = 12
"""Wider states leave the processor's cache (measured)."""
VERSION = 2
"""Of the loops' sums: two versions round differently."""
FEW_QUBITS, FEW_ROWS = 6, 16
"""Lanes without a row cost as much as others: of wider circuits there must be so many rows."""

_allowed = [True]
"""The last one counts, in every thread: estimators work in threads of their own."""


@cache
def available() -> bool:
    """Whether numba is installed, which compiles the loops: ``pip install qvit-qiskit[fast]``."""
    return find_spec("numba") is not None


@contextmanager
def loops(allowed: bool) -> Iterator[None]:
    """Within this, compiled loops are used, where they are available, or not at all.

    Args:
        allowed: Whether they may be used. Their results differ from those without them in the
            last bits.
    """
    _allowed.append(allowed)
    try:
        yield
    finally:
        _allowed.pop()


def pays(num_qubits: int, rows: int) -> bool:
    """Whether a circuit of so many qubits and rows goes through the loops.

    Args:
        num_qubits: n.
        rows: R.
    """
    small = num_qubits <= FEW_QUBITS or rows >= FEW_ROWS
    return _allowed[-1] and small and num_qubits <= MAX_QUBITS and available()
