"""A finished run read back from its folder: no network, no model, no data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.journal import unpack_arrays
from qvit_qiskit.hardware.outputs import Outputs
from qvit_qiskit.hardware.repeats import Anchors, Control
from qvit_qiskit.hardware.run import HardwareRun
from qvit_qiskit.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Results:
    """A finished run."""

    device: str
    layers: list[list[Outputs]]
    """For each quantum layer one for each projection: Q, K and V of head 0, of head 1, …"""
    controls: list[list[Control]]
    """For each quantum layer one for each circuit whose rows ran alone as well."""
    anchors: list[list[Anchors]]
    """For each quantum layer one for each circuit whose rows were repeated in every job."""
    logits: np.ndarray  # shape: (n, classes)
    labels: np.ndarray  # shape: (n,)

    @property
    def scores(self) -> metrics.Scores:
        """AUC and ACC."""
        return metrics.score(self.labels, self.logits)


def read_results(run: Path | str) -> Results:
    """Read a finished run.

    Args:
        run: Its folder.

    Raises:
        JobError: If it is not finished, or a file is missing or not what the run wrote.
    """
    return results_of(RunFolder.open(Path(run)))


def results_of(folder: RunFolder) -> Results:
    """The results of a run that is open.

    Args:
        folder: Of a finished run.

    Raises:
        JobError: If it is not finished, or a file is missing or not what the run wrote.
    """
    journal, run = folder.journal, folder.journal.folder
    done = journal.of("done")
    if not done:
        raise JobError(f"The run in {run} is not finished. Go on with `qvit resume {run} --wait`.")
    hardware = folder.hardware
    predictions = unpack_arrays(journal.load("predictions.npz", done[-1]["predictions"]))
    layers = range(hardware.stages)
    return Results(
        device=str(journal.of("compiled")[-1]["device"]),
        layers=[_layer(hardware, number) for number in layers],
        controls=[hardware.controls(number) for number in layers],
        anchors=[hardware.anchors(number) for number in layers],
        logits=predictions["logits"],
        labels=predictions["labels"],
    )


def _layer(run: HardwareRun, number: int) -> list[Outputs]:
    return [
        Outputs(parameters, means, covariances, copies)
        for parameters, (means, covariances), copies in zip(
            run.asked(number), run.answers(number), run.copies(number), strict=True
        )
    ]
