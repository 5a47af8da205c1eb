"""A profile opened: the estimator and gradient that a model's quantum layers are bound to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from qiskit.primitives import BaseEstimatorV2
from qiskit.providers import BackendV2
from qiskit_machine_learning.gradients import BaseEstimatorGradient

from qvit_qiskit.circuits.parity_readout import Readout
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution.noise_source import noise_device
from qvit_qiskit.execution.route import Route
from qvit_qiskit.hardware.estimators import JournaledEstimator, RehearsalEstimator
from qvit_qiskit.hardware.hardware_run import HardwareRun
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.ibm.local import LocalSender
from qvit_qiskit.profile import AerProfile, AnyProfile, FakeProfile, IbmProfile
from qvit_qiskit.simulation.bitstrings import BitstringEstimator
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.exact.forms import FormCompiler, FormEngine
from qvit_qiskit.simulation.exact.gradient import AdjointGradient
from qvit_qiskit.simulation.noise.compiler import noisy
from qvit_qiskit.simulation.noise.readout_choice import READOUTS, ChosenReadout
from qvit_qiskit.simulation.reference import AerEstimator
from qvit_qiskit.simulation.row_estimator import RowEstimator
from qvit_qiskit.simulation.shifts import ParameterShiftGradient, SPSAGradient


@dataclass(frozen=True)
class ProfileRoute(Route):
    """The route of a profile."""

    profile: AnyProfile = field(kw_only=True)
    path: Path = field(kw_only=True)
    """The file the profile came from."""

    @property
    def seed(self) -> int:
        """The profile's."""
        return self.profile.seed

    def refusal(self) -> RouteError:
        """Why it does not train, and what to do."""
        if isinstance(self.profile, AerProfile) and self.profile.readout == "auto":
            return RouteError(
                f'The profile {self.name!r} says readout = "auto", which chooses for the weights '
                "that a model has, and training changes them. Train with readout = "
                '"gates" or "parity".'
            )
        return RouteError(
            f"The profile {self.name!r} is of kind {self.profile.kind!r}, which only evaluates: "
            "training would send thousands of jobs. Train on a profile of kind 'aer', e.g. "
            "--backend aer-exact, and evaluate the checkpoint there afterwards (in your own code, "
            "under torch.no_grad())."
        )

    def without_idle(self) -> ProfileRoute:
        """The same route, where waiting qubits do not decay, as before there was ``idle``.

        Raises:
            RouteError: If a calibration that the profile names is no longer there.
        """
        return open_route(self.name, self.profile.without_idle(), self.path)


def open_route(name: str, profile: AnyProfile, path: Path) -> ProfileRoute:
    """Build the estimator and gradient of a profile.

    Args:
        name: What the profile is called; errors and tables repeat it.
        profile: Its settings.
        path: The file that it was read from; calibrations that it names lie relative to it.

    Raises:
        RouteError: If the profile names a device that does not exist, or is of kind ``ibm``.
    """
    if isinstance(profile, IbmProfile):
        raise RouteError(
            f"The profile {name!r} runs on {profile.device} and costs QPU time, so no forward "
            "pass may start it by accident. Price it with `qvit estimate` and send it with `qvit "
            "submit`; in Python, say registry.route(model, name, budget_seconds=…, run=…). "
            "Rehearse on a profile of kind 'fake', e.g. fake-boston."
        )
    if isinstance(profile, FakeProfile):
        return _open_fake(name, profile, path)
    estimator = _aer_estimator(profile, path)
    gradient = _gradient(profile, estimator)
    return ProfileRoute(name, estimator, gradient, profile=profile, path=path)


def _gradient(profile: AerProfile, estimator: BaseEstimatorV2) -> BaseEstimatorGradient | None:
    if isinstance(estimator, ChosenReadout):
        return None
    if profile.gradient == "spsa":
        return SPSAGradient(estimator, profile.spsa_samples, seed=profile.seed)
    if profile.gradient == "auto" and isinstance(estimator, ExactEstimator):
        return AdjointGradient(estimator)
    return ParameterShiftGradient(estimator)


def _aer_estimator(profile: AerProfile, path: Path) -> BaseEstimatorV2:
    if profile.engine == "aer":
        return AerEstimator(profile.seed)
    if profile.noise is None:
        single = profile.precision == "single"
        return _shots(ExactEstimator(FormEngine(single=single), FormCompiler()), profile)
    device = noise_device(profile.noise, path.parent)
    if profile.readout == "auto":
        gates, parity = (_noisy(device, profile, way) for way in READOUTS)
        return ChosenReadout(
            {"gates": _shots(gates, profile), "parity": _shots(parity, profile)},
            {"gates": gates, "parity": parity},
            profile.shots,
        )
    return _shots(_noisy(device, profile, profile.readout), profile)


def _noisy(device: BackendV2, profile: AerProfile, readout: Readout) -> ExactEstimator:
    """Exact values under a device's noise, as the profile has it."""
    return noisy(device, profile.seed, readout, idle=profile.idle)


def _shots(exact: ExactEstimator, profile: AerProfile) -> RowEstimator:
    """The same values from as many bitstrings as the profile asks for; exact ones without."""
    if profile.shots is None:
        return exact
    return BitstringEstimator(exact.engine, exact.compiler, profile.shots, profile.seed)


def _open_fake(name: str, profile: FakeProfile, path: Path) -> ProfileRoute:
    profile.stated_shots  # noqa: B018 - or refuse
    estimator = RehearsalEstimator(LocalSender(profile))
    return ProfileRoute(name, estimator, profile=profile, path=path)


def run_route(name: str, profile: AnyProfile, path: Path, budget: float, run: Path) -> ProfileRoute:
    """A route whose forward passes spend QPU time: each call is a stage of a journaled run.

    Args:
        name: The profile's name.
        profile: Of kind ``ibm`` or ``fake``.
        path: The profile's file.
        budget: QPU seconds that the run may cost.
        run: The run's folder, made if it is missing; what it holds already is not paid again.

    Raises:
        RouteError: If the profile is of kind ``aer``.
        JobError: If the folder is another run's.
    """
    if isinstance(profile, AerProfile):
        raise RouteError(
            f"The profile {name!r} is of kind 'aer' and costs nothing: leave budget_seconds and "
            "run out."
        )
    hardware_run = HardwareRun.at(run, Terms(profile, profile.stated_shots, budget, max_loss=1.0))
    return ProfileRoute(name, JournaledEstimator(hardware_run), profile=profile, path=path)
