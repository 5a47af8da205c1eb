"""Values and gradients of circuits that are sums of products (see `StringProgram`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from qvit_qiskit.simulation.exact.engine import Pullback, Request
from qvit_qiskit.simulation.exact.strings import Beginning, Factors, StringProgram

CHUNK_BYTES = 2**22
"""Bytes of all products of one chunk of rows (measured: they should stay in cache)."""

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

        def pullback(cotangents: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
            return [task.pullback(g) for task, g in zip(tasks, cotangents, strict=True)]

        return values, pullback


class _Task:
    """One request on its way."""

    def __init__(
        self, request: Request[StringProgram], dtype: torch.dtype, differentiate: bool = False
    ) -> None:
        self.request, self.program, self.dtype = request, request.program, dtype
        self.differentiate = differentiate
        angles = self.program.angles
        self.groups, self.rows = len(request.shared), request.num_rows
        self.weights = np.ascontiguousarray(request.shared.T)  # (P_shared, G)
        self._pairs = _pairs(self.program)
        self.row_values = angles.row_values(request.rows, self.weights)
        # Angles of the rows for every weight set, (G, R), and of what the rows share, (G,).
        self.row_angles = self._leaves(angles.row_rotations, self._by_row())
        by_group = angles.shared_table.evaluate(list(self.weights))
        self.shared_angles = self._leaves(angles.shared_rotations, by_group)
        used = {i for one in self.program.row_factors.beginnings for i in one.rotations.ravel()}
        # Shared rotations that stand beside the rows' own, before a qubit is entangled.
        self.beside = [i for i in self.shared_angles if i in used]
        with torch.set_grad_enabled(differentiate):
            self.coefficients = self._coefficients()  # (pairs, G)

    def _by_row(self) -> list[np.ndarray]:
        shape = (self.request.rows.shape[1], -1, self.rows)
        per_head = self.groups // shape[0]
        self.row_shapes = []
        out = []
        for angle in self.program.angles.row_table.evaluate(self.row_values):
            self.row_shapes.append(angle.shape)
            whole = np.broadcast_to(angle, (shape[0], per_head, self.rows))
            out.append(whole.reshape(self.groups, self.rows))
        return out

    def _leaves(self, rotations: Sequence[int], angles: Sequence[np.ndarray]) -> dict[int, Tensor]:
        flat = (torch.from_numpy(np.array(a, dtype=float)).to(self.dtype) for a in angles)
        return {
            i: a.requires_grad_(self.differentiate) for i, a in zip(rotations, flat, strict=True)
        }

    def _coefficients(self) -> Tensor:
        program = self.program
        angles = {i: a.expand(self.groups) for i, a in self.shared_angles.items()}
        table = _table(program.shared_factors, angles, self.groups, self.dtype)
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
        count = min(max(1, -(-size * self.rows // CHUNK_BYTES)), max(1, self.rows))
        edges = [self.rows * k // count for k in range(count + 1)]
        return [slice(a, b) for a, b in pairwise(edges)]

    def run(self) -> np.ndarray:
        """Values of all rows, shape (G, observables, R)."""
        out = np.empty((self.groups, self.request.diagonal.shape[1], self.rows))
        coefficients = self.coefficients.detach()
        for chunk in self.chunks():
            table = self._row_table(self._angles(chunk))
            values = self._sums(self.program.row_products.forward(table), coefficients)
            out[:, :, chunk] = values.transpose(0, 1).numpy()
        return out

    def _angles(self, chunk: slice) -> dict[int, Tensor]:
        """What the factors of some rows are made of: shapes (G, r), or (G, 1) for shared angles."""
        shared = {i: self.shared_angles[i].expand(self.groups)[:, None] for i in self.beside}
        rows = {i: angle[:, chunk] for i, angle in self.row_angles.items()}
        return {i: angle.detach() for i, angle in (rows | shared).items()}

    def _row_table(self, angles: dict[int, Tensor]) -> Tensor:
        """Factors of some rows, shape (F, G·r)."""
        rows = max((angle.shape[1] for angle in angles.values()), default=self.rows)
        flat = {i: a.expand(-1, rows).reshape(-1) for i, a in angles.items()}
        return _table(self.program.row_factors, flat, self.groups * rows, self.dtype)

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
        leaves = self.row_angles | {i: self.shared_angles[i] for i in self.beside}
        by_angle = {i: torch.zeros_like(a) for i, a in leaves.items()}
        coefficients = self.coefficients.detach()
        for chunk in self.chunks():
            wanted = np.ascontiguousarray(cotangent[:, :, chunk].swapaxes(0, 1))
            pulled = torch.from_numpy(wanted).to(self.dtype).flatten(1)  # (K, G·r)
            self._pull_chunk(chunk, pulled, coefficients, by_coefficient, by_angle)
        by_row = np.zeros_like(self.request.rows)
        by_shared = np.zeros_like(self.weights)
        shape = (self.request.rows.shape[1], self.groups // self.request.rows.shape[1], self.rows)
        grads = [
            _sum_to(by_angle[i].double().numpy().reshape(shape), wanted)
            for i, wanted in zip(self.row_angles, self.row_shapes, strict=True)
        ]
        self.program.angles.pull_rows(self.row_values, grads, by_row, by_shared)
        swept = _gradients(self.coefficients, list(self.shared_angles.values()), by_coefficient)
        own = [
            (g + by_angle.get(i, torch.zeros_like(g))).double().numpy()
            for i, g in zip(self.shared_angles, swept, strict=True)
        ]
        back = self.program.angles.shared_table.pullback(list(self.weights), own)
        for k, pulled_back in enumerate(back):
            by_shared[k] += pulled_back
        return by_row, by_shared.T

    def _pull_chunk(
        self,
        chunk: slice,
        pulled: Tensor,
        coefficients: Tensor,
        by_coefficient: Tensor,
        by_angle: dict[int, Tensor],
    ) -> None:
        leaves = {i: angle.requires_grad_() for i, angle in self._angles(chunk).items()}
        with torch.enable_grad():
            table = self._row_table(leaves)
        levels = self.program.row_products
        products = levels.forward(table.detach())
        cotangents = [torch.zeros_like(level) for level in products]
        for depth, span, node, output in self._pairs:
            given = pulled.index_select(0, output)
            taken = products[depth].index_select(0, node).mul_(given)
            by_coefficient[span] += taken.view(len(node), self.groups, -1).sum(-1)
            given.view(len(node), self.groups, -1).mul_(coefficients[span][:, :, None])
            cotangents[depth].index_add_(0, node, given)
        grad = levels.pullback(table.detach(), products, cotangents)
        gradients = _gradients(table, list(leaves.values()), grad)
        for index, own in zip(leaves, gradients, strict=True):
            if index in self.row_angles:
                by_angle[index][:, chunk] = own
            else:
                by_angle[index] += own.sum_to_size(by_angle[index][..., None].shape).squeeze(-1)


def _pairs(program: StringProgram) -> list[tuple[int, slice, Tensor, Tensor]]:
    """By depth: the span of the pairs, their nodes and outputs; depths without pairs left out."""
    out, first = [], 0
    for depth, pairs in enumerate(program.pairs):
        if len(pairs):
            node, output = torch.from_numpy(pairs.T.copy())
            out.append((depth, slice(first, first + len(pairs)), node, output))
        first += len(pairs)
    return out


def _table(factors: Factors, angles: dict[int, Tensor], columns: int, dtype: torch.dtype) -> Tensor:
    """One factor per row, shape (F, columns): Bloch components, cosines and sines."""
    places: list[np.ndarray] = []
    parts: list[Tensor] = []
    if len(factors.trig):
        stacked = torch.stack([angles[int(i)] for i in factors.trig[:, 0]])
        for column, part in ((1, stacked.cos()), (2, stacked.sin())):
            places.append(factors.trig[:, column])
            parts.append(part)
    for beginning in factors.beginnings:
        for letter, part in enumerate(_bloch(beginning, angles, columns, dtype)):
            places.append(beginning.factors[:, letter])
            parts.append(part)
    if not parts:
        return torch.zeros((factors.count, columns), dtype=dtype)
    order = np.concatenate(places)
    used = np.flatnonzero(order >= 0)
    table = torch.cat(parts)
    return table.index_select(0, torch.from_numpy(used[np.argsort(order[used])]))


def _bloch(
    beginning: Beginning, angles: dict[int, Tensor], columns: int, dtype: torch.dtype
) -> list[Tensor]:
    """X, Y and Z of qubits that begin alike, each of shape (qubits, columns)."""
    shape = (len(beginning.factors), columns)
    vector = [torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype),
              torch.ones(shape, dtype=dtype)]  # fmt: skip
    turn = 0
    for kind in beginning.kinds:
        if isinstance(kind, np.ndarray):
            vector = [
                sum(
                    (float(c) * v for c, v in zip(row, vector, strict=True)),
                    torch.zeros(shape, dtype=dtype),
                )
                for row in kind
            ]
            continue
        angle = torch.stack([angles[int(i)] for i in beginning.rotations[:, turn]])
        turn += 1
        first, second = _TURNED[kind]
        cos, sin = angle.cos(), angle.sin()
        a, b = vector[first], vector[second]
        vector[first], vector[second] = cos * a - sin * b, sin * a + cos * b
    return vector


def _sum_to(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum over the axes along which an angle was repeated."""
    axes = tuple(k for k, size in enumerate(shape) if size == 1 and grad.shape[k] != 1)
    return grad.sum(axis=axes, keepdims=True) if axes else grad


def _gradients(out: Tensor, leaves: Sequence[Tensor], cotangent: Tensor) -> list[Tensor]:
    if not out.requires_grad or not leaves:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(
        torch.autograd.grad(out, list(leaves), cotangent, retain_graph=True, materialize_grads=True)
    )
