"""A bounded cache of things compiled for a circuit object."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from qiskit.circuit import QuantumCircuit

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Memo(Generic[T]):
    """Remembers what was made from (circuit, key); the oldest goes first.

    Circuits are compared by identity: projections share one circuit object, and hashing a
    circuit's contents in every training step would cost more than it saves. Its numbers of gates
    and parameters belong to the key, so that a circuit that was extended or bound is new.
    """

    def __init__(self, size: int = 128) -> None:
        self._size = size
        self._made: dict[Any, tuple[QuantumCircuit, T]] = {}

    def get(self, circuit: QuantumCircuit, key: K, make: Callable[[QuantumCircuit, K], T]) -> T:
        """What ``make(circuit, key)`` returned the first time."""
        full = (id(circuit), len(circuit.data), circuit.num_parameters, key)
        if full not in self._made:
            while len(self._made) >= self._size:
                self._made.pop(next(iter(self._made)))
            self._made[full] = (circuit, make(circuit, key))  # the circuit keeps its id its own
        return self._made[full][1]

    def __deepcopy__(self, memo: Any) -> Memo[T]:
        return Memo(self._size)  # ids belong to the circuits that are alive here

    def __getstate__(self) -> dict[str, Any]:
        return {"_size": self._size, "_made": {}}
