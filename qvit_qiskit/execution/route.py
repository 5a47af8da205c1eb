"""What a model's quantum layers are bound to: an estimator and its gradient, under a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qiskit.primitives import BaseEstimatorV2
from qiskit_machine_learning.gradients import BaseEstimatorGradient

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.exceptions import RouteError


@dataclass(frozen=True)
class Route:
    """Where circuits run. Model code never asks which one it is."""

    name: str
    estimator: BaseEstimatorV2
    gradient: BaseEstimatorGradient | None = None
    """``None`` where training is refused."""

    def __deepcopy__(self, memo: Any) -> Route:
        return self  # a copied model runs on the same route

    @property
    def seed(self) -> int:
        """What all random streams start from."""
        return 0

    @property
    def trainable(self) -> bool:
        """Whether models may be trained on this route."""
        return self.gradient is not None

    @property
    def drawn(self) -> str:
        """How shots were drawn since the last `reseed`, as an addition; "" if as bitstrings."""
        way = getattr(self.estimator, "drawn", "")
        return f" as {way}" if way else ""

    def refusal(self) -> RouteError:
        """Why it does not train, and what to do."""
        return RouteError(
            f"The route {self.name!r} only evaluates. Train on a profile of kind 'aer', e.g. "
            "--backend aer-exact."
        )

    def reseed(self, *seed: int) -> None:
        """Start all random streams anew from the route's seed and these numbers.

        Training reseeds at every epoch, so that a resumed run draws what it would have drawn.
        """
        for part in (self.estimator, self.gradient):
            reseed = getattr(part, "reseed", None)
            if reseed is not None:
                reseed(self.seed, *seed)

    def describe(self, circuit: QNNCircuit) -> str:
        """One line: how this route evaluates a circuit."""
        describe = getattr(self.estimator, "describe", None)
        return describe(circuit) if describe else "Aer's own estimator, one simulation per row"
