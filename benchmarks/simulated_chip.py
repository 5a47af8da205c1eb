"""A chip of many copies, simulated by the engine of device noise: honest, or not as reported.

Every row of a model's first quantum layer has its probabilities on every copy worked out once;
shots are drawn from these ever after, bit by bit, so that outputs of one row are correlated as they
are on a device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import RXGate
from qiskit.transpiler import InstructionProperties
from torch import Tensor, nn

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.circuits.parity_readout import reading
from qvit_qiskit.devices.compiled_circuit import Compiled, compile_bases
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.regions import Region, bundled_device, region_target
from qvit_qiskit.devices.transpiler import plain
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.inference.layer_estimator import walk
from qvit_qiskit.inference.rows import answers_at
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.exact.estimator import (
    Columns,
    Compiler,
    ExactEstimator,
    varying_columns,
)
from qvit_qiskit.simulation.noise.noisy_forms import NoisyFormEngine
from qvit_qiskit.simulation.noise.noisy_program import NoisyProgram, compile_noisy


@dataclass(frozen=True)
class Truth:
    """By how much a device errs more than it reports."""

    name: str
    turn: float = 0.0
    """The share by which every `sx` turns too far."""
    cz: float = 1.0
    """Times the reported errors of two-qubit gates."""
    readout: float = 1.0
    """Times the reported errors of readout."""

    def of(self, region: Region) -> Region:
        """A region as it really is; what waits between its gates is as long as before."""
        target = region.target
        for name in target.operation_names:
            for wires, entry in list((target[name] or {}).items()):
                if wires is not None and len(wires) == 2 and entry and entry.error:
                    worse = InstructionProperties(entry.duration, min(self.cz * entry.error, 0.9))
                    target.update_instruction_properties(name, wires, worse)
        for entry in target["measure"].values():
            for side in ("prob_meas1_prep0", "prob_meas0_prep1"):
                setattr(entry, side, min(self.readout * getattr(entry, side), 0.5))
        if not self.turn:
            return replace(region, target=target)
        nothing = {(w,): InstructionProperties(0.0, 0.0) for w in range(len(region.qubits))}
        target.add_instruction(RXGate(Parameter("angle")), nothing)
        gates, places = QuantumCircuit(region.circuit.num_qubits), []
        for item in region.circuit.data:
            places.append(len(gates.data))
            wires = [region.circuit.find_bit(q).index for q in item.qubits]
            gates.append(item.operation, wires)
            if item.operation.name == "sx":
                gates.rx(self.turn * np.pi / 2, wires[0])
        more = len(gates.data) - len(region.circuit.data)
        waits = tuple(
            replace(
                wait,
                before=places[wait.before] if wait.before < len(places) else wait.before + more,
            )
            for wait in region.waits or ()
        )
        return replace(region, circuit=gates, target=target, waits=waits)


HONEST = Truth("honest")
OTHERWISE = Truth("other errors", turn=0.03, cz=2.0, readout=1.5)


@dataclass(frozen=True)
class Chip:
    """The rows of a model's first quantum layer, and how they come out on every copy."""

    rows: Rows
    """One group: all projections run one circuit."""
    compiled: Compiled
    exact: np.ndarray  # shape: (U, K)
    probabilities: dict[str, np.ndarray]
    """By the name of a truth: of the bits of every row on every copy, (copies, U, 2**n)."""
    diagonal: np.ndarray  # shape: (2**n, K), the outputs as functions of the bits

    @property
    def copies(self) -> int:
        """Side by side."""
        return self.compiled.k

    def values(self, truth: Truth) -> np.ndarray:
        """Expected outputs, shape (copies, U, K)."""
        return self.probabilities[truth.name] @ self.diagonal

    def draw(
        self, truth: Truth, rows: np.ndarray, copies: np.ndarray, shots: int,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Measured outputs (R, K) and the covariances (R, K, K) that their shots give."""
        chances = self.probabilities[truth.name][copies, rows].astype(float)
        chances /= chances.sum(axis=1, keepdims=True)
        shares = rng.multinomial(shots, chances) / shots
        means = shares @ self.diagonal
        second = np.einsum("rs,sk,sl->rkl", shares, self.diagonal, self.diagonal)
        return means, (second - means[:, :, None] * means[:, None, :]) / shots


def build(
    model: nn.Module, images: Tensor, device: str, copies: int | str, truths: tuple[Truth, ...]
) -> Chip:
    """Lay the circuits of a model's first quantum layer on a device and work everything out.

    Args:
        model: All projections of its first layer run one circuit.
        images: Shape (n, C, H, W).
        device: A bundled snapshot.
        copies: Side by side; ``"auto"`` for as many as fit.
        truths: What the device may be like.
    """
    rows = walk(model, images, [], [], 64)
    assert isinstance(rows, Rows)
    (group,) = rows.groups
    backend = bundled_device(device)
    (compiled,) = compile_bases(group.circuit, group.terms, backend, Placement(0, copies))
    alone = Rows(rows.groups, rows.pubs)
    exact = np.zeros((len(group.rows), len(group.terms)))
    for (_, index), (values, _) in zip(rows.pubs, answers_at(ExactEstimator(), alone), strict=True):
        exact[index] = values
    found = {
        truth.name: np.stack([
            _probabilities(rows, compiled, copy, truth, backend) for copy in range(compiled.k)
        ])
        for truth in truths
    }  # fmt: skip
    diagonal = compiled.basis.diagonal(len(group.terms))
    return Chip(rows, compiled, exact, found, diagonal)


def _probabilities(
    rows: Rows, compiled: Compiled, copy: int, truth: Truth, backend: object
) -> np.ndarray:
    """Of the bits of all rows on one copy, (U, 2**n)."""
    (group,) = rows.groups
    here = compiled.copies[copy]

    def program(circuit: QuantumCircuit, basis: Basis, columns: Columns) -> NoisyProgram:
        parameters = list(circuit.parameters)
        gates = plain(here.circuit)
        wanted = [parameters[column] for column in compiled.columns[copy]]
        named = gates.assign_parameters(dict(zip(gates.parameters, wanted, strict=True)))
        target = region_target(backend, here.qubits)
        region = truth.of(Region(named, here.qubits, here.outputs, target).scheduled())
        read = reading(circuit, basis, compiled.readout).basis
        return compile_noisy(region, parameters, read, columns, "")

    compiler, engine = Compiler(program), NoisyFormEngine()
    out = np.zeros((len(group.rows), 2 ** len(here.outputs)), np.float32)
    left = np.ones(len(group.rows), bool)
    for _, index in rows.pubs:
        mine = np.unique(index[left[index]])
        left[mine] = False
        if not len(mine):
            continue
        values = group.rows[mine]
        made = compiler.program(
            group.circuit, compiled.basis, varying_columns(group.circuit, values)
        )
        request = Request.of(made, values, diagonal=np.zeros((1, 0)))
        out[mine] = engine.probabilities(request)[0].T
    return out
