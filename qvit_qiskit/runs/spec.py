"""Job specs: TOML files that say which evaluation to run, where, and for how much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from qvit_qiskit.exceptions import ConfigError, JobError
from qvit_qiskit.spec import Spec, read_toml


class JobSpec(Spec):
    """One evaluation on a quantum processor."""

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
    """A checkpoint, relative to the spec's folder and below it; or given on the command line."""
    backend: str
    """A profile's name."""
    shots: int | None = Field(default=None, ge=1)
    """Bitstrings per row, instead of the profile's."""
    budget_seconds: float = Field(gt=0)
    """QPU seconds that the evaluation may cost at most."""
    control_rows: int = Field(default=0, ge=0)
    """Where copies share the chip: rows of each circuit that run a second time, alone."""
    anchor_rows: int = Field(default=0, ge=0)
    """Rows of each circuit that every job of a stage runs besides, so that drift shows."""
    max_loss: float = Field(default=0.25, gt=0, le=1)
    """The share of the budget that losing one job may lose; jobs are not made smaller than a
    minute of QPU time for it."""

    def record(self) -> dict[str, Any]:
        """What a run keeps of it: of options younger than the format those that are set."""
        return {k: v for k, v in self.model_dump(mode="json").items() if k != "size" or v}


def load_spec(path: Path) -> JobSpec:
    """Read and validate a job spec.

    Raises:
        JobError: If the file cannot be read, a key or value is wrong, or the checkpoint's path
            leaves the spec's folder.
    """
    data = read_toml(path, "job spec", JobError, "jobs/")
    try:
        spec = JobSpec.create(**data)
    except ConfigError as error:
        raise JobError(f"{path}: {error}") from error
    if spec.checkpoint is not None:
        folder = path.resolve().parent
        if not (folder / spec.checkpoint).resolve().is_relative_to(folder):
            raise JobError(
                f"{path}: checkpoint: expected a path below {folder}, but got "
                f"{spec.checkpoint!r}. Copy the checkpoint there, or pass it with --checkpoint."
            )
    return spec
