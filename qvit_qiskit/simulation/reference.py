"""Aer's own estimator, for any instruction that Aer knows; slow, and a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit.circuit import Delay, QuantumCircuit

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.memo import Memo
from qvit_qiskit.circuits.prepared import is_dynamic
from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.devices.transpiler import transpile
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator

SHOTS = 1024
"""Trajectories of a circuit that measures or resets in its middle."""


_MISREAD = frozenset(
    (
        *("crx", "cry", "crz", "cp", "cu", "cu1", "cu2", "cu3"),
        *("mcrx", "mcry", "mcrz", "mcp", "mcphase", "mcr", "mcu", "mcu1", "mcu2", "mcu3"),
    )
)
"""Controlled gates with parameters: Aer 0.18 gives them other angles than a binding says."""


class AerEstimator(RowEstimator):
    """Aer's ``EstimatorV2`` at precision 0, one simulation per row.

    Circuits are translated to the gates that Aer knows. One that measures, resets or branches in
    its middle has no exact values: Aer averages over trajectories, and ``stds`` are bounds of
    their standard errors.
    """

    dynamic = True

    def __init__(self, seed: int = 0) -> None:
        from qiskit_aer.primitives import EstimatorV2

        backend = {"seed_simulator": seed}
        self._aer = EstimatorV2(
            options={
                "default_precision": 0.0,
                "backend_options": backend,
                "run_options": {"shots": SHOTS},
            }
        )
        self._translated: Memo[QuantumCircuit] = Memo(private=True)

    @property
    def perfect(self) -> bool:
        """There is no readout error."""
        return True

    def describe(self, circuit: QNNCircuit) -> str:
        """One line for people."""
        return "Aer's own estimator, one simulation per row"

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        return [self._one(flat) for flat in flats]

    def _one(self, flat: FlatPub) -> Answer:
        shape = (len(flat.observables), len(flat.values))
        if not len(flat.values):
            return Answer(np.zeros(shape))
        means = np.zeros(shape)
        wanted = [k for k, o in enumerate(flat.observables) if any(o.values())]
        if wanted and flat.circuit.num_qubits:
            means[wanted] = self._values(flat, [dict(flat.observables[k]) for k in wanted])
        elif wanted:  # a circuit without qubits: constants are left
            means += np.array([[sum(o.values())] for o in flat.observables]).real
        if not is_dynamic(flat.circuit):
            return Answer(means, metadata={"exact": True})
        # A trajectory's value is at most Σ|c|, so that is what its variance can be.
        largest = np.array([sum(abs(c) for c in o.values()) for o in flat.observables])
        variances = np.clip(largest[:, None] ** 2 - means**2, 0.0, None) / SHOTS  # (K, R)
        return Answer(means, stds=np.sqrt(variances), metadata={"shots": SHOTS})

    def _values(self, flat: FlatPub, observables: list[dict[str, complex]]) -> np.ndarray:
        """Of observables that are not zero, shape (K, R)."""
        circuit = self._translated.get(flat.circuit, None, _translate)
        place = {p: k for k, p in enumerate(flat.circuit.parameters)}
        values = flat.values[:, [place[p] for p in circuit.parameters]]
        rows = values if circuit.num_parameters else values[:1]  # Aer wants a row at least
        out = self._aer.run([(circuit, [[o] for o in observables], rows)]).result()[0].data.evs
        table = np.asarray(out).reshape(len(observables), len(rows))  # (K, R), or (K, 1)
        return np.broadcast_to(table, (len(observables), len(flat.values)))


def _translate(circuit: QuantumCircuit, _: object) -> QuantumCircuit:
    from qiskit_aer import AerSimulator

    plain = circuit.copy_empty_like()
    for item in circuit.data:
        if not isinstance(item.operation, Delay):  # nothing happens meanwhile
            plain.append(item)
    known = [name for name in AerSimulator().operation_names if name not in _MISREAD]
    aer = AerSimulator(basis_gates=known)
    translated = transpile(plain, backend=aer, optimization_level=0)
    translated.global_phase = 0  # Aer gives a binding the parametrised phase of the one before
    return translated
