"""A model walked over images, while what its quantum layers return is looked up or worked out.

A run on hardware and an analysis of one are the same walk. Both know what some layers return, from
the first on. The next layer's rows are noted for the device where there is nobody to ask, or
evaluated, and corrected, where there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from qiskit.primitives import BaseEstimatorV2
from torch import Tensor, nn

from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.route import Route
from qvit_qiskit.hardware.stages.stage import Answers, Rows
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.inference.prediction import check_finite_logits, predict
from qvit_qiskit.inference.rows import answers_at, evaluate, no_covariances
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator

Layer = Sequence[np.ndarray]
"""For each projection of a quantum layer an array whose first axis is its rows in image order."""
Layers = Sequence[Layer | None]
"""For each quantum layer its arrays; None where nothing is said."""

_SAME = 1e-3
"""Radians by which angles may differ between machines, threads and batch sizes."""


class Pending(Exception):
    """A quantum layer's values are not there yet; its rows have been noted."""


@dataclass(frozen=True)
class LayerAnswers:
    """What a quantum layer returns, known beforehand."""

    values: Layer  # each of shape (R, K)
    covariances: Layer | None = None  # each of shape (R, K, K), of the values; None if exact
    asked: Layer | None = None  # each of shape (R, P), the parameters that they answer, to check

    @classmethod
    def of(cls, answers: Answers, asked: Layer) -> LayerAnswers:
        """The answers of a stage of a run.

        Args:
            answers: For each projection values (R, K) and covariances (R, K, K).
            asked: For each projection the parameters that they answer, (R, P).
        """
        return cls([values for values, _ in answers], [spread for _, spread in answers], asked)


@dataclass
class LayerRecord:
    """What one quantum layer has been asked so far."""

    asked: list[Sequence[FlatPub]] = field(default_factory=list)
    """The PUBs of every batch."""
    answers: list[Answers] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    """Where equal rows are evaluated once: which these were, batch by batch."""

    def outputs(self) -> list[Outputs]:
        """All batches joined."""
        answers = []
        for k in range(len(self.asked[0])):
            asked = np.concatenate([batch[k].values for batch in self.asked])
            values = np.concatenate([batch[k][0] for batch in self.answers])
            covariances = np.concatenate([batch[k][1] for batch in self.answers])
            answers.append(Outputs(asked, values, covariances, np.zeros(len(asked), int)))
        return answers

    def gathered(self) -> Rows:
        """What all batches ask, each different row once.

        Raises:
            JobError: If the batches did not call the same circuits.
        """
        first = self.asked[0]
        for pubs in self.asked:
            if [id(p.circuit) for p in pubs] != [id(p.circuit) for p in first]:
                raise JobError("Expected every batch to call the same quantum layers in order.")
        return Rows.gather(
            [
                replace(flat, values=np.concatenate([pubs[k].values for pubs in self.asked]))
                for k, flat in enumerate(first)
            ]
        )


class LayerEstimator(RowEstimator):
    """Answers the quantum layers of a model that walks over images, batch by batch.

    A forward pass calls it once per quantum layer, in the same order for every batch. Images keep
    their order and each has the same number of rows, so that a layer's rows count on from batch to
    batch, whatever its size.
    """

    def __init__(
        self,
        inner: BaseEstimatorV2 | None,
        known: Sequence[LayerAnswers] = (),
        deltas: Layers | None = None,
        *,
        once: bool = False,
        notes: bool = True,
    ) -> None:
        """Answer a walk.

        Args:
            inner: Evaluates what is not known; without one the walk ends at the first such layer,
                whose rows are noted.
            known: What the first quantum layers return.
            deltas: What is added to each layer's outputs; see `passes.run_pass`.
            once: Evaluate equal rows of a batch once.
            notes: Whether to keep what the layers asked and returned.
        """
        self.inner, self.known, self.deltas = inner, known, deltas
        self.once, self.notes = once, notes
        self.records: list[LayerRecord] = []
        self._call = 0
        self._seen: list[list[int]] = []
        """For each layer and projection the rows of earlier batches."""

    @contextmanager
    def batch(self) -> Iterator[None]:
        """One forward pass over some images.

        Raises:
            JobError: If it calls fewer layers than are known or corrected, or than before.
        """
        self._call = 0
        try:
            yield
        except Pending:
            return
        # A model that branches on its input would take other layers' values for its own.
        if self._call < len(self.known):
            raise JobError(
                "The model made fewer quantum calls than in its first pass over the images. "
                "Expected every forward pass to call the same quantum layers."
            )
        if self._call != (len(self._seen) if self.deltas is None else len(self.deltas)):
            raise other_layers()

    @property
    def complete(self) -> bool:
        """Whether every corrected row was asked for."""
        pairs = zip(self._seen, self.deltas or [], strict=False)
        return all(seen == [len(d) for d in delta] for seen, delta in pairs if delta is not None)

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        call, self._call = self._call, self._call + 1  # layers are known by their order alone
        if call == len(self._seen):
            self._seen.append([0] * len(flats))
            self.records.append(LayerRecord())
        if len(self._seen[call]) != len(flats):
            raise other_layers()
        if self.notes or (self.inner is None and call == len(self.known)):
            self.records[call].asked.append(list(flats))
        answers = self._corrected(call, flats, self._answers(call, flats))
        if self.notes:
            self.records[call].answers.append(answers)
        self._seen[call] = [a + len(f.values) for a, f in zip(self._seen[call], flats, strict=True)]
        if not self.notes:  # PERF: K values a row, instead of K² that nobody asks for
            return [Answer(means.T) for means, _ in answers]
        # (K, R) and (K, R, K)
        return [Answer(means.T, covariances.transpose(1, 0, 2)) for means, covariances in answers]

    def _answers(self, call: int, flats: Sequence[FlatPub]) -> Answers:
        if call < len(self.known):
            return self._recalled(self.known[call], call, flats)
        if self.inner is None:
            raise Pending
        if self.once:
            rows = Rows.gather(flats)
            self.records[call].rows.append(rows)
            return answers_at(self.inner, rows)
        return evaluate(self.inner, [(f.circuit, f.observables, f.values) for f in flats])

    def _recalled(self, known: LayerAnswers, call: int, flats: Sequence[FlatPub]) -> Answers:
        """What a known layer returns for this batch.

        Raises:
            JobError: If it is asked something else than it answers.
        """
        answers = []
        for k, flat in enumerate(flats):
            start = self._seen[call][k]
            where = slice(start, start + len(flat.values))
            if known.asked is not None and k < len(known.asked):
                asked = known.asked[k][where]
                if len(asked) < len(flat.values) or not np.allclose(asked, flat.values, atol=_SAME):
                    raise JobError(
                        "The model's angles are not those that the run was begun with. Resume it "
                        "with the same code, or submit a new run."
                    )
            values = self._part(known.values, call, k, flat)
            spread = _nothing(flat) if known.covariances is None else known.covariances[k][where]
            answers.append((values, spread))
        return answers

    def _corrected(self, call: int, flats: Sequence[FlatPub], answers: Answers) -> Answers:
        if self.deltas is None:
            return answers
        if call >= len(self.deltas):
            raise other_layers()
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
            raise other_layers()
        return part


def logits_of(
    model: nn.Module, images: Tensor, estimator: LayerEstimator, batch_size: int
) -> np.ndarray:
    """A model's logits with all its quantum layers on the estimator of a walk.

    Args:
        model: Any module whose quantum layers are ours. Its batches keep their order, and every
            image takes the same number of rows in a layer.
        images: Shape (n, ...).
        estimator: Answers the layers.
        batch_size: Images per forward pass.

    Returns:
        Shape (n, classes); without the images whose forward pass ended at a pending layer.

    Raises:
        DataError: If the batch size is not positive, or a logit is not finite.
    """
    # Every quantum layer answers by the estimator, whatever it was bound to before.
    with registry.route(model, Route("walk", estimator)):
        logits = predict(model, images, batch_size, each=estimator.batch)
    check_finite_logits(logits)
    return logits


def walk(
    model: nn.Module,
    images: Tensor,
    answers: Sequence[Answers],
    asked: Sequence[Layer],
    batch_size: int,
) -> np.ndarray | Rows:
    """Run a model as far as its quantum layers are answered.

    Args:
        model: Any module whose quantum layers are ours. Its batches keep their order, and every
            image takes the same number of rows in a layer.
        images: Shape (n, ...).
        answers: Of the finished stages, in the order in which the model calls its layers.
        asked: The parameter values that they answer, for each stage and projection (R, P).
        batch_size: Images per forward pass; any size gives the same rows.

    Returns:
        Logits (n, classes) where every layer was answered, or what the next layer asks.

    Raises:
        JobError: If the model calls other layers than it did before, or none at all.
        DataError: If the batch size is not positive, or a logit is not finite.
    """
    known = [LayerAnswers.of(*stage) for stage in zip(answers, asked, strict=True)]
    estimator = LayerEstimator(None, known, notes=False)
    # Strides of a single channel decide over rounding: a run must ask the same rows again.
    whole = images.clone(memory_format=torch.contiguous_format)
    logits = logits_of(model, whole, estimator, batch_size)
    pending = estimator.records[len(known) :]
    if pending and len(logits):
        raise JobError("Expected every forward pass to call the same quantum layers.")
    if pending:
        return pending[0].gathered()
    if not answers:
        raise JobError("The model has no quantum layer, so nothing would be sent.")
    return logits


def other_layers() -> JobError:
    """What to say of a model whose quantum layers do not fit."""
    return JobError(
        "The model's quantum layers are not those of the recorded run. Pass the model that the run "
        "was begun with."
    )


def _nothing(flat: FlatPub) -> np.ndarray:
    return no_covariances(len(flat.values), len(flat.observables))
