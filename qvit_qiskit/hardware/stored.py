"""A stage as the run's folder holds it: what it asks, how it was compiled, what was measured."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property

import numpy as np

from qvit_qiskit.devices.calibration import CalibratedDevice, device_of
from qvit_qiskit.devices.compiled import Compiled, from_qpy
from qvit_qiskit.devices.prices import Mitigation, Timing
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.collection import counts_of
from qvit_qiskit.hardware.counts import Counts
from qvit_qiskit.hardware.journal import Event, Journal, digest, unpack_arrays
from qvit_qiskit.hardware.repeats import Anchors, Control
from qvit_qiskit.hardware.stage import Answers, Chunk, Group, Layout, Rows, Task, values_of


class StoredStage:
    """One stage of a run, read from its folder; nothing is sent and nothing is written.

    Files never change once they are written, so each is read once. Everything but `rows` and
    `finished` needs a stage that was compiled, and the measured values one that is finished.
    """

    def __init__(self, journal: Journal, number: int) -> None:
        self.journal, self.number = journal, number

    @property
    def folder(self) -> str:
        """Where its files are, in the run's folder."""
        return f"stages/{self.number:03d}"

    @property
    def compiled(self) -> Event | None:
        """How it was compiled, if it was."""
        found = self.journal.of("compiled", stage=self.number)
        return found[-1] if found else None

    @property
    def finished(self) -> bool:
        """Whether all results are on the disk."""
        done = {e["chunk"] for e in self.journal.of("finished")}
        return bool(self.compiled) and all(c["name"] in done for c in self._compiled["chunks"])

    @cached_property
    def rows(self) -> Rows:
        """What it asks.

        Raises:
            JobError: If a file is missing or not what was written.
        """
        event = self.journal.of("stage", stage=self.number)[0]
        arrays = unpack_arrays(self.journal.load(f"{self.folder}/angles.npz", event["angles"]))
        circuits = from_qpy(self.journal.load(f"{self.folder}/circuits.qpy", event["circuits"]))
        groups = [
            Group(circuit, terms, arrays[f"rows{g}"])
            for g, (circuit, terms) in enumerate(zip(circuits, event["terms"], strict=True))
        ]
        return Rows(groups, [(g, arrays[f"pub{k}"]) for k, g in enumerate(event["pubs"])])

    @cached_property
    def layout(self) -> Layout:
        """How it was compiled and split into jobs.

        Raises:
            JobError: If a file is missing or not what was written.
        """
        event = self._compiled
        place = event.get("place", self.folder)
        circuits = iter(from_qpy(self.journal.load(f"{place}/isa.qpy", event["isa"])))
        programs = [
            [
                Compiled.from_record(record, [next(circuits) for _ in record["qubits"]])
                for record in group
            ]
            for group in event["programs"]
        ]
        where = unpack_arrays(self.journal.load(f"{place}/seats.npz", event["seats"]))
        groups = range(len(programs))
        return Layout(
            programs,
            Timing(**event["timing"]),
            [where[f"seats{g}"] for g in groups],
            [Chunk.from_record(c) for c in event["chunks"]],
            {g: where[f"anchors{g}"] for g in groups if f"anchors{g}" in where},
        )

    @cached_property
    def device(self) -> CalibratedDevice:
        """The device as it was when the stage was compiled.

        Raises:
            JobError: If the calibration is missing or not what the run wrote.
            RouteError: If the device reported nothing.
        """
        stored = self._compiled["calibration"]
        errors = self.journal.load(stored["file"], stored["sha256"])
        return device_of(errors, str(self.journal.folder / stored["file"]))

    @cached_property
    def groups(self) -> list[Group]:
        """The groups that it asks, then their rows that run alone as well."""
        asked = self.rows.groups
        alone = [
            Group(asked[g].circuit, asked[g].terms, asked[g].rows[picked])
            for g, picked in self._compiled["controls"]
        ]
        return [*asked, *alone]

    @property
    def task(self) -> Task:
        """What its jobs are made of."""
        event, angles = self._compiled, self.journal.of("stage", stage=self.number)[0]["angles"]
        key = f"{event['isa']} {event['seats']} {angles} {event['shots']}"
        seed = f"{angles} {event['seats']}"
        content = f"{seed} {json.dumps(event['programs'])} {event['shots']} {event.get('level')}"
        return Task(self.groups, self.layout, digest(key.encode()), seed, content)

    # What was measured.

    @cached_property
    def answers(self) -> Answers:
        """The values of every PUB, from the stored counts alone.

        Raises:
            JobError: If the stage is not finished, or a file is missing or damaged.
        """
        return [(self._values[g][0][k], self._values[g][1][k]) for g, k in self.rows.pubs]

    @property
    def controls(self) -> list[Control]:
        """The rows that ran alone as well, one entry per circuit."""
        out = []
        for place, (group, picked) in enumerate(self._compiled["controls"]):
            packed, alone = self._values[group], self._values[len(self.rows.groups) + place]
            out.append(Control(packed[0][picked], packed[1][picked], *alone))
        return out

    @cached_property
    def anchors(self) -> list[Anchors]:
        """The rows that every job ran, one entry per circuit.

        Raises:
            JobError: If the stage is not finished, or a file is missing or damaged.
        """
        if not self.layout.anchors:
            return []
        counted = dict(zip((c.name for c in self.layout.chunks), self.counts, strict=True))
        ran = self._ran()
        return [self._anchors_of(group, ran, counted) for group in self.layout.anchors]

    def _anchors_of(
        self, group: int, ran: list[tuple[datetime, str]], counted: dict[str, dict[str, Counts]]
    ) -> Anchors:
        seats, asked = self.layout.anchors[group].ravel(), self.groups[group]
        order = np.argsort(seats)[np.sum(seats < 0) :]  # of the rows, without empty seats
        found = [
            self.layout.measured(
                f"anchors{group}", group, counted[name], len(asked.terms), self._mitigation
            )
            for _, name in ran
        ]
        return Anchors(
            tuple(name for _, name in ran),
            tuple(time for time, _ in ran),
            asked.rows[seats[order]],
            np.stack([means[order] for means, _ in found]),
            np.stack([covariances[order] for _, covariances in found]),
            self._mitigation.calibration_rows > 0,
        )

    @property
    def copies(self) -> list[np.ndarray]:
        """For each PUB the copy on the chip that each of its rows ran on, shape (R,)."""
        return [self.copies_of(group)[rows] for group, rows in self.rows.pubs]

    def copies_of(self, group: int) -> np.ndarray:
        """The copy on the chip that each row of a group ran on, shape (R,)."""
        seats = self.layout.seats[group]
        copies = np.zeros(seats.max() + 1, int)
        for k in range(seats.shape[1]):
            copies[seats[seats[:, k] >= 0, k]] = k
        return copies

    @property
    def _compiled(self) -> Event:
        return self.journal.of("compiled", stage=self.number)[-1]

    @property
    def _mitigation(self) -> Mitigation:
        return Mitigation(self._compiled["level"], self._compiled["twirl_gates"])

    @cached_property
    def _values(self) -> Answers:
        """Means and covariances of every group, those that ran alone last."""
        return values_of(self.layout, self.counts, self.groups, self._mitigation)

    @cached_property
    def counts(self) -> list[dict[str, Counts]]:
        """The counts of every job, by the names of its items.

        Raises:
            JobError: If the stage is not finished, or a file is missing or damaged.
        """
        if not self.finished:
            raise JobError(f"Stage {self.number} of {self.journal.folder} is not finished.")
        return [counts_of(self.journal, chunk) for chunk in self.layout.chunks]

    @property
    def circuit_seconds(self) -> tuple[float, float] | None:
        """How long the longest circuit took by the service's schedule, and by the device's lengths.

        None where the service, or the client, did not say.

        Raises:
            JobError: If a file is missing or damaged.
        """
        names = {chunk.name for chunk in self.layout.chunks}
        stored = [e["timing"] for e in self.journal.of("finished")
                  if e["chunk"] in names and "timing" in e]  # fmt: skip
        dt = self._compiled.get("dt")
        if not stored or dt is None:
            return None
        files = [json.loads(self.journal.load(e["file"], e["sha256"])) for e in stored]
        longest = max(one["circuit_duration"] for told in files for one in told.values())
        return longest * dt, self.layout.timing.circuit

    def _ran(self) -> list[tuple[datetime, str]]:
        """When each chunk ran and its name; by the service's clock, or as results were stored."""
        names = [chunk.name for chunk in self.layout.chunks]
        stored = {e["chunk"]: e for e in self.journal.of("finished") if e["chunk"] in names}
        began = {e["job"]: e["began"] for e in self.journal.of("billed") if "began" in e}
        if all(event["job"] in began for event in stored.values()):
            told = [(began[event["job"]], name) for name, event in stored.items()]
        else:
            told = [(event["time"], name) for name, event in stored.items()]
        moments = [(datetime.fromisoformat(time), name) for time, name in told]
        return sorted(moments, key=lambda pair: pair[0])


def compiled_stages(journal: Journal) -> list[StoredStage]:
    """The stages of a run that are compiled, in order."""
    numbers = sorted({event["stage"] for event in journal.of("compiled")})
    return [StoredStage(journal, number) for number in numbers]
