"""What a report says: sections of sentences, figures and tables."""

from __future__ import annotations

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.sections.answers import attention, calibration, confusion, roc
from qvit_qiskit.comparison.sections.base import Contents, Drawn, Section
from qvit_qiskit.comparison.sections.ladder import ladder
from qvit_qiskit.comparison.sections.layers import attribution, bias, budget, drift, outputs
from qvit_qiskit.comparison.sections.reading import reading

__all__ = ["Drawn", "Section", "sections"]

ORDER = (
    ladder,
    attribution,
    budget,
    outputs,
    bias,
    drift,
    roc,
    calibration,
    confusion,
    attention,
    reading,
)


def sections(comparison: Comparison) -> list[Section]:
    """All sections of a report; those without data are left out.

    Args:
        comparison: What is compared.
    """
    contents = Contents(comparison)
    return [found for make in ORDER if (found := make(contents)) is not None]
