"""What is written down of a trained cell: its cost, its history, and its evaluations."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from qvit_qiskit.data import MedImages
from qvit_qiskit.exceptions import CircuitError, JobError, RouteError
from qvit_qiskit.files import finite
from qvit_qiskit.models import Classifier, ViTConfig
from qvit_qiskit.runs import evaluate, plan
from qvit_qiskit.study.cells import Cell
from qvit_qiskit.study.folder import FORMAT, StudyFolder
from qvit_qiskit.study.planned_devices import PlannedDevice, check_same
from qvit_qiskit.study.profiles import Profile, same_profile
from qvit_qiskit.study.results.flops import simulation_flops
from qvit_qiskit.study.running.tasks import CellTask
from qvit_qiskit.training import FitResult
from qvit_qiskit.training.checkpoint import versions


def facts_of(cell: Cell, trained: FitResult) -> dict[str, Any]:
    """What is known of a trained cell before it is evaluated.

    Args:
        cell: The cell.
        trained: Its finished training.

    Returns:
        The cell's result without evaluations, as JSON.
    """
    history, cost = trained.history, trained.model.cost()
    flops = 0
    if cost.circuit_rows:
        config: ViTConfig = cell.config
        flops = cost.circuit_rows * simulation_flops(config.qnn_circuit)
    return {
        "format": FORMAT.number,
        "key": cell.key,
        "label": cell.label,
        "recipe": cell.recipe(),
        "history": {
            "epochs": len(history),
            "best": finite(asdict(trained.best)),
            "last": finite(asdict(history[-1])),
            "seconds": sum(record.seconds for record in history),
        },
        "cost": {
            "parameters": cost.parameters,
            "quantum_parameters": cost.quantum_parameters,
            "classical_flops": cost.classical_flops,
            "simulation_flops": flops,
            "circuits": cost.circuit_rows,
        },
        "versions": versions(),
        "evaluations": [],
    }


def judge(
    task: CellTask, folder: StudyFolder, model: Classifier, data: MedImages, profile: Profile
) -> dict[str, Any]:
    """Evaluate a cell's model on one profile and keep its logits.

    A look at test images is written down before it is taken.

    Args:
        task: The cell, and where this machine keeps what it names.
        folder: The study's folder.
        model: The trained model.
        data: The cell's data set, cut into its folds.
        profile: What to evaluate on.

    Returns:
        The evaluation's scores and the name of its file, as JSON.
    """
    cell = task.cell
    route = same_profile(profile, task.places.backends_dir)
    git = versions().get("git")
    if cell.split == "test":
        folder.note_test(
            cell=cell.key, label=cell.label, profile=profile.name, git=git,
            configuration=task.configuration,
        )  # fmt: skip
    evaluation = evaluate(model, data.split(cell.split), route)
    name = f"logits-{Path(profile.name).stem}-{profile.digest[:8]}.npz"
    folder.write_answers(cell.key, name, evaluation.labels, evaluation.logits)
    return {
        "profile": profile.name,
        "routed": evaluation.routed,
        "digest": profile.digest,
        "shots": profile.shots,
        "split": cell.split,
        "images": evaluation.scores.n,
        "auc": finite(evaluation.scores.auc),
        "acc": evaluation.scores.acc,
        "seconds": evaluation.seconds,
        "logits": name,
        "git": git,
    }


def plan_on(
    task: CellTask, model: Classifier, data: MedImages, device: PlannedDevice
) -> dict[str, Any]:
    """What evaluating a cell's model on a device costs and loses; see `qvit_qiskit.plan`.

    The images of the split that the cell is judged on are used, never their labels.

    Args:
        task: The cell, and where this machine keeps what it names.
        model: The trained model.
        data: The cell's data set, cut into its folds.
        device: The profile, and what is asked.

    Returns:
        The plan as JSON, or why nothing meets what is asked.
    """
    check_same(device, task.places.backends_dir)
    asked, split = device.spec, data.split(task.cell.split)
    entry: dict[str, Any] = {
        "profile": device.name, "digest": device.digest, "device": device.device,
        "split": task.cell.split, "images": len(split.labels),
        "request": asdict(asked.accuracy()), "git": versions().get("git"),
    }  # fmt: skip
    try:
        chosen = plan(
            model, split, device.name, tolerance=asked.tolerance, agreement=asked.agreement,
            settings=asked.settings, backends_dir=task.places.backends_dir, seed=task.cell.seed,
        )  # fmt: skip
    except (CircuitError, JobError, RouteError) as error:  # an answer, too
        return entry | {"refused": str(error)}
    return entry | {"choice": finite(asdict(chosen.choice))}
