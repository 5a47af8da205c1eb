"""Rotation angles as functions of a PUB's parameter values, for all rows at once.

Almost every angle is affine in the parameters (``x``, ``2*x + w``, ``pi/2 - w``). Anything else
(``x0*x1``, ``cos(w)``) goes through sympy's numpy printer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

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


@dataclass(frozen=True, eq=False)
class AngleTable:
    """Rotation angles φ = c + A·p (and a few curved ones) of some parameters."""

    offset: np.ndarray  # shape: (m,)
    slope: np.ndarray  # shape: (m, P)
    depends: np.ndarray  # shape: (m, P), bool
    curved: Sequence[_Curved] = ()

    @cached_property
    def _terms(self) -> list[list[tuple[int, float]]]:
        """(column, slope) of every angle: loops over them beat a product with zeros."""
        return [[(int(c), float(row[c])) for c in np.flatnonzero(row)] for row in self.slope]

    @cached_property
    def _read(self) -> list[list[int]]:
        """The columns that every angle depends on, those that cancel among them, as in 0*x."""
        return [np.flatnonzero(row).tolist() for row in self.depends]

    @cached_property
    def _plain(self) -> bool:
        """Whether the angles are the parameters, each once and in their order."""
        return not (self.curved or self.offset.any()) and np.array_equal(
            self.slope, np.eye(len(self.slope))
        )

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
        offset, slope = np.zeros(len(angles)), np.zeros((len(angles), len(parameters)))
        depends = np.zeros(slope.shape, dtype=bool)
        curved: list[_Curved] = []
        for index, angle in enumerate(angles):
            used = tuple(sorted(columns[p] for p in angle.parameters))
            depends[index, list(used)] = True
            slopes = [_constant(_gradient(angle, parameters[c])) for c in used]
            if None in slopes:
                curved.append(_curved(index, angle, used, parameters))
            else:
                slope[index, list(used)] = slopes
                zeros = {parameters[c]: 0.0 for c in used}
                constant = _constant(angle.bind(zeros))
                assert constant is not None
                offset[index] = constant
        return cls(offset, slope, depends, curved)

    def __len__(self) -> int:
        return len(self.offset)

    def select(self, rotations: Sequence[int], columns: Sequence[int]) -> AngleTable:
        """The table of some rotations, which depend on some columns alone, renumbered.

        Args:
            rotations: Which rotations, in their new order.
            columns: Which columns, in their new order; the rotations depend on no other.
        """
        row = {index: k for k, index in enumerate(rotations)}
        column = {index: k for k, index in enumerate(columns)}
        curved = [
            replace(c, index=row[c.index], columns=tuple(column[k] for k in c.columns))
            for c in self.curved
            if c.index in row
        ]
        part = np.ix_(list(rotations), list(columns))  # (rotations, columns)
        offset = self.offset[list(rotations)]
        return AngleTable(offset, self.slope[part], self.depends[part], curved)

    def evaluate(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """All angles.

        Args:
            values: P parameter values, arrays that broadcast against each other.

        Returns:
            m angles in radians, each of the broadcast shape of the parameters it is made of.
        """
        if self._plain:
            return list(values)
        out: list[np.ndarray] = []
        for offset, terms in zip(self.offset, self._terms, strict=True):
            parts = [values[c] if slope == 1 else slope * values[c] for c, slope in terms]
            parts += [np.asarray(offset)] if offset or not parts else []
            out.append(sum(parts[1:], start=parts[0]))
        for item in self.curved:
            out[item.index] = item.value(*(values[column] for column in item.columns))
        for index, read in enumerate(self._read):
            # PERF: a layer of 64 qubits has hundreds of angles, nearly all of one parameter each
            one = len(read) == 1
            shape = values[read[0]].shape if one else _joint_shape([values[c] for c in read])
            if np.shape(out[index]) != shape:
                out[index] = np.broadcast_to(out[index], shape).copy()
        return out

    def pullback(
        self, values: Sequence[np.ndarray], grads: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """The chain rule: ∂L/∂angles to ∂L/∂parameters.

        Args:
            values: As for `evaluate`.
            grads: ∂L/∂φ, of the shapes that `evaluate` returned.

        Returns:
            ∂L/∂p, of the shapes of ``values``.
        """
        if self._plain:
            return [sum_to(g, value.shape) for g, value in zip(grads, values, strict=True)]
        out = [np.zeros(value.shape) for value in values]
        for grad, terms in zip(grads, self._terms, strict=True):
            for column, slope in terms:
                out[column] += slope * sum_to(grad, out[column].shape)
        for item in self.curved:
            points = [values[column] for column in item.columns]
            for column, partial in zip(item.columns, item.partials, strict=True):
                out[column] += sum_to(grads[item.index] * partial(*points), out[column].shape)
        return out


def _joint_shape(values: Sequence[np.ndarray]) -> tuple[int, ...]:
    return np.broadcast_shapes(*(value.shape for value in values))


def sum_to(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum over the axes along which something was repeated.

    Args:
        grad: The gradient of all that was repeated.
        shape: That of what was repeated, of as many axes.
    """
    if grad.shape == shape:
        return grad
    axes = tuple(k for k, size in enumerate(shape) if size == 1 and grad.shape[k] != 1)
    return grad.sum(axis=axes, keepdims=True) if axes else grad


def _gradient(angle: ParameterExpression, parameter: Parameter) -> ParameterExpression | float:
    try:
        return angle.gradient(parameter)
    except RuntimeError as error:
        raise CircuitError(
            f"Expected differentiable angles, but got {angle}, which has no derivative by "
            f'{parameter.name}. Rewrite it, or use a profile with engine = "aer".'
        ) from error


def _constant(expression: ParameterExpression | complex) -> float | None:
    if isinstance(expression, ParameterExpression):
        if expression.parameters:
            return None
        expression = expression.numeric()
    if complex(expression).imag:
        raise CircuitError(
            f"Expected real angles, but the slope of one by a parameter is {expression}. Write it "
            "without imaginary numbers."
        )
    return float(complex(expression).real)


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
