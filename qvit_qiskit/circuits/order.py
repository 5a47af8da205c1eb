"""Which operations of a circuit may run first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar


class _OnQubits(Protocol):
    @property
    def qubits(self) -> tuple[int, ...]: ...


T = TypeVar("T", bound=_OnQubits)


def take(
    operations: Iterable[T], accept: Callable[[T], bool]
) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """All operations that are accepted and that nothing refused stands in front of; the rest.

    Args:
        operations: In their order.
        accept: Says which may be taken.

    Returns:
        What is taken, which may run first, and the rest, each in its order.
    """
    taken: list[T] = []
    left: list[T] = []
    blocked: set[int] = set()
    for operation in operations:
        if accept(operation) and blocked.isdisjoint(operation.qubits):
            taken.append(operation)
        else:
            blocked.update(operation.qubits)
            left.append(operation)
    return tuple(taken), tuple(left)
