"""A stage as the run's folder holds it: what it asks, how it was compiled, what was measured."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property

import numpy as np

from qvit_qiskit.devices.calibration import CalibratedDevice, device_of
from qvit_qiskit.devices.compiled_circuit import Compiled, from_qpy
from qvit_qiskit.devices.prices import Mitigation, Timing
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.attempts import Attempts
from qvit_qiskit.hardware.events import Compilation, Finish, JobBill, StageRows
from qvit_qiskit.hardware.journal import digest, unpack_arrays
from qvit_qiskit.hardware.stages.stage import Answers, Chunk, Group, Layout, Rows, Task, values_of
from qvit_qiskit.hardware.values.counts import Counts
from qvit_qiskit.hardware.values.repeats import Anchors, Control


class StoredStage:
    """One stage of a run, read from its folder; nothing is sent and nothing is written.

    Files never change once they are written, so each is read once. Everything but `rows` and
    `finished` needs a stage that was compiled, and the measured values one that is finished.
    """

    def __init__(self, attempts: Attempts, number: int) -> None:
        self.attempts, self.journal, self.number = attempts, attempts.journal, number

    @property
    def folder(self) -> str:
        """Where its files are, in the run's folder."""
        return f"stages/{self.number:03d}"

    @property
    def compiled(self) -> bool:
        """Whether it was compiled."""
        return self.compilations > 0

    @property
    def compilations(self) -> int:
        """How often it was compiled: more than once if the device was calibrated in between."""
        return len(self._compilations)

    @property
    def compilation(self) -> Compilation:
        """How it was compiled the last time."""
        return self._compilations[-1]

    @property
    def _compilations(self) -> list[Compilation]:
        return [each for each in self.journal.of(Compilation) if each.stage == self.number]

    @property
    def order(self) -> StageRows:
        """What was written down of what it asks."""
        return next(each for each in self.journal.of(StageRows) if each.stage == self.number)

    @property
    def executed_shots(self) -> int:
        """Per row, as they were run: twirling rounds them up."""
        return self.mitigation.executed(self.compilation.shots)

    @property
    def chunk_names(self) -> list[str]:
        """Of its jobs."""
        return [str(chunk["name"]) for chunk in self.compilation.chunks]

    @property
    def jobs_done(self) -> int:
        """Jobs whose results are on the disk."""
        return sum(self.attempts.find(name, Finish) is not None for name in self.chunk_names)

    @property
    def finished(self) -> bool:
        """Whether all results are on the disk."""
        return self.compiled and self.jobs_done == len(self.chunk_names)

    @cached_property
    def rows(self) -> Rows:
        """What it asks.

        Raises:
            JobError: If a file is missing or not what was written.
        """
        order = self.order
        arrays = unpack_arrays(self.journal.load(f"{self.folder}/angles.npz", order.angles))
        circuits = from_qpy(self.journal.load(f"{self.folder}/circuits.qpy", order.circuits))
        groups = [
            Group(circuit, terms, arrays[f"rows{g}"])
            for g, (circuit, terms) in enumerate(zip(circuits, order.terms, strict=True))
        ]
        return Rows(groups, [(g, arrays[f"pub{k}"]) for k, g in enumerate(order.pubs)])

    @cached_property
    def layout(self) -> Layout:
        """How it was compiled and split into jobs.

        Raises:
            JobError: If a file is missing or not what was written.
        """
        compilation = self.compilation
        place = compilation.place or self.folder
        circuits = iter(from_qpy(self.journal.load(f"{place}/isa.qpy", compilation.isa)))
        programs = [
            [
                Compiled.from_record(record, [next(circuits) for _ in record["qubits"]])
                for record in group
            ]
            for group in compilation.programs
        ]
        where = unpack_arrays(self.journal.load(f"{place}/seats.npz", compilation.seats))
        groups = range(len(programs))
        return Layout(
            programs,
            Timing(**compilation.timing),
            [where[f"seats{g}"] for g in groups],
            [Chunk.from_record(c) for c in compilation.chunks],
            {g: where[f"anchors{g}"] for g in groups if f"anchors{g}" in where},
        )

    @cached_property
    def device(self) -> CalibratedDevice:
        """The device as it was when the stage was compiled.

        Raises:
            JobError: If the calibration is missing or not what the run wrote.
            RouteError: If the device reported nothing.
        """
        stored = self.compilation.calibration
        errors = self.journal.load(stored["file"], stored["sha256"])
        return device_of(errors, str(self.journal.folder / stored["file"]))

    @cached_property
    def groups(self) -> list[Group]:
        """The groups that it asks, then their rows that run alone as well."""
        asked = self.rows.groups
        alone = [
            Group(asked[g].circuit, asked[g].terms, asked[g].rows[picked])
            for g, picked in self.compilation.controls
        ]
        return [*asked, *alone]

    @property
    def task(self) -> Task:
        """What its jobs are made of."""
        made, angles = self.compilation, self.order.angles
        key = f"{made.isa} {made.seats} {angles} {made.shots}"
        seed = f"{angles} {made.seats}"
        content = f"{seed} {json.dumps(made.programs)} {made.shots} {made.level}"
        return Task(self.groups, self.layout, digest(key.encode()), seed, content)

    # What was measured.

    @property
    def asked(self) -> list[np.ndarray]:
        """The parameter values of every PUB, each (R, P)."""
        return [self.rows.groups[group].rows[index] for group, index in self.rows.pubs]

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
        for place, (group, picked) in enumerate(self.compilation.controls):
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
        ran = self.times
        return [self._anchors_of(group, ran, counted) for group in self.layout.anchors]

    def _anchors_of(
        self, group: int, ran: dict[str, datetime], counted: dict[str, dict[str, Counts]]
    ) -> Anchors:
        seats, asked = self.layout.anchors[group].ravel(), self.groups[group]
        order = np.argsort(seats)[np.sum(seats < 0) :]  # of the rows, without empty seats
        found = [
            self.layout.measured(
                f"anchors{group}", group, counted[name], len(asked.terms), self.mitigation
            )
            for name in ran
        ]
        return Anchors(
            tuple(ran),
            tuple(ran.values()),
            asked.rows[seats[order]],
            np.stack([means[order] for means, _ in found]),
            np.stack([covariances[order] for _, covariances in found]),
            self.mitigation.calibration_rows > 0,
            seats[order],
            order % self.layout.anchors[group].shape[1],
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
    def mitigation(self) -> Mitigation:
        """The resilience level that it was compiled for."""
        return Mitigation(self.compilation.level or 0, bool(self.compilation.twirl_gates))

    @cached_property
    def _values(self) -> Answers:
        """Means and covariances of every group, those that ran alone last."""
        return values_of(self.layout, self.counts, self.groups, self.mitigation)

    @cached_property
    def counts(self) -> list[dict[str, Counts]]:
        """The counts of every job, by the names of its items.

        Raises:
            JobError: If the stage is not finished, or a file is missing or damaged.
        """
        if not self.finished:
            raise JobError(f"Stage {self.number} of {self.journal.folder} is not finished.")
        return [self._counts_of(chunk) for chunk in self.layout.chunks]

    def _counts_of(self, chunk: Chunk) -> dict[str, Counts]:
        finish = self.attempts.last(chunk, Finish)
        arrays = unpack_arrays(self.journal.load(finish.file, finish.sha256))
        out = {}
        for name in sorted({name.rpartition("/")[0] for name in arrays}):
            row, state = arrays[f"{name}/row"], arrays[f"{name}/state"]
            out[name] = Counts(row, state, arrays[f"{name}/count"], int(row[-1]) + 1)
        return out

    @property
    def circuit_seconds(self) -> tuple[float, float] | None:
        """How long the longest circuit took by the service's schedule, and by the device's lengths.

        None where the service, or the client, did not say.

        Raises:
            JobError: If a file is missing or damaged.
        """
        ends = [self.attempts.last(chunk, Finish) for chunk in self.layout.chunks]
        stored = [end.timing for end in ends if end.timing]
        dt = self.compilation.dt
        if not stored or dt is None:
            return None
        files = [json.loads(self.journal.load(e["file"], e["sha256"])) for e in stored]
        longest = max(one["circuit_duration"] for told in files for one in told.values())
        return longest * dt, self.layout.timing.circuit

    @property
    def times(self) -> dict[str, datetime]:
        """When each job ran, by its chunk's name, in the order of time.

        It is when they began, where the service said so of all; else when results were stored.
        """
        ends = [self.attempts.last(chunk, Finish) for chunk in self.layout.chunks]
        bills = [bill for bill in self.journal.of(JobBill) if bill.began]
        began = {bill.job: str(bill.began) for bill in bills}
        known = all(end.job in began for end in ends)
        moments = {
            end.chunk: datetime.fromisoformat(began[end.job] if known else end.time) for end in ends
        }
        return dict(sorted(moments.items(), key=lambda item: item[1]))
