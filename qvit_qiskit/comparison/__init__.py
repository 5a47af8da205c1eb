"""Results as tables and pictures."""

from qvit_qiskit.comparison.assembly import compare
from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.export import save_figures

__all__ = ["Comparison", "compare", "save_figures"]
