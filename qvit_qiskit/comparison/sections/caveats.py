"""What the intervals cover, and what the noise model lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.sections.base import Section
from qvit_qiskit.pages.table import Entry, Table, listed

if TYPE_CHECKING:
    from qvit_qiskit.statistics.intervals import Interval


def reading(comparison: Comparison) -> Section:
    """The last section of a report."""
    simulated = [r.name for r in comparison.rungs if r.kind == "device noise"]
    text = []
    if simulated:
        named = listed([f"“{name}”" for name in simulated])
        text.append(
            f"The noise model of {named} applies the gate and readout errors that the "
            "device reported, and lets qubits decay while they wait by their T1 and T2 (not with "
            "idle = false, nor in runs of earlier versions, which did not count waits). It takes "
            "circuits to be scheduled as late as possible, which IBM does not document. It lacks "
            "crosstalk between qubits, and drift since the calibration. So a gap between it and "
            "the device is to be expected; repeated rows (anchors) and rows that ran alone "
            "(controls) measure the drift and the neighbours' part of it."
        )
        mitigated = [
            f"{rung.name} (level {rung.resilience_level})"
            for rung in comparison.rungs
            if rung.resilience_level
        ]
        if mitigated:
            text.append(
                f"{named} {'is' if len(simulated) == 1 else 'are'} without error mitigation, "
                f"unlike {listed(mitigated)}, whose resilience level mitigates errors. What lies "
                "between them is therefore not what the noise model lacks alone."
            )
    text.append(
        "One trained model was evaluated. How much its scores owe to the training seed is not "
        "covered by any interval here."
    )
    return Section("reading", "What the intervals cover", text, [_methods(comparison)])


def _methods(comparison: Comparison) -> Table:
    """Every kind of interval with its method; rungs that share one are named together."""
    known: dict[tuple[str, str, str], list[str]] = {}
    for one in comparison.scores:
        intervals: dict[str, Interval | None] = {
            "AUC": one.auc,
            "AUC over shots": one.auc_shots,
            "ACC": one.acc,
            "ACC over shots": one.acc_shots,
            "AUC, difference": one.auc_difference.interval if one.auc_difference else None,
            "ACC, difference": one.acc_difference.interval if one.acc_difference else None,
            "same answers": one.agreement,
            "KL divergence": one.kl,
            "output error": one.error,
        }
        for name, interval in intervals.items():
            if interval is not None:
                key = (name, interval.method, " and ".join(interval.covers))
                known.setdefault(key, []).append(one.rung.name)
    order = {name: place for place, name in enumerate(dict.fromkeys(key[0] for key in known))}
    rows = [
        (Entry(name), Entry(listed(rungs)), Entry(method), Entry(covers))
        for (name, method, covers), rungs in sorted(
            known.items(), key=lambda item: order[item[0][0]]
        )
    ]
    return Table("Intervals and what they cover.", ("value", "rungs", "interval", "covers"), rows)
