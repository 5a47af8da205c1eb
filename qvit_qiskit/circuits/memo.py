"""A bounded cache of things made from a circuit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from qiskit.circuit import QuantumCircuit

from qvit_qiskit.circuits.content import Content

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Memo(Generic[T]):
    """Remembers what was made from (circuit, key); the oldest goes first.

    A circuit is found by its identity, and what it holds now is compared with what it held then:
    one that was edited in place is new. Private copies, which nobody edits, need no comparison.
    """

    def __init__(self, size: int = 128, *, private: bool = False) -> None:
        self._size, self._private = size, private
        self._made: dict[Any, tuple[QuantumCircuit, Content | None, T]] = {}

    def get(self, circuit: QuantumCircuit, key: K, make: Callable[[QuantumCircuit, K], T]) -> T:
        """What ``make(circuit, key)`` returned the first time.

        Args:
            circuit: What something is made of; it counts as another once its content has changed.
            key: What else it depends on.
            make: Makes it, when it is asked for the first time.
        """
        full = (id(circuit), key)
        known = self._made.get(full)
        if known is not None:
            content = known[1]
            if content is None or content.matches(circuit):
                return known[2]
        value = make(circuit, key)
        # Taken afterwards, since making things may complete a gate, e.g. by its definition.
        content = None if self._private else Content(circuit)
        self._made.pop(full, None)
        while len(self._made) >= self._size:
            self._made.pop(next(iter(self._made)), None)
        self._made[full] = (circuit, content, value)  # the circuit keeps its id its own
        return value

    def __deepcopy__(self, memo: Any) -> Memo[T]:
        return Memo(self._size, private=self._private)  # ids belong to the circuits alive here

    def __getstate__(self) -> dict[str, Any]:
        return {"_size": self._size, "_private": self._private, "_made": {}}
