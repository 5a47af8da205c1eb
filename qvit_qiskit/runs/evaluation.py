"""Evaluate a model on a backend."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from qvit_qiskit import metrics
from qvit_qiskit.card import Card, Facts
from qvit_qiskit.data.arrays import as_split, check_channels_first
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.binding import bindable
from qvit_qiskit.execution.route import Route
from qvit_qiskit.inference.prediction import check_logits, predict
from qvit_qiskit.profile import UNROUTED

if TYPE_CHECKING:
    from qvit_qiskit.data.arrays import Given


@dataclass(frozen=True, repr=False)
class Evaluation(Card):
    """A model's answers on one backend.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model, evaluate, load
        >>> model = build_model(ViTConfig(projection="linear"), seed=0)
        >>> one = evaluate(model, load("phantom").val)
        >>> one.predicted.shape, one.agreement(one)
        ((120,), 1.0)
    """

    backend: str
    """The profile's name; where the model has nothing to route, that it has not."""
    logits: np.ndarray
    """What the model gave for each image, shape (n, classes) or (n, labels)."""
    labels: np.ndarray
    """Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels)."""
    scores: metrics.Scores
    seconds: float
    """Wall time on this machine."""
    drawn: str = ""
    """What to say behind the number of shots: `` as normal draws`` where they are no bitstrings."""

    def card(self) -> tuple[str, Facts]:
        """What a shell and a notebook show."""
        _, facts = self.scores.card()
        return f"Evaluation on {self.backend}{self.drawn}", {
            **facts,
            "took": f"{self.seconds:.1f} s",
        }

    @property
    def routed(self) -> bool:
        """Whether anything ran on the backend that was asked for."""
        return self.backend != UNROUTED

    @property
    def predicted(self) -> np.ndarray:
        """Predicted classes, shape (n,), or with several labels 0 and 1, shape (n, labels)."""
        several = self.labels.ndim == 2
        chances = metrics.probabilities(self.logits, multi_label=several)
        return metrics.answers(chances, multi_label=several)

    def agreement(self, other: Evaluation) -> float:
        """The share of images on which two evaluations predict the same class.

        With several labels, the share of all labels of all images that are answered alike.
        """
        return float((self.predicted == other.predicted).mean())


def evaluate(
    model: nn.Module,
    split: Given,
    backend: str | Route = "aer-exact",
    *,
    batch_size: int | None = None,
    tick: Callable[[int], None] | None = None,
) -> Evaluation:
    """Run a model over a split on a backend; its own routes are restored afterwards.

    Args:
        model: A classifier; its quantum layers run on the backend. One without quantum layers is
            evaluated as it is, and the result names no backend.
        split: Images and labels: a split, a pair of arrays, or a torch dataset of (image, label);
            see `data.as_split`.
        backend: A profile of kind ``aer`` or ``fake``, or an open route.
        batch_size: Images per forward pass; by default 256 of 28 x 28 pixels, down to 64 of larger
            ones.
        tick: Called with the number of images done after every batch.

    Returns:
        Logits (n, classes), labels (n,), scores and seconds.

    Raises:
        DataError: If a logit is not finite, or there is not one score per class, or the images or
            labels are no such.
        ProfileError: If the profile is missing or malformed.
        RouteError: If the profile cannot be opened, or the model holds a quantum layer that no
            route can bind.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model, evaluate, load
        >>> model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
        >>> images = load("phantom").val
        >>> evaluation = evaluate(model, images, "aer-shots")
        >>> evaluation.logits.shape, evaluation.backend  # (n, classes)
        ((120, 2), 'aer-shots')
    """
    given = as_split(split)
    check_channels_first(given)
    images = given.pixels()
    started = time.perf_counter()
    with registry.route(model, backend) as route:
        route.reseed()
        logits = predict(model, images, batch_size, tick)
    check_logits(logits, given.labels, given.num_classes)
    scores = metrics.score(given.labels, logits)
    backend, seconds = route.name if bindable(model) else UNROUTED, time.perf_counter() - started
    return Evaluation(backend, logits, given.labels, scores, seconds, route.drawn)
