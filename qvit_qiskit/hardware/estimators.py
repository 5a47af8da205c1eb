"""Estimators that measure through the IBM client: at once, or journaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.memo import Memo
from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.devices.compiled_circuit import Compiled, Terms
from qvit_qiskit.devices.prices import Timing
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.hardware.hardware_run import HardwareRun
from qvit_qiskit.hardware.journal import locked
from qvit_qiskit.hardware.stages.stage import Answers, Chunk, Layout, Piece, Rows, values_of
from qvit_qiskit.hardware.stages.stage_plan import seat
from qvit_qiskit.hardware.values.counts import Counts
from qvit_qiskit.ibm.local import LocalSender
from qvit_qiskit.simulation.noise.readout_choice import compile_readout
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator, shots_for


class _MeasuringEstimator(RowEstimator):
    """PUBs in, values with the covariance of each row's outputs out."""

    samples = True

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        shots = {shots_for(f.precision, 0) for f in flats if f.precision}
        if len(shots) > 1:
            raise RouteError("Expected one precision for all PUBs of a call. Call once for each.")
        asked = shots.pop() if shots else None
        metadata = {"shots": asked or self.shots}
        return [
            Answer(means.T, covariances.transpose(1, 0, 2), metadata=metadata)
            for means, covariances in self._measure(flats, asked)
        ]

    @property
    def shots(self) -> int | None:
        """Per row, where no precision is asked; None where nobody knows."""
        return None

    def _measure(self, flats: Sequence[FlatPub], shots: int | None) -> Answers:
        raise NotImplementedError


class RehearsalEstimator(_MeasuringEstimator):
    """The client's local mode on the used qubits of a device snapshot; nothing is journaled."""

    def __init__(self, sender: LocalSender) -> None:
        self.sender = sender
        self._compiled: Memo[list[Compiled]] = Memo(private=True)
        self.reseed(sender.profile.seed)

    @property
    def shots(self) -> int:
        """The profile's."""
        return self.sender.profile.stated_shots

    def reseed(self, *seed: int) -> None:
        """Start the random streams anew; the same seed gives the same streams."""
        self._streams = np.random.SeedSequence(seed)

    def describe(self, circuit: QNNCircuit) -> str:
        """One line: on which qubits a circuit runs."""
        prepared, terms = prepare_with(circuit.canonical, circuit.pauli_terms)
        nothing = np.zeros((0, prepared.circuit.num_parameters))
        return describe(self._programs_of(prepared.circuit, terms, nothing), self.sender)

    def _programs_of(
        self, circuit: QuantumCircuit, terms: Terms, rows: np.ndarray
    ) -> list[Compiled]:
        """A circuit compiled; where that depends on what runs, for the rows (R, P) of this call."""
        sender, profile = self.sender, self.sender.profile

        def make(circuit: QuantumCircuit, _: object) -> list[Compiled]:
            return compile_readout(circuit, terms, rows, sender.device, profile.placement,
                                   profile.readout, sender.mitigation, self.shots)  # fmt: skip

        asked = rows.tobytes() if profile.readout == "auto" else b""
        key = (asked, *(tuple(sorted(observable.items())) for observable in terms))
        return self._compiled.get(circuit, key, make)

    def _measure(self, flats: Sequence[FlatPub], shots: int | None) -> Answers:
        rows = Rows.gather(flats)
        groups, mitigation = rows.groups, self.sender.mitigation
        programs = [self._programs_of(g.circuit, g.terms, g.rows) for g in groups]
        seed = int(self._streams.spawn(1)[0].generate_state(1)[0])
        seats = [seat(len(g.rows), p[0].k, seed) for g, p in zip(groups, programs, strict=True)]
        pieces = tuple(Piece(g, 0, len(rows)) for g, rows in enumerate(seats) if len(rows))
        chunk = Chunk("all", pieces, 0, 0.0)
        layout = Layout(programs, Timing("", 0.0, 0.0), seats, [chunk])
        items = layout.items(chunk, groups, mitigation)
        bits = self.sender.run(items, shots or self.shots, seed)
        counted = {i.name: Counts.of(b) for i, b in zip(items, bits, strict=True)}
        answers = values_of(layout, [counted], groups, mitigation)
        return [(answers[g][0][k], answers[g][1][k]) for g, k in rows.pubs]


def describe(programs: Sequence[Compiled], sender: LocalSender) -> str:
    """One line for people: device, qubits, gates and expected fidelity of a compiled circuit.

    Args:
        programs: The circuit in every measurement basis.
        sender: What it runs on.
    """
    return (
        f"the IBM client's sampler at resilience level {sender.mitigation.level} on "
        f"{sender.device.name}, {programs[0].describe()}"
    )


class JournaledEstimator(_MeasuringEstimator):
    """Each call is a stage of a run: paid for once, waited for, and read back ever after."""

    def __init__(self, run: HardwareRun) -> None:
        self.hardware = run
        self.calls = 0

    @property
    def shots(self) -> int:
        """The run's."""
        return self.hardware.terms.shots

    def _measure(self, flats: Sequence[FlatPub], shots: int | None) -> Answers:
        with locked(self.hardware.folder):
            return self._locked(flats)

    def _locked(self, flats: Sequence[FlatPub]) -> Answers:
        rows = Rows.gather(flats)
        number, run = self.calls, self.hardware
        if number < run.stages:
            same_rows(run.reader.stage(number).rows, rows, run)
        else:
            run.write_stage(rows)
        if not run.finished(number):
            run.advance(number)
            run.wait(number)
        self.calls += 1
        return run.reader.stage(number).answers


def same_rows(stored: Rows, asked: Rows, run: HardwareRun) -> None:
    """Refuse to answer with another input's values.

    Args:
        stored: What the run's folder holds.
        asked: What a call asks.
        run: The run, which the error names.

    Raises:
        JobError: If a call asks something else than the run's folder holds in its place.
    """
    a, b = stored.arrays(), asked.arrays()
    if a.keys() != b.keys() or any(not np.array_equal(a[name], b[name]) for name in a):
        raise JobError(
            f"The run folder {run.folder} belongs to other inputs, weights or another order of "
            "calls. Name a new folder for these."
        )
