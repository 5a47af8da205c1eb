"""The one reader of a run's folder: whoever wants to know something of a run asks it here."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.attempts import Attempts
from qvit_qiskit.hardware.events import (
    Abandonment,
    ChunkEvent,
    Compilation,
    Completion,
    Failure,
    Intent,
    NewBudget,
    Order,
    Release,
    RouteOrder,
    StageRows,
)
from qvit_qiskit.hardware.journal import NAME, Journal, digest, unpack_arrays
from qvit_qiskit.hardware.ledger import Ledger, ledger_of
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.hardware.terms import Terms

IMAGES, PREDICTIONS, CHECKPOINT = "images.npz", "predictions.npz", "checkpoint.safetensors"
"""Files of a run's folder beside those of its stages."""


class RunReader:
    """What a run's folder says; nothing is sent and nothing is written.

    During a run it reads the journal that the run writes, so that it is up to date.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.attempts = Attempts(journal)
        """How far each chunk is."""
        self._stages: dict[int, StoredStage] = {}

    @classmethod
    def open(cls, folder: Path) -> RunReader:
        """Read a folder.

        Raises:
            JobError: If it is no run folder, of a newer format, or damaged.
        """
        return cls(Journal.open(folder))

    # What the run is.

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.journal.folder

    @property
    def short_identity(self) -> str:
        """Eight digits that a copy of the folder shares and no other run has."""
        return self.journal.fingerprint[:8]

    @property
    def begun(self) -> str:
        """When it was begun, UTC."""
        return self.journal.events[0].time

    @property
    def order(self) -> Order:
        """What is evaluated.

        Raises:
            JobError: If that was not written down.
        """
        orders = self.journal.of(Order)
        if not orders:
            raise JobError(
                f"The run in {self.folder} was interrupted before anything was written down. "
                "Delete the folder and submit again; nothing was sent."
            )
        return orders[0]

    @property
    def terms(self) -> Terms:
        """What it may cost, with the budget that was named last.

        Raises:
            JobError: If that was not written down.
        """
        terms = Terms.from_record(self.order.terms)
        budgets = [terms.budget, *(event.seconds for event in self.journal.of(NewBudget))]
        return replace(terms, budget=budgets[-1])

    @property
    def route_order(self) -> RouteOrder | None:
        """The terms of a run whose stages are the calls of a route; None if it is not one."""
        orders = self.journal.of(RouteOrder)
        return orders[0] if orders else None

    def images(self) -> dict[str, np.ndarray]:
        """The images and labels.

        Raises:
            JobError: If they are missing or not what was written.
        """
        return unpack_arrays(self.journal.load(IMAGES, self.order.images))

    @cached_property
    def checkpoint(self) -> Path | None:
        """The kept checkpoint, if there is one.

        Raises:
            JobError: If it is missing or not what was written.
        """
        if self.order.checkpoint is None:
            return None
        self.journal.load(CHECKPOINT, self.order.checkpoint)  # checks it
        return self.folder / CHECKPOINT

    # Stages.

    @property
    def stages(self) -> list[StoredStage]:
        """The stages whose angles are written down."""
        return [self.stage(number) for number in range(len(self.journal.of(StageRows)))]

    @property
    def layers(self) -> list[list[StoredStage]]:
        """The stages of each quantum layer: one, or one for each share of its shots."""
        layers: list[list[StoredStage]] = []
        for stage in self.stages:
            if stage.order.images is None and stage.order.projections is None:
                layers.append([])
            layers[-1].append(stage)
        return layers

    def stage(self, number: int) -> StoredStage:
        """A stage; each of its files is read once."""
        return self._stages.setdefault(number, StoredStage(self.attempts, number))

    def stage_anew(self, number: int) -> StoredStage:
        """A stage of which nothing is remembered, since it is about to be compiled again."""
        self._stages.pop(number, None)
        return self.stage(number)

    @property
    def compiled_stages(self) -> list[StoredStage]:
        """The stages that are compiled, in order."""
        return [self.stage(n) for n in sorted({each.stage for each in self._compilations})]

    @property
    def _compilations(self) -> list[Compilation]:
        return self.journal.of(Compilation)

    @property
    def first_device(self) -> str | None:
        """The device that the run was compiled for first, and stays on."""
        if not self._compilations:
            return self._planned_device
        return self._compilations[0].device

    @property
    def _planned_device(self) -> str | None:
        """The device that a plan was made for."""
        orders = self.journal.of(Order)
        return orders[0].plan["device"] if orders and orders[0].plan else None

    @property
    def device(self) -> str | None:
        """The device that the last stage was compiled for."""
        return self._compilations[-1].device if self._compilations else None

    @property
    def planned_seconds(self) -> float:
        """Estimated QPU seconds of all jobs of all stages."""
        return float(sum(c["seconds"] for each in self._compilations for c in each.chunks))

    def predicted_noise(self, version: str | None) -> str:
        """Identity of the noise that the device's reported errors predict for this run.

        Made of the errors that were stored with the last layer, of where every layer's circuits
        lie on the chip, of how they are read and whether and how they wait, and of the
        transpiler's version, on which their gates depend.

        Args:
            version: Of the transpiler.
        """
        parts = ("axes", "columns", "qubits", "outputs", "terms")
        placed = [
            [
                {part: program[part] for part in parts}
                for group in each.programs
                for program in group
            ]
            for each in self._compilations
        ]
        twirls = self.terms.mitigation.twirls
        waits = [each.idle and twirls for each in self._compilations]
        errors = self._compilations[-1].calibration["sha256"]
        return digest(json.dumps([errors, placed, waits, version]).encode())

    # Jobs.

    @property
    def state(self) -> str:
        """``new``, ``sent``, ``uncertain``, ``lost``, ``failed``, ``cancelled`` or ``finished``."""
        if self.finished:
            return "finished"
        states = set(self._states())
        for state in ("uncertain", "lost", "failed", "cancelled"):
            if state in states:
                return state
        return "sent" if states else "new"

    @property
    def jobs_out(self) -> int:
        """Jobs of any stage that were sent and have not ended, for all that is known."""
        return sum(state in ("sent", "uncertain") for state in self._states())

    def _states(self) -> list[str]:
        """How far each chunk is that was sent and not taken back."""
        events = self.attempts.latest.values()
        return [_state(event) for event in events if event.state != "new"]

    @property
    def announced(self) -> bool:
        """Whether any job was about to be sent."""
        return bool(self.journal.of(Intent))

    @property
    def executions(self) -> int:
        """Executions of all jobs that were sent, for all that is known."""
        sent: dict[str, int] = {}
        for event in self.journal.events:
            match event:
                case Intent(tag=tag, executions=executions):
                    sent[tag] = executions
                case Release(tag=str(tag)) | Abandonment(tag=tag):
                    sent.pop(tag, None)
        return sum(sent.values())

    def ledger(self, budget: float) -> Ledger:
        """What the run has cost and may still cost.

        Args:
            budget: In QPU seconds.
        """
        return ledger_of(self.journal, budget)

    # The end.

    @property
    def finished(self) -> bool:
        """Whether the logits are on the disk."""
        return bool(self.journal.of(Completion))

    @property
    def unsettled(self) -> int | None:
        """Images of a finished run whose answer was not settled; None where shots were equal."""
        ends = self.journal.of(Completion)
        return ends[-1].unsettled if ends else None

    def predictions(self) -> dict[str, np.ndarray]:
        """The logits and labels of a finished run.

        Raises:
            JobError: If it is not finished, or they are missing or not what was written.
        """
        if not self.finished:
            raise JobError(
                f"The run in {self.folder} is not finished. Go on with `qvit resume "
                f"{self.folder} --wait`."
            )
        written = self.journal.of(Completion)[-1].predictions
        return unpack_arrays(self.journal.load(PREDICTIONS, written))


def _state(event: ChunkEvent) -> str:
    """How far a chunk is, for people: what was not answered is uncertain to them."""
    if isinstance(event, Failure):
        return event.way
    return "uncertain" if event.state == "unanswered" else event.state


def run_folders(folder: Path) -> list[Path]:
    """The folders of runs below a folder, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{NAME}"))
