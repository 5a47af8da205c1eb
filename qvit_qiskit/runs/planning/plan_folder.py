"""A plan on disk: a job spec that `submit` takes, a picture, and everything as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qvit_qiskit.data import names
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.files import write_text
from qvit_qiskit.runs.planning.chosen_plan import RunPlan
from qvit_qiskit.runs.planning.plan_picture import draw_plan
from qvit_qiskit.runs.spec import JobSpec

if TYPE_CHECKING:
    from qvit_qiskit.runs.job import WrittenJob

SPEC, PICTURE, RECORD = "planned.toml", "plan.svg", "plan.json"


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write over an earlier plan, before anything is worked out.

    Args:
        folder: Where the plan will be written.
        overwrite: Whether to replace one that is there.

    Raises:
        JobError: If there is one, or the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise JobError(f"Expected a folder for the plan, but {folder} is a file.")
    there = [name for name in (SPEC, PICTURE, RECORD) if (folder / name).exists()]
    if there and not overwrite:
        raise JobError(
            f"{folder} holds {', '.join(there)} already. Name another folder, or replace them "
            "with --overwrite."
        )


def write_plan(folder: Path, plan: RunPlan, job: WrittenJob) -> list[Path]:
    """Write a plan into a folder.

    Args:
        folder: Made if it is missing.
        plan: The plan.
        job: What it was made for.

    Returns:
        The files, the job spec first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SPEC, planned_spec(plan, job.spec, job.path))
    draw_plan(plan).savefig(folder / PICTURE)
    write_text(folder / RECORD, json.dumps(plan.record(), indent=2) + "\n")
    return [folder / name for name in (SPEC, PICTURE, RECORD)]


def planned_spec(plan: RunPlan, spec: JobSpec, path: Path) -> str:
    """A job spec with what was chosen in place of the accuracy, as TOML.

    Args:
        plan: The plan.
        spec: What it was made for.
        path: The spec's file: own images are named relative to its folder. A checkpoint is not
            named, since it must lie below the folder of the spec; it is given when submitting.
    """
    fields = spec.model_dump(mode="json", exclude_unset=True) | plan.settings()
    if spec.dataset not in names():
        fields["dataset"] = str((path.parent / spec.dataset).resolve())
    dropped = {"tolerance", "agreement", "checkpoint"}
    dropped |= {"quiet_shots", "quiet_projections"} - set(plan.settings())  # what no plan chose
    kept = {n: v for n, v in fields.items() if n not in dropped and v is not None}
    said = "".join(f"# {line}\n" for line in plan.lines())
    return said + "".join(f"{name} = {_toml(value)}\n" for name, value in kept.items())


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
