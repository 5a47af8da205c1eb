"""An evaluation's answers image by image, for spreadsheets and other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.runs.evaluation import Evaluation

if TYPE_CHECKING:
    import pandas as pd


def prediction_frame(
    evaluation: Evaluation, class_names: Sequence[str], images: np.ndarray | None = None
) -> pd.DataFrame:
    """One line for each image: what it is, what the model answers, and its probabilities.

    Args:
        evaluation: The evaluation of n images.
        class_names: Of the classes or labels.
        images: The number of each image in its split, shape (n,); by default 0, 1, …

    Returns:
        Columns `image`, `class`, `answer` and `probability of NAME` for each class; with several
        labels `image`, and for each `NAME`, `answer NAME` and `probability of NAME`.
    """
    import pandas as pd

    several = evaluation.labels.ndim == 2
    chances = metrics.probabilities(evaluation.logits, multi_label=several)
    columns: dict[str, object] = {
        "image": np.arange(len(chances)) if images is None else np.asarray(images)
    }
    if not several:
        columns["class"] = [class_names[k] for k in evaluation.labels]
        columns["answer"] = [class_names[k] for k in evaluation.predicted]
    for k, name in enumerate(class_names):
        if several:
            columns[name] = evaluation.labels[:, k]
            columns[f"answer {name}"] = evaluation.predicted[:, k]
        columns[f"probability of {name}"] = chances[:, k]
    return pd.DataFrame(columns)
