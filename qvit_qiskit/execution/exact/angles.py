"""Rotation angles as functions of a PUB's parameter values, for all rows at once.

Almost every angle is affine in the parameters (``x``, ``2*x + w``, ``pi/2 - w``): those are one
matrix product. Anything else (``x0*x1``, ``cos(w)``) goes through sympy's numpy printer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from qiskit.circuit import Parameter, ParameterExpression

Function = Callable[..., np.ndarray]


@dataclass(frozen=True)
class _Curved:
    """An angle that is not affine, with its partial derivatives."""

    index: int
    columns: tuple[int, ...]
    value: Function
    partials: tuple[Function, ...]


class AngleTable:
    """All rotation angles φ = c + A·p (and a few curved ones) of a circuit."""

    def __init__(
        self, angles: Sequence[ParameterExpression], parameters: Sequence[Parameter]
    ) -> None:
        columns = {parameter: k for k, parameter in enumerate(parameters)}
        self.offset = np.zeros(len(angles))  # shape: (m,)
        self.slope = np.zeros((len(angles), len(parameters)))  # shape: (m, P)
        self.depends = np.zeros((len(angles), len(parameters)), dtype=bool)
        self.curved: list[_Curved] = []
        for index, angle in enumerate(angles):
            used = tuple(sorted(columns[p] for p in angle.parameters))
            self.depends[index, list(used)] = True
            slopes = [_constant(angle.gradient(parameters[c])) for c in used]
            if None in slopes:
                self.curved.append(_curved(index, angle, used, parameters))
            else:
                self.slope[index, list(used)] = slopes
                zeros = {parameters[c]: 0.0 for c in used}
                self.offset[index] = float(angle.bind(zeros).numeric())
        self._curved_rows = {item.index for item in self.curved}

    def __len__(self) -> int:
        return len(self.offset)

    def evaluate(self, rows: Sequence[int], values: np.ndarray) -> np.ndarray:
        """The angles of some rotations.

        Args:
            rows: Indices of m' rotations.
            values: Parameter values, shape (P, ...).

        Returns:
            Shape (m', ...), radians.
        """
        picked = np.asarray(rows, dtype=int)
        flat = _flat(values)
        out = self.slope[picked] @ flat + self.offset[picked, None]
        for item in self.curved:
            for place in np.flatnonzero(picked == item.index):
                out[place] = item.value(*flat[list(item.columns)])
        return out.reshape(len(picked), *values.shape[1:])

    def pullback(self, rows: Sequence[int], values: np.ndarray, grads: np.ndarray) -> np.ndarray:
        """The chain rule: ∂L/∂angles to ∂L/∂parameters.

        Args:
            rows: Indices of m' rotations.
            values: Parameter values, shape (P, ...).
            grads: ∂L/∂φ, shape (m', ...).

        Returns:
            ∂L/∂p, shape (P, ...).
        """
        picked = np.asarray(rows, dtype=int)
        flat = _flat(grads)
        out = self.slope[picked].T @ flat
        values = _flat(values)
        for item in self.curved:
            for place in np.flatnonzero(picked == item.index):
                for column, partial in zip(item.columns, item.partials, strict=True):
                    out[column] += flat[place] * partial(*values[list(item.columns)])
        return out.reshape(len(out), *grads.shape[1:])


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), math.prod(array.shape[1:]))  # -1 fails on empty arrays


def _constant(expression: ParameterExpression | float) -> float | None:
    if isinstance(expression, ParameterExpression):
        return None if expression.parameters else float(expression.numeric())
    return float(expression)


def _curved(
    index: int,
    angle: ParameterExpression,
    used: tuple[int, ...],
    parameters: Sequence[Parameter],
) -> _Curved:
    import sympy

    symbols = sympy.symbols(f"p0:{len(used)}", real=True)
    fresh = {parameters[c]: Parameter(f"p{k}") for k, c in enumerate(used)}
    formula = sympy.sympify(angle.subs(fresh).sympify())
    formula = formula.subs(
        {s: symbols[int(s.name[1:])] for s in formula.free_symbols}, simultaneous=True
    )
    return _Curved(
        index,
        used,
        sympy.lambdify(symbols, formula, "numpy"),
        tuple(sympy.lambdify(symbols, sympy.diff(formula, s), "numpy") for s in symbols),
    )
