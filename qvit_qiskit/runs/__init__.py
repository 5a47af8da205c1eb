"""Evaluation of trained models."""

from qvit_qiskit.runs.evaluate import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
