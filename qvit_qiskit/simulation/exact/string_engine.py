"""Values and gradients of circuits that are sums of products (see `StringProgram`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qvit_qiskit.circuits.angles import sum_to
from qvit_qiskit.simulation.exact.engine import Pullback, Request, even_slices, pullback_of
from qvit_qiskit.simulation.exact.strings import Beginning, Factors, StringProgram

CHUNK_BYTES = 2**22
"""Bytes of all products of one chunk of rows (measured: they should stay in cache)."""

KEPT_BYTES = 2**27
"""Of a request's products: up to here they are kept for the way back, and else computed again."""

_TURNED = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}
"""A rotation about an axis turns the first Bloch component towards the second."""


class StringEngine:
    """Runs requests whose programs are `StringProgram`s."""

    def __init__(self, *, single: bool = False) -> None:
        self.dtype = torch.float32 if single else torch.float64

    def values(self, requests: Sequence[Request[StringProgram]]) -> list[np.ndarray]:
        """Expectation values of every request, each of shape (G, observables, R)."""
        return [_Task(request, self.dtype).run() for request in requests]

    def linearize(
        self, requests: Sequence[Request[StringProgram]]
    ) -> tuple[list[np.ndarray], Pullback]:
        """Values and their vector–Jacobian product, as `Engine.linearize`."""
        tasks = [_Task(request, self.dtype, differentiate=True) for request in requests]
        values = [task.run() for task in tasks]
        return values, pullback_of(tasks)


@dataclass(frozen=True)
class _Forward:
    """What the way back needs of some rows."""

    angles: Tensor  # shape: (A, G·r)
    table: Tensor  # shape: (F, G·r), with its way back to the angles
    products: list[Tensor]


class _Task:
    """One request on its way."""

    def __init__(
        self, request: Request[StringProgram], dtype: torch.dtype, differentiate: bool = False
    ) -> None:
        self.request, self.program, self.dtype = request, request.program, dtype
        self.differentiate = differentiate
        self.kept: list[_Forward] = []
        angles = self.program.angles
        self.groups, self.rows = len(request.shared), request.num_rows
        self.weights = np.ascontiguousarray(request.shared.T)  # (P_shared, G)
        self._pairs = _pairs(self.program)
        self.row_values = angles.row_values(request.rows, self.weights)
        self.row_angles = self._by_row()  # (rotations, G, R)
        by_group = angles.shared_table.evaluate(list(self.weights))
        flat = np.array(by_group, dtype=float).reshape(-1, self.groups)
        self.shared_angles = torch.from_numpy(flat).to(dtype).requires_grad_(differentiate)
        used = {i for one in self.program.row_factors.beginnings for i in one.rotations.ravel()}
        # Shared rotations that stand beside the rows' own, before a qubit is entangled.
        self.beside = [k for k, i in enumerate(angles.shared_rotations) if i in used]
        every = [*angles.row_rotations, *(angles.shared_rotations[k] for k in self.beside)]
        self.row_places = _places(every, angles.count)
        with torch.set_grad_enabled(differentiate):
            self.coefficients = self._coefficients()  # (pairs, G)

    def _by_row(self) -> Tensor:
        """Angles of the rows for every weight set, shape (rotations, G, R)."""
        shape = (self.request.rows.shape[1], -1, self.rows)
        per_head = self.groups // shape[0]
        angles = self.program.angles.row_table.evaluate(self.row_values)
        self.row_shapes = [angle.shape for angle in angles]
        out = np.empty((len(angles), shape[0], per_head, self.rows))
        for place, angle in zip(out, angles, strict=True):
            place[:] = angle
        return torch.from_numpy(out.reshape(len(angles), self.groups, self.rows)).to(self.dtype)

    def _coefficients(self) -> Tensor:
        program = self.program
        places = _places(program.angles.shared_rotations, program.angles.count)
        table = _table(program.shared_factors, self.shared_angles, places)
        products = program.shared_products.forward(table)
        out = torch.zeros((program.strings, self.groups), dtype=self.dtype)
        for level, leaves, weights in zip(products, program.leaves, program.weights, strict=True):
            if len(leaves):
                node, pair = torch.from_numpy(leaves.T.copy())
                scaled = (
                    level.index_select(0, node) * torch.from_numpy(weights).to(self.dtype)[:, None]
                )
                out = out.index_add(0, pair, scaled)
        return out

    def chunks(self) -> list[slice]:
        """Slices of rows whose products take about `CHUNK_BYTES`."""
        size = self.dtype.itemsize * self.groups * max(1, self.program.row_products.entries)
        return even_slices(self.rows, -(-size * self.rows // CHUNK_BYTES))

    def run(self) -> np.ndarray:
        """Values of all rows, shape (G, observables, R)."""
        out = np.empty((self.groups, self.request.diagonal.shape[1], self.rows))
        coefficients = self.coefficients.detach()
        entries = self.groups * self.rows * self.program.row_products.entries
        keep = self.differentiate and self.dtype.itemsize * entries <= KEPT_BYTES
        for chunk in self.chunks():
            forward = self._forward(chunk)
            out[:, :, chunk] = self._sums(forward.products, coefficients).transpose(0, 1).numpy()
            if keep:
                self.kept.append(forward)
        return out

    def _forward(self, chunk: slice) -> _Forward:
        """The products of some rows."""
        angles = self._angles(chunk).requires_grad_(self.differentiate)
        with torch.set_grad_enabled(self.differentiate):
            table = _table(self.program.row_factors, angles, self.row_places)
        return _Forward(angles, table, self.program.row_products.forward(table.detach()))

    def _angles(self, chunk: slice) -> Tensor:
        """What the factors of some rows are made of, shape (A, G·r): the rows' own, then others."""
        own = self.row_angles[:, :, chunk]
        beside = self.shared_angles.detach()[self.beside][:, :, None]
        return torch.cat([own, beside.expand(-1, -1, own.shape[2])]).flatten(1)

    def _sums(self, products: Sequence[Tensor], coefficients: Tensor) -> Tensor:
        """Outputs of some rows, shape (K, G, r)."""
        columns = products[0].shape[1]
        out = torch.zeros((self.request.diagonal.shape[1], columns), dtype=self.dtype)
        for depth, span, node, output in self._pairs:
            level, own = products[depth], coefficients[span]
            taken = level.index_select(0, node).view(len(node), self.groups, -1)
            out.index_add_(0, output, taken.mul_(own[:, :, None]).view(len(node), -1))
        return out.view(len(out), self.groups, -1)

    def pullback(self, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂L/∂rows (P_row, H, R) and ∂L/∂shared (G, P_shared) from ∂L/∂values (G, K, R)."""
        by_coefficient = torch.zeros(self.coefficients.shape, dtype=self.dtype)
        by_angle = torch.zeros(len(self.row_shapes), self.groups, self.rows, dtype=self.dtype)
        by_beside = torch.zeros(len(self.beside), self.groups, dtype=self.dtype)
        coefficients = self.coefficients.detach()
        for number, chunk in enumerate(self.chunks()):
            wanted = np.ascontiguousarray(cotangent[:, :, chunk].swapaxes(0, 1))
            pulled = torch.from_numpy(wanted).to(self.dtype).flatten(1)  # (K, G·r)
            forward = self.kept[number] if self.kept else self._forward(chunk)
            grad = self._pull_chunk(forward, pulled, coefficients, by_coefficient)
            by_angle[:, :, chunk] = grad[: len(by_angle)]
            by_beside += grad[len(by_angle) :].sum(-1)
        by_row = np.zeros_like(self.request.rows)
        by_shared = np.zeros_like(self.weights)
        shape = (self.request.rows.shape[1], self.groups // self.request.rows.shape[1], self.rows)
        grads = [
            sum_to(own.reshape(shape), wanted)
            for own, wanted in zip(by_angle.double().numpy(), self.row_shapes, strict=True)
        ]
        self.program.angles.pull_rows(self.row_values, grads, by_row, by_shared)
        swept = _gradient(self.coefficients, self.shared_angles, by_coefficient)
        swept = swept.index_add(0, torch.tensor(self.beside, dtype=torch.long), by_beside)
        own = list(swept.double().numpy())
        self.program.angles.pull_shared(self.weights, own, by_shared)
        return by_row, by_shared.T

    def _pull_chunk(
        self, forward: _Forward, pulled: Tensor, coefficients: Tensor, by_coefficient: Tensor
    ) -> Tensor:
        """∂L/∂angles of some rows, shape (A, G, r); those of the coefficients are added to."""
        table, products = forward.table, forward.products
        cotangents = [torch.zeros_like(level) for level in products]
        for depth, span, node, output in self._pairs:
            given = pulled.index_select(0, output)
            taken = products[depth].index_select(0, node).mul_(given)
            by_coefficient[span] += taken.view(len(node), self.groups, -1).sum(-1)
            given.view(len(node), self.groups, -1).mul_(coefficients[span][:, :, None])
            cotangents[depth].index_add_(0, node, given)
        grad = self.program.row_products.pullback(table.detach(), products, cotangents)
        by_angle = _gradient(table, forward.angles, grad)
        return by_angle.view(len(by_angle), self.groups, by_angle.shape[1] // self.groups)


def _pairs(program: StringProgram) -> list[tuple[int, slice, Tensor, Tensor]]:
    """By depth: the span of the pairs, their nodes and outputs; depths without pairs left out."""
    out, first = [], 0
    for depth, pairs in enumerate(program.pairs):
        if len(pairs):
            node, output = torch.from_numpy(pairs.T.copy())
            out.append((depth, slice(first, first + len(pairs)), node, output))
        first += len(pairs)
    return out


def _places(rotations: Sequence[int], count: int) -> np.ndarray:
    """By a rotation's index its row in a tensor of angles, shape (count,)."""
    places = np.full(count, -1)
    places[list(rotations)] = np.arange(len(rotations))
    return places


def _table(factors: Factors, angles: Tensor, places: np.ndarray) -> Tensor:
    """One factor per row, shape (F, columns): Bloch components, cosines and sines.

    Args:
        factors: Which.
        angles: Shape (A, columns).
        places: By a rotation's index its row there.
    """
    rows: list[np.ndarray] = []
    parts: list[Tensor] = []
    if len(factors.trig):
        own = angles.index_select(0, torch.from_numpy(places[factors.trig[:, 0]]))
        for column, part in ((1, own.cos()), (2, own.sin())):
            rows.append(factors.trig[:, column])
            parts.append(part)
    for beginning in factors.beginnings:
        for letter, bloch in enumerate(_bloch(beginning, angles, places)):
            rows.append(beginning.factors[:, letter])
            parts.append(bloch)
    if not parts:
        return torch.zeros((factors.count, angles.shape[1]), dtype=angles.dtype)
    order = np.concatenate(rows)
    used = np.flatnonzero(order >= 0)
    table = torch.cat(parts)
    return table.index_select(0, torch.from_numpy(used[np.argsort(order[used])]))


def _bloch(beginning: Beginning, angles: Tensor, places: np.ndarray) -> list[Tensor]:
    """X, Y and Z of qubits that begin alike, each of shape (qubits, columns)."""
    zero = torch.zeros((len(beginning.factors), angles.shape[1]), dtype=angles.dtype)
    vector = [zero, zero, torch.ones_like(zero)]
    turn = 0
    for kind in beginning.kinds:
        if isinstance(kind, np.ndarray):
            vector = [
                sum((float(c) * v for c, v in zip(row, vector, strict=True) if c), zero)
                for row in kind
            ]
            continue
        angle = angles.index_select(0, torch.from_numpy(places[beginning.rotations[:, turn]]))
        turn += 1
        first, second = _TURNED[kind]
        cos, sin = angle.cos(), angle.sin()
        a, b = vector[first], vector[second]
        vector[first], vector[second] = cos * a - sin * b, sin * a + cos * b
    return vector


def _gradient(out: Tensor, leaf: Tensor, cotangent: Tensor) -> Tensor:
    if not out.requires_grad:
        return torch.zeros_like(leaf)
    (grad,) = torch.autograd.grad(out, [leaf], cotangent, retain_graph=True, materialize_grads=True)
    return grad
