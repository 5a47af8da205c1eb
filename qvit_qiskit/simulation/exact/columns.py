"""Rotation angles of many rows: those that vary by row apart from those that all rows share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from qvit_qiskit.circuits.angles import AngleTable
from qvit_qiskit.circuits.lowering import Lowered


@dataclass(frozen=True)
class SplitAngles:
    """The angles of a circuit's rotations, for one choice of which parameters vary by row.

    Rows are H arrays of R rows; G weight sets, G/H for each array, share them.
    """

    row_rotations: tuple[int, ...]
    row_table: AngleTable
    """Their angles from the row columns, followed by the shared columns if ``mixed``."""
    shared_rotations: tuple[int, ...]
    shared_table: AngleTable
    """Their angles from the shared columns."""
    row_columns: np.ndarray  # shape: (P_row,), columns of the parameter values
    shared_columns: np.ndarray  # shape: (P_shared,)
    mixed: bool
    """Whether some row rotation also depends on a shared parameter."""

    @classmethod
    def of(cls, lowered: Lowered, row_columns: Collection[int]) -> SplitAngles:
        """Split the angles of a circuit.

        Args:
            lowered: The circuit.
            row_columns: Columns of its parameter values that differ from row to row.
        """
        in_row = np.zeros(len(lowered.parameters), dtype=bool)
        in_row[list(row_columns)] = True
        table = AngleTable.of(lowered.angles, lowered.parameters)
        varies = (table.depends & in_row).any(axis=1)
        row = tuple(int(k) for k in np.flatnonzero(varies))
        shared = tuple(int(k) for k in np.flatnonzero(~varies))
        mixed = bool((table.depends[list(row)] & ~in_row).any())
        rows, others = np.flatnonzero(in_row), np.flatnonzero(~in_row)
        return cls(
            row_rotations=row,
            row_table=table.select(row, [*rows, *(others if mixed else ())]),
            shared_rotations=shared,
            shared_table=table.select(shared, list(others)),
            row_columns=rows,
            shared_columns=others,
            mixed=mixed,
        )

    @property
    def count(self) -> int:
        """Rotations of the circuit."""
        return len(self.row_rotations) + len(self.shared_rotations)

    def row_values(self, rows: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
        """What the row table needs.

        Args:
            rows: Shape (P_row, H, R).
            weights: Shape (P_shared, G).

        Returns:
            Arrays (H, 1, R), and (H, G/H, 1) of shared parameters where they are ``mixed`` in.
        """
        values = list(rows[:, :, None])
        if self.mixed:
            values += list(weights.reshape(len(weights), rows.shape[1], -1, 1))
        return values

    def pull_rows(
        self,
        values: Sequence[np.ndarray],
        grads: Sequence[np.ndarray],
        by_row: np.ndarray,
        by_shared: np.ndarray,
    ) -> None:
        """Add the chain rule of the row rotations to the gradients of the parameters.

        Args:
            values: From `row_values`.
            grads: ∂L/∂angle of each row rotation, shape (H, G/H or 1, R).
            by_row: ∂L/∂rows, shape (P_row, H, R); written to.
            by_shared: ∂L/∂weights, shape (P_shared, G); added to.
        """
        back = self.row_table.pullback(values, grads)
        for k, own in enumerate(back[: len(by_row)]):
            by_row[k] = own[:, 0]
        for k, own in enumerate(back[len(by_row) :]):
            by_shared[k] += own.ravel()

    def pull_shared(
        self, weights: np.ndarray, grads: Sequence[np.ndarray], by_shared: np.ndarray
    ) -> None:
        """Add the chain rule of the shared rotations to the gradients of the parameters.

        Args:
            weights: Shape (P_shared, G).
            grads: ∂L/∂angle of each shared rotation, shape (G,).
            by_shared: ∂L/∂weights, shape (P_shared, G); added to.
        """
        for k, own in enumerate(self.shared_table.pullback(list(weights), grads)):
            by_shared[k] += own
