"""Exact expectation values of many rows through one shared circuit, and their pullback.

All tokens of a mini-batch share the trainable circuit. Aer simulates its shared part once per
weight set, as a unitary; every row is then a column of one matrix product. Wider circuits evolve
the batched state with fused layers. Rows run in chunks, so memory stays bounded and in cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.simulation.exact.columns import SplitAngles
from qvit_qiskit.simulation.exact.program import Program, torch_dtype
from qvit_qiskit.simulation.exact.rotations import reduce_to, spread
from qvit_qiskit.simulation.exact.stages import Angles
from qvit_qiskit.simulation.exact.unitaries import AerUnitaries
from qvit_qiskit.simulation.kernel.availability import pays

CHUNK_BYTES = 2**21
"""Bytes of one state tensor: rows are processed in chunks of about this size (measured)."""
MIN_ROWS, MAX_CHUNK_BYTES = 16, 2**26
"""Chunks have at least this many rows, unless their state would be larger than this."""
TAPE_BYTES = 2**28
"""Above this the forward states are not kept, but computed again on the way back."""


class RowProgram(Protocol):
    """A circuit compiled for one measurement basis and one choice of varying columns."""

    @property
    def angles(self) -> SplitAngles:
        """Which parameters vary by row."""

    def diagonals(self, num_observables: int) -> np.ndarray:
        """The basis' observables on the states that the engine ends in, (2**n, observables)."""

    def describe(self) -> str:
        """One line for people."""


class Measurable(RowProgram, Protocol):
    """A compiled circuit whose basis states have probabilities."""

    @property
    def basis(self) -> Basis:
        """The terms, as parities of the bits that `RowEngine.probabilities` is about."""


P = TypeVar("P", bound=RowProgram)


@dataclass(frozen=True)
class Request(Generic[P]):
    """One program at H arrays of R rows, with G/H weight sets for each array."""

    program: P
    rows: np.ndarray  # shape: (P_row, H, R)
    shared: np.ndarray  # shape: (G, P_shared), G a multiple of H
    diagonal: np.ndarray  # shape: (2**n, observables)

    @classmethod
    def of(cls, program: P, values: np.ndarray, diagonal: np.ndarray) -> Request[P]:
        """One weight set at one array of rows.

        Args:
            program: The program.
            values: Parameter values, shape (R, P); shared columns are constant.
            diagonal: Shape (2**n, observables).
        """
        angles = program.angles
        rows = np.ascontiguousarray(values[:, angles.row_columns].T)
        return cls(program, rows[:, None], values[:1, angles.shared_columns], diagonal)

    @property
    def num_rows(self) -> int:
        """R."""
        return int(self.rows.shape[2])


Pullback = Callable[[Sequence[np.ndarray]], list[tuple[np.ndarray, np.ndarray]]]


class RowEngine(Protocol[P]):
    """What estimators and gradients need of an engine; see `Engine`."""

    perfect: bool
    """Whether there is no readout error."""

    def values(self, requests: Sequence[Request[P]]) -> list[np.ndarray]:
        """Expectation values of every request, each of shape (G, observables, R)."""

    def probabilities(self, request: Request[P]) -> np.ndarray:
        """Probabilities of the basis states as they are read, shape (G, 2**n, R)."""

    def linearize(self, requests: Sequence[Request[P]]) -> tuple[list[np.ndarray], Pullback]:
        """Values and their vector–Jacobian product."""


class Differentiable(Protocol):
    """One request whose values are known."""

    def pullback(self, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂L/∂rows (P_row, H, R) and ∂L/∂shared (G, P_shared) from ∂L/∂values."""


class Calculation(Differentiable, Protocol):
    """One request that is being worked on."""

    def run(self, *, keep: bool) -> np.ndarray:
        """Values of all rows, shape (G, observables, R)."""


def pullback_of(tasks: Sequence[Differentiable]) -> Pullback:
    """The pullback of several requests, each of which has its own.

    Args:
        tasks: The requests on their way, in their order.
    """

    def pullback(cotangents: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [task.pullback(g) for task, g in zip(tasks, cotangents, strict=True)]

    return pullback


def even_slices(rows: int, count: int) -> list[slice]:
    """Rows in parts of even size, rather than with a short last one.

    Args:
        rows: How many there are.
        count: How many parts are wanted; there is at least one, and none without a row.
    """
    count = min(max(1, count), max(1, rows))
    edges = [rows * k // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


class Engine:
    """Runs requests; several requests share one Aer job."""

    perfect = True

    def __init__(self, *, single: bool = False) -> None:
        self.single = single
        self.unitaries = AerUnitaries()

    def values(self, requests: Sequence[Request[Program]]) -> list[np.ndarray]:
        """Expectation values of every request, each of shape (G, observables, R)."""
        return [task.run(keep=False) for task in self._begin(requests)]

    def probabilities(self, request: Request[Program]) -> np.ndarray:
        """Probabilities of the basis states, shape (G, 2**n, R)."""
        task = self._start([request])[0]
        dim = 2**request.program.num_qubits
        out = np.empty((len(request.shared), dim, request.num_rows))  # (G, 2**n, R)
        for chunk in task.chunks():
            out[:, :, chunk] = spread(_squared(task.forward(chunk)[0]), len(out)).numpy()
        return out if request.program.order is None else out[:, request.program.order]

    def linearize(self, requests: Sequence[Request[Program]]) -> tuple[list[np.ndarray], Pullback]:
        """Values and their vector–Jacobian product.

        Returns:
            The values, each (G, observables, R), and a function from cotangents of these shapes
            to pairs (∂L/∂rows summed over an array's weight sets, shape (P_row, H, R);
            ∂L/∂shared summed over rows, shape (G, P_shared)).
        """
        tasks = self._begin(requests)
        values = [task.run(keep=True) for task in tasks]
        return values, pullback_of(tasks)

    def _begin(self, requests: Sequence[Request[Program]]) -> list[Calculation]:
        """The compiled loops for what pays there, the stages for everything else."""
        looped = [not self.single and _pays(request) for request in requests]
        staged = self._start([r for r, own in zip(requests, looped, strict=True) if not own])
        if not any(looped):
            return list(staged)
        from qvit_qiskit.simulation.kernel.kernel_task import KernelTask  # imports numba

        others = iter(staged)
        return [
            KernelTask(
                request.program.code, request.program.angles, request.rows, request.shared,
                request.diagonal, TAPE_BYTES,
            )
            if own
            else next(others)
            for request, own in zip(requests, looped, strict=True)
        ]  # fmt: skip

    def _start(self, requests: Sequence[Request[Program]]) -> list[_Task]:
        tasks = [_Task(request, self.single) for request in requests]
        by_width: dict[int, list[tuple[_Task, int]]] = {}
        for task in tasks:
            for place in task.program.segments:
                by_width.setdefault(task.program.num_qubits, []).append((task, place))
        for width, wanted in by_width.items():
            asked = [(task.program.segments[place], task.shared) for task, place in wanted]
            job = self.unitaries.submit(width, asked)
            # Fetched on first use, so that Aer works while the encoding is built.
            unitaries = cache(partial(self.unitaries.collect, job, asked))
            for k, (task, place) in enumerate(wanted):
                task.unitaries[place] = partial(_nth, unitaries, k)
        return tasks


def _pays(request: Request[Program]) -> bool:
    return request.num_rows > 0 and pays(request.program.num_qubits)


class _Task:
    """One request on its way through its program's stages."""

    def __init__(self, request: Request[Program], single: bool) -> None:
        self.request, self.program = request, request.program
        self.angles = self.program.angles
        self.dtype = torch_dtype(self.program.real, single)
        self.real_dtype = torch_dtype(True, single)
        self.weights = np.ascontiguousarray(request.shared.T)  # (P_shared, G)
        # Zero for row rotations.
        self.shared = np.zeros((len(request.shared), self.angles.count))
        angles = self.angles.shared_table.evaluate(list(self.weights))
        for index, angle in zip(self.angles.shared_rotations, angles, strict=True):
            self.shared[:, index] = angle
        self.unitaries: dict[int, Callable[[], np.ndarray]] = {}
        self.matrices: dict[int, Any] = {}
        self.diagonal = torch.from_numpy(request.diagonal).to(self.real_dtype)
        self.tape: list[tuple[Tensor, list[Any]]] | None = None

    def chunks(self) -> list[slice]:
        """Slices of rows whose state tensors stay near `CHUNK_BYTES`."""
        size = self.dtype.itemsize * len(self.request.shared) * 2**self.program.num_qubits
        step = max(1, CHUNK_BYTES // size, min(MIN_ROWS, MAX_CHUNK_BYTES // size))
        rows = self.request.num_rows
        return even_slices(rows, -(-rows // step))

    def run(self, *, keep: bool) -> np.ndarray:
        """Values of all rows, shape (G, observables, R)."""
        groups, rows = len(self.request.shared), self.request.num_rows
        out = np.empty((groups, self.diagonal.shape[1], rows))
        state_bytes = self.dtype.itemsize * groups * 2**self.program.num_qubits * rows
        states = sum(stage.states for stage in self.program.stages)
        keep = keep and state_bytes * states <= TAPE_BYTES  # else they are computed once more
        self.tape = [] if keep else None
        for chunk in self.chunks():
            state, memory = self.forward(chunk)
            out[:, :, chunk] = spread(self.diagonal.T @ _squared(state), groups).numpy()
            if self.tape is not None:
                self.tape.append((state, memory))
        return out

    def forward(self, chunk: slice) -> tuple[Tensor, list[Any]]:
        """The final states of some rows, up to (G, 2**n, r), and each stage's memory."""
        angles = self._angles(chunk)
        state = torch.empty(0)
        memory: list[Any] = [angles]
        for place, stage in enumerate(self.program.stages):
            state, kept = stage.forward(self._matrices(place), angles, state)
            memory.append(kept)
        return state, memory

    def pullback(self, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂L/∂rows (P_row, H, R) and ∂L/∂shared (G, P_shared) from ∂L/∂values."""
        program = self.program
        by_row = np.empty_like(self.request.rows)
        by_shared = np.zeros_like(self.weights)
        sums: list[Any] = [None] * len(program.stages)
        for k, chunk in enumerate(self.chunks()):
            state, memory = self.forward(chunk) if self.tape is None else self.tape[k]
            pulled = torch.from_numpy(np.ascontiguousarray(cotangent[:, :, chunk]))
            # λ of the final state, (G, 2**n, r)
            lam = (2 * self.diagonal @ pulled.to(self.real_dtype)) * spread(state, len(pulled))
            angles = self._pull_stages(reduce_to(lam, state.shape), memory, sums)
            if self.angles.row_rotations:
                by_rotation = [
                    angles.row_grads[i].double().numpy() for i in self.angles.row_rotations
                ]
                # (H, G/H, r)
                grads = [g.reshape(by_row.shape[1], -1, g.shape[-1]) for g in by_rotation]
                values = self._row_values(chunk)
                self.angles.pull_rows(values, grads, by_row[:, :, chunk], by_shared)
            else:
                by_row[:, :, chunk] = 0
        swept = self._finish(sums)[:, list(self.angles.shared_rotations)]
        self.angles.pull_shared(self.weights, list(swept.T), by_shared)
        return by_row, by_shared.T

    def _pull_stages(self, lam: Tensor, memory: list[Any], sums: list[Any]) -> Angles:
        angles: Angles = memory[0]
        angles.row_grads.clear()  # a kept tape may be pulled back twice
        for place in range(len(self.program.stages) - 1, -1, -1):
            stage, kept = self.program.stages[place], memory[place + 1]
            matrices = self._matrices(place)
            lam, sums[place] = stage.pullback(matrices, angles, kept, lam, sums[place])
        return angles

    def _finish(self, sums: list[Any]) -> np.ndarray:
        """∂L/∂(shared angles), shape (G, m)."""
        grads = np.zeros_like(self.shared)
        for place, stage in enumerate(self.program.stages):
            stage.finish(self._matrices(place), self.shared, sums[place], grads)
        return grads

    def _matrices(self, place: int) -> Any:
        """What a stage made of the shared angles; not before it is needed, since Aer is at work."""
        if place not in self.matrices:
            stage, unitary = self.program.stages[place], self.unitaries.get(place)
            self.matrices[place] = stage.prepare(self.shared, self.dtype, unitary)
        return self.matrices[place]

    def _row_values(self, chunk: slice) -> list[np.ndarray]:
        return self.angles.row_values(self.request.rows[:, :, chunk], self.weights)

    def _angles(self, chunk: slice) -> Angles:
        table = self.angles.row_table.evaluate(self._row_values(chunk))
        halves = [torch.from_numpy(a.reshape(-1, a.shape[-1]) / 2) for a in table]
        if len({half.shape for half in halves}) == 1:  # all at once: calls cost more than numbers
            together = torch.stack(halves)
            cosines, sines = together.cos(), together.sin()
            pairs = list(zip(cosines.to(self.real_dtype), sines.to(self.real_dtype), strict=True))
        else:
            pairs = [(h.cos().to(self.real_dtype), h.sin().to(self.real_dtype)) for h in halves]
        row = dict(zip(self.angles.row_rotations, pairs, strict=True))
        return Angles(self.shared, row, {}, self.dtype)


def _nth(fetch: Callable[[], list[np.ndarray]], k: int) -> np.ndarray:
    return fetch()[k]


def _squared(state: Tensor) -> Tensor:
    if state.is_complex():
        return state.real.square() + state.imag.square()
    return state.square()
