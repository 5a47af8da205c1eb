"""What a QNN is: families, roles of parameters, rows, and circuits reduced to a few operations."""

from qvit_qiskit.circuits.families import (
    FAMILIES,
    LOCAL_FAMILIES,
    QNNCircuit,
    build_circuit,
    cnot_ring,
    cz_ring,
    lattice_circuit,
    pauli_terms,
    register_family,
    reupload_ring,
    rx_rz_ring,
    ry_chain,
    ry_ring,
    z_observables,
)
from qvit_qiskit.circuits.lattice import Patch

__all__ = [
    "FAMILIES",
    "LOCAL_FAMILIES",
    "Patch",
    "QNNCircuit",
    "build_circuit",
    "cnot_ring",
    "cz_ring",
    "lattice_circuit",
    "pauli_terms",
    "register_family",
    "reupload_ring",
    "rx_rz_ring",
    "ry_chain",
    "ry_ring",
    "z_observables",
]
