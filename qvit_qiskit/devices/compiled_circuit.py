"""A circuit compiled for a device, on one region or many, and what that reads back as."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.providers import BackendV2

from qvit_qiskit.circuits.measurement_bases import Basis, measurement_bases
from qvit_qiskit.circuits.parity_readout import Readout, reading
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.prices import Timing, timing
from qvit_qiskit.devices.regions import Placed, Region, join, region_target

Terms = Sequence[Mapping[str, Any]]
"""One mapping of Pauli strings to coefficients per observable."""

QPY_VERSION = 17
"""The newest that qiskit-ibm-runtime 0.51 accepts."""


@dataclass(frozen=True)
class Compiled:
    """One logical circuit in one measurement basis on k regions of a device."""

    basis: Basis
    copies: tuple[Placed, ...]
    columns: tuple[tuple[int, ...], ...]
    """For each copy the columns of the logical circuit's parameter values that its circuit takes,
    in the order of its own parameters."""
    fidelities: tuple[float, ...]
    """For each copy the probability that no gate and no readout fails, by reported errors."""
    readout: Readout = "gates"
    """Whether the circuit's last gates run, or the basis's terms are parities of earlier bits."""

    @property
    def k(self) -> int:
        """Copies that run side by side."""
        return len(self.copies)

    @property
    def fidelity(self) -> float:
        """Mean over the copies."""
        return float(np.mean(self.fidelities))

    @property
    def qubits(self) -> int:
        """Physical qubits in use."""
        return sum(len(copy.qubits) for copy in self.copies)

    def describe(self) -> str:
        """One line for people: qubits, gates and expected fidelity."""
        first = self.copies[0]
        gates = f"{first.two_qubit_gates()} two-qubit gates"
        if self.readout == "parity":
            gates += ", outputs read as parities"
        if self.k > 1:
            return (
                f"{self.k} copies on {self.qubits} qubits, {gates}, expected fidelity "
                f"{self.fidelity:.3f} (worst {min(self.fidelities):.3f})"
            )
        where = ", ".join(str(q) for q in first.qubits)
        return f"qubits {where}, {gates}, expected fidelity {self.fidelity:.3f}"

    def narrow(self, copy: int, fold: int | None) -> QuantumCircuit:
        """One copy on its own qubits, measured.

        Args:
            copy: Which copy, from 0.
            fold: How many times its two-qubit gates are folded; None for the copy's calibration.
        """
        placed = self.copies[copy]
        return placed.calibration() if fold is None else placed.measured(fold)

    def wide(self, fold: int | None, width: int) -> QuantumCircuit:
        """All copies side by side on a device.

        Args:
            fold: How many times their two-qubit gates are folded; None for their calibrations.
            width: Qubits of the device.
        """
        circuits = [self.narrow(copy, fold) for copy in range(self.k)]
        return join(self.copies, circuits, width)

    def record(self) -> dict[str, Any]:
        """All but the circuits, as JSON."""
        return {
            "axes": list(self.basis.axes),
            "terms": [list(term) for term in self.basis.terms],
            "columns": [list(c) for c in self.columns],
            "qubits": [list(copy.qubits) for copy in self.copies],
            "outputs": [list(copy.outputs) for copy in self.copies],
            "fidelities": list(self.fidelities),
        } | ({"readout": self.readout} if self.readout != "gates" else {})

    @classmethod
    def from_record(cls, record: dict[str, Any], circuits: Sequence[QuantumCircuit]) -> Compiled:
        """Read back what `record` wrote.

        Args:
            record: What it wrote.
            circuits: The circuits of the copies, which are stored beside it.
        """
        terms = tuple((int(k), float(c), int(mask)) for k, c, mask in record["terms"])
        placed = zip(circuits, record["qubits"], record["outputs"], strict=True)
        return cls(
            Basis(tuple(record["axes"]), terms),
            tuple(Placed(c, tuple(q), tuple(o)) for c, q, o in placed),
            tuple(tuple(c) for c in record["columns"]),
            tuple(record["fidelities"]),
            record.get("readout", "gates"),
        )


def compile_bases(
    circuit: QuantumCircuit,
    terms: Terms,
    device: BackendV2,
    placement: Placement,
    readout: Readout = "gates",
) -> list[Compiled]:
    """Compile a circuit once per measurement basis of its observables.

    Args:
        circuit: The logical circuit, parameters unbound.
        terms: Its observables.
        device: A device or a snapshot of one.
        placement: On how many regions, and how they are chosen.
        readout: Whether the circuit's last gates run, or are done on the bits.

    Raises:
        RouteError: If the device is too small.
    """
    order = {parameter: k for k, parameter in enumerate(circuit.parameters)}
    programs = []
    for basis in measurement_bases(terms):
        read = reading(circuit, basis, readout)
        regions = placement.regions(read.circuit, device, read.reads)
        programs.append(
            Compiled(
                read.basis,
                tuple(regions),
                tuple(tuple(order[p] for p in r.circuit.parameters) for r in regions),
                tuple(r.fidelity() for r in regions),
                readout,
            )
        )
    fewest = min(c.k for c in programs)  # one row stands in one place in all bases
    return [
        replace(c, copies=c.copies[:fewest], columns=c.columns[:fewest],
                fidelities=c.fidelities[:fewest])
        for c in programs
    ]  # fmt: skip


def copies_of(programs: Iterable[Iterable[Compiled]]) -> list[Placed]:
    """All circuits on their qubits: program by program, basis by basis, copy by copy.

    Args:
        programs: For each circuit what it is compiled into, one per measurement basis.
    """
    return [copy for bases in programs for compiled in bases for copy in compiled.copies]


def longest_timing(placed: Iterable[Placed], device: BackendV2, rep_delay: float | None) -> Timing:
    """The timing of the longest of some circuits; side by side they take as long as that one.

    Args:
        placed: The circuits on their qubits; at least one.
        device: The device, which knows how long gates take.
        rep_delay: Seconds between executions; None for the device's own.
    """
    timings = []
    for one in placed:
        # PERF: slicing a device's target takes 20 ms, and a new region has its own already
        target = one.target if isinstance(one, Region) else region_target(device, one.qubits)
        timings.append(timing(one.measured(), target, device, rep_delay))
    return max(timings, key=lambda t: t.execution)


def to_qpy(circuits: Sequence[QuantumCircuit]) -> bytes:
    """Circuits as QPY of a version that the IBM client accepts."""
    stream = io.BytesIO()
    qpy.dump(list(circuits), stream, version=min(QPY_VERSION, qpy.common.QPY_VERSION))
    return stream.getvalue()


def from_qpy(data: bytes) -> list[QuantumCircuit]:
    """Circuits from QPY."""
    return list(qpy.load(io.BytesIO(data)))
