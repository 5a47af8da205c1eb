"""The circuit families as products of dense matrices, without Qiskit."""

import numpy as np

_Y = np.array([[0, -1j], [1j, 0]])
_X = np.array([[0, 1], [1, 0]])
_Z = np.diag([1, -1])


def rotation(pauli: np.ndarray, angle: float) -> np.ndarray:
    return np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * pauli


def layer(matrices: list[np.ndarray]) -> np.ndarray:
    """⊗ of one matrix per qubit; qubit 0 is the lowest bit, hence the last factor."""
    out = np.eye(1)
    for matrix in matrices:
        out = np.kron(matrix, out)
    return out


def cx(qubits: int, control: int, target: int) -> np.ndarray:
    """|1⟩⟨1| on the control times X on the target, plus |0⟩⟨0|."""
    off, on = ([np.eye(2)] * qubits for _ in range(2))
    off[control], on[control], on[target] = np.diag([1, 0]), np.diag([0, 1]), _X
    return layer(off) + layer(on)


def cz(qubits: int, a: int, b: int) -> np.ndarray:
    on = [np.eye(2)] * qubits
    on[a] = on[b] = np.diag([0, 1])
    return np.eye(2**qubits) - 2 * layer(on)


def ring(qubits: int) -> np.ndarray:
    """CNOTs 0→1, 1→2, … and, from three qubits on, n−1→0."""
    pairs = [(i, i + 1) for i in range(qubits - 1)]
    if qubits > 2:
        pairs.append((qubits - 1, 0))
    out = np.eye(2**qubits)
    for control, target in pairs:
        out = cx(qubits, control, target) @ out
    return out


def ry_ring(n: int, layers: int, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    out = layer([rotation(_Y, a) for a in x])
    for one in w.reshape(layers, n):
        out = ring(n) @ layer([rotation(_Y, a) for a in one]) @ out
    return out


def rx_rz_ring(n: int, layers: int, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    out = layer([rotation(_X, a) for a in x])
    for first, second in w.reshape(layers, 2, n):
        out = layer([rotation(_X, a) for a in first]) @ out
        out = ring(n) @ layer([rotation(_Z, a) for a in second]) @ out
    return out


def reupload_ring(n: int, layers: int, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    out = np.eye(2**n)
    for one in w.reshape(layers, n):
        out = ring(n) @ layer([rotation(_Y, a) for a in one + x]) @ out
    return out


def ry_cz(
    n: int, layers: int, x: np.ndarray, w: np.ndarray, pairs: list[tuple[int, int]]
) -> np.ndarray:
    out = layer([rotation(_Y, a) for a in x])
    *inner, last = w.reshape(layers + 1, n)
    for one in inner:
        out = layer([rotation(_Y, a) for a in one]) @ out
        for a, b in pairs:
            out = cz(n, a, b) @ out
    return layer([rotation(_Y, a) for a in last]) @ out


def ry_chain(n: int, layers: int, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return ry_cz(n, layers, x, w, [(q, q + 1) for q in range(n - 1)])


def cz_ring(n: int, layers: int, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    closed = [(n - 1, 0)] if n > 2 else []
    return ry_cz(n, layers, x, w, [(q, q + 1) for q in range(n - 1)] + closed)


def square_lattice(n: int, layers: int, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Four qubits are 2 x 2; 1, 2, 3 and 5 have no patch but the line."""
    if n == 4:
        return ry_cz(n, layers, x, w, [(0, 1), (2, 3), (0, 2), (1, 3)])
    assert n in (1, 2, 3, 5)
    return ry_chain(n, layers, x, w)


MATRICES = {
    "ry-ring": ry_ring,
    "rx-rz-ring": rx_rz_ring,
    "reupload-ring": reupload_ring,
    "ry-chain": ry_chain,
    "cz-ring": cz_ring,
    "lattice": ry_chain,  # the smallest heavy-hex patch of two rows has nine qubits
    "square-lattice": square_lattice,
}
"""(n, layers, x, w) to a unitary of shape (2**n, 2**n)."""
