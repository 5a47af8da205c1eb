"""What a run may cost, and how it is measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from qvit_qiskit.devices.prices import Mitigation, Procedure
from qvit_qiskit.hardware.shot_shares import Adaptive, Quiet
from qvit_qiskit.hardware.stages.stage import Layout
from qvit_qiskit.profile import FakeProfile, IbmProfile


@dataclass(frozen=True)
class Terms:
    """What a run may cost and how it is measured."""

    profile: FakeProfile | IbmProfile
    shots: int
    budget: float
    """QPU seconds."""
    max_loss: float
    """The share of the budget that losing one job may lose."""
    control_rows: int = 0
    """Where copies share the chip: rows of each circuit that run a second time, alone."""
    anchor_rows: int = 0
    """Rows of each circuit that every job of a stage runs besides, so that drift shows."""
    adaptive: Adaptive | None = None
    """How shots go where answers need them, ``shots`` being the most of a row; None for equal
    shots of all images."""
    quiet: Quiet | None = None
    """Projections with fewer shots, ``shots`` being those of the others; None for equal shots."""

    @property
    def mitigation(self) -> Mitigation:
        """The resilience level."""
        return self.profile.mitigation

    def procedure(self, layout: Layout) -> Procedure:
        """How rows are run, with the circuits as they lie on the device.

        Args:
            layout: Of the first stage.
        """
        return Procedure(
            layout.timing, self.mitigation,
            bases=max(len(program) for program in layout.programs),
            copies=layout.programs[0][0].k,
            control_rows=self.control_rows, anchor_rows=self.anchor_rows,
            job_seconds=self.max_loss * self.budget,
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """As JSON."""
        record = {**asdict(self), "profile": json.loads(self.profile.model_dump_json())}
        if self.quiet is not None:  # numbers and sequences of whatever kind
            record["quiet"] = {
                "shots": int(self.quiet.shots),
                "projections": [int(number) for number in self.quiet.projections],
            }
        for name in ("adaptive", "quiet"):  # runs that were begun before there were any say neither
            if record[name] is None:
                del record[name]
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Terms:
        """The inverse of `record`; what a run begun earlier does not say has its default."""
        profile = record["profile"]
        kind = FakeProfile if profile["kind"] == "fake" else IbmProfile
        known = {**record, "profile": kind.restored(profile)}
        if known.get("adaptive"):
            known["adaptive"] = Adaptive(**known["adaptive"])
        if known.get("quiet"):
            known["quiet"] = Quiet(known["quiet"]["shots"], tuple(known["quiet"]["projections"]))
        return cls(**known)
