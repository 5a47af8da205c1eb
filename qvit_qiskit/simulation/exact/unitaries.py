"""Unitaries of shared segments, simulated by Aer: all weight sets of all segments in one job."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.circuits.lowered_circuit import rebuild
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.simulation.exact.schedule import SharedSegment

_TEMPLATES = 256


class AerUnitaries:
    """Aer's ``unitary`` method behind a cache of template circuits."""

    def __init__(self) -> None:
        self._templates: dict[int, tuple[SharedSegment, QuantumCircuit, list[int]]] = {}

    def __deepcopy__(self, memo: Any) -> AerUnitaries:
        return AerUnitaries()  # ids belong to the segments that are alive here

    def __getstate__(self) -> dict[str, Any]:
        return {"_templates": {}}

    @cached_property
    def _simulator(self) -> Any:
        from qiskit_aer import AerSimulator

        # One thread: the matrices are small, and the row contractions own the cores.
        return AerSimulator(method="unitary", max_parallel_threads=1, fusion_enable=False)

    def submit(self, num_qubits: int, requests: Sequence[tuple[SharedSegment, np.ndarray]]) -> Any:
        """Start one job; requests for the same segment share its circuit.

        Args:
            num_qubits: n.
            requests: Segments with their shared angles, shape (G, m).

        Returns:
            The running job, for `collect`.
        """
        circuits, binds = [], []
        for segment, members in _by_segment(requests).values():
            circuit, used = self._template(num_qubits, segment)
            values = np.concatenate([requests[k][1] for k in members])[:, used]
            circuits.append(circuit)
            binds.append({p: values[:, k].tolist() for k, p in enumerate(circuit.parameters)})
        return self._simulator.run(circuits, parameter_binds=binds)

    def collect(
        self, job: Any, requests: Sequence[tuple[SharedSegment, np.ndarray]]
    ) -> list[np.ndarray]:
        """The unitaries of a job.

        Args:
            job: What was started for the requests.
            requests: The shared operations with their angles, G of each.

        Returns:
            For each request an array of shape (G, 2**n, 2**n).
        """
        result = job.result()
        if not result.success:
            raise RouteError(f"Aer could not simulate a shared unitary: {result.status}")
        out: dict[int, np.ndarray] = {}
        place = 0
        for _, members in _by_segment(requests).values():
            for k in members:
                span = range(place, place + len(requests[k][1]))
                # (G, 2**n, 2**n)
                out[k] = np.stack([np.asarray(result.data(i)["unitary"]) for i in span])
                place = span.stop
        return [out[k] for k in range(len(requests))]

    def _template(
        self, num_qubits: int, segment: SharedSegment
    ) -> tuple[QuantumCircuit, list[int]]:
        key = id(segment)
        if key not in self._templates:
            while len(self._templates) >= _TEMPLATES:
                self._templates.pop(next(iter(self._templates)))
            native = self._simulator.configuration().basis_gates
            circuit, used = rebuild(num_qubits, segment.operations, set(native))
            circuit.save_unitary()
            self._templates[key] = (segment, circuit, used)
        return self._templates[key][1:]


def _by_segment(
    requests: Sequence[tuple[SharedSegment, np.ndarray]],
) -> dict[int, tuple[SharedSegment, list[int]]]:
    groups: dict[int, tuple[SharedSegment, list[int]]] = {}
    for k, (segment, _) in enumerate(requests):
        groups.setdefault(id(segment), (segment, []))[1].append(k)
    return groups
