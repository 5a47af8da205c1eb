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
    loops: bool = False
    """Compiled loops over gates, where numba is installed."""
    batch: int | None = 64
    """Validation images per forward pass; none for what `predict` takes by itself."""

    @classmethod
    def now(cls) -> Arithmetic:
        """What a training that begins now computes with."""
        return cls(fused=True, loops=availability.available(), batch=None)

    @classmethod
    def restored(cls, settings: dict[str, Any], folder: Path) -> Arithmetic:
        """What a training began with; those of earlier versions say nothing.

        Args:
            settings: What its folder says.
            folder: The training folder, for the warning.
        """
        record = settings.get("arithmetic", {})
        known = cls(bool(record.get("fused")), bool(record.get("loops")), record.get("batch", 64))
        if known.loops and not availability.available():
            warnings.warn(
                f"{folder} was begun with compiled loops (numba), which are not installed here: it "
                "goes on without, and its numbers will differ in their last digits from those of "
                "an uninterrupted training. For the same, pip install qvit-qiskit[fast].",
                stacklevel=2,
            )
        return known

    def record(self) -> dict[str, dict[str, bool | int | None]]:
        """What the training folder's settings say of it."""
        return {"arithmetic": asdict(self)}
