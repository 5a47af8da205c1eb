"""Circuits of the user's own in configurations: Python objects, QPY in files, digests in keys."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, SerializationInfo

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.circuit_record import circuit_digest, pack_circuit, unpack_circuit
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.spec import FOR_KEYS


def _read(value: Any) -> str | QNNCircuit:
    """A family's name, a circuit, or what `_written` made of one.

    Raises:
        ValueError: If it is something else, or a damaged circuit.
    """
    if isinstance(value, str | QNNCircuit):
        return value
    if not isinstance(value, dict):
        raise ValueError(
            f"expected the name of a circuit family or a QNNCircuit, got a {type(value).__name__}; "
            "QNNCircuit(circuit, inputs, weights, observables) says which parameters are which"
        )
    try:
        return unpack_circuit(value)
    except CircuitError as error:
        raise ValueError(str(error).rstrip(".")) from error


def _written(value: str | QNNCircuit, info: SerializationInfo) -> str | dict[str, Any]:
    """A name as it is; a circuit as files hold it, or for keys its digest.

    Raises:
        ValueError: If a file cannot hold it.
    """
    if isinstance(value, str):
        return value
    if info.context == FOR_KEYS:
        return {"digest": circuit_digest(value)}
    return pack_circuit(value)


CircuitOption = Annotated[
    str | QNNCircuit, PlainValidator(_read), PlainSerializer(_written, when_used="always")
]
"""The name of a family, or a circuit."""
