"""The circuits of a model on a chip, as a candidate arranges them, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from qiskit import QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.circuits.parity_readout import Readout
from qvit_qiskit.devices.compiled_circuit import Compiled, compile_bases, copies_of, longest_timing
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.prices import Estimate, Mitigation, Procedure, Timing
from qvit_qiskit.hardware.shot_shares import Quiet, estimate_shares
from qvit_qiskit.profile import FakeProfile, IbmProfile

Circuits = Sequence[tuple[QuantumCircuit, Sequence[Mapping[str, Any]]]]
"""Prepared circuits with their observables."""


@dataclass(frozen=True)
class Arrangement:
    """How rows share the chip, and how they are measured."""

    k: int | Literal["auto"]
    """Copies side by side; ``"auto"`` for as many as fit."""
    buffer: int = 0
    level: Literal[0, 1, 2] = 0
    readout: Readout = "gates"

    def settings(self) -> dict[str, Any]:
        """The same as fields of a job spec or profile."""
        return {
            "k": self.k,
            "buffer": self.buffer,
            "resilience_level": self.level,
            "readout": self.readout,
        }

    def describe(self) -> str:
        """One line for people."""
        copies = "1 copy" if self.k == 1 else f"{self.k} copies"
        apart = f", {self.buffer} free between" if self.buffer and self.k != 1 else ""
        return f"{copies}{apart}, level {self.level}, read by {self.readout}"


@dataclass(frozen=True)
class PricedRows:
    """What is to be run, as prices count it."""

    stage_rows: tuple[int, ...]
    """Rows of every quantum layer for all images."""
    job_seconds: float
    """No job is planned longer."""
    control_rows: int = 0
    anchor_rows: int = 0
    projections: int = 1
    """Of the first quantum layer."""


@dataclass(frozen=True)
class ChipLayout:
    """A model's circuits compiled to a device under an arrangement."""

    arrangement: Arrangement
    """With the number of copies that there are."""
    circuits: Circuits
    programs: tuple[tuple[Compiled, ...], ...]
    """For each circuit one per measurement basis."""
    timing: Timing
    mitigation: Mitigation
    rows: PricedRows = field(repr=False)

    @property
    def fidelity(self) -> float:
        """Expected success, the mean over circuits and copies."""
        each = [compiled.fidelity for program in self.programs for compiled in program]
        return sum(each) / len(each)

    def price(self, shots: int, quiet: Quiet | None = None) -> Estimate:
        """What it costs.

        Args:
            shots: Asked for per row.
            quiet: Projections with fewer shots.
        """
        rows = self.rows
        how = Procedure(
            self.timing, self.mitigation,
            bases=max(len(program) for program in self.programs),
            copies=self.arrangement.k if self.arrangement.k != "auto" else 1,
            control_rows=rows.control_rows, anchor_rows=rows.anchor_rows,
            job_seconds=rows.job_seconds,
        )  # fmt: skip
        return estimate_shares(rows.stage_rows, shots, quiet, rows.projections, how)

    def at_level(self, level: Literal[0, 1, 2]) -> ChipLayout:
        """The same places with another resilience level."""
        arrangement = replace(self.arrangement, level=level)
        twirls = self.mitigation.twirl_gates
        return replace(self, arrangement=arrangement, mitigation=Mitigation(level, twirls))


def lay_out(
    arrangement: Arrangement,
    circuits: Circuits,
    profile: FakeProfile | IbmProfile,
    device: BackendV2,
    rows: PricedRows,
) -> ChipLayout:
    """Compile a model's circuits under an arrangement.

    Args:
        arrangement: How.
        circuits: Prepared circuits with their observables.
        profile: Its seed, smallest fidelity, waits, twirling and delay count.
        device: With its calibration.
        rows: What will run, as prices count it.

    Raises:
        RouteError: If the device is too small, or fewer copies fit.
    """
    placement = Placement(
        profile.seed, arrangement.k, arrangement.buffer, profile.min_fidelity, profile.idle
    )
    programs = tuple(
        tuple(compile_bases(circuit, terms, device, placement, arrangement.readout))
        for circuit, terms in circuits
    )
    return ChipLayout(
        replace(arrangement, k=min(program[0].k for program in programs)),
        circuits,
        programs,
        longest_timing(copies_of(programs), device, profile.rep_delay),
        Mitigation(arrangement.level, profile.twirl_gates),
        rows,
    )
