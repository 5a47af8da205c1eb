"""Rotation angles as functions of a PUB's parameter values, for all rows at once.

Almost every angle is affine in the parameters (``x``, ``2*x + w``, ``pi/2 - w``): those are one
matrix product. Anything else (``x0*x1``, ``cos(w)``) goes through sympy's numpy printer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from qiskit.circuit import Parameter, ParameterExpression

from qvit_qiskit.exceptions import CircuitError

Function = Callable[..., np.ndarray]


@dataclass(frozen=True)
class _Curved:
    """An angle that is not affine, with its partial derivatives."""

    index: int
    columns: tuple[int, ...]
    value: Function
    partials: tuple[Function, ...]


class AngleTable:
    """Rotation angles φ = c + A·p (and a few curved ones) of some parameters."""

    def __init__(
        self,
        offset: np.ndarray,
        slope: np.ndarray,
        depends: np.ndarray,
        curved: Sequence[_Curved] = (),
    ) -> None:
        self.offset = offset  # shape: (m,)
        self.slope = slope  # shape: (m, P)
        self.depends = depends  # shape: (m, P), bool
        self.curved = curved

    @classmethod
    def of(
        cls, angles: Sequence[ParameterExpression], parameters: Sequence[Parameter]
    ) -> AngleTable:
        """The table of expressions.

        Args:
            angles: m angles.
            parameters: The P parameters they are made of, in the order of values.
        """
        columns = {parameter: k for k, parameter in enumerate(parameters)}
        table = cls(
            np.zeros(len(angles)),
            np.zeros((len(angles), len(parameters))),
            np.zeros((len(angles), len(parameters)), dtype=bool),
        )
        curved: list[_Curved] = []
        for index, angle in enumerate(angles):
            used = tuple(sorted(columns[p] for p in angle.parameters))
            table.depends[index, list(used)] = True
            slopes = [_constant(_gradient(angle, parameters[c])) for c in used]
            if None in slopes:
                curved.append(_curved(index, angle, used, parameters))
            else:
                table.slope[index, list(used)] = slopes
                zeros = {parameters[c]: 0.0 for c in used}
                table.offset[index] = float(angle.bind(zeros).numeric())
        table.curved = curved
        return table

    def __len__(self) -> int:
        return len(self.offset)

    def select(self, rotations: Sequence[int], columns: Sequence[int]) -> AngleTable:
        """The table of some rotations, which depend on some columns alone, renumbered."""
        row = {index: k for k, index in enumerate(rotations)}
        column = {index: k for k, index in enumerate(columns)}
        curved = [
            replace(c, index=row[c.index], columns=tuple(column[k] for k in c.columns))
            for c in self.curved
            if c.index in row
        ]
        part = np.ix_(list(rotations), list(columns))
        offset = self.offset[list(rotations)]
        return AngleTable(offset, self.slope[part], self.depends[part], curved)

    def evaluate(self, values: np.ndarray) -> np.ndarray:
        """All angles.

        Args:
            values: Parameter values, shape (P, ...).

        Returns:
            Shape (m, ...), radians.
        """
        flat = _flat(values)
        out = self.slope @ flat + self.offset[:, None]
        for item in self.curved:
            out[item.index] = item.value(*flat[list(item.columns)])
        return out.reshape(len(self), *values.shape[1:])

    def pullback(self, values: np.ndarray, grads: np.ndarray) -> np.ndarray:
        """The chain rule: ∂L/∂angles to ∂L/∂parameters.

        Args:
            values: Parameter values, shape (P, ...).
            grads: ∂L/∂φ, shape (m, ...).

        Returns:
            ∂L/∂p, shape (P, ...).
        """
        flat = _flat(grads)
        out = self.slope.T @ flat
        points = _flat(values)
        for item in self.curved:
            for column, partial in zip(item.columns, item.partials, strict=True):
                out[column] += flat[item.index] * partial(*points[list(item.columns)])
        return out.reshape(values.shape)


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), math.prod(array.shape[1:]))  # -1 fails on empty arrays


def _gradient(angle: ParameterExpression, parameter: Parameter) -> ParameterExpression | float:
    try:
        return angle.gradient(parameter)
    except RuntimeError as error:
        raise CircuitError(
            f"Expected differentiable angles, but got {angle}, which has no derivative by "
            f'{parameter.name}. Rewrite it, or use a profile with engine = "aer".'
        ) from error


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
