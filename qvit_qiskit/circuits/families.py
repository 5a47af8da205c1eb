"""Circuit families: plain functions from (qubits, layers) to a frozen `QNNCircuit`.

Bit order is Qiskit's, everywhere in this project: qubit ``i`` is bit ``i`` of a basis state's
index (little-endian), so basis state ``s`` has ⟨Z_i⟩ = 1 − 2((s >> i) & 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qvit_qiskit.circuits.lattice import Patch, compact_patch
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.suggest import unknown


@dataclass(frozen=True, eq=False)
class QNNCircuit:
    """A parameterised circuit with its roles: what is data, what is trained, what is read out.

    Two projections that share one `QNNCircuit` object share its compilation, too.

    Example:
        >>> from qiskit.circuit import ParameterVector, QuantumCircuit
        >>> from qvit_qiskit import QNNCircuit
        >>> from qvit_qiskit.circuits import z_observables
        >>> x, w = ParameterVector("x", 2), ParameterVector("w", 1)
        >>> circuit = QuantumCircuit(2)
        >>> for qubit in range(2):
        ...     _ = circuit.ry(x[qubit], qubit)
        >>> _ = circuit.crx(w[0], 0, 1)
        >>> own = QNNCircuit(circuit, tuple(x), tuple(w), z_observables(2))
        >>> own.num_inputs, own.num_weights, own.num_outputs
        (2, 1, 2)
    """

    circuit: QuantumCircuit
    inputs: tuple[Parameter, ...]
    """One parameter per feature of a row."""
    weights: tuple[Parameter, ...]
    """The trained parameters, in the order of the weight vector."""
    observables: tuple[SparsePauliOp, ...]
    """One per output feature; by default Z on every wire, in wire order."""
    family: str = "custom"
    layers: int = 0
    """How often data and trained parts alternate; 0 for a circuit of one's own."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "circuit", deepcopy(self.circuit))  # frozen from here on
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "weights", tuple(self.weights))
        observables = tuple(SparsePauliOp(observable).copy() for observable in self.observables)
        object.__setattr__(self, "observables", observables)
        roles = [*self.inputs, *self.weights]
        if len(set(roles)) != len(roles):
            raise CircuitError("A parameter is listed twice among `inputs` and `weights`.")
        missing = set(self.circuit.parameters) - set(roles)
        extra = set(roles) - set(self.circuit.parameters)
        if missing or extra:
            raise CircuitError(
                "Expected every circuit parameter to be an input or a weight, but got "
                f"unassigned {sorted(p.name for p in missing)} and "
                f"unknown {sorted(p.name for p in extra)}."
            )
        if not self.observables:
            raise CircuitError("Expected at least one observable, but got none.")
        for observable in self.observables:
            if observable.num_qubits != self.circuit.num_qubits:
                raise CircuitError(
                    f"Expected observables on {self.circuit.num_qubits} qubits, "
                    f"but got one on {observable.num_qubits}."
                )
            if not np.isfinite(observable.coeffs).all():
                raise CircuitError(
                    f"Expected observables with finite coefficients, but got {observable}. Check "
                    "how it was made."
                )
            if not observable.simplify().coeffs.any():
                raise CircuitError(f"Expected observables that are not zero, but got {observable}.")

    def __deepcopy__(self, memo: object) -> QNNCircuit:
        return self  # frozen, and estimators know it by identity

    @property
    def num_qubits(self) -> int:
        """Number of qubits."""
        return int(self.circuit.num_qubits)

    @property
    def num_inputs(self) -> int:
        """Number of input features of a row."""
        return len(self.inputs)

    @property
    def num_weights(self) -> int:
        """Number of trained parameters."""
        return len(self.weights)

    @property
    def num_outputs(self) -> int:
        """Number of output features of a row."""
        return len(self.observables)

    @cached_property
    def pauli_terms(self) -> tuple[dict[str, complex], ...]:
        """Each observable as Pauli strings and coefficients."""
        return tuple(pauli_terms(observable) for observable in self.observables)

    @cached_property
    def canonical(self) -> QuantumCircuit:
        """The circuit with parameters renamed so that ``circuit.parameters`` is inputs, weights.

        ``EstimatorQNN`` binds values in this order. The object is shared by all networks made
        from this `QNNCircuit`, so that estimators compile it once.
        """
        new = [
            *ParameterVector("inputs", self.num_inputs),
            *ParameterVector("weights", self.num_weights),
        ]
        old = [*self.inputs, *self.weights]
        return self.circuit.assign_parameters(dict(zip(old, new, strict=True)))


def pauli_terms(observable: SparsePauliOp) -> dict[str, complex]:
    """An observable's Pauli strings (qubit 0 is the last letter) and coefficients.

    Returns:
        Coefficients by Pauli string, the first letter of which is the last qubit's.

    Example:
        >>> from qvit_qiskit.circuits import pauli_terms, z_observables
        >>> pauli_terms(z_observables(3)[0])
        {'IIZ': (1+0j)}
    """
    operator = SparsePauliOp(observable).simplify()
    return dict(zip(operator.paulis.to_labels(), operator.coeffs.tolist(), strict=True))


def z_observables(qubits: int) -> tuple[SparsePauliOp, ...]:
    """Z on every wire: ``observables[i]`` acts on qubit ``i``.

    Returns:
        One observable for each qubit, in the order of the qubits.

    Example:
        >>> from qvit_qiskit.circuits import z_observables
        >>> [str(one.paulis[0]) for one in z_observables(3)]  # qubit 0 is the last letter
        ['IIZ', 'IZI', 'ZII']
    """
    return tuple(
        SparsePauliOp.from_sparse_list([("Z", [i], 1.0)], num_qubits=qubits) for i in range(qubits)
    )


def cnot_ring(circuit: QuantumCircuit) -> None:
    """Append CNOT(i, i+1 mod n) for i = 0 … n−1; nothing on one qubit, one CNOT on two.

    Example:
        >>> from qiskit import QuantumCircuit
        >>> from qvit_qiskit.circuits import cnot_ring
        >>> circuit = QuantumCircuit(3)
        >>> cnot_ring(circuit)
        >>> circuit.count_ops()["cx"]
        3
    """
    n = circuit.num_qubits
    for control in range(n if n > 2 else n - 1):
        circuit.cx(control, (control + 1) % n)


def ry_ring(qubits: int, layers: int = 2) -> QNNCircuit:
    """RY encoding, then ``layers`` times [RY rotations, CNOT ring]; after Boucher et al.

    At one layer a weight acts right after the RY that encodes its input, so every output is a
    product of cosines of x + θ and training can only shift the inputs. Hence the default of two.

    Args:
        qubits: n, the number of input features and of outputs.
        layers: L; the circuit has L·n weights, layer by layer.

    Returns:
        The circuit with its roles; angles are in radians.

    Raises:
        CircuitError: If there is not at least one qubit and one layer.

    Example:
        >>> from qvit_qiskit.circuits import ry_ring
        >>> ry_ring(4, 2).num_weights  # layers * qubits
        8
    """
    _check(qubits, layers)
    x, w = ParameterVector("x", qubits), ParameterVector("w", layers * qubits)
    circuit = QuantumCircuit(qubits)
    for q in range(qubits):
        circuit.ry(x[q], q)
    for layer in range(layers):
        for q in range(qubits):
            circuit.ry(w[layer * qubits + q], q)
        cnot_ring(circuit)
    return _make("ry-ring", layers, circuit, x, w)


def rx_rz_ring(qubits: int, layers: int = 2) -> QNNCircuit:
    """RX encoding, then ``layers`` times [RX and RZ rotations, CNOT ring]: 2·L·n weights.

    Amplitudes are complex and the RZ angles matter from the second layer on.

    Args:
        qubits: n, one for each input.
        layers: L, how often rotations and ring follow the encoding.

    Returns:
        The circuit with its roles; angles are in radians.

    Raises:
        CircuitError: If there is not at least one qubit and one layer.

    Example:
        >>> from qvit_qiskit.circuits import rx_rz_ring
        >>> rx_rz_ring(4, 2).num_weights  # 2 * layers * qubits
        16
    """
    _check(qubits, layers)
    x, w = ParameterVector("x", qubits), ParameterVector("w", 2 * layers * qubits)
    circuit = QuantumCircuit(qubits)
    for q in range(qubits):
        circuit.rx(x[q], q)
    for layer in range(layers):
        first = 2 * layer * qubits
        for q in range(qubits):
            circuit.rx(w[first + q], q)
        for q in range(qubits):
            circuit.rz(w[first + qubits + q], q)
        cnot_ring(circuit)
    return _make("rx-rz-ring", layers, circuit, x, w)


def reupload_ring(qubits: int, layers: int = 2) -> QNNCircuit:
    """``layers`` times [RY encoding, RY rotations, CNOT ring]: the data enter before every layer.

    Re-uploading widens the frequencies that an output can have in its inputs (Pérez-Salinas et
    al., Quantum 4, 226, 2020; Schuld et al., Phys. Rev. A 103, 032430, 2021).

    Args:
        qubits: n, one for each input.
        layers: How often encoding, rotations and ring follow each other.

    Returns:
        The circuit with its roles; angles are in radians.

    Raises:
        CircuitError: If there is not at least one qubit and one layer.

    Example:
        >>> from qvit_qiskit.circuits import reupload_ring
        >>> reupload_ring(4, 3).num_weights  # layers * qubits
        12
    """
    _check(qubits, layers)
    x, w = ParameterVector("x", qubits), ParameterVector("w", layers * qubits)
    circuit = QuantumCircuit(qubits)
    for layer in range(layers):
        for q in range(qubits):
            circuit.ry(x[q], q)
        for q in range(qubits):
            circuit.ry(w[layer * qubits + q], q)
        cnot_ring(circuit)
    return _make("reupload-ring", layers, circuit, x, w)


def ry_chain(qubits: int, layers: int = 2) -> QNNCircuit:
    """RY encoding, then ``layers`` times [RY rotations, CZ on the edges of a line].

    A line embeds in a heavy-hex lattice without SWAPs, and its CZs run in two moments. The CZs
    of a layer commute, so a last layer of RY follows: (L+1)·n weights.

    Args:
        qubits: n, one for each input.
        layers: L, how often rotations and CZs follow the encoding.

    Returns:
        The circuit with its roles; angles are in radians.

    Raises:
        CircuitError: If there is not at least one qubit and one layer.

    Example:
        >>> from qvit_qiskit.circuits import ry_chain
        >>> ry_chain(64, 2).num_weights  # (layers + 1) * qubits
        192
    """
    moments = [[(q, q + 1) for q in range(k, qubits - 1, 2)] for k in (0, 1)]
    return _ry_cz("ry-chain", qubits, layers, moments)


def cz_ring(qubits: int, layers: int = 2) -> QNNCircuit:
    """RY encoding, then ``layers`` times [RY rotations, CZ on the edges of a ring], a last RY.

    Unlike `ry_ring`'s CNOTs, its CZs commute: an output depends on 2L + 1 qubits, however long the
    ring is. It lies without SWAPs only on cycles that a lattice has: on heavy-hex 12, 20, 28, …
    A ring of two qubits is one CZ; one of an odd number takes three moments.

    Args:
        qubits: n, the number of input features and of outputs.
        layers: L; the circuit has (L+1)·n weights, layer by layer.

    Returns:
        The circuit with its roles; angles are in radians.

    Raises:
        CircuitError: If there is not at least one qubit and one layer.

    Example:
        >>> from qvit_qiskit.circuits import cz_ring
        >>> cz_ring(12, 2).num_weights  # (layers + 1) * qubits
        36
    """
    edges = [(q, (q + 1) % qubits) for q in range(qubits if qubits > 2 else qubits - 1)]
    odd = len(edges) > 2 and len(edges) % 2
    moments = [edges[k : len(edges) - odd : 2] for k in (0, 1)] + ([edges[-1:]] if odd else [])
    return _ry_cz("cz-ring", qubits, layers, moments)


def lattice(qubits: int, layers: int = 2) -> QNNCircuit:
    """`lattice_circuit` on the heavy-hex patch of so many qubits that has the most couplers.

    Args:
        qubits: n, the number of input features and of outputs.
        layers: L; the circuit has (L+1)·n weights, layer by layer.
    """
    _check(qubits, layers)
    return lattice_circuit(compact_patch("heavy-hex", qubits), layers)


def square_lattice(qubits: int, layers: int = 2) -> QNNCircuit:
    """`lattice_circuit` on the square patch of so many qubits that has the most couplers.

    Args:
        qubits: n, the number of input features and of outputs.
        layers: L; the circuit has (L+1)·n weights, layer by layer.
    """
    _check(qubits, layers)
    return lattice_circuit(compact_patch("square", qubits), layers)


def lattice_circuit(patch: Patch, layers: int = 2) -> QNNCircuit:
    """RY encoding, then ``layers`` times [RY rotations, CZ on the couplers of a patch], a last RY.

    Args:
        patch: Rows x columns of a lattice; a layer of CZs has one moment for each colour.
        layers: L; the circuit has (L+1)·n weights, layer by layer.

    Returns:
        The circuit with its roles; angles are in radians.

    Raises:
        CircuitError: If there is not at least one layer.

    Example:
        >>> from qvit_qiskit.circuits import Patch, lattice_circuit
        >>> lattice_circuit(Patch("heavy-hex", 3, 5)).num_inputs
        17
    """
    family = {"heavy-hex": "lattice", "square": "square-lattice"}[patch.kind]
    return _ry_cz(family, patch.num_qubits, layers, patch.couplers())


def _ry_cz(
    family: str, qubits: int, layers: int, moments: Sequence[Sequence[tuple[int, int]]]
) -> QNNCircuit:
    _check(qubits, layers)
    x, w = ParameterVector("x", qubits), ParameterVector("w", (layers + 1) * qubits)
    circuit = QuantumCircuit(qubits)
    for q in range(qubits):
        circuit.ry(x[q], q)
    for layer in range(layers):
        for q in range(qubits):
            circuit.ry(w[layer * qubits + q], q)
        for pairs in moments:
            for a, b in pairs:
                circuit.cz(a, b)
    for q in range(qubits):
        circuit.ry(w[layers * qubits + q], q)
    return _make(family, layers, circuit, x, w)


FAMILIES: dict[str, Callable[[int, int], QNNCircuit]] = {
    "ry-ring": ry_ring,
    "rx-rz-ring": rx_rz_ring,
    "reupload-ring": reupload_ring,
    "ry-chain": ry_chain,
    "cz-ring": cz_ring,
    "lattice": lattice,
    "square-lattice": square_lattice,
}
"""Every family by the name that configs use.

Example:
    >>> from qvit_qiskit.circuits import FAMILIES
    >>> FAMILIES["ry-ring"](4, 2).num_weights  # qubits, layers
    8
"""
LOCAL_FAMILIES = ("ry-chain", "cz-ring", "lattice", "square-lattice")
"""Those whose light cones do not grow with the number of qubits.

Example:
    >>> from qvit_qiskit.circuits import LOCAL_FAMILIES
    >>> "ry-ring" in LOCAL_FAMILIES
    False
"""


BUILT_IN = frozenset(FAMILIES)
"""Those that every installation knows; the others were registered in this process."""


@dataclass(frozen=True, eq=False)
class _OwnFamily:
    """A registered family; another registration under its name is another object."""

    name: str
    make: Callable[[int, int], QNNCircuit]

    def __call__(self, qubits: int, layers: int) -> QNNCircuit:
        circuit = self.make(qubits, layers)
        if not isinstance(circuit, QNNCircuit) or circuit.num_inputs != qubits:
            got = type(circuit).__name__
            if isinstance(circuit, QNNCircuit):
                got = f"one of {circuit.num_inputs}"
            raise CircuitError(
                f"Expected a QNNCircuit of {qubits} input features from the circuit family "
                f"{self.name!r}, but got {got}. Its function gets the number of features of a "
                "head and the number of layers."
            )
        return replace(circuit, family=self.name, layers=layers)


def register_family(name: str, make: Callable[[int, int], QNNCircuit]) -> None:
    """Give a family of the user's own a name that configurations and studies of this process use.

    A model made with it stores the circuit itself in its checkpoint, so that whoever loads it
    needs no registration.

    Args:
        name: Letters, digits, ``-``, ``_`` and ``.``; one registered before is replaced.
        make: From the number of input features of a head and of layers to the circuit.

    Raises:
        CircuitError: If the name is one of this package's families or no such text, or ``make``
            cannot be called.

    Example:
        >>> from qiskit.circuit.library import real_amplitudes, zz_feature_map
        >>> from qvit_qiskit import QNNCircuit, ViTConfig, register_family
        >>> from qvit_qiskit.circuits import z_observables
        >>> def amplitudes(features, layers):
        ...     data, trained = zz_feature_map(features), real_amplitudes(features, reps=layers)
        ...     circuit, outputs = data.compose(trained), z_observables(features)
        ...     return QNNCircuit(circuit, data.parameters, trained.parameters, outputs)
        >>> register_family("amplitudes", amplitudes)
        >>> ViTConfig(width=8, heads=2, circuit="amplitudes").qnn_circuit.num_weights
        12
    """
    if name in BUILT_IN or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise CircuitError(
            f"Expected a new name of letters, digits, '-', '_' and '.', but got {name!r}. The "
            f"names {', '.join(sorted(BUILT_IN))} are taken."
        )
    if not callable(make):
        raise CircuitError(
            f"Expected a function of qubits and layers for the circuit family {name!r}, but got a "
            f"{type(make).__name__}. A single circuit is ViTConfig(circuit=circuit)."
        )
    FAMILIES[name] = _OwnFamily(name, make)


def build_circuit(family: str, qubits: int, layers: int = 2) -> QNNCircuit:
    """The circuit of a family by name; the same object every time, so that it is compiled once.

    Args:
        family: A name of ours, or one that was registered.
        qubits: Input features of a head.
        layers: How often its block is repeated.

    Returns:
        The circuit; built-in families have ``qubits`` inputs and outputs.

    Raises:
        CircuitError: If the family is unknown or the sizes are not positive.

    Example:
        >>> from qvit_qiskit import build_circuit
        >>> circuit = build_circuit("ry-chain", 6, layers=1)
        >>> circuit.num_inputs, circuit.num_weights, circuit.num_outputs
        (6, 12, 6)
    """
    if family not in FAMILIES:
        raise CircuitError(unknown("circuit family", family, FAMILIES))
    return _built(FAMILIES[family], qubits, layers)


@lru_cache(maxsize=64)
def _built(make: Callable[[int, int], QNNCircuit], qubits: int, layers: int) -> QNNCircuit:
    _check(qubits, layers)
    return make(qubits, layers)


def _check(qubits: int, layers: int) -> None:
    if qubits < 1 or layers < 1:
        raise CircuitError(
            f"Expected at least one qubit and one layer, but got {qubits} and {layers}."
        )


def _make(
    family: str,
    layers: int,
    circuit: QuantumCircuit,
    x: Sequence[Parameter],
    w: Sequence[Parameter],
) -> QNNCircuit:
    observables = z_observables(circuit.num_qubits)
    return QNNCircuit(circuit, tuple(x), tuple(w), observables, family, layers)
