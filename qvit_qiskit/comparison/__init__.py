"""Results as tables and pictures."""

from qvit_qiskit.comparison.assembly import compare
from qvit_qiskit.comparison.comparison import Comparison

__all__ = ["Comparison", "compare"]
