"""Job specs: TOML files that say which evaluation to run, where, and for how much."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from qvit_qiskit.exceptions import ConfigError, JobError
from qvit_qiskit.hardware.shot_shares import Adaptive, Quiet
from qvit_qiskit.shipped import spec_names
from qvit_qiskit.spec import Spec, read_toml
from qvit_qiskit.zoo.names import names_model

if TYPE_CHECKING:
    from qvit_qiskit.profile import FakeProfile, IbmProfile

LATER = (
    "size", "tolerance", "agreement", "k", "buffer", "resilience_level", "readout", "quiet_shots",
    "quiet_projections",
)  # fmt: skip
"""Options that are younger than the first runs: these do not hold them where they are not set."""
OF_PROFILE = ("k", "buffer", "resilience_level", "readout")
"""Fields that a spec sets instead of its profile."""


class JobSpec(Spec):
    """One evaluation on a quantum processor.

    Example:
        >>> from qvit_qiskit.runs.spec import JobSpec
        >>> spec = JobSpec(dataset="phantom", backend="ibm-boston", budget_seconds=30)
        >>> spec.split, spec.max_loss
        ('test', 0.25)
    """

    kind_of_key = "key"

    description: str = ""
    """One line that says what the evaluation is for."""
    dataset: str
    """A MedMNIST name, ``"phantom"``, or the path of own images, relative to the spec's folder."""
    size: int | None = None
    """Pixels on a side of MedMNIST's larger files: 64, 128 or 224."""
    split: str = "test"
    """The images that are evaluated: ``"train"``, ``"val"`` or ``"test"``."""
    subset: int | None = Field(default=None, ge=1)
    """Evaluate a stratified subset of this many images."""
    subset_seed: int = Field(default=0, ge=0)
    """Chooses the images of the subset."""
    checkpoint: str | None = None
    """A checkpoint, relative to the spec's folder and below it, or a trained model of the package,
    ``zoo:NAME``; or given on the command line."""
    backend: str
    """A profile's name."""
    shots: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    """Bitstrings per row, instead of the profile's; ``"auto"`` for as many as the accuracy needs,
    see `tolerance`."""
    tolerance: float | None = Field(default=None, gt=0, lt=1)
    """AUC that may be lost against the exact model, with a probability of 95 %: shots, and what
    spec and profile leave open, are planned when the evaluation is submitted."""
    agreement: float | None = Field(default=None, gt=0, le=1)
    """The same for the share of images that are answered as the exact model answers them."""
    k: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    """Copies side by side, instead of the profile's; ``"auto"`` as it is there."""
    buffer: int | None = Field(default=None, ge=0)
    """Free qubits between two copies, instead of the profile's."""
    resilience_level: Literal[0, 1, 2] | None = None
    """Instead of the profile's."""
    readout: Literal["gates", "parity", "auto"] | None = None
    """Instead of the profile's."""
    budget_seconds: float = Field(gt=0)
    """QPU seconds that the evaluation may cost at most."""
    control_rows: int = Field(default=0, ge=0)
    """Where copies share the chip: rows of each circuit that run a second time, alone."""
    anchor_rows: int = Field(default=0, ge=0)
    """Rows of each circuit that every job of a stage runs besides, so that drift shows."""
    max_loss: float = Field(default=0.25, gt=0, le=1)
    """The share of the budget that losing one job may lose; jobs are not made smaller than a
    minute of QPU time for it."""

    adaptive: bool = False
    """Spend shots where answers need them: all rows get ``first_shots``, then the images whose
    answer is not settled get more, up to ``shots`` for each of their rows."""
    first_shots: int = Field(default=32, ge=1)
    """Bitstrings of every row in the first share, where shots are adaptive."""
    certainty: float = Field(default=0.95, gt=0.5, lt=1)
    """The probability with which an answer is settled, where shots are adaptive: that it is the
    one that this device would give with any number of shots."""

    quiet_shots: int | None = Field(default=None, ge=1)
    """Bitstrings of the rows of `quiet_projections`; the others have ``shots``. A plan chooses both
    by itself."""
    quiet_projections: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Projections that hardly move a logit, by their numbers in the order in which the model asks
    them: 0, 1 and 2 are Q, K and V of the first head."""

    @property
    def quiet(self) -> Quiet | None:
        """Projections with fewer shots; None where all have as many."""
        if self.quiet_shots is None or self.quiet_projections is None:
            return None
        return Quiet(self.quiet_shots, self.quiet_projections)

    @property
    def shares(self) -> Adaptive | None:
        """How shots are spent; None where all rows get as many."""
        return Adaptive(self.first_shots, self.certainty) if self.adaptive else None

    @model_validator(mode="after")
    def _one_way(self) -> JobSpec:
        if (self.quiet_shots is None) != (self.quiet_projections is None):
            raise ValueError("quiet_shots and quiet_projections belong together; state both")
        if self.asks and self.quiet_shots is not None:
            raise ValueError(
                "an accuracy to plan for chooses quiet_shots and quiet_projections; remove these"
            )
        if self.asks and isinstance(self.shots, int):
            raise ValueError(
                f"shots = {self.shots} and an accuracy to plan for exclude each other; remove one"
            )
        return self

    @property
    def asks(self) -> bool:
        """Whether an accuracy is stated."""
        return self.tolerance is not None or self.agreement is not None

    def plans(self, profile: FakeProfile | IbmProfile) -> bool:
        """Whether shots are to be planned.

        Args:
            profile: That of the spec.
        """
        return self.asks or (self.shots or profile.shots) == "auto"

    def of_profile(self) -> dict[str, Any]:
        """What the spec sets instead of its profile."""
        fields = {name: getattr(self, name) for name in OF_PROFILE}
        return {name: value for name, value in fields.items() if value is not None}

    def keywords(self) -> dict[str, Any]:
        """What `submit` takes of the spec, by its keywords."""
        names = (
            "budget_seconds", "shots", "tolerance", "agreement", "max_loss", "control_rows",
            "anchor_rows",
        )  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        return {**own, "adaptive": self.shares, "quiet": self.quiet}

    def record(self) -> dict[str, Any]:
        """What a run keeps of it: of options younger than the format those that are set."""
        fields = self.model_dump(mode="json")
        unset = {name for name in LATER if fields[name] is None}
        unset |= set() if self.adaptive else {"adaptive", "first_shots", "certainty"}
        return {name: value for name, value in fields.items() if name not in unset}


def load_spec(path: Path) -> JobSpec:
    """Read and validate a job spec.

    Returns:
        The validated spec.

    Raises:
        JobError: If the file cannot be read, a key or value is wrong, or the checkpoint's path
            leaves the spec's folder.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.runs.spec import load_spec
        >>> load_spec(Path("job.toml")).budget_seconds
        30.0
    """
    examples = f"the package ({', '.join(spec_names('jobs'))})"
    data = read_toml(path, "job spec", JobError, examples)
    try:
        spec = JobSpec.create(**data)
    except ConfigError as error:
        raise JobError(f"{path}: {error}") from error
    if spec.checkpoint is not None and not names_model(spec.checkpoint):
        folder = path.resolve().parent
        if not (folder / spec.checkpoint).resolve().is_relative_to(folder):
            raise JobError(
                f"{path}: checkpoint: expected a path below {folder}, but got "
                f"{spec.checkpoint!r}. Copy the checkpoint there, or pass it with --checkpoint."
            )
    return spec
