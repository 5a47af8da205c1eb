"""An estimator that remembers what went through it."""

from collections.abc import Iterable
from typing import Any

from qiskit.primitives import BaseEstimatorV2
from qiskit.primitives.containers.estimator_pub import EstimatorPub


class Watching(BaseEstimatorV2):
    """Passes PUBs on to another estimator."""

    def __init__(self, inner: BaseEstimatorV2) -> None:
        self.inner = inner
        self.calls: list[list[EstimatorPub]] = []
        """The PUBs of every `run`."""

    def run(self, pubs: Iterable[Any], *, precision: float | None = None) -> Any:
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        self.calls.append(coerced)
        return self.inner.run(coerced, precision=precision)

    @property
    def shapes(self) -> list[list[tuple[int, ...]]]:
        """For every `run` the shapes of its PUBs."""
        return [[pub.shape for pub in call] for call in self.calls]
