"""Evaluation of trained models."""

from qvit_qiskit.runs.evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
