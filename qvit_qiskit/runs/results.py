"""A finished run read back from its folder: no network, no model, no data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.hardware.shot_shares import answers_of
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.hardware.values.repeats import Anchors, Control
from qvit_qiskit.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Results:
    """A finished run.

    Example:
        >>> from qvit_qiskit.runs import read_results
        >>> results = read_results("runs/mine")  # a finished run
        >>> results.logits.shape, len(results.layers)  # (n, classes), quantum layers
        ((4, 2), 2)
    """

    device: str
    """On which it ran."""
    layers: list[list[Outputs]]
    """For each quantum layer one for each projection: Q, K and V of head 0, of head 1, …"""
    controls: list[list[Control]]
    """For each quantum layer one for each circuit whose rows ran alone as well."""
    anchors: list[list[Anchors]]
    """For each quantum layer one for each circuit whose rows were repeated in every job."""
    logits: np.ndarray
    """What the model gave for each image, shape (n, classes); (0, 0) where the run is not
    finished."""
    labels: np.ndarray
    """The images' classes, shape (n,), or 0 and 1 of several labels, shape (n, labels)."""

    @property
    def scores(self) -> metrics.Scores:
        """AUC and ACC.

        Raises:
            DataError: If the run is not finished, so that there are no logits.
        """
        return metrics.score(self.labels, self.logits)


def read_results(run: Path | str) -> Results:
    """Read a finished run.

    Args:
        run: Its folder.

    Returns:
        Logits (n, classes), labels (n,), and what each quantum layer measured, with
        covariances.

    Raises:
        JobError: If it is not finished, or a file is missing or not what the run wrote.

    Example:
        >>> from qvit_qiskit.runs import read_results
        >>> read_results("runs/mine").labels.shape  # a finished run
        (4,)
    """
    return results_of(RunFolder.open(Path(run)))


def results_of(folder: RunFolder) -> Results:
    """The results of a run that is open.

    Args:
        folder: Of a finished run.

    Raises:
        JobError: If it is not finished, or a file is missing or not what the run wrote.
    """
    reader = folder.reader
    predictions = reader.predictions()
    stages = reader.stages
    return Results(
        device=str(reader.device),
        layers=[layer_of(layer, len(predictions["labels"])) for layer in reader.layers],
        controls=[stage.controls for stage in stages],
        anchors=[stage.anchors for stage in stages],
        logits=predictions["logits"],
        labels=predictions["labels"],
    )


def layer_of(stages: Sequence[StoredStage], count: int) -> list[Outputs]:
    """What the projections of a quantum layer measured, all its shares of shots pooled.

    Args:
        stages: All stages of the layer, finished.
        count: How many images the run has.

    Returns:
        One for each projection; the copies are those of the first share.
    """
    first = stages[0]
    return [
        Outputs(parameters, means, covariances, copies)
        for parameters, (means, covariances), copies in zip(
            first.asked, answers_of(stages, count), first.copies, strict=True
        )
    ]
