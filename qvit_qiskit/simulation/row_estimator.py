"""One estimator of rows, on which every estimator of this package stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveJob, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from qvit_qiskit.circuits.pubs import FlatPub, flatten
from qvit_qiskit.exceptions import RouteError

MAX_SHOTS = 10_000_000
"""Per row, as profiles have it, too."""


@dataclass(frozen=True)
class Answer:
    """What came back for one PUB of R rows and K observables."""

    means: np.ndarray  # shape: (K, R)
    covariances: np.ndarray | None = None
    """Of a row's values, shape (K, R, K); None where values are exact."""
    stds: np.ndarray | None = None
    """Shape (K, R), where there are errors but no covariances."""
    metadata: dict[str, Any] = field(default_factory=dict)


class RowEstimator(BaseEstimatorV2):
    """The contract of ``BaseEstimatorV2``, kept once; subclasses answer rows.

    PUBs are coerced, checked and prepared (see `prepare`), and come back with the shapes and
    metadata that Qiskit's ``StatevectorEstimator`` and Aer's ``EstimatorV2`` give them:
    ``target_precision`` and ``circuit_metadata`` for a PUB, ``version`` for the result.
    Where values are means over shots, data have ``covariances`` of shape (*pub.shape, K) besides
    ``evs`` and ``stds``: the covariance of this value with the row's K observables, in the order of
    the raveled observables array.
    """

    samples = False
    """Whether values are means over shots."""
    drawn = ""
    """How shots were drawn since the last `reseed`, in a word or two, where not as bitstrings."""
    dynamic = False
    """Whether circuits may measure, reset and branch in their middle."""

    @property
    def perfect(self) -> bool:
        """Whether an idle qubit is certainly read as 0."""
        return False

    @property
    def default_precision(self) -> float:
        """Standard error where none is asked, at most; 0 where values are exact."""
        shots = getattr(self, "shots", None) if self.samples else None
        return 1 / math.sqrt(shots) if shots else 0.0

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Evaluate PUBs.

        Args:
            pubs: The PUBs.
            precision: Standard error to aim at, in a PUB or here. Where values are means over
                shots, 1/precision² shots are taken instead of the estimator's own; exact values
                do not need it.

        Raises:
            RouteError: If the precision is 0 and values are means over shots.

        The job raises `CircuitError` if a circuit, an observable or a value cannot be used.
        """
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        if self.samples and any(pub.precision == 0 for pub in coerced):
            raise RouteError(
                "Expected a precision above 0, since these values are means over shots, but got 0. "
                "Leave it out for the profile's shots, or use an exact profile, e.g. aer-exact."
            )
        job = PrimitiveJob(self._run, coerced, self._begin(len(coerced)))
        job._submit()  # noqa: SLF001 - how Qiskit's own estimators start a PrimitiveJob
        return job

    def _begin(self, count: int) -> Any:
        """What a call takes from the estimator's state, in the order of calls; e.g. seeds."""
        return None

    def _run(self, pubs: Sequence[EstimatorPub], begun: Any) -> PrimitiveResult[PubResult]:
        flats = [flatten(pub, perfect=self.perfect, dynamic=self.dynamic) for pub in pubs]
        answers = self._answer(flats, begun)
        results = [_result(f, a) for f, a in zip(flats, answers, strict=True)]
        return PrimitiveResult(results, metadata={"version": 2})

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> Sequence[Answer]:
        """One answer per PUB."""
        raise NotImplementedError


def shots_for(precision: float | None, otherwise: int) -> int:
    """Shots that have a standard error of at most ``precision``, whatever the value is.

    Args:
        precision: The largest standard error of an observable of ±1; None or 0 asks for none.
        otherwise: The shots where no precision is asked.
    """
    if not precision:
        return otherwise
    if precision < 1 / math.sqrt(MAX_SHOTS):
        raise RouteError(
            f"Expected a precision of {1 / math.sqrt(MAX_SHOTS):.2g} or more, which takes "
            f"{MAX_SHOTS:,} shots, but got {precision:g}. Use an exact profile, e.g. aer-exact."
        )
    return math.ceil(1 / precision**2)


def _result(flat: FlatPub, answer: Answer) -> PubResult:
    evs = flat.pick(answer.means)
    stds = np.zeros_like(evs) if answer.stds is None else flat.pick(answer.stds)
    data: dict[str, Any] = {"evs": evs, "stds": stds}
    covariances = answer.covariances
    if covariances is not None:
        variances = np.einsum("krk->kr", covariances)  # (K, R)
        data["stds"] = flat.pick(np.sqrt(np.clip(variances, 0.0, None)))
        data["covariances"] = flat.pick(covariances)
    shots = answer.metadata.get("shots")
    metadata = {
        "target_precision": flat.precision or (1 / math.sqrt(shots) if shots else 0.0),
        "circuit_metadata": flat.metadata,
    }
    return PubResult(DataBin(**data, shape=flat.shape), metadata=metadata | answer.metadata)
