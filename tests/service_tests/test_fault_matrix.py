"""Every call of a run, struck once and for ever, before, within and after a stage."""

from __future__ import annotations

import pytest
from service_tests.fault_matrix import Outcome, moments, outcomes, share
from service_tests.victim import CALL_FAULTS, CALLS, MOMENTS

from qvit_qiskit.exceptions import ServiceError

SERVICE = {408, 429, 500, 502, 503}
"""Answers by which a service says that it failed, not the user."""


def _service_s(outcome: Outcome) -> bool:
    """Whether the fault is the service's, so that the command ends with 1."""
    trial = outcome.trial
    return trial.fault != "status" or trial.options["code"] in SERVICE


def test_the_share_holds_every_pair() -> None:
    """Of calls and moments, and of faults and moments."""
    trials = share()
    assert {trial.call for trial in trials} == set(CALLS)
    for moment in MOMENTS:
        there = [trial for trial in trials if trial.moment == moment]
        assert {trial.call for trial in there} == {c for c in CALLS if moment in moments(c)}
        assert len({(trial.fault, str(trial.options)) for trial in there}) == len(CALL_FAULTS)


@pytest.mark.check
def test_every_run_goes_on() -> None:
    """It is finished, or ends with one sentence and is finished when the fault is over.

    Nothing is executed twice, nothing is left open, and all is on the bill (`ordeal`).
    """
    ended = list(outcomes(share()))
    assert not [f"{one.trial}: {one.failure}" for one in ended if one.failure]
    struck = [one for one in ended if one.errors is not None]
    assert len(struck) > 0.75 * len(ended)
    blamed = [
        f"{one.trial}: {type(error).__name__}: {error}"
        for one in struck
        for error in one.errors or ()
        if _service_s(one)
        and not isinstance(error, ServiceError)
        and "--resubmit" not in str(error)  # a person must decide whether to pay again
    ]
    assert not blamed, "\n".join(blamed)
