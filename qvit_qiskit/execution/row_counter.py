"""A route that counts rows and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.execution.route import Route
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator


class CountingEstimator(RowEstimator):
    """Returns zeros and adds up how many circuits would have run."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        """Parameter sets of every call of `run` so far."""
        self.pubs: list[int] = []
        """PUBs of every call: the projections of a quantum layer."""

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        self.calls.append(sum(len(flat.values) for flat in flats))
        self.pubs.append(len(flats))
        return [Answer(np.zeros((len(flat.observables), len(flat.values)))) for flat in flats]


def counting_route() -> Route:
    """A fresh route on a `CountingEstimator`."""
    return Route("counting", CountingEstimator())
