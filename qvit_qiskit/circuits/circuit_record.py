"""Circuits with their roles as text, for files: QPY, names of parameters, Pauli strings."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qiskit import qpy
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qvit_qiskit.circuits.content import Content
from qvit_qiskit.circuits.families import QNNCircuit, pauli_terms
from qvit_qiskit.exceptions import CircuitError

OLDEST = 13
"""Earlier versions hold expressions as text that is evaluated, or as another library's bytes."""
_MAGIC = b"QISKIT"


def pack_circuit(circuit: QNNCircuit) -> dict[str, Any]:
    """A circuit as JSON holds it; `unpack_circuit` reads it. Its name and metadata stay behind.

    Raises:
        CircuitError: If QPY cannot hold it, or two of its parameters have one name.
    """
    raw, plain = io.BytesIO(), circuit.circuit.copy(name="circuit")
    plain.metadata = {}
    try:
        qpy.dump(plain, raw, version=OLDEST)
    except Exception as error:  # QPY raises many kinds for gates that it does not know
        raise CircuitError(
            f"Expected a circuit that QPY can hold, but it refused one: {error}. Build it of "
            "library gates, or of gates with a definition."
        ) from error
    return {
        "qpy": base64.b64encode(raw.getvalue()).decode("ascii"),
        "inputs": [parameter.name for parameter in circuit.inputs],
        "weights": [parameter.name for parameter in circuit.weights],
        "observables": [
            [[string, complex(value).real] for string, value in pauli_terms(one).items()]
            for one in circuit.observables
        ],
        "family": circuit.family,
        "layers": circuit.layers,
    }


def unpack_circuit(packed: Mapping[str, Any]) -> QNNCircuit:
    """A circuit from what `pack_circuit` made; no code that the file names is run.

    Args:
        packed: What a file holds; it need not be to be trusted.

    Raises:
        CircuitError: If it is damaged, or of a version of QPY that could hold foreign payloads.
    """
    try:
        raw = base64.b64decode(packed["qpy"], validate=True)
        version = raw[6] if raw[:6] == _MAGIC else None
        if version is None or not OLDEST <= version <= qpy.common.QPY_VERSION:
            raise CircuitError(
                f"Expected QPY of a version from {OLDEST} to {qpy.common.QPY_VERSION}, but got "
                f"{version}: earlier ones can hold foreign payloads, later ones need a newer qiskit"
            )
        (circuit,) = qpy.load(io.BytesIO(raw))
        named = {parameter.name: parameter for parameter in circuit.parameters}
        return QNNCircuit(
            circuit,
            tuple(named[name] for name in packed["inputs"]),
            tuple(named[name] for name in packed["weights"]),
            tuple(SparsePauliOp.from_list(terms) for terms in packed["observables"]),
            str(packed["family"]),
            int(packed["layers"]),
        )
    except CircuitError:
        raise
    except (KeyError, binascii.Error) as error:
        raise CircuitError(f"A stored circuit is incomplete ({error!r})") from error
    except Exception as error:  # QPY raises many kinds for damaged bytes
        raise CircuitError(f"A stored circuit is damaged ({type(error).__name__})") from error


def circuit_digest(circuit: QNNCircuit) -> str:
    """SHA-256 of what a circuit computes, as it is written: its gates, observables and roles.

    Two processes that build a circuit in the same way get the same digest, and so does whoever
    reads it from a file. Gates that are made of others count as those; names do not count.
    """
    ingredients = [
        circuit.num_inputs,
        circuit.num_weights,
        circuit.num_qubits,
        list(_gates(circuit.canonical, range(circuit.num_qubits))),
        [sorted((k, v.real) for k, v in one.items()) for one in circuit.pauli_terms],
    ]
    return hashlib.sha256(json.dumps(ingredients).encode()).hexdigest()


def _gates(circuit: QuantumCircuit, wires: Sequence[int]) -> Iterator[list[Any]]:
    """Every instruction by name, qubits and parameters; a composed one as what it is made of."""
    for item in circuit.data:
        places = [wires[circuit.find_bit(qubit).index] for qubit in item.qubits]
        made_of = None if item.is_standard_gate() else item.operation.definition
        if made_of is None:
            values = [np.asarray(p).tolist() if isinstance(p, np.ndarray) else p
                      for p in item.params]  # fmt: skip
            yield [item.name, places, [str(value) for value in values]]
        else:
            yield from _gates(made_of, places)


def same_circuit(one: QNNCircuit, other: QNNCircuit) -> bool:
    """Whether two circuits compute the same from the same rows and weights, gate by gate.

    Args:
        one: A circuit.
        other: Another one; names of parameters make no difference.
    """
    if (one.num_inputs, one.num_weights) != (other.num_inputs, other.num_weights):
        return False
    old = [*other.inputs, *other.weights]
    new = [*one.inputs, *one.weights]
    renamed = other.circuit.assign_parameters(dict(zip(old, new, strict=True)))
    if one.pauli_terms == other.pauli_terms and Content(one.circuit).matches(renamed):
        return True
    # A gate of the user's own comes back from a file as what it is made of.
    return circuit_digest(one) == circuit_digest(other)
