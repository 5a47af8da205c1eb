"""The noise that a run's own compilation and calibration predict for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveJob, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike
from qiskit.providers import BackendV2

from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution.calibration import device_of
from qvit_qiskit.execution.devices import Region, region_target
from qvit_qiskit.execution.exact.estimator import Columns, Compiler, ExactEstimator
from qvit_qiskit.execution.exact.readout import Basis
from qvit_qiskit.execution.hardware.compiled import Compiled
from qvit_qiskit.execution.hardware.journal import Journal
from qvit_qiskit.execution.hardware.stored import StoredStage
from qvit_qiskit.execution.noise.engine import NoisyEngine
from qvit_qiskit.execution.noise.program import NoisyProgram, compile_noisy


class AsCompiled:
    """Compiles circuits onto the qubits where a stage of a run put one of its copies."""

    def __init__(self, stages: Sequence[StoredStage], device: BackendV2, copy: int) -> None:
        self.stages, self.device, self.copy = stages, device, copy

    def __call__(self, circuit: QuantumCircuit, basis: Basis, columns: Columns) -> NoisyProgram:
        """Compile a circuit of the run for a basis.

        Raises:
            RouteError: If the run did not measure this circuit in this basis.
        """
        compiled = self._find(circuit, basis)
        placed = compiled.copies[self.copy]
        parameters = list(circuit.parameters)
        wanted = [parameters[column] for column in compiled.columns[self.copy]]
        named = placed.circuit.assign_parameters(
            dict(zip(placed.circuit.parameters, wanted, strict=True))
        )
        target = region_target(self.device, placed.qubits)
        region = Region(named, placed.qubits, placed.outputs, target)
        where = f"{region.describe(self.device.name)}, as a run compiled it"
        return compile_noisy(region, parameters, basis, columns, where)

    def _find(self, circuit: QuantumCircuit, basis: Basis) -> Compiled:
        for stage in self.stages:
            for group, programs in zip(stage.rows.groups, _programs(stage), strict=True):
                if _same(group.circuit, circuit):
                    for compiled in programs:
                        if compiled.basis == basis:
                            return compiled
        raise RouteError("The run did not measure this circuit: compare it with its own model.")


class MeanEstimator(BaseEstimatorV2):
    """The mean of several exact estimators: what a row gives on a copy chosen at random."""

    def __init__(self, estimators: Sequence[ExactEstimator]) -> None:
        self.estimators = estimators

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Evaluate PUBs.

        Args:
            pubs: The PUBs.
            precision: Ignored: values are exact.
        """
        job = PrimitiveJob(self._run, [EstimatorPub.coerce(pub) for pub in pubs])
        job._submit()
        return job

    def _run(self, pubs: list[EstimatorPub]) -> PrimitiveResult[PubResult]:
        found = [estimator.run(pubs).result() for estimator in self.estimators]
        out = []
        for k, pub in enumerate(pubs):
            evs = np.mean([result[k].data.evs for result in found], axis=0)
            out.append(PubResult(DataBin(evs=evs, stds=np.zeros_like(evs), shape=pub.shape)))
        return PrimitiveResult(out)


def recorded_noise(folder: Path) -> BaseEstimatorV2:
    """Values under the errors that a run recorded, on the qubits that it used, without mitigation.

    Where a run has several copies side by side, values are means over them.

    Args:
        folder: The folder of a run whose quantum layers are compiled.

    Raises:
        JobError: If the folder is no run's, or damaged.
        RouteError: If nothing is compiled, or its device reported nothing.
    """
    journal = Journal.open(folder)
    events = journal.of("compiled")
    if not events:
        raise RouteError(f"The run in {folder} has compiled nothing yet; resume it first.")
    stages = [StoredStage(journal, event["stage"]) for event in events]
    calibration = events[-1]["calibration"]
    errors = journal.load(calibration["file"], calibration["sha256"])
    device = device_of(errors, str(folder / calibration["file"]))
    copies = min(
        p[0].k for stage in stages for p in stage.layout.programs[: len(stage.rows.groups)]
    )
    found = [
        ExactEstimator(NoisyEngine(), Compiler(AsCompiled(stages, device, copy)))
        for copy in range(copies)
    ]
    return found[0] if copies == 1 else MeanEstimator(found)


def _programs(stage: StoredStage) -> list[list[Compiled]]:
    """How each group was compiled; rows that ran a second time, alone, stand behind them."""
    return list(stage.layout.programs[: len(stage.rows.groups)])


def _same(recorded: QuantumCircuit, circuit: QuantumCircuit) -> bool:
    """Whether a circuit that was read back is this one; its parameters keep their order."""
    if recorded.num_parameters != circuit.num_parameters:
        return False
    names = dict(zip(recorded.parameters, circuit.parameters, strict=True))
    return bool(recorded.assign_parameters(names) == circuit)
