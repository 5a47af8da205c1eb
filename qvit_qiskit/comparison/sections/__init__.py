"""What a report says: sections of sentences, figures and tables."""

from __future__ import annotations

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.sections.answers import attention, calibration, confusion, roc
from qvit_qiskit.comparison.sections.base import Drawn, Section
from qvit_qiskit.comparison.sections.caveats import reading
from qvit_qiskit.comparison.sections.images import images
from qvit_qiskit.comparison.sections.ladder import ladder
from qvit_qiskit.comparison.sections.layers import attribution, bias, drift, outputs, parts
from qvit_qiskit.comparison.sections.repeated_rows import corrections

__all__ = ["Drawn", "Section", "sections"]

ORDER = (
    images,
    ladder,
    attribution,
    parts,
    outputs,
    corrections,
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
    return [section for make in ORDER if (section := make(comparison)) is not None]
