"""One request on its way through the compiled loops."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba.core import event

from qvit_qiskit.simulation.exact.columns import SplitAngles
from qvit_qiskit.simulation.kernel.block_loops import back, forward
from qvit_qiskit.simulation.kernel.compilation import CompileNotice, forget_stale
from qvit_qiskit.simulation.kernel.gate_code import SHARED, GateCode
from qvit_qiskit.simulation.kernel.loops import Sums, Tables, Trig

STATE_BYTES = 2**19
"""Of a block's states and as much again for λ, which stay in the processor's cache (measured)."""
LEAST_LANES, MOST_LANES = 8, 128
"""Rows that are worked on together, lanes without a row included (measured: few cost calls)."""
THREADS_FROM = 2**25
"""Amplitudes times gates: below, about ten milliseconds, a second thread gains nothing."""
PART = 512
"""Rows, or the lanes of one block, whose sums are made together, whatever the threads."""


event.register("numba:compile", CompileNotice())
if hasattr(forward, "stats"):  # with NUMBA_DISABLE_JIT it is a plain function
    forget_stale(Path(forward.stats.cache_path))


class KernelTask:
    """Values of one circuit at H arrays of R rows with G weight sets, and their pullback."""

    def __init__(
        self,
        code: GateCode,
        angles: SplitAngles,
        rows: np.ndarray,
        shared: np.ndarray,
        diagonal: np.ndarray,
        tape_bytes: int,
    ) -> None:
        """A task, not begun.

        Args:
            code: The circuit.
            angles: Its angles, from rows and weights.
            rows: Shape (P_row, H, R).
            shared: Shape (G, P_shared), G a multiple of H.
            diagonal: The observables by basis states, shape (2**n, K).
            tape_bytes: Above this size the last states are not kept, but computed again.
        """
        self.code, self.angles, self.rows = code, angles, rows
        self.weights = np.ascontiguousarray(shared.T)  # (P_shared, G)
        self.groups, self.tape_bytes = len(shared), tape_bytes
        self.lanes = lanes_of(rows.shape[2], 8 * code.parts * 2**code.num_qubits)
        self.blocks = -(-rows.shape[2] // self.lanes)
        self.of_rows = angles.row_values(rows, self.weights)
        self.row, self.by_group = self._row_angles()
        table = angles.shared_table.evaluate(list(self.weights))
        of_all = np.array(table, dtype=float).reshape(-1, self.groups).T  # (G, m)
        self.shared = _trig(of_all / 2)  # (2, G, m)
        self.diagonal = np.empty_like(diagonal)
        self.diagonal[code.places] = diagonal
        # of as many axes as those that are kept: other ones would be compiled for
        self.finals = np.empty((0, 0, 0, 0, 0))

    def _row_angles(self) -> tuple[np.ndarray, bool]:
        """Cosines and sines of half the angles, (2, m_row, H or G, R padded); whether it is G."""
        arrays, rows = self.rows.shape[1:]
        table = self.angles.row_table.evaluate(self.of_rows)  # each (H, G/H or 1, R)
        by_group = any(angle.shape[1] > 1 for angle in table)
        by_group = by_group or bool((self.code.product[:, 0] == SHARED).any())
        count = self.groups if by_group else arrays
        shape = arrays, count // arrays, rows
        half = np.zeros((len(table), count, self.blocks * self.lanes))
        if table:
            wide = [one if one.shape == shape else np.broadcast_to(one, shape) for one in table]
            half[:, :, :rows] = np.stack(wide).reshape(-1, count, rows)
        half /= 2
        return _trig(half), by_group

    def _arguments(self) -> tuple[Any, ...]:
        code = self.code
        tables = Tables(code.product, code.gates, code.pairs, code.phase_parts, code.matrix_parts)
        shape = code.parts, self.lanes
        return tables, Trig(self.row, self.shared), self.by_group, shape, self.diagonal

    def _parts(self) -> list[tuple[int, int]]:
        """Blocks whose sums are made together: the first, and the one behind the last."""
        step = max(1, PART // self.lanes)
        return [(a, min(a + step, self.blocks)) for a in range(0, self.blocks, step)]

    def _spread(self, work: Callable[[int, tuple[int, int]], None]) -> None:
        """Give the parts of the rows to as many threads as torch may use, where that pays."""
        parts = self._parts()
        amplitudes = self.groups * self.blocks * self.lanes * len(self.diagonal)
        many = amplitudes * len(self.code.gates) >= THREADS_FROM
        threads = min(torch.get_num_threads(), len(parts)) if many else 1
        left = iter(enumerate(parts))

        def drain() -> None:
            for number, blocks in left:  # threads take turns: one step of an iterator is atomic
                work(number, blocks)

        with ThreadPoolExecutor(max(1, threads - 1)) as pool:  # starts none before it is asked
            others = [pool.submit(drain) for _ in range(threads - 1)]
            drain()  # this thread, too: torch's own wait in circles for a while, on the same cores
        for other in others:
            other.result()

    def run(self, *, keep: bool) -> np.ndarray:
        """Values of all rows, shape (G, K, R).

        Args:
            keep: Whether `pullback` will be called.
        """
        shape = (self.groups, self.blocks, len(self.diagonal), self.code.parts, self.lanes)
        if keep and 8 * int(np.prod(shape)) <= self.tape_bytes:
            self.finals = np.empty(shape)
        values = np.empty((self.groups, self.diagonal.shape[1], self.blocks * self.lanes))

        def work(number: int, blocks: tuple[int, int]) -> None:
            forward(*self._arguments(), blocks, self.finals, values)

        self._spread(work)
        return values[:, :, : self.rows.shape[2]]

    def pullback(self, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂L/∂rows (P_row, H, R) and ∂L/∂shared (G, P_shared).

        Args:
            cotangent: ∂L/∂values, shape (G, K, R).
        """
        arrays, rows = self.rows.shape[1:]
        padded = np.zeros((self.groups, self.diagonal.shape[1], self.blocks * self.lanes))
        padded[:, :, :rows] = cotangent
        by_angle = np.zeros(self.row.shape[1:])  # of rows
        by_part = np.zeros((len(self._parts()), *self.shared.shape[1:]))

        def work(number: int, blocks: tuple[int, int]) -> None:
            sums = Sums(by_angle, by_part[number])
            back(*self._arguments(), blocks, self.finals, padded, sums)

        self._spread(work)
        by_row, by_shared = np.zeros_like(self.rows), np.zeros_like(self.weights)
        if len(by_angle):
            grads = [own[:, :rows].reshape(arrays, -1, rows) for own in by_angle]
            self.angles.pull_rows(self.of_rows, grads, by_row, by_shared)
        self.angles.pull_shared(self.weights, list(by_part.sum(axis=0).T), by_shared)
        return by_row, by_shared.T


def lanes_of(rows: int, bytes_of_row: int) -> int:
    """How many rows to work on together.

    Args:
        rows: R.
        bytes_of_row: Of the state of one.
    """
    most = min(MOST_LANES, max(LEAST_LANES, STATE_BYTES // bytes_of_row))
    each = -(-rows // -(-rows // most))  # blocks of even size
    return -(-each // LEAST_LANES) * LEAST_LANES


def _trig(angles: np.ndarray) -> np.ndarray:
    """Cosines and sines, shape (2, ...)."""
    out = torch.empty((2, *angles.shape), dtype=torch.float64)
    given = torch.from_numpy(angles)
    torch.cos(given, out=out[0])  # torch computes several at a time
    torch.sin(given, out=out[1])
    return out.numpy()
