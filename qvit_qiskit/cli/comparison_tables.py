"""What a person reads of a comparison: terminal tables, narrow enough for eighty columns."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qvit_qiskit.cli import screen

if TYPE_CHECKING:
    from qvit_qiskit.comparison import Comparison
    from qvit_qiskit.comparison.data import Rung
    from qvit_qiskit.statistics.differences import Difference
    from qvit_qiskit.statistics.intervals import Interval


def show(comparison: Comparison) -> None:
    """Scores, distances from the exact rung, cost, attribution and tests."""
    from qvit_qiskit.comparison.scores import scores

    found = scores(comparison)
    print(comparison.title)
    for name, told in comparison.facts.items():
        print(f"{name}: {told}")
    screen.table(
        "Scores, with 95 % intervals over test images (and shots, where there are any)",
        [
            {
                "rung": s.rung.name,
                "AUC": _fixed(s.auc),
                "ACC": _fixed(s.acc),
                "agrees with exact": _fixed(s.agreement),
            }
            for s in found
        ],
    )
    screen.table(
        "Distance from the exact rung, with 95 % intervals over the same",
        [
            {
                "rung": s.rung.name,
                "KL, nats": _short(s.kl),
                "RMS error of outputs": _short(s.error),
                "AUC": _difference(s.auc_difference),
                "ACC": _difference(s.acc_difference),
            }
            for s in found[1:]
        ],
    )
    paid = [s.rung for s in found if s.rung.qpu_seconds is not None]
    if paid:
        _costs(paid)
    _attributions(comparison)
    recorded = {rung.name for rung in comparison.rungs if rung.kind == "hardware"}
    tests = [row for row in comparison.tests().to_dict("records") if row["rung"] in recorded]
    if tests:
        screen.table("Bias and drift of outputs, chi-square tests", [_test(row) for row in tests])


def _attributions(comparison: Comparison) -> None:
    from qvit_qiskit.comparison.scores import share_intervals

    for name, attribution in comparison.attributions.items():
        shares = share_intervals(attribution)
        parts = [f"layer {k}" for k in range(1, len(shares))] + ["interaction"]
        screen.table(
            f"What moved the logits of {name}, with 95 % intervals over test images",
            [
                {"quantum layer": part, "share": _fixed(share).replace("\n", " ")}
                for part, share in zip(parts, shares, strict=True)
            ],
        )


def _test(row: Mapping[Hashable, Any]) -> dict[str, str]:
    return {
        "rung": str(row["rung"]),
        "quantum layer": str(row["layer"]),
        "hypothesis": str(row["hypothesis"]),
        "χ² (degrees)": f"{row['chi-square']:.1f} ({row['degrees of freedom']})",
        "p": f"{row['p']:.2g}",
    }


def _costs(rungs: Sequence[Rung]) -> None:
    from qvit_qiskit.comparison.rungs import PLAN
    from qvit_qiskit.devices.prices import prices

    screen.table(
        "QPU time",
        [
            {
                "rung": rung.name,
                "seconds": f"{rung.qpu_seconds:,.1f}",
                f"{prices()['currency']} ({PLAN}, {prices()['date']})": f"{rung.dollars:,.2f}",
                "": rung.cost_basis,
            }
            for rung in rungs
        ],
    )


def show_models(found: Sequence[Comparison], names: Sequence[str]) -> None:
    """The exact rungs of several models against the first."""
    from qvit_qiskit.comparison.tables import model_frame

    screen.table(
        f"Exact rungs less that of {names[0]}, with 95 % intervals over test images",
        [
            {
                "checkpoint": row["model"],
                "metric": row["metric"],
                "difference": f"{row['difference']:.3f} "
                f"[{row['difference low']:.3f}, {row['difference high']:.3f}]",
                "p": f"{row['p']:.2g}",
            }
            for row in model_frame(found, names).to_dict("records")
        ],
    )


def _fixed(interval: Interval | None) -> str:
    """Three decimals and limits below."""
    if interval is None:
        return "–"
    return f"{interval.value:.3f}\n[{interval.low:.3f}, {interval.high:.3f}]"


def _short(interval: Interval | None) -> str:
    """Two digits that count and limits below."""
    if interval is None:
        return "–"
    return f"{interval.value:.2g}\n[{interval.low:.2g}, {interval.high:.2g}]"


def _difference(found: Difference | None) -> str:
    if found is None:
        return "–"
    return f"{_fixed(found.interval)}\np = {found.p:.2g}"
