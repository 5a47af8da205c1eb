"""Which engine a circuit gets."""

import pytest

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.execution import registry


@pytest.mark.parametrize(
    ("family", "qubits", "layers", "fragment"),
    [
        ("ry-ring", 4, 2, "1 shared unitary matrix from Aer per step, real"),
        ("rx-rz-ring", 4, 2, "1 shared unitary matrix from Aer per step, complex"),
        (
            "reupload-ring",
            4,
            2,
            "2 shared unitary matrices from Aer per step, 1 re-encodings, real",
        ),
        ("ry-ring", 6, 2, "batched state in torch, 2 fused layers, real"),
        ("ry-ring", 6, 4, "1 shared unitary matrix"),
        ("ry-ring", 8, 4, "batched state in torch, 4 fused layers"),
    ],
)
def test_engine(family: str, qubits: int, layers: int, fragment: str) -> None:
    line = registry.open("aer-exact").describe(build_circuit(family, qubits, layers))
    assert fragment in line
