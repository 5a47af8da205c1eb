"""Backend profiles: TOML files that say where and how circuits run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from qvit_qiskit.exceptions import ConfigError, ProfileError
from qvit_qiskit.spec import Old, Spec, read_toml
from qvit_qiskit.suggest import unknown

if TYPE_CHECKING:
    from qvit_qiskit.devices.placement import Placement
    from qvit_qiskit.devices.prices import Mitigation

UNROUTED = "nothing in it was routed"
"""In the place of a profile's name, where a model has no part that a route could bind."""

Shots = Annotated[int, Field(ge=1, le=10_000_000)]


class _Profile(Spec):
    kind_of_key = "key"
    later = {  # noqa: RUF012 - pydantic knows it as a class variable
        "readout": Old("gates"),
        "idle": Old(False),
    }

    description: str = ""
    """One line for ``qvit backends``."""
    seed: int = Field(default=0, ge=0)
    """Seeds shots and layouts; runs draw independent streams from it."""
    readout: Literal["gates", "parity", "auto"] = "gates"
    """Whether the CNOTs and SWAPs that end a circuit run (``"gates"``) or are left out and done on
    the bits that are read (``"parity"``); ``"auto"`` for what has the smaller predicted error."""
    idle: bool = True
    """Whether qubits decay while they wait, by their T1 and T2, where a device's errors count: in
    noise and rehearsals, in predictions, and in the choice of qubits."""

    @property
    def decays(self) -> bool:
        """Whether `idle` makes a difference."""
        return self.idle

    def _unsaid(self) -> dict[str, Any]:
        """See `Spec`; ``idle`` is nothing that a profile says where it makes no difference."""
        return super()._unsaid() | ({} if self.decays else {"idle": True})

    def without_idle(self) -> Self:
        """The same, but waiting qubits do not decay: what it said before there was ``idle``."""
        return self.model_copy(update={"idle": False})


class AerProfile(_Profile):
    """Simulation on qiskit-aer: exact, with shots, or with the noise of a device.

    Example:
        >>> from qvit_qiskit.profile import AerProfile
        >>> AerProfile(kind="aer", noise="fake_boston", shots=1024).simulates
        'noise of fake_boston, 1024 shots'
    """

    kind: Literal["aer"]
    """Marks a profile of this class in its file."""
    shots: Shots | None = None
    """Bitstrings drawn per row; without it values are exact expectation values."""
    noise: Annotated[str, Field(min_length=1)] | None = None
    """Whose noise: a bundled device snapshot, e.g. ``"fake_boston"``; a run's device as it was,
    ``"run:NAME"``; or a calibration file ending in ``.json``. Without it there is none."""
    engine: Literal["exact", "aer"] = "exact"
    """``"exact"`` shares one simulation between rows; ``"aer"`` is Aer's own estimator."""
    precision: Literal["double", "single"] = "double"
    """Of the exact engine: float64/complex128 or float32/complex64 inside."""
    gradient: Literal["auto", "param-shift", "spsa"] = "auto"
    """``"auto"``: the adjoint method where values are exact, else the parameter-shift rule."""
    spsa_samples: int = Field(default=1, ge=1)
    """Random directions averaged per SPSA gradient."""

    @model_validator(mode="after")
    def _consistent(self) -> AerProfile:
        if self.noise and self.precision == "single":
            raise ValueError('precision = "single" is for noiseless profiles; remove it')
        if self.engine == "aer" and (self.shots or self.noise):
            raise ValueError('engine = "aer" is for exact values; remove shots and noise')
        return self

    @property
    def decays(self) -> bool:
        """Whether `idle` makes a difference: without noise it does not."""
        return self.idle and self.noise is not None

    @property
    def simulates(self) -> str:
        """What this profile simulates, in a few words."""
        what = f"noise of {self.noise}" if self.noise else "no noise"
        return f"{what}, {f'{self.shots} shots' if self.shots else 'exact values'}"


class _Measured(_Profile):
    """Everything that is measured through the IBM client, on a device or a snapshot of one."""

    later = {  # noqa: RUF012 - pydantic knows it as a class variable of the base
        **_Profile.later,
        "twirl_gates": Old(False, keyed=True),
        "dynamical_decoupling": Old(None, keyed=True),
        "k": Old(1, keyed=True),
        "buffer": Old(0, keyed=True),
        "min_fidelity": Old(0.0, keyed=True),
        "readout": Old("gates"),
    }

    shots: Shots | Literal["auto"] = 1024
    """Bitstrings per row; ``"auto"`` for as many as the accuracy needs that a job asks for."""
    resilience_level: Literal[0, 1, 2] = 0
    """0 measures only; 1 mitigates readout errors; 2 also twirls and folds gates."""
    twirl_gates: bool = False
    """Twirl two-qubit gates below level 2 as well."""
    dynamical_decoupling: Literal["XX", "XpXm", "XY4"] | None = None
    """Pulses on idle qubits."""
    rep_delay: float | None = Field(default=None, gt=0, le=0.1)
    """Seconds between executions; by default the device's own."""
    k: Annotated[int, Field(ge=1)] | Literal["auto"] = 1
    """Copies of a circuit side by side on the chip, each with another row; ``"auto"`` for as many
    as fit."""
    buffer: int = Field(default=0, ge=0)
    """Free qubits between two copies."""
    min_fidelity: float = Field(default=0.0, ge=0, lt=1)
    """Expected success of each copy, at least."""

    @property
    def placement(self) -> Placement:
        """How circuits are laid on the device."""
        from qvit_qiskit.devices.placement import Placement

        return Placement(self.seed, self.k, self.buffer, self.min_fidelity, self.idle)

    @property
    def stated_shots(self) -> int:
        """The number of shots, which is stated.

        Raises:
            ProfileError: If it is planned for each job.
        """
        if self.shots == "auto":
            raise ProfileError(
                'The profile says shots = "auto", which are planned for the images of a job. Use '
                "`qvit plan` or `qvit submit`, or state a number, e.g. shots = 1024."
            )
        return self.shots

    @property
    def _told_shots(self) -> str:
        return "as many shots as planned" if self.shots == "auto" else f"{self.shots} shots"

    @property
    def mitigation(self) -> Mitigation:
        """The resilience level and what goes with it."""
        from qvit_qiskit.devices.prices import Mitigation

        return Mitigation(self.resilience_level, self.twirl_gates)


class FakeProfile(_Measured):
    """The IBM client's local mode on a bundled device snapshot: a rehearsal without an account.

    Example:
        >>> from qvit_qiskit.profile import FakeProfile
        >>> FakeProfile(kind="fake", device="fake_torino").shots
        1024
    """

    kind: Literal["fake"]
    """Marks a profile of this class in its file."""
    device: str
    """A bundled device snapshot, e.g. ``"fake_torino"``."""

    @property
    def simulates(self) -> str:
        """What this profile simulates, in a few words."""
        level = f", resilience level {self.resilience_level}" if self.resilience_level else ""
        return f"{self.device} through the IBM client, {self._told_shots}{level}"


class IbmProfile(_Measured):
    """An IBM quantum processor. The account is a name: no token, URL or proxy stands here.

    Example:
        >>> from qvit_qiskit.profile import IbmProfile
        >>> IbmProfile(kind="ibm", device="least-busy", resilience_level=1).mode
        'batch'
    """

    later = {  # noqa: RUF012 - pydantic knows it as a class variable of the base
        **_Measured.later,
        "private": Old(False),
    }

    kind: Literal["ibm"]
    """Marks a profile of this class in its file."""
    device: str
    """A device's name, e.g. ``"ibm_boston"``, or ``"least-busy"``."""
    family: str | None = "Heron"
    """Processor family that ``"least-busy"`` may choose from."""
    min_qubits: int = Field(default=100, ge=1)
    """Fewest qubits that ``"least-busy"`` may choose."""
    priced_as: str | None = None
    """The bundled snapshot that offline estimates use, e.g. ``"fake_boston"``. By default that of
    the device; for ``"least-busy"`` the dearest that the filters admit."""
    account: str | None = None
    """A saved account's name; by default the client's own choice (its environment variables)."""
    instance: str | None = None
    """A service instance (CRN or name)."""
    plan: str | None = None
    """A plan to prefer where the account has several instances, e.g. ``"open"``."""
    mode: Literal["job", "batch", "session"] = "batch"
    """How jobs are grouped on the service: each alone, as a batch, or in a session of their own."""
    tags: tuple[str, ...] = ()
    """Tags that every job of the profile carries on the service."""
    private: bool = False
    """Mark jobs as private: the service returns no circuits or angles, deletes them when a job is
    done, and deletes its results once they were read, so that they can be read a single time."""

    @property
    def simulates(self) -> str:
        """Where this profile runs, in a few words."""
        least = f"the least busy {self.family or 'device'} of at least {self.min_qubits} qubits"
        where = least if self.device == "least-busy" else f"{self.device} itself"
        return f"{where}, {self._told_shots}, resilience level {self.resilience_level}"


AnyProfile = AerProfile | FakeProfile | IbmProfile
_KINDS: dict[str, type[AnyProfile]] = {"aer": AerProfile, "fake": FakeProfile, "ibm": IbmProfile}


def load_profile(path: Path) -> AnyProfile:
    """Read and validate one profile.

    Returns:
        The validated profile, of the class of its kind.

    Raises:
        ProfileError: If the file cannot be read or a key or value is wrong.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.profile import load_profile
        >>> _ = Path("mine.toml").write_text('kind = "aer"')
        >>> load_profile(Path("mine.toml")).simulates
        'no noise, exact values'
    """
    data = read_toml(path, "profile", ProfileError)
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ProfileError(f"{path}: {unknown('kind', str(kind), _KINDS)}")
    try:
        return _KINDS[kind].create(**data)
    except ConfigError as error:
        raise ProfileError(f"{path}: {error}") from error
