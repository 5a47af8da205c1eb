"""What to do about a device's loss: one recommendation, and the command that prices it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qvit_qiskit.comparison.evidence import Evidence, Rung
from qvit_qiskit.comparison.findings.cause import Cause
from qvit_qiskit.comparison.findings.systematic import Bias, Drift
from qvit_qiskit.statistics.verdicts import Verdict

SURE = 0.01
"""The p value below which copies or jobs are said to differ."""
MOST_SHOTS = 16
"""More shots are advised up to this many times those of the run."""


@dataclass(frozen=True)
class Advice:
    """One thing to do next."""

    text: str
    command: str = ""
    """What prices or does it; ``JOB.toml`` stands for the run's job spec."""


@dataclass(frozen=True)
class Adviser:
    """What to do about one rung."""

    evidence: Evidence
    rung: Rung
    verdicts: Sequence[Verdict]
    """What the losses of AUC and ACC say."""
    cause: Cause | None
    systematic: Sequence[Bias | Drift]
    """Mean errors of all rungs by copy and by job, with their tests."""

    def advice(self) -> Advice:
        """The one recommendation that follows from verdict and cause."""
        words = {verdict.word for verdict in self.verdicts}
        if words == {"as good"}:
            return Advice("Change nothing: the answers are as good as the exact model's.")
        if "worse" not in words:
            return self._undecided()
        if self.rung.kind != "hardware" or self.cause is None:
            return self._more_shots(4) if self.rung.shots else Advice("Look for another device.")
        if self.cause.part == "shots":
            return self._more_shots(4)
        if self.cause.part == "rest" and self._differs("copies"):
            return Advice(
                "Use fewer copies on the chip: their errors differ from copy to copy.",
                self._priced(k=max(1, self.copies // 2)),
            )
        if self.cause.part == "rest" and self._differs("jobs"):
            return Advice(
                "Send it again soon after a calibration: the errors drifted from job to job.",
                _command("submit"),
            )
        return self._better_readout()

    @property
    def copies(self) -> int:
        """How many copies of a circuit lay on the chip."""
        numbers = [copies for where in self.rung.executions or [] for copies in where.copies or []]
        return 1 + max((int(one.max()) for one in numbers if len(one)), default=0)

    def _undecided(self) -> Advice:
        """What would tell: images where there are more, else shots, else nothing."""
        images = max((v.images or 0 for v in self.verdicts if v.word == "undecided"), default=0)
        here = len(self.evidence.labels)
        whole = self.evidence.split_images or math.inf
        if images and self.evidence.subset and images <= whole:
            cost = self._cost(images / here)
            return Advice(
                f"Evaluate more of the split: about {images:,} images would tell (these are "
                f"{here:,}){cost}.",
                self._priced(subset=images),
            )
        shots = [v.shots for v in self.verdicts if v.word == "undecided"]
        needed = max((number or 0 for number in shots), default=0)
        known = self.rung.shots if needed and None not in shots else None
        if known and needed <= MOST_SHOTS * known:
            return self._more_shots(needed / known)
        if images:
            there = f"these are {here:,}"
            if self.evidence.subset and whole < images:
                there = f"the whole split has {whole:,}"
            return Advice(
                f"Nothing on these images: about {images:,} would tell and {there}, and more shots "
                "would not help. State a larger tolerance, or evaluate more images."
            )
        return Advice("Nothing on these images: they do not determine the loss. Add images.")

    def _more_shots(self, times: float) -> Advice:
        assert self.rung.shots is not None
        shots = math.ceil(times * self.rung.shots)
        return Advice(
            f"Ask for {shots:,} shots a row instead of {self.rung.shots:,}{self._cost(times)}.",
            self._priced(shots=shots),
        )

    def _cost(self, times: float) -> str:
        """What it costs, from what this run cost; a start-up of jobs is multiplied too."""
        seconds = self.rung.qpu_seconds
        if seconds is None:
            return ""
        return f": at most {times * seconds:,.0f} QPU seconds instead of {seconds:,.0f}"

    def _better_readout(self) -> Advice:
        """Mitigation first, then parities, then another device."""
        if not self.rung.resilience_level:
            return Advice(
                "Mitigate readout errors: resilience level 1.", self._priced(resilience_level=1)
            )
        if self.rung.readout == "gates":
            return Advice(
                "Let the predicted errors choose whether last CNOTs are read as parities.",
                self._priced(readout="auto"),
            )
        return Advice("Try another device.", _command("estimate", backend="ANOTHER"))

    def _priced(self, **changes: object) -> str:
        """What prices a run with other settings; nothing for a simulator, which costs nothing."""
        return _command("estimate", **changes) if self.rung.kind == "hardware" else ""

    def _differs(self, what: Literal["copies", "jobs"]) -> bool:
        """Whether errors differ beyond chance between copies or jobs."""
        if what == "copies" and self.copies == 1:
            return False
        tests = [
            one.test
            for one in self.systematic
            if one.rung == self.rung.name
            and (
                (isinstance(one, Bias) and one.by == "copy")
                if what == "copies"
                else (isinstance(one, Drift) and one.source == "repeated rows")
            )
        ]
        return any(test is not None and test.p < SURE for test in tests)


def _command(name: str, **changes: object) -> str:
    options = "".join(f" --set {key}={value}" for key, value in changes.items())
    return f"qvit {name} JOB.toml{options}"
