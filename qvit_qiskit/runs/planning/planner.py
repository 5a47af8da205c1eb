"""The cheapest plan for a stated accuracy, from a model, its images and a device's calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.providers import BackendV2
from torch import Tensor, nn

from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.data import as_split
from qvit_qiskit.devices.prices import MAX_JOB_SECONDS
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.execution.registry import default_route
from qvit_qiskit.inference.layer_estimator import walk
from qvit_qiskit.inference.prediction import BATCH
from qvit_qiskit.models.cost import count_rows
from qvit_qiskit.profile import FakeProfile, IbmProfile
from qvit_qiskit.qnn import QuantumLinear
from qvit_qiskit.runs.measured_profile import find_measured
from qvit_qiskit.runs.planning.candidates import Candidates
from qvit_qiskit.runs.planning.chip_layout import Circuits, PricedRows
from qvit_qiskit.runs.planning.chosen_plan import Check, Option, RunPlan
from qvit_qiskit.runs.planning.noisy_passes import NoisyPasses, Subject, subject_of
from qvit_qiskit.runs.planning.predicted_losses import drawn_labels, indicators, predict_losses
from qvit_qiskit.runs.planning.request import Accuracy
from qvit_qiskit.runs.planning.search import CLOSE, Search, Trial
from qvit_qiskit.runs.pricing import pricing_device
from qvit_qiskit.runs.run_folder import Source

if TYPE_CHECKING:
    from qvit_qiskit.data.arrays import Given

HELD = ("k", "buffer", "resilience_level", "readout")
"""Fields that a plan leaves alone where they are stated."""


def plan(
    model: nn.Module,
    data: Given | Source,
    backend: str,
    *,
    tolerance: float | None = None,
    agreement: float | None = None,
    budget_seconds: float | None = None,
    validation: Given | None = None,
    settings: Mapping[str, Any] | None = None,
    control_rows: int = 0,
    anchor_rows: int = 0,
    max_loss: float = 0.25,
    equal_shots: bool = False,
    backends_dir: Path | None = None,
    seed: int = 0,
    tick: Callable[[str], None] | None = None,
) -> RunPlan:
    """The cheapest way to evaluate a model on a device that keeps a stated accuracy.

    The images that will be run are used, and never their labels: how often answers are those of
    the exact model is predicted directly, AUC and ACC with labels drawn from the exact model's own
    probabilities. Offline, on the device's snapshot; `submit` plans on the calibration of the hour.

    Args:
        model: Any module whose quantum layers are ours.
        data: The images that will be run, as `submit` takes them.
        backend: A profile of kind ``ibm`` or ``fake``. What it states of ``k``, ``buffer``,
            ``resilience_level`` and ``readout``, other than ``"auto"``, is not changed.
        tolerance: AUC that may be lost at most, with a probability of 95 % over shots and seats;
            by default 0.01.
        agreement: Instead, or as well: the share of images that must be answered as the exact
            model answers them.
        budget_seconds: QPU seconds that the evaluation may cost.
        validation: Images with labels on which the choice is shown beside, as a check.
        settings: Fields of the profile that are set otherwise, e.g. ``{"k": "auto"}``.
        control_rows: As in `submit`; they are in the price.
        anchor_rows: As in `submit`; they are in the price.
        max_loss: As in `submit`.
        equal_shots: Whether all rows are to have as many shots, also those of projections that
            hardly move a logit.
        backends_dir: A folder of profiles to search first.
        seed: Of all draws.
        tick: Told in a few words what is looked at.

    Returns:
        Shots, copies and options, with their predicted price and loss.

    Raises:
        JobError: If nothing meets the request, or nothing that the budget allows; the message says
            what could be reached, and for how much.
        DataError: If the images or labels are no such.
        ProfileError: If the profile is missing or malformed.
        RouteError: If the profile is of kind ``aer``, or its device is unknown, too small or
            reports no errors.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model, load, plan
        >>> model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
        >>> images = load("phantom").test
        >>> chosen = plan(model, images, "fake-boston", agreement=0.8, settings={"k": 1})
        >>> chosen.settings()["shots"], chosen.settings()["quiet_shots"]
        (279, 4)
    """
    request = Accuracy.of(tolerance, agreement)
    _, profile = find_measured(backend, backends_dir, settings)
    source = data if isinstance(data, Source) else Source.of(data)
    kept = Conditions(budget_seconds, max_loss, control_rows, anchor_rows, equal_shots)
    planner = Planner(model, profile, pricing_device(profile), request, kept, seed, tick)
    return planner.plan(source.images, source.labels.ndim == 2, validation)


@dataclass(frozen=True)
class Conditions:
    """What a plan has to keep beside the accuracy."""

    budget: float | None = None
    """QPU seconds; None for no limit."""
    max_loss: float = 0.25
    """The share of the budget that losing one job may lose."""
    control_rows: int = 0
    """Rows of each circuit that run once more, alone."""
    anchor_rows: int = 0
    """Rows of each circuit that every job runs besides."""
    equal_shots: bool = False
    """Whether no projection may have fewer shots than others."""


@dataclass(frozen=True)
class Planner:
    """Plans evaluations of one model on one device.

    Raises:
        RouteError: If the device reports no errors.
    """

    model: nn.Module
    """Any module whose quantum layers are ours."""
    profile: FakeProfile | IbmProfile
    """What it states of `HELD` is not changed."""
    device: BackendV2
    """With the calibration to plan on."""
    request: Accuracy
    """What must be met."""
    kept: Conditions = Conditions()
    """What is to be kept besides."""
    seed: int = 0
    """Of all draws."""
    tick: Callable[[str], None] | None = None
    """Told in a few words what is looked at."""

    def __post_init__(self) -> None:
        check_calibrated(self.device)

    def plan(self, images: Tensor, several: bool, validation: Given | None = None) -> RunPlan:
        """The cheapest plan for some images.

        Args:
            images: Shape (n, C, H, W).
            several: Whether an image may have several labels.
            validation: Images with labels on which the choice is shown beside.

        Raises:
            JobError: If nothing meets the request, or nothing that the budget allows.
        """
        search = self.search(images, several)
        best = search.cheapest()
        if best is None:
            raise self._unreachable(search)
        if self.kept.budget is not None and best.candidate.seconds > self.kept.budget:
            raise self._too_dear(search, best)
        trials = sorted(search.trials.values(), key=lambda trial: trial.candidate.seconds)
        check = self._check(search, best, validation) if validation is not None else None
        return RunPlan(
            self.device.name,
            len(images),
            self.request,
            _option(best),
            tuple(_option(trial) for trial in trials),
            check,
        )

    def search(self, images: Tensor, several: bool) -> Search:
        """What looks at candidates for some images.

        Args:
            images: Shape (n, C, H, W).
            several: Whether an image may have several labels.
        """
        subject = self._subject(images)
        rows, kept = count_rows(self.model, images[:1]), self.kept
        seconds = MAX_JOB_SECONDS if kept.budget is None else kept.max_loss * kept.budget
        workload = PricedRows(
            tuple(len(images) * n for n in rows), seconds, kept.control_rows, kept.anchor_rows,
            len(subject.rows.pubs),
        )  # fmt: skip
        candidates = Candidates(self._circuits(), self.profile, self.device, workload, self._held())
        labels = drawn_labels(subject.exact, np.random.default_rng([self.seed, 3]), several=several)
        search = Search(
            subject, candidates, self.request, labels, several, seed=self.seed, tick=self.tick
        )
        if not (kept.equal_shots or kept.control_rows or kept.anchor_rows or len(rows) > 1):
            search.allocate()
        return search

    def _subject(self, images: Tensor) -> Subject:
        rows = walk(self.model, images, [], [], BATCH)
        assert not isinstance(rows, np.ndarray)  # it ends at the first quantum layer
        return subject_of(self.model, images, rows, default_route().estimator)

    def _circuits(self) -> Circuits:
        """The model's circuits as estimators get them, each once."""
        layers = [m.circuit for m in self.model.modules() if isinstance(m, QuantumLinear)]
        circuits = {}
        for circuit in layers:
            prepared, terms = prepare_with(circuit.canonical, circuit.pauli_terms)
            circuits[id(prepared.circuit)] = (prepared.circuit, terms)
        return list(circuits.values())

    def _held(self) -> dict[str, Any]:
        stated = self.profile.model_fields_set
        fields = {name: getattr(self.profile, name) for name in HELD if name in stated}
        return {name: value for name, value in fields.items() if value != "auto"}

    def _check(self, search: Search, best: Trial, validation: Given) -> Check:
        """What the choice is predicted to lose on labelled images."""
        split = as_split(validation)
        subject = self._subject(split.tensors()[0])
        passes = NoisyPasses(subject, search.passes_of(best.candidate.layout).noise, self.seed + 1)
        drawn = passes.logits(best.candidate.shots_by_projection, range(CLOSE))
        labels = split.labels
        truth = labels if search.several else indicators(labels, subject.exact.shape[1])
        losses = predict_losses(subject.exact, drawn, truth[None].astype(np.float32),
                               several=search.several)  # fmt: skip
        return Check(len(labels), losses.auc.mean, losses.auc.bound)

    def _unreachable(self, search: Search) -> JobError:
        """Why nothing meets the request, and what could be reached."""
        best = search.closest()
        return JobError(
            f"No number of shots meets the request on {self.device.name}, with 95 % probability: "
            f"{self.request.describe()}. {self.request.reached(best.prediction)} could be reached "
            f"with {best.candidate.describe()}, for {best.candidate.seconds:,.0f} QPU seconds. "
            "Ask for that, or name another device."
        )

    def _too_dear(self, search: Search, best: Trial) -> JobError:
        """Why the budget does not suffice, and what it buys."""
        budget = self.kept.budget
        assert budget is not None
        closest = search.closest(budget)
        buys = "It buys nothing of this size"
        if closest.candidate.seconds <= budget:
            buys = (
                f"It buys {self.request.reached(closest.prediction)} with "
                f"{closest.candidate.describe()}, for {closest.candidate.seconds:,.1f}"
            )
        return JobError(
            f"The cheapest plan for {self.request.describe()} costs {best.candidate.seconds:,.1f} "
            f"QPU seconds ({best.candidate.describe()}), over the budget of {budget:g}. "
            f"{buys}; or set a larger budget_seconds."
        )


def check_calibrated(device: BackendV2) -> None:
    """Refuse a device that reports no errors to plan on.

    Raises:
        RouteError: If no gate and no readout has an error.
    """
    target = device.target
    errors = [
        entry.error
        for name in target.operation_names
        for entry in (target[name] or {}).values()
        if entry is not None and entry.error
    ]
    if not errors:
        raise RouteError(
            f"{device.name} reports no errors, and a plan needs a calibration to predict from. "
            "State shots and k yourself, or name a device with a calibration."
        )


def _option(trial: Trial) -> Option:
    candidate, losses = trial.candidate, trial.prediction
    return Option(
        **candidate.settings(),
        seconds=candidate.seconds,
        executions=candidate.estimate.executions,
        auc_loss=losses.auc.mean,
        auc_bound=losses.auc.bound,
        acc_loss=losses.acc.mean,
        acc_bound=losses.acc.bound,
        agreement=1 - losses.disagreement.mean,
        agreement_bound=1 - losses.disagreement.bound,
        draws=losses.draws,
        meets=trial.meets,
    )
