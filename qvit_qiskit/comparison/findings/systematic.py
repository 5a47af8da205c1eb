"""Biases and drifts of a comparison's rungs, each mean error with its interval and its test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import norm  # type: ignore[import-untyped]

from qvit_qiskit.comparison.evidence import Evidence, Rung
from qvit_qiskit.comparison.findings.bias import (
    Errors,
    Means,
    anchor_drift,
    errors_of,
    same_bias,
    zero_bias,
)

LEVEL = 0.95
"""The level of all intervals."""


@dataclass(frozen=True)
class MeanError:
    """A mean error of outputs with its interval."""

    number: int
    """Which output, qubit, copy or job the mean is of, counted from 0."""
    count: int
    """Values or rows in the mean."""
    value: float
    """The mean, in units of an expectation value."""
    low: float
    """The interval's lower end."""
    high: float
    """Its upper end."""


@dataclass(frozen=True)
class Hypothesis:
    """A chi-square test of mean errors."""

    rung: str
    layer: int
    """Counted from 1."""
    claim: str
    chi_square: float
    """The statistic."""
    freedom: int
    """Its degrees of freedom."""
    p: float
    """How likely so large a statistic is where the claim holds."""


@dataclass(frozen=True)
class Bias:
    """Mean errors of one quantum layer by output, physical qubit or copy on the chip."""

    rung: str
    layer: int
    """Counted from 1."""
    by: str
    over: str
    """What the intervals cover."""
    errors: tuple[MeanError, ...]
    test: Hypothesis | None
    """None where nothing can be tested, or another bias has the same test."""


@dataclass(frozen=True)
class Drift:
    """Mean errors of one quantum layer from job to job, in the order of time."""

    rung: str
    layer: int
    """Counted from 1."""
    source: str
    """``"different rows"`` that happened to run in a job, or ``"repeated rows"``."""
    times: tuple[str, ...]
    """When each job ran, UTC; empty where nobody knows."""
    errors: tuple[MeanError, ...]
    test: Hypothesis | None
    """None where nothing can be tested."""


CLAIMS = {
    "output": "no bias of any output",
    "qubit": "no bias of any qubit",
    "copy": "the same bias on all copies",
}


def biases_and_drifts(evidence: Evidence) -> tuple[tuple[Bias, ...], tuple[Drift, ...]]:
    """Mean errors of every quantum layer of every rung that is compared with exact outputs.

    By output and qubit an interval says how well the mean over these rows is known; by copy and by
    job it comes from the scatter of the rows, which differ from copy to copy and job to job. Rows
    that every job repeated do not.
    """
    biases: list[Bias] = []
    drifts: list[Drift] = []
    for rung in evidence.errors_known:
        for layer, where in enumerate(rung.executions or []):
            errors = errors_of(rung, layer)
            biases += _biases(rung, layer, errors)
            if where.jobs is not None and len(where.times) > 1:
                means = same_bias(errors, "job")
                drifts.append(_drift(rung.name, layer, "different rows", means, where.times))
    for name, repeated in evidence.recorded_anchors.items():
        for layer, anchors in enumerate(repeated):
            means = anchor_drift(anchors)
            drifts.append(_drift(name, layer, "repeated rows", means, anchors.times))
    return tuple(biases), tuple(drifts)


def _biases(rung: Rung, layer: int, errors: Sequence[Errors]) -> list[Bias]:
    biases = [_bias(rung, layer, "output", zero_bias(errors, "output"))]
    if all(e.qubits is not None and (e.qubits >= 0).any() for e in errors):
        biases.append(_bias(rung, layer, "qubit", zero_bias(errors, "qubit")))
    if any(e.copies is not None and e.copies.any() for e in errors):
        biases.append(_bias(rung, layer, "copy", same_bias(errors, "copy")))
    return biases


def _bias(rung: Rung, layer: int, by: str, means: Means) -> Bias:
    over = "rows" if not rung.shots else "rows and shots" if by == "copy" else "shots"
    # on a single copy outputs and qubits are the same
    own = by != "qubit" or len(means.labels) > rung.layers[layer][0].values.shape[1]
    test = _test(rung.name, layer, CLAIMS[by], means) if own else None
    return Bias(rung.name, layer + 1, by, over, _errors(means), test)


def _drift(rung: str, layer: int, source: str, means: Means, times: tuple[str, ...]) -> Drift:
    test = _test(rung, layer, f"the same bias in all jobs, from {source}", means)
    ordered = tuple(times[int(job)] for job in means.labels) if times else ()
    return Drift(rung, layer + 1, source, ordered, _errors(means), test)


def _test(rung: str, layer: int, claim: str, means: Means) -> Hypothesis | None:
    if not means.freedom:
        return None
    return Hypothesis(rung, layer + 1, claim, means.chi_square, means.freedom, means.p)


def _errors(means: Means) -> tuple[MeanError, ...]:
    """The means with normal intervals."""
    errors_of_means = []
    for k, label in enumerate(means.labels):
        reach = float(norm.ppf((1 + LEVEL) / 2)) * float(means.errors[k])
        value = float(means.means[k])
        errors_of_means.append(
            MeanError(int(label), int(means.counts[k]), value, value - reach, value + reach)
        )
    return tuple(errors_of_means)
