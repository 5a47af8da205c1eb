"""What can be chosen: how rows share the chip, how they are measured, and how many shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, cast

from qiskit.providers import BackendV2

from qvit_qiskit.circuits.parity_readout import Readout
from qvit_qiskit.devices.prices import Estimate, Mitigation
from qvit_qiskit.hardware.shot_shares import Quiet
from qvit_qiskit.profile import FakeProfile, IbmProfile
from qvit_qiskit.runs.planning.chip_layout import (
    Arrangement,
    ChipLayout,
    Circuits,
    PricedRows,
    lay_out,
)
from qvit_qiskit.runs.planning.chosen_plan import shots_in_words
from qvit_qiskit.simulation.noise.readout_choice import READOUTS, has_tail

SHARES = (1.0, 0.85, 0.7, 0.5, 0.25)
"""Of the copies that fit: how many are tried, beside a single one."""
LEVELS: tuple[Literal[0, 1, 2], ...] = (0, 1, 2)
FEWEST, MOST = 8, 16_384
"""Shots a row that are tried."""
STEPS = 8
"""Numbers of shots from one to its double."""


@dataclass(frozen=True)
class Candidate:
    """One way to run an evaluation."""

    layout: ChipLayout
    shots: int
    """Of every row, as they are run; or of those of the projections that are not quiet."""
    quiet: Quiet | None = None
    """Projections with fewer shots."""

    @cached_property
    def estimate(self) -> Estimate:
        """What it costs."""
        return self.layout.price(self.shots, self.quiet)

    @property
    def shots_by_projection(self) -> list[int]:
        """Shots of the rows of each projection of the first quantum layer."""
        quiet = self.quiet
        return [
            quiet.shots if quiet and number in quiet.projections else self.shots
            for number in range(self.layout.rows.projections)
        ]

    @property
    def seconds(self) -> float:
        """QPU seconds."""
        return self.estimate.seconds

    def describe(self) -> str:
        """One line for people."""
        said = shots_in_words(self.shots, self.quiet)
        return f"{said}, {self.layout.arrangement.describe()}"

    def settings(self) -> dict[str, Any]:
        """The choice as fields of a job spec."""
        quiet = self.quiet
        more = (
            {}
            if quiet is None
            else {"quiet_shots": quiet.shots, "quiet_projections": quiet.projections}
        )
        return {"shots": self.shots, **self.layout.arrangement.settings(), **more}


def shot_ladder(mitigation: Mitigation) -> list[int]:
    """The numbers of shots that are tried, ascending, as the client rounds them.

    Args:
        mitigation: It may make shots come in batches.
    """
    asked = [round(2 ** (step / STEPS)) for step in range(14 * STEPS + 1)]
    run = {mitigation.executed(shots) for shots in asked}
    return sorted(shots for shots in run if FEWEST <= shots <= MOST)


@dataclass(frozen=True)
class Candidates:
    """The layouts of a model's circuits on a device, each compiled when it is asked for."""

    circuits: Circuits
    """Prepared circuits with their observables."""
    profile: FakeProfile | IbmProfile
    """What it states of copies, buffer, level and readout is not changed."""
    device: BackendV2
    """With its calibration."""
    rows: PricedRows
    """What will run, as prices count it."""
    held: Mapping[str, Any]
    """Fields that are stated, of ``k``, ``buffer``, ``resilience_level`` and ``readout``."""
    _layouts: dict[Arrangement, ChipLayout] = field(default_factory=dict, init=False)

    def layout(self, arrangement: Arrangement) -> ChipLayout:
        """The circuits under an arrangement; levels share their places.

        Raises:
            RouteError: If the device is too small, or fewer copies fit.
        """
        plain = Arrangement(arrangement.k, arrangement.buffer, 0, arrangement.readout)
        if plain not in self._layouts:
            made = lay_out(plain, self.circuits, self.profile, self.device, self.rows)
            self._layouts[plain] = self._layouts[made.arrangement] = made
        return self._layouts[plain].at_level(arrangement.level)

    @cached_property
    def readouts(self) -> tuple[Readout, ...]:
        """Readouts that differ."""
        if self.held.get("readout", "auto") != "auto":
            return (cast(Readout, self.held["readout"]),)
        tails = any(has_tail(circuit, terms) for circuit, terms in self.circuits)
        return READOUTS if tails else READOUTS[:1]

    @property
    def levels(self) -> Sequence[Literal[0, 1, 2]]:
        """Resilience levels that are tried."""
        level = self.held.get("resilience_level")
        return LEVELS if level is None else (level,)

    @property
    def buffer(self) -> int:
        """Free qubits between copies.

        No snapshot knows crosstalk, so more room never lowers a predicted loss: none is left
        unless it is stated.
        """
        return int(self.held.get("buffer", 0))

    def most(self, level: Literal[0, 1, 2], readout: Readout) -> Arrangement:
        """The arrangement with the most copies, or with as many as are stated.

        Args:
            level: Of resilience.
            readout: By gates or parities.
        """
        k = self.held.get("k", "auto")
        made = self.layout(Arrangement(k, self.buffer, level, readout)).arrangement
        return made

    def fewer(self, most: Arrangement) -> list[Arrangement]:
        """The same with fewer and fewer copies, down to one; nothing where they are stated.

        Args:
            most: With the most copies.
        """
        if self.held.get("k", "auto") != "auto":
            return []
        counts = {1, *(max(1, round(share * int(most.k))) for share in SHARES)}
        return [replace(most, k=k) for k in sorted(counts, reverse=True) if k < int(most.k)]
