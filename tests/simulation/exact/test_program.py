"""Which engine a circuit gets."""

import pytest

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.execution import registry

pytestmark = pytest.mark.usefixtures("stages")


@pytest.mark.parametrize(
    ("family", "qubits", "layers", "fragment"),
    [
        ("ry-ring", 4, 2, "batched state in torch, 1 fused layer, real"),
        ("ry-ring", 4, 3, "1 shared unitary matrix from Aer per step, real"),
        ("rx-rz-ring", 4, 3, "1 shared unitary matrix from Aer per step, complex"),
        ("reupload-ring", 4, 3, "batched state in torch, 0 fused layers, 2 re-encodings, real"),
        ("ry-ring", 6, 2, "batched state in torch, 1 fused layer, real"),
        ("ry-ring", 6, 4, "1 shared unitary matrix"),
        ("ry-ring", 8, 4, "batched state in torch, 3 fused layers"),
        ("ry-ring", 16, 1, "16 Pauli strings, light cones of up to 16 qubits"),
        ("ry-ring", 16, 2, "batched state in torch, 1 fused layer"),
    ],
)
def test_engine(family: str, qubits: int, layers: int, fragment: str) -> None:
    line = registry.open("aer-exact").describe(build_circuit(family, qubits, layers))
    assert fragment in line
