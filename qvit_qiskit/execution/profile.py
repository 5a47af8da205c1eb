"""Backend profiles: TOML files that say where and how circuits run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from qvit_qiskit.exceptions import ConfigError, ProfileError
from qvit_qiskit.spec import Spec
from qvit_qiskit.suggest import unknown

Shots = Annotated[int, Field(ge=1, le=10_000_000)]


class _Profile(Spec):
    kind_of_key = "key"

    description: str = ""
    """One line for ``qvit backends``."""
    seed: int = Field(default=0, ge=0)
    """Seeds shots and layouts; runs draw independent streams from it."""


class AerProfile(_Profile):
    """Simulation on qiskit-aer: exact, with shots, or with the noise of a device."""

    kind: Literal["aer"]
    shots: Shots | None = None
    """Bitstrings drawn per row; without it values are exact expectation values."""
    noise: str | None = None
    """A bundled device snapshot, e.g. ``"fake_boston"``; without it there is no noise."""
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
    def simulates(self) -> str:
        """What this profile simulates, in a few words."""
        what = f"noise of {self.noise}" if self.noise else "no noise"
        return f"{what}, {f'{self.shots} shots' if self.shots else 'exact values'}"


class FakeProfile(_Profile):
    """The IBM client's local mode on a bundled device snapshot: a rehearsal without an account."""

    kind: Literal["fake"]
    device: str
    """A bundled device snapshot, e.g. ``"fake_torino"``."""
    shots: Shots = 1024
    """Bitstrings per row."""

    @property
    def simulates(self) -> str:
        """What this profile simulates, in a few words."""
        return f"{self.device} through the IBM client, {self.shots} shots"


class IbmProfile(_Profile):
    """An IBM quantum processor. The account is a name: no token, URL or proxy stands here."""

    kind: Literal["ibm"]
    device: str
    """A device's name, e.g. ``"ibm_boston"``."""
    priced_as: str
    """The bundled snapshot that offline estimates use, e.g. ``"fake_boston"``."""
    account: str | None = None
    """A saved account's name; by default the client's own choice (its environment variables)."""
    instance: str | None = None
    """A service instance (CRN or name)."""
    mode: Literal["job", "batch", "session"] = "batch"
    shots: Shots = 1024
    """Bitstrings per row."""
    resilience_level: Literal[0, 1, 2] = 0
    """0 measures only; 1 mitigates readout errors; 2 also folds gates."""
    rep_delay: float | None = Field(default=None, gt=0, le=0.1)
    """Seconds between executions; by default the device's own."""
    tags: tuple[str, ...] = ()
    """Job tags."""

    @property
    def simulates(self) -> str:
        """Where this profile runs, in a few words."""
        return f"{self.device} itself, {self.shots} shots, resilience level {self.resilience_level}"


AnyProfile = AerProfile | FakeProfile | IbmProfile
_KINDS: dict[str, type[AnyProfile]] = {"aer": AerProfile, "fake": FakeProfile, "ibm": IbmProfile}


def load_profile(path: Path) -> AnyProfile:
    """Read and validate one profile.

    Raises:
        ProfileError: If the file cannot be read or a key or value is wrong.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"Cannot read the profile {path}: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{path} is not valid TOML: {error}.") from error
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ProfileError(f"{path}: {unknown('kind', str(kind), _KINDS)}")
    try:
        return _KINDS[kind].create(**data)
    except ConfigError as error:
        raise ProfileError(f"{path}: {error}") from error
