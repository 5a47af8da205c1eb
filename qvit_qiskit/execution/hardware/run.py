"""The stages of one run: written down, compiled, sent, and read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qiskit.providers import BackendV2

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.execution.cost import Mitigation, Timing, timing
from qvit_qiskit.execution.devices import region_target
from qvit_qiskit.execution.hardware.calls import Patience
from qvit_qiskit.execution.hardware.compiled import (
    Compiled,
    Placement,
    compile_bases,
    from_qpy,
    to_qpy,
)
from qvit_qiskit.execution.hardware.dispatch import (
    Dispatcher,
    Progress,
    Task,
    counts_of,
)
from qvit_qiskit.execution.hardware.journal import (
    Journal,
    Ledger,
    digest,
    pack_arrays,
    unpack_arrays,
)
from qvit_qiskit.execution.hardware.local import LocalSender
from qvit_qiskit.execution.hardware.senders import Sender, ServiceSender
from qvit_qiskit.execution.hardware.stage import (
    Chunk,
    Group,
    Layout,
    Rows,
    plan_chunks,
    seat,
    values_of,
)
from qvit_qiskit.execution.profile import FakeProfile, IbmProfile

Answers = list[tuple[np.ndarray, np.ndarray]]
"""For each PUB the means (R, K) of its rows and their covariances (R, K, K)."""


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

    @property
    def mitigation(self) -> Mitigation:
        """The resilience level."""
        return self.profile.mitigation


class HardwareRun:
    """Stages of circuits on a device, journaled in a folder."""

    def __init__(self, journal: Journal, terms: Terms, patience: Patience | None = None) -> None:
        self.journal, self.terms = journal, terms
        self.patience = patience or Patience()
        self.ledger = Ledger(journal, terms.budget)
        self._sender: Sender | None = None
        self._answers: dict[int, Answers] = {}

    @classmethod
    def at(cls, folder: Path, terms: Terms, patience: Patience | None = None) -> HardwareRun:
        """The run in a folder, or a new one.

        Raises:
            JobError: If the folder is no run's, or of a run on other terms.
        """
        told = terms_json(terms)
        del told["budget"]  # may grow
        if folder.exists() and any(folder.iterdir()):
            journal = Journal.open(folder)
            known = journal.of("terms")
            if not known or known[0]["terms"] != told:
                raise JobError(
                    f"The run in {folder} has another profile or other shots. Name a new folder."
                )
        else:
            journal = Journal.create(folder)
            journal.append("terms", terms=told)
        return cls(journal, terms, patience)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.journal.folder

    @property
    def sender(self) -> Sender:
        """Who runs the jobs; connects on first use, to the device that was chosen first."""
        if self._sender is None:
            profile = self.terms.profile
            if isinstance(profile, FakeProfile):
                self._sender = LocalSender(profile)
            else:
                chosen = self.journal.of("compiled")
                self._sender = ServiceSender(
                    profile,
                    self.terms.mitigation,
                    self.patience,
                    device=chosen[0]["device"] if chosen else None,
                )
        return self._sender

    @property
    def dispatcher(self) -> Dispatcher:
        """Drives the jobs."""
        terms = self.terms
        return Dispatcher(
            self.journal, self.sender, self.ledger, terms.shots, terms.mitigation, self.patience
        )

    # Stages.

    @property
    def stages(self) -> int:
        """Stages whose angles are written down."""
        return len(self.journal.of("stage"))

    def write_stage(self, rows: Rows) -> int:
        """Write down what a stage is asked, before anything is sent; its number."""
        number = self.stages
        place = f"stages/{number:03d}"
        arrays = self.journal.store(f"{place}/angles.npz", pack_arrays(rows.arrays()))
        circuits = self.journal.store(
            f"{place}/circuits.qpy", to_qpy([g.circuit for g in rows.groups])
        )
        self.journal.append(
            "stage",
            stage=number,
            angles=arrays,
            circuits=circuits,
            terms=[g.terms for g in rows.groups],
            pubs=[g for g, _ in rows.pubs],
            rows=sum(len(r) for _, r in rows.pubs),
            unique=sum(len(g.rows) for g in rows.groups),
        )
        return number

    def read_stage(self, number: int) -> Rows:
        """What a stage was asked.

        Raises:
            JobError: If a file is missing or not what was written.
        """
        event = self.journal.of("stage", stage=number)[0]
        place = f"stages/{number:03d}"
        arrays = unpack_arrays(self.journal.load(f"{place}/angles.npz", event["angles"]))
        circuits = from_qpy(self.journal.load(f"{place}/circuits.qpy", event["circuits"]))
        groups = [
            Group(circuit, terms, arrays[f"rows{g}"])
            for g, (circuit, terms) in enumerate(zip(circuits, event["terms"], strict=True))
        ]
        return Rows(groups, [(g, arrays[f"pub{k}"]) for k, g in enumerate(event["pubs"])])

    def advance(self, number: int, *, resubmit: bool = False, retry: bool = False) -> Progress:
        """Compile a stage, send what was not sent, store what is done."""
        return self.dispatcher.advance(self._task(number), resubmit=resubmit, retry=retry)

    def wait(self, number: int, tick: Callable[[Progress], None] | None = None) -> None:
        """Look again and again until a stage is finished."""
        self.dispatcher.wait(self._task(number), tick)

    def layout(self, number: int) -> Layout:
        """A stage compiled for the device, now or before."""
        return self._task(number).layout

    def update_bills(self) -> None:
        """Ask for bills that were not final before."""
        if self.journal.of("submitted"):
            self.dispatcher.update_bills()

    def cancel(self) -> int:
        """Cancel every job that has not ended; how many there were."""
        compiled = [e["stage"] for e in self.journal.of("compiled")]
        count = sum(self.dispatcher.cancel(self._task(number)) for number in compiled)
        self.journal.append("cancelled", jobs=count)
        return count

    def _task(self, number: int) -> Task:
        rows = self.read_stage(number)
        if not self.journal.of("compiled", stage=number):
            self._compile(number, rows)
        layout, key = self._layout(number)
        return Task(self._groups(number, rows), layout, key)

    def _compile(self, number: int, rows: Rows) -> None:
        sender, profile, mitigation = self.sender, self.terms.profile, self.terms.mitigation
        device, placement = sender.device, profile.placement
        programs = [compile_bases(g.circuit, g.terms, device, placement) for g in rows.groups]
        controls = self._controls(rows) if any(p[0].k > 1 for p in programs) else []
        alone = Placement(placement.seed)
        for group, _ in controls:
            asked = rows.groups[group]
            programs.append(compile_bases(asked.circuit, asked.terms, device, alone))
        counts = [len(g.rows) for g in rows.groups] + [len(picked) for _, picked in controls]
        seats = [
            seat(count, p[0].k, profile.seed) for count, p in zip(counts, programs, strict=True)
        ]
        longest = longest_timing(programs, device, profile.rep_delay)
        chunks = plan_chunks(
            f"{number:03d}",
            [len(s) for s in seats],
            programs,
            longest,
            self.terms.shots,
            mitigation,
            self.terms.max_loss * self.terms.budget,
        )
        placed = [copy.circuit for group in programs for c in group for copy in c.copies]
        isa = self.journal.store(f"stages/{number:03d}/isa.qpy", to_qpy(placed))
        where = {f"seats{g}": s for g, s in enumerate(seats)}
        seated = self.journal.store(f"stages/{number:03d}/seats.npz", pack_arrays(where))
        errors = sender.calibration().encode()
        calibration = f"calibrations/{digest(errors)[:12]}.json"
        sha256 = self.journal.store(calibration, errors)
        self.journal.append(
            "compiled",
            stage=number,
            device=device.name,
            isa=isa,
            seats=seated,
            programs=[[c.record() for c in group] for group in programs],
            controls=controls,
            timing=asdict(longest),
            shots=self.terms.shots,
            level=mitigation.level,
            twirl_gates=mitigation.twirl_gates,
            chunks=[c.record() for c in chunks],
            calibration={"file": calibration, "sha256": sha256},
        )

    def _controls(self, rows: Rows) -> list[tuple[int, list[int]]]:
        """A sample of each group's rows that runs a second time, alone on the chip."""
        rng = np.random.default_rng(self.terms.profile.seed)
        found = []
        for g, group in enumerate(rows.groups):
            count = min(self.terms.control_rows, len(group.rows))
            picked = np.sort(rng.choice(len(group.rows), count, replace=False))
            found.append((g, picked.tolist()))
        return [(g, picked) for g, picked in found if picked]

    def _groups(self, number: int, rows: Rows) -> list[Group]:
        """The groups of a stage, then its controls."""
        event = self.journal.of("compiled", stage=number)[-1]
        extra = [
            Group(rows.groups[g].circuit, rows.groups[g].terms, rows.groups[g].rows[picked])
            for g, picked in event["controls"]
        ]
        return [*rows.groups, *extra]

    def _layout(self, number: int) -> tuple[Layout, str]:
        event = self.journal.of("compiled", stage=number)[-1]
        angles = self.journal.of("stage", stage=number)[0]["angles"]
        circuits = iter(from_qpy(self.journal.load(f"stages/{number:03d}/isa.qpy", event["isa"])))
        programs = [
            [
                Compiled.from_record(record, [next(circuits) for _ in record["qubits"]])
                for record in group
            ]
            for group in event["programs"]
        ]
        where = unpack_arrays(self.journal.load(f"stages/{number:03d}/seats.npz", event["seats"]))
        seats = [where[f"seats{g}"] for g in range(len(programs))]
        chunks = [Chunk.from_record(c) for c in event["chunks"]]
        layout = Layout(programs, Timing(**event["timing"]), seats, chunks)
        return layout, digest(f"{event['isa']} {event['seats']} {angles} {event['shots']}".encode())

    def finished(self, number: int) -> bool:
        """Whether all results of a stage are on the disk."""
        compiled = self.journal.of("compiled", stage=number)
        if not compiled:
            return False
        done = {e["chunk"] for e in self.journal.of("finished")}
        return all(chunk["name"] in done for chunk in compiled[-1]["chunks"])

    def answers(self, number: int) -> Answers:
        """The values of every PUB of a finished stage, from the stored counts alone.

        Raises:
            JobError: If the stage is not finished, or a file is missing or damaged.
        """
        if number not in self._answers:
            pubs = self.read_stage(number).pubs
            found = self._values(number)
            self._answers[number] = [(found[g][0][k], found[g][1][k]) for g, k in pubs]
        return self._answers[number]

    def asked(self, number: int) -> list[np.ndarray]:
        """The parameter values of every PUB of a stage, each (R, P)."""
        rows = self.read_stage(number)
        return [rows.groups[group].rows[index] for group, index in rows.pubs]

    def _values(self, number: int) -> Answers:
        """Means and covariances of every group of a finished stage, controls last."""
        if not self.finished(number):
            raise JobError(f"Stage {number} of {self.folder} is not finished.")
        event = self.journal.of("compiled", stage=number)[-1]
        layout, _ = self._layout(number)
        mitigation = Mitigation(event["level"], event["twirl_gates"])
        counted = [counts_of(self.journal, c) for c in layout.chunks]
        groups = self._groups(number, self.read_stage(number))
        return values_of(layout, counted, groups, mitigation)

    def controls(self, number: int) -> list[Control]:
        """The rows of a finished stage that ran alone as well, one entry per circuit."""
        event = self.journal.of("compiled", stage=number)[-1]
        if not event["controls"]:
            return []
        values, first = self._values(number), len(self.read_stage(number).groups)
        out = []
        for place, (group, picked) in enumerate(event["controls"]):
            packed, alone = values[group], values[first + place]
            out.append(Control(packed[0][picked], packed[1][picked], *alone))
        return out

    def copies(self, number: int) -> list[np.ndarray]:
        """For each PUB the copy on the chip that each of its rows ran on, shape (R,)."""
        layout, _ = self._layout(number)
        out = []
        for group, rows in self.read_stage(number).pubs:
            seats = layout.seats[group]
            copy = np.zeros(seats.max() + 1, int)
            for k in range(seats.shape[1]):
                taken = seats[seats[:, k] >= 0, k]
                copy[taken] = k
            out.append(copy[rows])
        return out


@dataclass(frozen=True)
class Control:
    """Rows that ran packed, beside others, and alone: what the neighbours do to them."""

    packed: np.ndarray  # shape: (R, K)
    packed_covariances: np.ndarray  # shape: (R, K, K)
    alone: np.ndarray  # shape: (R, K)
    alone_covariances: np.ndarray  # shape: (R, K, K)

    def difference(self) -> tuple[float, float]:
        """Root mean square of packed − alone beyond shot noise, and its standard error.

        Shot noise is subtracted, so that the result may be zero; it then says that no difference
        was seen, not that there is none.
        """
        gap = self.packed - self.alone
        noise = np.einsum("rkk->rk", self.packed_covariances + self.alone_covariances)
        excess = float(np.mean(gap**2 - noise))
        error = float(np.std(gap**2 - noise) / np.sqrt(gap.size))
        size = np.sqrt(max(0.0, excess))
        return size, error / (2 * size) if size > 0 else float(np.sqrt(error))


def longest_timing(
    programs: Sequence[Sequence[Compiled]], device: BackendV2, rep_delay: float | None
) -> Timing:
    """The timing of the longest circuit; copies side by side take as long as the longest."""
    found = []
    for compiled in (c for group in programs for c in group):
        for k, placed in enumerate(compiled.copies):
            circuit = compiled.narrow(k, 1)
            found.append(timing(circuit, region_target(device, placed.qubits), device, rep_delay))
    return max(found, key=lambda t: t.execution)


def terms_json(terms: Terms) -> dict[str, Any]:
    """Terms as JSON."""
    profile = json.loads(terms.profile.model_dump_json())
    return {**asdict(terms), "profile": profile}
