"""One pass of a model over images: what every quantum layer asked, and what came back.

A pass may add corrections to the layers' outputs. That one primitive makes the rungs of the ladder,
the attribution of a run's errors to its layers, and the redraws of its shots.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from qiskit.primitives import BaseEstimatorV2
from torch import Tensor, nn

from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.route import Route
from qvit_qiskit.hardware.stage import Answers, Rows
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.inference.prediction import check_finite_logits
from qvit_qiskit.inference.rows import answers_at, evaluate, join_rows
from qvit_qiskit.profile import AerProfile
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator

Layer = Sequence[np.ndarray]
"""For each projection of a quantum layer an array whose first axis is its rows in image order."""
Layers = Sequence[Layer | None]
"""For each quantum layer its arrays; None where nothing is said."""

BATCH = 256
"""Images per forward pass."""


@dataclass(frozen=True)
class Pass:
    """A model on all images, with what its quantum layers did."""

    logits: np.ndarray  # shape: (n, classes)
    layers: list[list[Outputs]]
    """For each quantum layer one for each projection, rows in image order."""
    executed: list[Rows]
    """For each quantum layer which rows were run once for several that are equal; empty where
    every row was evaluated for itself."""

    @property
    def values(self) -> list[list[np.ndarray]]:
        """The layers' outputs alone."""
        return [[out.values for out in layer] for layer in self.layers]


@dataclass
class _Record:
    """What one quantum layer has been asked so far."""

    asked: list[list[np.ndarray]] = field(default_factory=list)
    answers: list[Answers] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)

    def outputs(self) -> list[Outputs]:
        """All batches joined."""
        found = []
        for k in range(len(self.asked[0])):
            asked = np.concatenate([batch[k] for batch in self.asked])
            values = np.concatenate([batch[k][0] for batch in self.answers])
            covariances = np.concatenate([batch[k][1] for batch in self.answers])
            found.append(Outputs(asked, values, covariances, np.zeros(len(asked), int)))
        return found


class PassEstimator(RowEstimator):
    """Evaluates every row on another estimator, adds corrections and takes notes.

    A forward pass calls it once per quantum layer, in the same order for every batch. Images keep
    their order, so that a layer's rows count on from batch to batch.
    """

    def __init__(
        self,
        inner: BaseEstimatorV2,
        deltas: Layers | None = None,
        *,
        first: Layer | None = None,
        once: bool = False,
        notes: bool = True,
    ) -> None:
        self.inner, self.deltas, self.first = inner, deltas, first
        self.once, self.notes = once, notes
        self.records: list[_Record] = []
        self._call = 0
        self._seen: list[list[int]] = []
        """For each layer and projection the rows of earlier batches."""

    @contextmanager
    def batch(self) -> Iterator[None]:
        """One forward pass over some images.

        Raises:
            JobError: If it calls fewer layers than there are corrections for, or than before.
        """
        self._call = 0
        yield
        expected = len(self._seen) if self.deltas is None else len(self.deltas)
        if self._call != expected:
            raise _other_layers()

    @property
    def complete(self) -> bool:
        """Whether every corrected row was asked for."""
        pairs = zip(self._seen, self.deltas or [], strict=False)
        return all(seen == [len(d) for d in delta] for seen, delta in pairs if delta is not None)

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        call, self._call = self._call, self._call + 1
        if call == len(self._seen):
            self._seen.append([0] * len(flats))
            self.records.append(_Record())
        if len(self._seen[call]) != len(flats):
            raise _other_layers()
        answers = self._answers(call, flats)
        if self.notes:
            self.records[call].asked.append([flat.values for flat in flats])
            self.records[call].answers.append(answers)
        self._seen[call] = [a + len(f.values) for a, f in zip(self._seen[call], flats, strict=True)]
        return [Answer(means.T, covariances.transpose(1, 0, 2)) for means, covariances in answers]

    def _answers(self, call: int, flats: Sequence[FlatPub]) -> Answers:
        if call == 0 and self.first is not None:
            answers = [
                (self._part(self.first, call, k, flat), _nothing(flat))
                for k, flat in enumerate(flats)
            ]
        elif self.once:
            rows = Rows.gather(flats)
            self.records[call].rows.append(rows)
            answers = answers_at(self.inner, rows)
        else:
            answers = evaluate(self.inner, [(f.circuit, f.observables, f.values) for f in flats])
        if self.deltas is None:
            return answers
        if call >= len(self.deltas):
            raise _other_layers()
        delta = self.deltas[call]
        if delta is None:
            return answers
        return [
            (values + self._part(delta, call, k, flat), covariances)
            for k, (flat, (values, covariances)) in enumerate(zip(flats, answers, strict=True))
        ]

    def _part(self, layer: Layer, call: int, k: int, flat: FlatPub) -> np.ndarray:
        """A projection's rows of this batch."""
        start = self._seen[call][k]
        part = layer[k][start : start + len(flat.values)] if k < len(layer) else np.zeros(0)
        if part.shape != (len(flat.values), len(flat.observables)):
            raise _other_layers()
        return part


def run_pass(
    model: nn.Module,
    images: Tensor,
    inner: BaseEstimatorV2,
    deltas: Layers | None = None,
    batch_size: int = BATCH,
    *,
    first: Layer | None = None,
    once: bool = False,
    notes: bool = True,
) -> Pass:
    """Run a model with every quantum layer on an estimator, its outputs corrected.

    Args:
        model: Any module whose quantum layers are ours. Its batches keep their order, and every
            image takes the same number of rows in a layer.
        images: Shape (n, ...).
        inner: Evaluates the rows that the layers ask.
        deltas: For each quantum layer and projection what is added to its outputs, (R, K); None
            for a layer adds nothing.
        batch_size: Images per forward pass.
        first: Outputs of the first quantum layer, if they are known: they depend on no correction.
        once: Evaluate equal rows of a batch once, as hardware runs do; for values with shots.
        notes: Whether to keep what the layers asked and returned; without it there are no layers.

    Raises:
        JobError: If the model has no quantum layer, or not those that the corrections are for.
        DataError: If a logit is not finite.
    """
    estimator = PassEstimator(inner, deltas, first=first, once=once, notes=notes)
    route = Route("pass", AerProfile(kind="aer"), Path("built in"), estimator, gradient=None)
    with registry.route(model, route):
        logits = _forward(model, images, estimator, batch_size)
    if not estimator.records:
        raise JobError("The model has no quantum layer, so its rungs would all be the same.")
    check_finite_logits(logits)
    if not estimator.complete:
        raise _other_layers()
    if not notes:
        return Pass(logits, [], [])
    layers = [record.outputs() for record in estimator.records]
    executed = [join_rows(record.rows) for record in estimator.records if record.rows]
    return Pass(logits, layers, executed)


def _forward(
    model: nn.Module, images: Tensor, estimator: PassEstimator, batch_size: int
) -> np.ndarray:
    """Logits in evaluation mode; the estimator is told where a forward pass begins."""
    images = images.to(next(model.parameters(), images).dtype)
    training = model.training
    model.eval()
    parts: list[np.ndarray] = []
    try:
        with torch.no_grad():
            for batch in images.split(batch_size):
                with estimator.batch():
                    parts.append(model(batch).double().numpy())
    finally:
        model.train(training)
    return np.concatenate(parts)


def _other_layers() -> JobError:
    return JobError(
        "The model's quantum layers are not those of the recorded run. Pass the model that the run "
        "was begun with."
    )


def _nothing(flat: FlatPub) -> np.ndarray:
    width = len(flat.observables)
    return np.zeros((len(flat.values), width, width))
