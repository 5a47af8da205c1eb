"""The stages of one run: written down, compiled, sent, and read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from qvit_qiskit.devices.compiled_circuit import copies_of, to_qpy
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.dispatch import Dispatcher
from qvit_qiskit.hardware.events import (
    Cancellation,
    Compilation,
    RouteOrder,
    StageRows,
    Submission,
)
from qvit_qiskit.hardware.journal import Journal, digest, pack_arrays
from qvit_qiskit.hardware.ledger import Ledger
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.hardware.stages.stage import Layout, Progress, Rows, Task
from qvit_qiskit.hardware.stages.stage_plan import StagePlan, plan_stage
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.ibm.local import LocalSender
from qvit_qiskit.ibm.sender import Sender
from qvit_qiskit.ibm.service import ServiceSender
from qvit_qiskit.profile import FakeProfile


class HardwareRun:
    """Stages of circuits on a device, journaled in a folder."""

    def __init__(self, reader: RunReader, terms: Terms, patience: Patience | None = None) -> None:
        self.reader, self.journal, self.terms = reader, reader.journal, terms
        self.patience = patience or Patience()
        self.whole = 0.0
        """The estimate of the whole run in QPU seconds, where somebody has priced it: the budget
        divided by it is how far the limits of jobs may lie above their estimates."""
        self._sender: Sender | None = None
        self._fresh: set[int] = set()
        """Stages that this process has compiled."""

    @classmethod
    def at(cls, folder: Path, terms: Terms, patience: Patience | None = None) -> HardwareRun:
        """The run in a folder, or a new one.

        Args:
            folder: Where the run is, or is to be.
            terms: What it may cost, and how it is measured.
            patience: How long to wait for the service, and how often to ask again.

        Raises:
            JobError: If the folder is no run's, or of a run on other terms.
        """
        if folder.exists() and any(folder.iterdir()):
            reader = RunReader.open(folder)
            order = reader.route_order
            if order and "idle" not in order.terms["profile"]:  # begun when nothing decayed
                terms = replace(terms, profile=terms.profile.without_idle())
            if not order or Terms.from_record({**order.terms, "budget": terms.budget}) != terms:
                raise JobError(
                    f"The run in {folder} has another profile or other shots. Name a new folder."
                )
            return cls(reader, terms, patience)
        run = cls.new(folder, terms, patience)
        record = terms.record()
        del record["budget"]  # may grow
        run.journal.append(RouteOrder(terms=record))
        return run

    @classmethod
    def new(cls, folder: Path, terms: Terms, patience: Patience | None = None) -> HardwareRun:
        """A run of which nothing is written down yet but that it exists.

        Args:
            folder: New or empty.
            terms: What it may cost.
            patience: How long to wait for the service.

        Raises:
            JobError: If the folder holds something already, or cannot be written.
        """
        return cls(RunReader(Journal.create(folder)), terms, patience)

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
                self._sender = ServiceSender(
                    profile,
                    self.terms.mitigation,
                    self.patience,
                    device=self.reader.first_device,
                )
        return self._sender

    @property
    def ledger(self) -> Ledger:
        """What the run has cost and may still cost."""
        return self.reader.ledger(self.terms.budget)

    @property
    def dispatcher(self) -> Dispatcher:
        """Drives the jobs, whatever they measure."""
        return self._dispatcher(self.terms.shots)

    def _dispatcher(self, shots: int) -> Dispatcher:
        """Drives jobs with so many shots a row."""
        terms = self.terms
        return Dispatcher(
            self.reader.attempts,
            self.sender,
            terms.budget,
            shots,
            terms.mitigation,
            self.patience,
            self.whole,
        )

    # Stages.

    @property
    def stages(self) -> int:
        """Stages whose angles are written down."""
        return len(self.reader.stages)

    def write_stage(
        self,
        rows: Rows,
        shots: int | None = None,
        images: list[int] | None = None,
        projections: list[int] | None = None,
    ) -> int:
        """Write down what a stage is asked, before anything is sent; its number.

        Args:
            rows: What it is asked.
            shots: Of a share of shots, how many a row gets; by default the run's.
            images: Of a further share, the images that the rows are of.
            projections: Of a further share, the projections that the rows are of.
        """
        number = self.stages
        place = f"stages/{number:03d}"
        arrays = self.journal.store(f"{place}/angles.npz", pack_arrays(rows.arrays()))
        circuits = self.journal.store(
            f"{place}/circuits.qpy", to_qpy([g.circuit for g in rows.groups])
        )
        self.journal.append(
            StageRows(
                stage=number,
                angles=arrays,
                circuits=circuits,
                terms=[g.terms for g in rows.groups],
                pubs=[g for g, _ in rows.pubs],
                rows=sum(len(r) for _, r in rows.pubs),
                unique=sum(len(g.rows) for g in rows.groups),
                shots=shots,
                images=images,
                projections=projections,
            )
        )
        return number

    def advance(
        self, number: int, *, resubmit: bool = False, retry: bool = False, wait: bool = False
    ) -> Progress:
        """Compile a stage, send what was not sent and fits the budget, store what is done.

        A stage that an earlier process compiled, and of which nothing is out, is compiled anew
        when the device has another calibration now.

        Args:
            number: The stage's number, from 0.
            resubmit: Send again what is uncertain or lost.
            retry: Send again what failed or was cancelled.
            wait: Look longer for jobs whose submission was not answered.

        Raises:
            JobError: If a job failed, is uncertain or lost, qubits have become faulty, or the
                budget does not suffice.
            ServiceError: If the service does not answer.
        """
        self._check_device(number)
        task = self._task(number)
        dispatcher = self._dispatcher(self._shots_of(number))
        return dispatcher.advance(task, resubmit=resubmit, retry=retry, wait=wait)

    def _shots_of(self, number: int) -> int:
        """Shots that a row of a stage gets."""
        return self.reader.stage(number).order.shots or self.terms.shots

    def _check_device(self, number: int) -> None:
        """Whether a stage that was compiled earlier can still be sent as it is.

        Raises:
            JobError: If it cannot, and some of its jobs are out or done.
        """
        stage, attempts = self.reader.stage(number), self.reader.attempts
        if not stage.compiled or number in self._fresh or isinstance(self.sender, LocalSender):
            return
        chunks = stage.layout.chunks
        if all(attempts.state(chunk) not in ("new", "failed", "lost") for chunk in chunks):
            return  # nothing is left to be sent
        now = self.sender.calibration().encode()
        if digest(now) == stage.compilation.calibration["sha256"]:
            return
        if not any(attempts.sent(chunk) for chunk in chunks):
            self._compile(self.reader.stage_anew(number))
            return
        faulty = self.sender.faulty() & stage.layout.qubits
        if faulty:
            raise JobError(
                f"Qubits {sorted(faulty)} of {self.sender.device.name} have become faulty since "
                f"this stage was compiled, and some of its jobs are done. Wait until they are "
                f"repaired (`qvit backends check` shows them), then `qvit resume {self.folder} "
                "--wait`; or compare the run as far as it got."
            )

    def wait(self, number: int, tick: Callable[[Progress], None] | None = None) -> None:
        """Look again and again until a stage is finished.

        Args:
            number: The stage, counted from 0.
            tick: Called after every look.
        """
        self._dispatcher(self._shots_of(number)).wait(self._task(number), tick)

    def layout(self, number: int) -> Layout:
        """A stage compiled for the device, now or before."""
        return self._task(number).layout

    def update_bills(self) -> None:
        """Ask for bills that were not final before."""
        if self.journal.of(Submission):
            self.dispatcher.bills.update()

    def cancel(self) -> int:
        """Cancel every job that has not ended; how many there were."""
        compiled = self.reader.compiled_stages
        count = sum(self.dispatcher.cancel(stage.task) for stage in compiled)
        self.journal.append(Cancellation(jobs=count))
        return count

    def _task(self, number: int) -> Task:
        stage = self.reader.stage(number)
        if not stage.compiled:
            self._compile(stage)
        return stage.task

    def _compile(self, stage: StoredStage) -> None:
        """Plan a stage on the device as it is now, and write down how it is run."""
        self.sender.renew()
        profile, mitigation = self.terms.profile, self.terms.mitigation
        shots, device = self._shots_of(stage.number), self.sender.device
        plan = plan_stage(f"{stage.number:03d}", stage.rows.groups, device, self.terms, shots)
        layout = plan.layout
        self.journal.append(
            Compilation(
                stage=stage.number,
                device=device.name,
                **self._store_layout(stage, plan),
                programs=[[c.record() for c in group] for group in layout.programs],
                controls=[(g, picked.tolist()) for g, picked in plan.controls.items()],
                timing=asdict(layout.timing),
                shots=shots,
                level=mitigation.level,
                twirl_gates=mitigation.twirl_gates,
                idle=profile.idle,
                dt=device.target.dt,
                chunks=[c.record() for c in layout.chunks],
                calibration=self._store_calibration(),
            )
        )
        self._fresh.add(stage.number)

    def _store_layout(self, stage: StoredStage, plan: StagePlan) -> dict[str, str]:
        """Write the circuits and seats of a stage; what its event says of them.

        Files never change: a stage that is compiled anew has others, and says where.
        """
        again = stage.compilations
        place = f"{stage.folder}/again{again}" if again else stage.folder
        isa = to_qpy([copy.circuit for copy in copies_of(plan.layout.programs)])
        files = {
            "isa": self.journal.store(f"{place}/isa.qpy", isa),
            "seats": self.journal.store(f"{place}/seats.npz", pack_arrays(plan.arrays())),
        }
        return files | ({"place": place} if again else {})

    def _store_calibration(self) -> dict[str, str]:
        errors = self.sender.calibration().encode()
        file = f"calibrations/{digest(errors)[:12]}.json"
        return {"file": file, "sha256": self.journal.store(file, errors)}

    # Reading, without a network.

    def finished(self, number: int) -> bool:
        """Whether all results of a stage are on the disk."""
        return self.reader.stage(number).finished
