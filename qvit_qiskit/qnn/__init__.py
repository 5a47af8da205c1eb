"""Parameterised circuits as torch layers."""

from qvit_qiskit.qnn.connector import QNNConnector
from qvit_qiskit.qnn.conversion import convert
from qvit_qiskit.qnn.linear import QuantumLinear
from qvit_qiskit.qnn.network import BroadcastEstimatorQNN
from qvit_qiskit.qnn.projections import QuantumProjections

__all__ = [
    "BroadcastEstimatorQNN",
    "QNNConnector",
    "QuantumLinear",
    "QuantumProjections",
    "convert",
]
