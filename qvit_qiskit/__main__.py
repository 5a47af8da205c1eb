"""``python -m qvit_qiskit`` is ``qvit``."""

from qvit_qiskit.cli import main

main()
