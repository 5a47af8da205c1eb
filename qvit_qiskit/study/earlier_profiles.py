"""Studies that were begun before waiting qubits decayed: they keep the profiles that they had."""

from __future__ import annotations

from dataclasses import replace

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.study.cells import Cell
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.plan import Plan
from qvit_qiskit.study.profiles import Profile, without_idle


def as_begun(plan: Plan, folder: StudyFolder) -> Plan:
    """A plan with the profiles that its folder knows, where they differ in ``idle`` alone.

    Args:
        plan: By the profiles as they are now.
        folder: Of the study; a new one changes nothing.
    """
    try:
        kept = folder.plan()
    except JobError:
        return plan
    digests = {entry["digest"] for entry in kept.get("profiles", ())}
    keys = {entry["key"] for entry in kept.get("cells", ())}
    root = plan.places.backends_dir

    def profile(now: Profile) -> Profile:
        before = without_idle(now.name, root)
        return before if before.digest in digests and now.digest not in digests else now

    def cell(now: Cell) -> Cell:
        if now.key in keys:
            return now
        before = replace(now, backend=without_idle(now.train.backend, root).digest)
        return before if before.key in keys else now

    profiles = tuple(profile(each) for each in plan.profiles)
    return replace(plan, profiles=profiles, cells=tuple(cell(each) for each in plan.cells))
