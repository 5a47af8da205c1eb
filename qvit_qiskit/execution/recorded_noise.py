"""The noise that a run's own compilation and calibration predict for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.circuits.reading import reading
from qvit_qiskit.circuits.readout import Basis
from qvit_qiskit.devices.compiled import Compiled
from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.devices.regions import Region, region_target
from qvit_qiskit.devices.timetable import Wait
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.hardware.stored import StoredStage, compiled_stages
from qvit_qiskit.ibm.waiting import placed, twirled_waits
from qvit_qiskit.simulation.exact.estimator import Columns, Compiler, ExactEstimator
from qvit_qiskit.simulation.noise.noisy_engine import NoisyEngine
from qvit_qiskit.simulation.noise.noisy_program import NoisyProgram, compile_noisy
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator


class AsCompiled:
    """Compiles circuits onto the qubits where a stage of a run put one of its copies.

    Args:
        stage: The stage.
        device: As it was when the stage was compiled.
        copy: Which of the copies.
        mitigated: Whether the readout is taken to be perfect, as its calibration makes it.
    """

    def __init__(
        self, stage: StoredStage, device: BackendV2, copy: int, *, mitigated: bool = False
    ) -> None:
        self.stage, self.device, self.copy = stage, device, copy
        self.mitigated = mitigated

    def __call__(self, circuit: QuantumCircuit, basis: Basis, columns: Columns) -> NoisyProgram:
        """Compile a circuit of the stage for a basis.

        Raises:
            RouteError: If the stage did not measure this circuit in this basis.
        """
        compiled, read = self._find(circuit, basis)
        here = compiled.copies[self.copy]
        parameters = list(circuit.parameters)
        wanted = [parameters[column] for column in compiled.columns[self.copy]]
        named = here.circuit.assign_parameters(
            dict(zip(here.circuit.parameters, wanted, strict=True))
        )
        target = region_target(self.device, here.qubits)
        region = Region(named, here.qubits, here.outputs, target)
        region = replace(region, waits=self._waits(compiled, region))
        where = f"{region.describe(self.device.name)}, as a run compiled it"
        program = compile_noisy(region, parameters, read, columns, where)
        if self.mitigated:
            program = replace(program, readout=np.stack([np.eye(2)] * len(region.outputs)))
        return program

    def _waits(self, compiled: Compiled, region: Region) -> tuple[Wait, ...] | None:
        """How long the copy waits; None in runs that were begun when that counted for nothing."""
        event = self.stage.compiled or {}
        if not event.get("idle", False):
            return None
        mitigation = Mitigation(event["level"], event["twirl_gates"])
        if not any(mitigation.twirls):
            return region.scheduled().waits
        found = twirled_waits(compiled, 1, mitigation, self.device.target)
        return placed(region.measured(), found[self.copy])

    def _find(self, circuit: QuantumCircuit, basis: Basis) -> tuple[Compiled, Basis]:
        """The stage's program, and the basis as the bits that it measures give it."""
        for group, programs in zip(self.stage.rows.groups, _programs(self.stage), strict=True):
            if _same(group.circuit, circuit):
                for compiled in programs:
                    read = reading(circuit, basis, compiled.readout).basis
                    if compiled.basis == read:
                        return compiled, read
        raise _other_circuit()


@dataclass(frozen=True)
class RecordedLayer:
    """One stage of a run, by its own calibration and on its own qubits."""

    copies: tuple[ExactEstimator, ...]
    """One for each copy of the circuits on the chip."""
    weights: frozenset[bytes]
    """The weights of its projections: what tells layers of one circuit apart."""


class RecordedNoise(RowEstimator):
    """Values under the errors that a run recorded, on the qubits that it used.

    A PUB is evaluated as the stage that asked its weights was compiled, at that stage's
    calibration; where there are several copies, values are means over them: what a row gives on a
    copy chosen at random.
    """

    def __init__(self, layers: Sequence[RecordedLayer]) -> None:
        self.layers = tuple(layers)

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        return [Answer(self._mean(flat), metadata={"exact": True}) for flat in flats]

    def _mean(self, flat: FlatPub) -> np.ndarray:
        """Over the copies, shape (K, R)."""
        tables = [copy.tables([flat])[0] for copy in self._layer(flat).copies]
        return np.asarray(np.mean(tables, axis=0))

    def _layer(self, flat: FlatPub) -> RecordedLayer:
        key = _weights(flat.circuit, flat.values[0]) if len(flat.values) else None
        for layer in self.layers:
            if key is None or key in layer.weights:
                return layer
        raise _other_circuit()


def recorded_noise(folder: Path, *, mitigated: bool = False) -> RecordedNoise:
    """The noise that a run's folder predicts for it.

    Args:
        folder: The folder of a run whose quantum layers are compiled.
        mitigated: Whether readout errors are left out, as in the values of a run at level 1.

    Raises:
        JobError: If the folder is no run's, or damaged.
        RouteError: If nothing is compiled, or its device reported nothing.
    """
    stages = compiled_stages(Journal.open(folder))
    if not stages:
        raise RouteError(f"The run in {folder} has compiled nothing yet; resume it first.")
    return noise_of(stages, mitigated=mitigated)


def noise_of(stages: Sequence[StoredStage], *, mitigated: bool = False) -> RecordedNoise:
    """The noise that the compiled stages of a run predict for it.

    Args:
        stages: All that are compiled, in order.
        mitigated: Whether readout errors are left out.

    Raises:
        JobError: If a file is missing or damaged.
        RouteError: If the device reported nothing.
    """
    layers = []
    for stage in stages:
        copies = min(programs[0].k for programs in _programs(stage))
        estimators = tuple(
            ExactEstimator(
                NoisyEngine(), Compiler(AsCompiled(stage, stage.device, copy, mitigated=mitigated))
            )
            for copy in range(copies)
        )
        weights = frozenset(
            _weights(stage.rows.groups[g].circuit, stage.rows.groups[g].rows[index[0]])
            for g, index in stage.rows.pubs
            if len(index)
        )
        layers.append(RecordedLayer(estimators, weights))
    return RecordedNoise(layers)


def _weights(circuit: QuantumCircuit, row: np.ndarray) -> bytes:
    """The parameter values of a row that are no inputs; ``EstimatorQNN`` names those so."""
    kept = [
        value
        for parameter, value in zip(circuit.parameters, row, strict=True)
        if not parameter.name.startswith("inputs[")
    ]
    return np.array(kept, dtype=float).tobytes()


def _other_circuit() -> RouteError:
    return RouteError("The run did not measure this circuit: compare it with its own model.")


def _programs(stage: StoredStage) -> list[list[Compiled]]:
    """How each group was compiled; rows that ran a second time, alone, stand behind them."""
    return list(stage.layout.programs[: len(stage.rows.groups)])


def _same(recorded: QuantumCircuit, circuit: QuantumCircuit) -> bool:
    """Whether a circuit that was read back is this one; its parameters keep their order."""
    if recorded.num_parameters != circuit.num_parameters:
        return False
    names = dict(zip(recorded.parameters, circuit.parameters, strict=True))
    return bool(recorded.assign_parameters(names) == circuit)
