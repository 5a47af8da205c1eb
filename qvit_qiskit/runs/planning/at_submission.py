"""Planning when an evaluation is submitted: on the device as it is then, and once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from torch import nn

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.profile import FakeProfile, IbmProfile
from qvit_qiskit.runs.measured_profile import device_now
from qvit_qiskit.runs.overrides import changed
from qvit_qiskit.runs.planning.chosen_plan import RunPlan
from qvit_qiskit.runs.planning.planner import Conditions, Planner
from qvit_qiskit.runs.planning.request import Accuracy
from qvit_qiskit.runs.run_folder import Source

if TYPE_CHECKING:
    from qvit_qiskit.data.arrays import Given


@dataclass(frozen=True)
class Planning:
    """What somebody who submits an evaluation hears of its plan."""

    tick: Callable[[str], None] | None = None
    """Told in a few words what is looked at."""
    done: Callable[[RunPlan], None] | None = None
    """Called with the plan, before anything is sent."""
    validation: Given | None = None
    """Images with labels on which the choice is shown beside."""


def request_of(
    shots: int | Literal["auto"] | None,
    profile: FakeProfile | IbmProfile,
    tolerance: float | None,
    agreement: float | None,
) -> tuple[Accuracy | None, int]:
    """The accuracy to plan for; None where shots are stated. Then these, or 1.

    Args:
        shots: As they are stated, if they are.
        profile: Its shots count where none are stated.
        tolerance: AUC that may be lost, or nothing.
        agreement: Share of equal answers, or nothing.

    Raises:
        JobError: If a value is out of range, or shots are stated as well as an accuracy.
    """
    asks = tolerance is not None or agreement is not None
    if asks and shots not in (None, "auto"):
        raise JobError(
            f"Expected shots or an accuracy to plan for, but got shots = {shots} and an accuracy. "
            "Leave one of them out."
        )
    if asks or (shots or profile.shots) == "auto":
        return Accuracy.of(tolerance, agreement), 1
    return None, int(shots or profile.stated_shots)


def settled(
    model: nn.Module,
    source: Source,
    terms: Terms,
    request: Accuracy | None,
    patience: Patience | None = None,
    planning: Planning | None = None,
) -> tuple[RunPlan | None, Terms]:
    """The terms of a run, with the cheapest plan on the device as it is now.

    Args:
        model: Any module whose quantum layers are ours.
        source: The images that will be run; their labels are not read.
        terms: What the run may cost; its shots do not count where they are planned.
        request: What must be met; None where shots are stated, and nothing is planned.
        patience: How long to wait for the service.
        planning: Who hears of it.

    Returns:
        The plan, if there is one, and the terms with what it chose.

    Raises:
        JobError: If nothing meets the request, or nothing that the budget allows; or projections
            are stated that are to be quiet.
        RouteError: If the account is missing or refused, or the device reports no errors.
        ServiceError: If the service does not answer.
    """
    if request is None:
        return None, terms
    if terms.quiet:
        raise JobError(
            "An accuracy to plan for chooses quiet projections by itself. Leave quiet out, or "
            "state shots."
        )
    profile, planning = terms.profile, planning or Planning()
    device = device_now(profile, patience or Patience())
    kept = Conditions(
        terms.budget, terms.max_loss, terms.control_rows, terms.anchor_rows,
        equal_shots=terms.adaptive is not None,
    )  # fmt: skip
    planner = Planner(model, profile, device, request, kept, profile.seed, planning.tick)
    plan = planner.plan(source.images, source.labels.ndim == 2, planning.validation)
    if planning.done:
        planning.done(plan)
    chosen = changed(profile, {**plan.choice.of_profile(), "shots": plan.choice.shots})
    return plan, replace(terms, profile=chosen, shots=plan.choice.shots, quiet=plan.choice.quiet)
