"""Whether the compiled loops can be used, and whether they may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

MAX_QUBITS = 16
"""Up to here loops are the faster way for any number of rows (measured); then tables grow large."""
VERSION = 2
"""Of the loops' sums: two versions round differently."""

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


def pays(num_qubits: int) -> bool:
    """Whether a circuit of so many qubits goes through the loops.

    Args:
        num_qubits: n.
    """
    return _allowed[-1] and num_qubits <= MAX_QUBITS and available()
