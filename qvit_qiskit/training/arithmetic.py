"""Which of several ways to the same numbers a training takes: they round differently."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qvit_qiskit.simulation.kernel import availability


@dataclass(frozen=True)
class Arithmetic:
    """What a training computes with from its first to its last epoch, so that its bits repeat."""

    fused: bool = False
    """The optimiser's step for all weights at once."""
    loops: int = 0
    """Compiled loops over gates, where numba is installed: their version, or 0 for none."""
    batch: int | None = 64
    """Validation images per forward pass; none for what `predict` takes by itself."""

    @classmethod
    def now(cls) -> Arithmetic:
        """What a training that begins now computes with."""
        loops = availability.VERSION if availability.available() else 0
        return cls(fused=True, loops=loops, batch=None)

    @classmethod
    def restored(cls, settings: dict[str, Any], folder: Path) -> Arithmetic:
        """What a training began with; those of earlier versions say nothing.

        Args:
            settings: What its folder says.
            folder: The training folder, for the warning.
        """
        record = settings.get("arithmetic", {})
        # the first loops were told as true
        loops = int(record.get("loops") or 0)
        known = cls(bool(record.get("fused")), loops, record.get("batch", 64))
        if loops and not availability.available():
            what, remedy = "which are not installed here: it goes on without", _REMEDY
        else:
            what, remedy = "of another version: it goes on with those of today", ""
        if loops not in (0, availability.VERSION) or remedy:
            warnings.warn(
                f"{folder} was begun with compiled loops (numba) {what}, and its numbers will "
                f"differ in their last digits from those of an uninterrupted training.{remedy}",
                stacklevel=2,
            )
        return known

    def record(self) -> dict[str, dict[str, bool | int | None]]:
        """What the training folder's settings say of it."""
        return {"arithmetic": asdict(self)}


_REMEDY = " For the same, pip install qvit-qiskit[fast]."
