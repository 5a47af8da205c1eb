"""A job spec read, checked and priced: everything that is known before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qiskit.providers import BackendV2

from qvit_qiskit.circuits.parity_readout import Readout
from qvit_qiskit.data import MedImages, Split, facts, load, stratified_subset
from qvit_qiskit.devices.prices import Estimate, joined
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.execution.registry import Found
from qvit_qiskit.hardware.shot_shares import Quiet
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.profile import FakeProfile, IbmProfile
from qvit_qiskit.runs.adaptive.expected_price import ExpectedPrice, expected_price
from qvit_qiskit.runs.adaptive.settling import check_adaptive, check_quiet, rule_of
from qvit_qiskit.runs.measured_profile import find_measured
from qvit_qiskit.runs.overrides import changed, divided
from qvit_qiskit.runs.planning.chip_layout import Arrangement
from qvit_qiskit.runs.planning.chosen_plan import RunPlan
from qvit_qiskit.runs.planning.planner import Conditions, Planner
from qvit_qiskit.runs.planning.request import Accuracy
from qvit_qiskit.runs.pricing import Price, price, pricing_device
from qvit_qiskit.runs.run_folder import Source
from qvit_qiskit.runs.spec import JobSpec, load_spec
from qvit_qiskit.training.checkpoint import Checkpoint, load_checkpoint
from qvit_qiskit.zoo.names import checkpoint_file


@dataclass(frozen=True)
class Job:
    """A spec with what it names, and its price."""

    written: WrittenJob
    """With what a plan has chosen."""
    shots: int
    price: Price
    plan: RunPlan | None = None
    """Where shots were planned."""

    @property
    def path(self) -> Path:
        """The spec's file."""
        return self.written.path

    @property
    def spec(self) -> JobSpec:
        """As it was read."""
        return self.written.spec

    @property
    def profile(self) -> FakeProfile | IbmProfile:
        """With what spec, settings and plan set otherwise."""
        return self.written.profile

    @property
    def first_share(self) -> Estimate | None:
        """The price of the shots that all rows get; None where all get as many."""
        if self.spec.shares is None:
            return None
        return self.price.with_shots(min(self.spec.first_shots, self.price.estimate.shots))

    @property
    def most(self) -> Estimate:
        """The price, at most where shots are adaptive: every share of all rows, in its own jobs."""
        if self.spec.shares is None:
            return self.price.estimate
        sizes = rule_of(self.spec.shares, self.shots).sizes
        return joined([self.price.with_shots(size) for size in sizes])

    def expected_price(
        self, data_root: Path | None = None, tick: Callable[[str], None] | None = None
    ) -> ExpectedPrice | None:
        """What its adaptive shots will probably cost, budgets aside; None where shots are equal.

        Args:
            data_root: Where MedMNIST's files are.
            tick: Told in a few words what is looked at.

        Raises:
            DataError: If the images cannot be read.
            CircuitError: If a circuit is too wide to be followed under the device's noise.
            RouteError: If the device reports no errors.
        """
        spec, profile = self.spec, self.profile
        if spec.shares is None:
            return None
        _, images = self.written.data(data_root)
        several = images.labels.ndim == 2
        search = self.written.planner(tick=tick).search(Source.of(images).images, several)
        readout: Readout = "parity" if profile.readout == "parity" else "gates"
        arrangement = Arrangement(self.price.copies, profile.buffer, 0, readout)
        layout = search.candidates.layout(arrangement)
        passes = search.passes_of(layout)
        rule = rule_of(spec.shares, self.shots)
        return expected_price(passes, layout, rule, several=several, seed=profile.seed)

    def check_budget(self) -> None:
        """Stop a job that its own estimate does not allow.

        Raises:
            JobError: If it is over the budget; the message says what would fit.
        """
        first, budget = self.first_share, self.spec.budget_seconds
        # What follows the first share is measured as far as the budget goes.
        seconds = (first or self.price.estimate).seconds
        if seconds <= budget:
            return
        shots, images = self.price.affordable(budget)
        ways = [f"shots = {shots}"] if shots else []
        ways += [f"subset = {images}"] if images else []
        told = f"It would fit with {' or '.join(ways)}, or with a" if ways else "It needs a"
        raise JobError(
            f"The estimate of {seconds:,.1f} QPU seconds is over the budget of {budget:g}. {told} "
            f"larger budget_seconds.{self._copies()} `qvit plan {self.path} --tolerance 0.01` "
            "looks for the cheapest way to keep the AUC."
        )

    def price_on(self, device: BackendV2) -> Price:
        """What it costs on a device as that is now.

        Raises:
            RouteError: If the device is too small.
        """
        return self.written.price(self.shots, device, self.price.quiet)

    def _copies(self) -> str:
        """What copies side by side would cost, as a way out; empty where there are some already."""
        if self.price.copies > 1:
            return ""
        profile = changed(self.profile, {"k": "auto"})
        try:
            packed = replace(self.written, profile=profile).price(
                self.shots, quiet=self.price.quiet
            )
        except RouteError:
            return ""
        if packed.copies == 1:
            return ""
        return (
            f" {packed.copies} copies side by side (k = {packed.copies}) would cost "
            f"{packed.estimate.seconds:,.1f}."
        )


@dataclass(frozen=True)
class WrittenJob:
    """A spec with what it names, not priced yet."""

    path: Path
    spec: JobSpec
    found: Found
    """The profile's file."""
    profile: FakeProfile | IbmProfile
    checkpoint: Checkpoint
    images: int
    settings: Mapping[str, Any]
    """Fields of the profile that were set otherwise."""

    @property
    def planned(self) -> bool:
        """Whether its shots follow from an accuracy."""
        return self.spec.plans(self.profile)

    @property
    def request(self) -> Accuracy:
        """The accuracy that is asked for."""
        return Accuracy.of(self.spec.tolerance, self.spec.agreement)

    def price(
        self, shots: int, device: BackendV2 | None = None, quiet: Quiet | None = None
    ) -> Price:
        """What it costs.

        Args:
            shots: Per row.
            device: Instead of the profile's snapshot.
            quiet: Projections with fewer shots, instead of the spec's.

        Raises:
            RouteError: If the device is unknown or too small.
        """
        model, spec = self.checkpoint.model, self.spec
        return price(
            model,
            model.stage_rows(),
            self.images,
            self.profile,
            shots,
            control_rows=spec.control_rows,
            anchor_rows=spec.anchor_rows,
            job_seconds=spec.max_loss * spec.budget_seconds,
            device=device,
            quiet=quiet or spec.quiet,
        )

    def priced(self, plan: RunPlan | None = None) -> Job:
        """The job with its price.

        Args:
            plan: What was chosen, where shots are planned.

        Raises:
            RouteError: If the device is unknown or too small.
        """
        job, stated = self, self.spec.shots or self.profile.shots
        if plan is not None:
            chosen = plan.choice.of_profile()
            stated = plan.choice.shots
            profile = changed(self.profile, chosen)
            job = replace(self, profile=profile, settings={**self.settings, **chosen})
        assert stated != "auto"  # else there is a plan
        quiet = plan.choice.quiet if plan else None
        return Job(job, stated, job.price(stated, quiet=quiet), plan)

    def data(self, data_root: Path | None = None) -> tuple[MedImages, Split]:
        """The data set, and the images that will be run.

        Args:
            data_root: Where MedMNIST's files are.

        Raises:
            DataError: If they cannot be read.
        """
        spec = self.spec
        data = load(spec.dataset, data_root, size=spec.size, base=self.path.parent)
        images = data.split(spec.split)
        if spec.subset is not None:
            images = stratified_subset(images, spec.subset, spec.subset_seed)
        return data, images

    def planner(
        self, device: BackendV2 | None = None, tick: Callable[[str], None] | None = None
    ) -> Planner:
        """What plans it.

        Args:
            device: With the calibration to plan on; by default the profile's snapshot.
            tick: Told in a few words what is looked at.
        """
        spec = self.spec
        kept = Conditions(
            spec.budget_seconds, spec.max_loss, spec.control_rows, spec.anchor_rows, spec.adaptive
        )
        return Planner(
            self.checkpoint.model, self.profile, device or pricing_device(self.profile),
            self.request, kept, self.profile.seed, tick,
        )  # fmt: skip

    def plan(
        self,
        data_root: Path | None = None,
        device: BackendV2 | None = None,
        tick: Callable[[str], None] | None = None,
    ) -> RunPlan:
        """The cheapest plan for its images, with the validation split as a check.

        Args:
            data_root: Where MedMNIST's files are.
            device: With the calibration to plan on; by default the profile's snapshot.
            tick: Told in a few words what is looked at.

        Raises:
            JobError: If nothing meets the request, or nothing that the budget allows.
        """
        data, images = self.data(data_root)
        tensors = Source.of(images).images
        validation = data.split("val") if self.spec.split != "val" else None
        return self.planner(device, tick).plan(tensors, images.labels.ndim == 2, validation)


def read_written(
    path: Path,
    checkpoint: Path | None = None,
    backends_dir: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> WrittenJob:
    """Read a job; no network, no account, no data set.

    Args:
        path: The job spec.
        checkpoint: Instead of the spec's.
        backends_dir: A folder of profiles to search first.
        settings: Fields of the spec or of its profile that are set otherwise.

    Raises:
        JobError: If the spec is malformed or names no checkpoint, or a setting does not fit.
        ProfileError: If the profile is missing, malformed, or hides a packaged one.
        RouteError: If the profile is of kind ``aer``.
        DataError: If the checkpoint does not fit the data set.
    """
    spec, settings = load_spec(path), settings or {}
    found, profile = find_measured(str(settings.get("backend", spec.backend)), backends_dir)
    of_spec, of_profile = divided(settings, profile)
    spec = changed(spec, of_spec)
    of_profile = {**spec.of_profile(), **of_profile}
    profile = changed(profile, of_profile)
    if checkpoint is None and spec.checkpoint is None:
        raise JobError(
            f"{path} names no checkpoint. Pass one with --checkpoint; `qvit models` shows trained "
            "ones."
        )
    loaded = load_checkpoint(checkpoint or checkpoint_file(spec.checkpoint or "", path.parent))
    known = facts(spec.dataset, size=spec.size, base=path.parent)
    loaded.model.check_data(known.name, known.channels, known.classes, known.pixels)
    if spec.split not in known.sizes:
        raise JobError(
            f"{path}: split: expected one of {', '.join(known.sizes)}, but got {spec.split!r}."
        )
    size = known.sizes[spec.split]
    if spec.subset is not None and spec.subset > size:
        raise JobError(
            f"{path}: subset: {known.name} has {size} images in its {spec.split} split, fewer "
            f"than {spec.subset}."
        )
    if not any(loaded.model.stage_rows()):
        raise JobError(
            f"The model of {loaded.path} has no quantum layer, so nothing would be sent. "
            "`qvit evaluate` evaluates it."
        )
    layers, repeated = loaded.model.stage_projections(), spec.control_rows + spec.anchor_rows
    check_adaptive(spec.shares, profile.mitigation, len(layers), repeated)
    if spec.quiet:
        shots = spec.shots or profile.shots
        if shots == "auto":
            raise JobError(
                "A plan chooses quiet_shots and quiet_projections by itself. Remove these, or "
                "state shots."
            )
        terms = Terms(
            profile, shots, spec.budget_seconds, spec.max_loss, spec.control_rows,
            spec.anchor_rows, spec.shares,
        )  # fmt: skip
        check_quiet(spec.quiet, terms, len(layers), layers[0])
    return WrittenJob(path, spec, found, profile, loaded, spec.subset or size, of_profile)


def read_job(
    path: Path,
    checkpoint: Path | None = None,
    backends_dir: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    data_root: Path | None = None,
    tick: Callable[[str], None] | None = None,
) -> Job:
    """Read and price a job; no network, no account, and no data set unless shots are planned.

    Args:
        path: The job spec.
        checkpoint: Instead of the spec's.
        backends_dir: A folder of profiles to search first.
        settings: Fields of the spec or of its profile that are set otherwise.
        data_root: Where MedMNIST's files are, where shots are planned.
        tick: Told in a few words what a plan looks at.

    Raises:
        JobError: If the spec is malformed or names no checkpoint, a setting does not fit, or
            nothing meets the accuracy that it asks for.
        ProfileError: If the profile is missing, malformed, or hides a packaged one.
        RouteError: If the profile is of kind ``aer``.
        DataError: If the checkpoint does not fit the data set.
    """
    job = read_written(path, checkpoint, backends_dir, settings)
    return job.priced(job.plan(data_root, tick=tick) if job.planned else None)
