"""What a job is made of: compiled circuits at parameter values."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qvit_qiskit.devices.compiled_circuit import Compiled


@dataclass(frozen=True)
class Item:
    """One PUB of a job: a compiled circuit, on k copies at once, at some executed rows."""

    compiled: Compiled
    fold: int | None
    """How often each two-qubit gate is run; None for the readout's calibration."""
    values: np.ndarray
    """The logical circuit's parameter values, shape (M, k, P)."""
    name: str
    """Under which the counts are stored."""

    @property
    def rows(self) -> int:
        """M."""
        return len(self.values)

    def size(self, exact: bool) -> int:
        """How many bytes its parameter values take in a request, where three are written as four.

        Args:
            exact: Whether to compress them, as the client does; else it is as many at most.
        """
        if self.fold is None:
            return 0
        copies = [self.of_copy(copy) for copy in range(self.compiled.k)]
        data = np.concatenate(copies, axis=1, dtype=float)
        return math.ceil((len(zlib.compress(data.tobytes())) if exact else data.nbytes) * 4 / 3)

    def of_copy(self, copy: int) -> np.ndarray:
        """Parameter values of one copy's circuit, shape (M, P')."""
        columns = list(self.compiled.columns[copy]) if self.fold is not None else []
        return self.values[:, copy, columns]

    def pub(self, circuit: QuantumCircuit, values: np.ndarray) -> tuple[Any, ...]:
        """The item as a sampler takes it; without parameters there is one row and no values.

        Args:
            circuit: The item's circuit as it is sent.
            values: Its parameters, shape (M, P).
        """
        return (circuit, values) if circuit.num_parameters else (circuit,)

    def whole(self, width: int) -> tuple[Any, ...]:
        """The PUB for a device of so many qubits."""
        copies = range(self.compiled.k)
        values = np.concatenate([self.of_copy(copy) for copy in copies], axis=1)
        return self.pub(self.compiled.wide(self.fold, width), values)

    def split(self, bits: np.ndarray) -> np.ndarray:
        """Bits of the whole register, shape (M, shots, k·n), as (M·k, shots, n)."""
        rows, shots, _ = bits.shape
        apart = bits.reshape(rows, shots, self.compiled.k, -1).swapaxes(1, 2)  # (M, k, shots, n)
        return np.ascontiguousarray(apart).reshape(rows * self.compiled.k, shots, -1)


def request_size(items: Sequence[Item], limit: int) -> int:
    """About how many bytes the request of a job has; exact only where that may be above a limit.

    Args:
        items: What the job is made of.
        limit: In bytes.
    """
    most = sum(item.size(exact=False) for item in items)
    return most if most <= limit else sum(item.size(exact=True) for item in items)
