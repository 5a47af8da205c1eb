"""Results as tables and pictures."""

from qvit_qiskit.analysis.comparing import compare
from qvit_qiskit.analysis.comparison import Comparison

__all__ = ["Comparison", "compare"]
