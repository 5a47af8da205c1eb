"""What a QNN is: families, roles of parameters, rows, and circuits reduced to a few operations."""

from qvit_qiskit.circuits.families import (
    FAMILIES,
    QNNCircuit,
    build_circuit,
    cnot_ring,
    pauli_terms,
    reupload_ring,
    rx_rz_ring,
    ry_chain,
    ry_ring,
    z_observables,
)

__all__ = [
    "FAMILIES",
    "QNNCircuit",
    "build_circuit",
    "cnot_ring",
    "pauli_terms",
    "reupload_ring",
    "rx_rz_ring",
    "ry_chain",
    "ry_ring",
    "z_observables",
]
