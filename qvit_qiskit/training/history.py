"""One record per epoch, in memory, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from qvit_qiskit.files import finite, write_text

HISTORY = "history"
PhaseName = Literal["pretrain", "train"]


@dataclass(frozen=True)
class Epoch:
    """One line of the history."""

    epoch: int
    """The epoch's number, from 1 and over all phases."""
    loss: float
    """What was minimised: its mean over the training images."""
    val_auc: float
    """AUC of the validation images; nan where it is not defined."""
    val_acc: float
    """Their ACC."""
    learning_rate: float
    """At the epoch's last step."""
    seconds: float
    """Wall time, validation included."""
    phase: PhaseName = "train"
    """``"pretrain"`` while the teacher teaches alone."""
    cross_entropy: float | None = None
    """Mean cross-entropy against the labels, whatever its weight in the loss."""
    distillation: float | None = None
    """Mean distillation term before its weight; none where no teacher was asked."""

    @property
    def merit(self) -> tuple[bool, float, float]:
        """What makes an epoch the best: validation AUC, then ACC, on the labels' data set.

        An undefined AUC comes last, and an epoch of pre-training before all others.
        """
        auc = -math.inf if math.isnan(self.val_auc) else self.val_auc
        return self.phase == "train", auc, self.val_acc

    @classmethod
    def read(cls, record: dict[str, Any]) -> Epoch:
        """Read an epoch back from its dictionary; older ones do not tell the terms of the loss."""
        return cls(**({"cross_entropy": record["loss"]} | record))


def write_history(folder: Path, history: Sequence[Epoch]) -> None:
    """Write ``history.json`` and ``history.csv``; what is not defined is null or empty.

    Args:
        folder: The training's folder.
        history: Its finished epochs.
    """
    rows = finite([asdict(record) for record in history])
    write_text(folder / f"{HISTORY}.json", json.dumps(rows, indent=1))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Epoch.__dataclass_fields__))
    writer.writeheader()
    writer.writerows(asdict(record) for record in history)
    write_text(folder / f"{HISTORY}.csv", text.getvalue())
