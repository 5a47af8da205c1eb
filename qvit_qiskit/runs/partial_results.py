"""What a run has measured that was cancelled or cut off."""

from __future__ import annotations

from itertools import takewhile

import numpy as np

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.runs.results import Results, layer_of, results_of
from qvit_qiskit.runs.run_folder import RunFolder


def partial_results_of(folder: RunFolder) -> Results:
    """What a run has measured that is not finished: its whole quantum layers, and no logits.

    Args:
        folder: Of a run that was cancelled, cut off, or still goes on.

    Raises:
        JobError: If no quantum layer is whole, or all are, so that resuming finishes it at no cost;
            or a file is missing or not what the run wrote.
    """
    reader, run = folder.reader, folder.reader.folder
    whole = list(takewhile(lambda layer: all(s.finished for s in layer), reader.layers))
    stages, labels = [stage for layer in whole for stage in layer], folder.source().labels
    if len(whole) == len(reader.order.stage_rows):
        return results_of(folder)  # says that it is not finished
    if not stages:
        raise JobError(
            f"The run in {run} is not finished, and no quantum layer of it is whole, which could "
            f"be compared. Go on with `qvit resume {run} --wait`."
        )
    return Results(
        device=str(reader.device),
        layers=[layer_of(layer, len(labels)) for layer in whole],
        controls=[stage.controls for stage in stages],
        anchors=[stage.anchors for stage in stages],
        logits=np.zeros((0, 0)),
        labels=labels,
    )
