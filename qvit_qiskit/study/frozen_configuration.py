"""The chosen configuration, written down before it meets a test split."""

from __future__ import annotations

import json
from pathlib import Path

from qvit_qiskit import __version__
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.files import write_text
from qvit_qiskit.formats import Format
from qvit_qiskit.study.plan import Plan

DEFAULT = "chosen.json"
FORMAT = Format("frozen configuration", 1, JobError, unnumbered=True)


def frozen_file(plan: Plan) -> Path:
    """Where a plan's configuration is or would be frozen: beside its spec."""
    return plan.path.parent / (plan.spec.frozen or DEFAULT)


def freeze(plan: Plan) -> Path:
    """Write the configuration's hash, to be committed; nothing if it stands there already.

    Returns:
        The file that holds the hash.

    Raises:
        JobError: If the file holds another configuration, or cannot be written.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import freeze, make_plan
        >>> freeze(make_plan(Path("frozen.toml"))).name
        'chosen.json'
    """
    path = frozen_file(plan)
    if path.exists() and _read(path) != plan.configuration:
        raise JobError(
            f"{path} holds another configuration already. Delete it if you mean to choose again "
            "(its history tells), or freeze into another file with `frozen`."
        )
    if not path.exists():
        record = {
            "format": FORMAT.number,
            "configuration": plan.configuration,
            "study": plan.path.name,
            "version": __version__,
            "trainings": sorted({cell.label.split(" fold ")[0] for cell in plan.cells}),
        }
        try:
            write_text(path, json.dumps(record, indent=1) + "\n")
        except OSError as error:
            raise JobError(f"Cannot write {path}: {error.strerror or error}.") from error
    return path


def check_frozen(plan: Plan) -> None:
    """Stop a study of a test split whose configuration is not the frozen one.

    Raises:
        JobError: If it is another one, or nothing is frozen where the spec says.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import check_frozen, make_plan
        >>> check_frozen(make_plan(Path("tiny.toml")))  # its split is val: nothing to check
    """
    if plan.spec.split != "test" or plan.spec.frozen is None:
        return
    path = frozen_file(plan)
    if not path.exists():
        raise JobError(
            f"{plan.path} asks for the frozen configuration in {path}, but there is none. Freeze "
            f"it first: `qvit study {plan.path} --freeze`, and commit the file."
        )
    frozen = _read(path)
    if frozen != plan.configuration:
        raise JobError(
            f"{plan.path} is not the configuration that was frozen in {path}: its hash is "
            f"{plan.configuration[:12]}…, the frozen one {frozen[:12]}…. Restore the spec, or "
            'choose on the validation split first (split = "val").'
        )


def _read(path: Path) -> str:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        FORMAT.check(record.get("format"), path)
        return str(record["configuration"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise JobError(
            f"{path} is not what `qvit study --freeze` wrote ({type(error).__name__}). Restore it."
        ) from error
