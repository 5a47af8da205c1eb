"""What was compared, in words: from what a run or a checkpoint says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.comparison.run_record import RunRecord
from qvit_qiskit.data import facts as set_facts
from qvit_qiskit.data import medmnist
from qvit_qiskit.data.own_images import is_known
from qvit_qiskit.data.phantom import CLASS_NAMES, NAME
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution.recorded_noise import predicted_controls
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.models import ViT
from qvit_qiskit.runs.planning.chosen_plan import RunPlan
from qvit_qiskit.runs.run_folder import Source, weights_digest
from qvit_qiskit.training.checkpoint import Checkpoint, load_checkpoint, versions
from qvit_qiskit.zoo.names import BEST, FOLDER, checkpoint_file, names_model

CHECKED = "checkpoint"
"""The fact that names a checkpoint."""


def name_of_checkpoint(path: Path) -> str:
    """A checkpoint's name: that of its training folder where the file is called as all are.

    A trained model of the package is called as its file, which has its seed.
    """
    path = checkpoint_file(path) if names_model(path) else path
    if path.parent == FOLDER:
        return path.stem
    folder = path.resolve()
    folder = folder if path.is_dir() else folder.parent
    plain = path.is_dir() or path.name == BEST
    return (folder.name if plain else "") or path.name


def class_names(source: Source, classes: int) -> tuple[str, ...]:
    """Names of the classes, where the data set is known and fits; else numbers.

    Args:
        source: The images, with what is known of them.
        classes: How many classes the model has.
    """
    own = source.facts.get("class_names", ())
    if len(own) == classes:
        return tuple(map(str, own))
    name = str(source.facts.get("dataset", "")).lower()
    known: tuple[str, ...] = ()
    if is_known(name) and set_facts(name).classes == classes:
        known = CLASS_NAMES if name == NAME else medmnist.find(name).class_names
    return known or tuple(f"class {k}" for k in range(classes))


def split_images(source: Source) -> int | None:
    """How many images the whole split has that a part was taken from; None where nobody knows."""
    name, split = (str(source.facts.get(key, "")).lower() for key in ("dataset", "split"))
    return set_facts(name).sizes.get(split) if is_known(name) else None


def about_data(source: Source) -> str:
    """The data set, split and subset."""
    facts = source.facts
    name = str(facts.get("dataset", "images of one's own"))
    parts = [f"{name} (synthetic)" if name.lower() == NAME else name]
    if facts.get("split"):
        parts.append(f"{facts['split']} split")
    if facts.get("subset"):
        parts.append(f"stratified subset, seed {facts.get('subset_seed', 0)}")
    return ", ".join([*parts, f"{len(source.labels)} images"])


def about_model(model: nn.Module) -> str:
    """The model's shape and size."""
    count = f"{sum(p.numel() for p in model.parameters()):,} parameters"
    if not isinstance(model, ViT):
        return f"{type(model).__name__}, {count}"
    c = model.config
    circuit = f"{c.circuit_name} with {_count(c.circuit_layers, 'layer')}"
    if isinstance(c.circuit, QNNCircuit) and not c.circuit.layers:
        circuit = f"{c.circuit_name} circuit of {_count(c.circuit.num_qubits, 'qubit')}"
    size = "feature" if isinstance(c.circuit, QNNCircuit) else "qubit"
    return (
        f"{c.name}, {_count(c.depth, 'block')} of width {c.width}, {_count(c.heads, 'head')} of "
        f"{_count(c.head_width, size)}, {circuit}, {count}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def common_facts(model: nn.Module, source: Source) -> dict[str, str]:
    """What the page says of the data and of the model.

    Args:
        model: The model that is compared.
        source: The images, with what is known of them.
    """
    facts = {"data": about_data(source)}
    if source.facts.get("md5"):
        facts["data MD5"] = str(source.facts["md5"])
    facts["model"] = about_model(model)
    facts["weights"] = f"SHA-256 {weights_digest(model)[:16]}"
    return facts


def trained_as(checkpoint: Checkpoint) -> dict[str, str]:
    """How a checkpoint came about, if it says so."""
    provenance = checkpoint.provenance
    known = [f"{key} {provenance[key]}" for key in ("seed", "epoch") if key in provenance]
    return {"training": ", ".join(known)} if known else {}


def run_facts(runs: Sequence[RunRecord], labels: Sequence[str]) -> dict[str, str]:
    """Where and how the runs ran, and with what.

    Args:
        runs: Finished runs.
        labels: What each is called in the comparison.
    """
    facts: dict[str, str] = {}
    first = runs[0]
    checkpoint = first.folder.reader.checkpoint
    if checkpoint is not None:
        facts |= trained_as(load_checkpoint(checkpoint))
    for run, label in zip(runs, labels, strict=True):
        times = [time for where in run.executions for time in where.times]
        seconds, basis = run.cost()
        facts[label] = (
            f"run {run.identity}, begun {run.begun[:19].replace('T', ' ')} UTC; "
            f"{run.profile_name} on {run.results.device}, {run.shots_in_words} at resilience "
            f"level {run.folder.terms.profile.resilience_level}, {_count(len(times), 'job')} from "
            f"{_minute(min(times))} to {_minute(max(times))} UTC, {seconds:,.1f} QPU seconds "
            f"({basis}){_schedule(run)}{f'; {run.partial}' if run.partial else ''}"
        )
        facts |= _predicted_loss(run, label) | _controls(run, label)
    versions = first.folder.order.versions
    facts["versions of the run"] = _listed(versions)
    return facts | {"versions of the comparison": _listed(_here())}


def _predicted_loss(run: RunRecord, label: str) -> dict[str, str]:
    """What a run's plan predicted that it would lose; nothing where none was made."""
    if run.folder.order.plan is None:
        return {}
    told = RunPlan.from_record(run.folder.order.plan).facts()
    return {f"{label}, {name}": text for name, text in told.items()}


def _controls(run: RunRecord, label: str) -> dict[str, str]:
    """What the neighbours of packed rows do, and what of it reported errors predict.

    A simulator knows no crosstalk: it predicts what the places on the chip differ by.
    """
    facts = {}
    for layer, stage in enumerate(run.stages, start=1):
        predicted = _predicted(stage)
        for circuit, control in enumerate(stage.controls):
            size, error = control.difference()
            where = f"layer {layer}" + (f", circuit {circuit + 1}" if stage.controls[1:] else "")
            text = f"RMS difference of outputs {size:.3f} ± {error:.3f} beyond shot noise"
            if predicted:
                text += f", {predicted[circuit]:.3f} by reported errors"
            facts[f"{label}, packed against alone, {where}"] = f"{text}; {len(control.alone)} rows"
    return facts


def _predicted(stage: StoredStage) -> list[float]:
    """RMS differences of rows that ran packed and alone; none where the device reported nothing."""
    try:
        pairs = predicted_controls(stage)
    except RouteError:
        return []
    return [float(np.sqrt(np.mean((packed - alone) ** 2))) for packed, alone in pairs]


def _schedule(run: RunRecord) -> str:
    """How long circuits took by the service's own schedule, where it said so."""
    known = [stage.circuit_seconds for stage in run.stages]
    pairs = [pair for pair in known if pair is not None]
    if not pairs:
        return ""
    actual, expected = (1e6 * max(each) for each in zip(*pairs, strict=True))
    text = f"; the longest circuit took {actual:.2f} µs by the service's schedule"
    if len(run.folder.terms.mitigation.factors) > 1:  # folded gates take longer
        return text
    return f"{text}, {expected:.2f} µs by the reported lengths"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _here() -> dict[str, str]:
    """Versions of what compares; without the interpreter's and the checkout's."""
    return {name: v for name, v in versions().items() if name not in ("python", "git")}


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if name != "git")


def checkpoint_facts(checkpoint: Checkpoint | None) -> dict[str, str]:
    """What a checkpoint says of itself, if there is one, and the versions at hand."""
    facts = {}
    if checkpoint is not None:
        facts = {CHECKED: name_of_checkpoint(checkpoint.path), **trained_as(checkpoint)}
    return facts | {"versions of the comparison": _listed(_here())}
