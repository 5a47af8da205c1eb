"""The IBM client's local mode on the used qubits of a device snapshot: a rehearsal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from qvit_qiskit.devices.client_template import SentWaits
from qvit_qiskit.devices.regions import bundled_device, region_backend
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.ibm.item import Item
from qvit_qiskit.ibm.sender import (
    Bill,
    Listed,
    Look,
    Need,
    Result,
    Work,
    bits_of,
    properties_json,
    sampler_options,
)
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.simulation.chain_bits import is_chain

MAX_STATE_QUBITS = 24
"""Wider circuits are simulated as matrix product states, whose qubits are hardly entangled."""
MAX_SECONDS = 300.0
"""Of a processor for the trajectories of such circuits in one job, as they are predicted."""
STEP_SECONDS = 4.3e-6
"""Of a processor for one trajectory, by its gates that err and its qubits: measured were 3.4 to
4.7 µs, in chains of 26 to 100 qubits on fake_boston."""
ROWS_AT_ONCE = 256
"""Of a simulation: the time of twirled circuits grows faster than their number."""


class LocalSender:
    """Runs jobs in this process, through the code that also sends them.

    Copies that run side by side on a chip are simulated one by one, which is exact: snapshots
    know no crosstalk.
    """

    local = True
    workloads = sessions = False

    def __init__(self, profile: FakeProfile) -> None:
        self.profile, self.mitigation = profile, profile.mitigation
        self.device = bundled_device(profile.device)
        self._results: dict[str, list[np.ndarray]] = {}
        self._waits = SentWaits(self.mitigation, self.device.target)

    def open_workload(self, max_seconds: int | None) -> str:
        """There is none."""
        raise NotImplementedError

    def close_workload(self, identifier: str) -> None:
        """There is none."""

    def empty_workloads(self, after: datetime, before: datetime) -> list[str]:
        """See `Sender`: a simulator has no workloads."""
        return []

    def workload_seconds(self, identifier: str) -> float | None:
        """There is none."""
        return 0.0

    def submit(self, work: Work) -> str:
        """Run the job at once."""
        self._results[work.tag] = self.run(work.items, work.shots, work.seed)
        return work.tag

    def run(self, items: Sequence[Item], shots: int, seed: int) -> list[np.ndarray]:
        """Run items on Aer with the device's noise.

        Args:
            items: The circuits with their rows.
            shots: Bitstrings per row.
            seed: Of the bitstrings.

        Returns:
            The bits of every item, each of shape (M·k, shots, n).
        """
        self._check(items, shots)
        seeds = iter(np.random.SeedSequence(seed).spawn(sum(i.compiled.k for i in items)))
        simulators: dict[tuple[Any, ...], Any] = {}
        self._waits = SentWaits(self.mitigation, self.device.target)  # of this call's circuits
        out = []
        for item in items:
            copies = [
                self._run_copy(item, copy, shots, next(seeds), simulators)
                for copy in range(item.compiled.k)
            ]  # each (M, shots, n)
            stacked = np.stack(copies, axis=1)
            out.append(stacked.reshape(-1, *stacked.shape[2:]))
        return out

    def _check(self, items: Sequence[Item], shots: int) -> None:
        """Refuse what would take many minutes, or more memory than there is.

        Raises:
            RouteError: With the predicted time, and the kind of profile that answers the same.
        """
        wide = [item for item in items if _width(item) > MAX_STATE_QUBITS]
        if not wide:
            return
        chains = all(is_chain(item.compiled.narrow(0, 1)) for item in wide)
        taken = math.prod(self.mitigation.split(shots))
        seconds = sum(taken * self._row_seconds(item) for item in wide)
        if chains and seconds <= MAX_SECONDS:
            return
        rows = max(item.compiled.k * item.rows for item in wide)
        count = f"{rows:,} rows and {shots:,} shots"
        if taken != shots:
            count += f" (of which level {self.mitigation.level} makes {taken:,})"
        minutes = max(1, round(seconds / 60))
        time = f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:,.0f} hours"
        time = f"about {time}" if chains else "hours"
        raise RouteError(
            f"Expected a rehearsal of at most {MAX_STATE_QUBITS} qubits a copy, or of a chain in "
            f"at most {MAX_SECONDS / 60:.0f} minutes a job, but got {max(map(_width, wide))} "
            f"qubits, {count}: the client's local mode would take {time}. A profile of "
            f'kind "aer" with noise = "{self.profile.device}" and shots = {shots} predicts the '
            "same run."
        )

    def _row_seconds(self, item: Item) -> float:
        """What one shot of every row of an item takes as a trajectory, predicted."""
        circuit = item.compiled.narrow(0, item.fold)
        errs = 0
        for one in circuit.data:
            if one.operation.name not in ("rz", "barrier", "measure"):
                # About two more gates stand by a twirled one.
                errs += 3 if len(one.qubits) == 2 and self.mitigation.twirls[0] else 1
        return item.rows * item.compiled.k * errs * circuit.num_qubits * STEP_SECONDS

    def _run_copy(
        self,
        item: Item,
        copy: int,
        shots: int,
        seed: np.random.SeedSequence,
        simulators: dict[tuple[Any, ...], Any],
    ) -> np.ndarray:
        from qiskit_ibm_runtime.executor_sampler import Sampler

        key = self._key(item, copy)
        if key not in simulators:
            simulators[key] = self._simulator(item, copy)
        circuit, values = item.compiled.narrow(copy, item.fold), item.of_copy(copy)
        starts = range(0, len(values), ROWS_AT_ONCE)
        each = math.prod(self.mitigation.split(shots))
        bits = []
        for start, own in zip(starts, seed.generate_state(len(starts)) >> 1, strict=True):
            part = values[start : start + ROWS_AT_ONCE]
            options = sampler_options(self.profile, self.mitigation)
            # The client overwrites the simulator's own seed with this option.
            options["simulator"] = {"seed_simulator": int(own)}
            sampler = Sampler(mode=simulators[key], options=options)
            result = sampler.run([item.pub(circuit, part)], shots=shots).result()
            bits += bits_of(result, [(len(part), circuit.num_clbits)], each)
        return np.concatenate(bits)

    def _held_up(self, item: Item) -> bool:
        """Whether copies wait for each other, since the client twirls gates."""
        return self.profile.idle and self.mitigation.twirls[0] and item.fold is not None

    def _key(self, item: Item, copy: int) -> tuple[Any, ...]:
        """What a simulator depends on."""
        qubits = item.compiled.copies[copy].qubits
        return (qubits, id(item.compiled), item.fold) if self._held_up(item) else qubits

    def _simulator(self, item: Item, copy: int) -> Any:
        """Aer with the noise of a copy's qubits; they relax while they wait if the profile says so.

        With decoupling, the client has filled the waits before they come here.
        """
        from qiskit_aer import AerSimulator

        from qvit_qiskit.ibm.waiting import WaitingSimulator

        qubits = item.compiled.copies[copy].qubits
        device = region_backend(self.device, qubits)
        if not self.profile.idle:
            simulator = AerSimulator.from_backend(device)
        elif not self._held_up(item) or self.profile.dynamical_decoupling:
            simulator = WaitingSimulator.of(device)
        else:
            pauses = self._waits.between(item.compiled, item.fold or 1)
            simulator = WaitingSimulator.of(device, pauses[copy])
        if len(qubits) > MAX_STATE_QUBITS:
            simulator.set_options(method="matrix_product_state")
        return simulator

    def find(self, tag: str) -> list[Listed]:
        """The job, if this process ran it."""
        return [Listed(tag)] if tag in self._results else []

    def look(self, job: str) -> Look:
        """Done, or lost with the process that ran it."""
        if job in self._results:
            return Look("done")
        return Look("failed", "The process ended before the simulation was stored.")

    def fetch(self, job: str, items: Sequence[Item], shots: int) -> Result:
        """The bits."""
        return Result(self._results.pop(job))

    def bill(self, job: str) -> Bill | None:
        """Nothing."""
        return Bill(0.0)

    def cancel(self, job: str) -> None:
        """There is nothing to cancel."""

    def renew(self) -> None:
        """Snapshots do not change."""

    def preflight(self, need: Need) -> None:
        """Nothing can be missing."""

    def faulty(self) -> set[int]:
        """None is."""
        return set()

    def queue(self) -> int:
        """Nobody waits."""
        return 0

    def calibration(self) -> str:
        """The snapshot's properties."""
        return properties_json(self.device)


def _width(item: Item) -> int:
    """Qubits of an item's widest copy."""
    return max(len(copy.qubits) for copy in item.compiled.copies)
