"""The noise that a run's own compilation and calibration predict for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.circuits.parity_readout import reading
from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.devices.client_template import SentWaits
from qvit_qiskit.devices.compiled_circuit import Compiled
from qvit_qiskit.devices.prices import extrapolation
from qvit_qiskit.devices.regions import Region, region_target
from qvit_qiskit.devices.transpiler import plain
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.hardware.stages.stage import Group
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.simulation.exact.estimator import Columns, Compiler, ExactEstimator
from qvit_qiskit.simulation.noise.noisy_forms import NoisyForm, NoisyFormEngine, compile_values
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator


@dataclass(frozen=True)
class AsCompiled:
    """Compiles circuits onto the qubits where a stage of a run put one of its copies."""

    programs: Sequence[tuple[QuantumCircuit, Sequence[Compiled]]]
    """Circuits of the stage, and how each was compiled."""
    device: BackendV2
    """As it was when the stage was compiled."""
    copy: int
    """Which of the copies."""
    fold: int
    """How often each two-qubit gate is run."""
    waits: SentWaits | None
    """How long qubits wait in what is sent; None where that counts for nothing."""
    mitigated: bool = field(kw_only=True)
    """Whether the readout is taken to be perfect, as its calibration makes it."""

    def __call__(self, circuit: QuantumCircuit, basis: Basis, columns: Columns) -> NoisyForm:
        """Compile a circuit of the stage for a basis.

        Raises:
            RouteError: If the stage did not measure this circuit in this basis.
        """
        compiled, read = self._find(circuit, basis)
        here = compiled.copies[self.copy]
        parameters = list(circuit.parameters)
        wanted = [parameters[column] for column in compiled.columns[self.copy]]
        gates = plain(here.folded(self.fold))
        named = gates.assign_parameters(dict(zip(gates.parameters, wanted, strict=True)))
        target = region_target(self.device, here.qubits)
        region = Region(named, here.qubits, here.outputs, target)
        if self.waits is not None:
            waits = self.waits.of(compiled, self.copy, self.fold, region)
            region = replace(region, waits=waits)
        where = f"{region.describe(self.device.name)}, as a run compiled it"
        perfect = np.stack([np.eye(2)] * len(region.outputs)) if self.mitigated else None
        return compile_values(region, parameters, read, columns, where, perfect)

    def _find(self, circuit: QuantumCircuit, basis: Basis) -> tuple[Compiled, Basis]:
        """The stage's program, and the basis as the bits that it measures give it."""
        for known, programs in self.programs:
            if _same(known, circuit):
                for compiled in programs:
                    read = reading(circuit, basis, compiled.readout).basis
                    if compiled.basis == read:
                        return compiled, read
        raise _other_circuit()


class Folded(RowEstimator):
    """Values of one copy, extrapolated to none of the noise that folded gates add to.

    Args:
        folds: Values at each number of folded gates.
        factors: Those numbers; where it is one, values are those at that number.
    """

    def __init__(self, folds: Sequence[ExactEstimator], factors: Sequence[int]) -> None:
        self.folds, self.shares = tuple(folds), extrapolation(factors)

    def tables(self, flats: Sequence[FlatPub]) -> list[np.ndarray]:
        """Values of all observables at all rows of PUBs, each of shape (K, R).

        Args:
            flats: The PUBs.
        """
        by_fold = [fold.tables(flats) for fold in self.folds]
        return [
            np.einsum("f,fkr->kr", self.shares, np.stack(tables))
            for tables in zip(*by_fold, strict=True)
        ]

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        return [Answer(table, metadata={"exact": True}) for table in self.tables(flats)]


@dataclass(frozen=True)
class RecordedLayer:
    """One stage of a run, by its own calibration and on its own qubits."""

    copies: tuple[Folded, ...]
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


def noise_of(stages: Sequence[StoredStage], *, mitigated: bool = False) -> RecordedNoise:
    """The noise that the compiled stages of a run predict for it.

    Args:
        stages: All that are compiled, in order.
        mitigated: Whether to predict what the run's resilience level makes of the values: at level
            1 and 2 readout errors have no bias, and at 2 values are extrapolated.

    Raises:
        JobError: If a file is missing or damaged.
        RouteError: If the device reported nothing.
    """
    layers = []
    for stage in stages:
        weights = frozenset(
            _weights(stage.rows.groups[g].circuit, stage.rows.groups[g].rows[index[0]])
            for g, index in stage.rows.pubs
            if len(index)
        )
        predict, programs = _Predictor(stage, mitigated=mitigated), _programs(stage)
        circuits = [group.circuit for group in stage.rows.groups]
        known = list(zip(circuits, programs, strict=True))
        count = min(one[0].k for one in programs)
        copies = tuple(predict.of(known, copy) for copy in range(count))
        layers.append(RecordedLayer(copies, weights))
    return RecordedNoise(layers)


def predicted_controls(stage: StoredStage) -> list[tuple[np.ndarray, np.ndarray]]:
    """What reported errors predict for the rows of a stage that ran packed, and alone as well.

    Args:
        stage: A compiled stage.

    Returns:
        For each circuit with such rows the values packed and alone, each of shape (R, K), at the
        run's resilience level.

    Raises:
        JobError: If a file is missing or damaged.
        RouteError: If the device reported nothing.
    """
    predict, pairs = _Predictor(stage, mitigated=True), []
    programs, count = stage.layout.programs, len(stage.rows.groups)
    for place, (number, picked) in enumerate(stage.compilation.controls):
        group, copies = stage.rows.groups[number], stage.copies_of(number)[picked]
        packed = predict.tables(group, picked, copies, programs[number])
        alone = predict.tables(group, picked, np.zeros_like(copies), programs[count + place])
        pairs.append((packed, alone))
    return pairs


class _Predictor:
    """Predicts copies of a stage. Runs that were begun when nothing decayed keep that."""

    def __init__(self, stage: StoredStage, *, mitigated: bool) -> None:
        mitigation, self.device = stage.mitigation, stage.device
        decays = stage.compilation.idle
        self.waits = SentWaits(mitigation, self.device.target) if decays else None
        self.factors = mitigation.factors if mitigated else (1,)
        self.perfect = mitigated and mitigation.level > 0

    def of(
        self, programs: Sequence[tuple[QuantumCircuit, Sequence[Compiled]]], copy: int
    ) -> Folded:
        """What predicts one copy of some circuits."""
        compilers = [
            AsCompiled(programs, self.device, copy, fold, self.waits, mitigated=self.perfect)
            for fold in self.factors
        ]
        return Folded(
            [ExactEstimator(NoisyFormEngine(), Compiler(c)) for c in compilers], self.factors
        )

    def tables(
        self, group: Group, picked: Sequence[int], copies: np.ndarray, programs: Sequence[Compiled]
    ) -> np.ndarray:
        """Values (R, K) of some rows of a group, each on its own copy."""
        rows, terms = group.rows[picked], [[dict(term)] for term in group.terms]
        out = np.zeros((len(rows), len(terms)))
        for copy in np.unique(copies):
            mine = copies == copy
            estimator = self.of([(group.circuit, programs)], int(copy))
            values = estimator.run([(group.circuit, terms, rows[mine])]).result()[0].data.evs
            out[mine] = np.asarray(values).T
        return out


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
