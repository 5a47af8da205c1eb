"""What the rows that every job repeated say of all others, and what correction by them gained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.sections.base import Section
from qvit_qiskit.pages.table import Entry, Table, cell, fixed, listed, p_value

if TYPE_CHECKING:
    from qvit_qiskit.comparison.findings.gains import Gain, LayerGain


def corrections(comparison: Comparison) -> Section | None:
    """What correction by anchors changed; None where no run repeated rows."""
    if not comparison.gains:
        return None
    names = listed([f"“{one.rung}”" for one in comparison.gains])
    text = [
        f"{names}: the outputs as they were measured, less what the device's reported errors make "
        "of each copy's outputs (a scale and a shift), and less one factor and one shift for all "
        "of a layer's outputs, learned from the rows that every job repeats and whose exact values "
        "are known. Factor and shift are shrunk towards none by their own errors. No label is "
        "used, and verdicts are about what was measured unless correction was asked for."
    ]
    return Section(
        "correction", "Correction by repeated rows", text, [*gain_tables(comparison.gains)]
    )


def gain_tables(gains: Sequence[Gain]) -> list[Table]:
    """What repeated rows say, and what it changed in outputs and scores; empty without any."""
    if not gains:
        return []
    layers = [
        (Entry(f"{one.than}, layer {layer.layer}"), layer) for one in gains for layer in one.layers
    ]
    learned = Table(
        "What the repeated rows say of all outputs beyond the reported errors; ± one standard "
        "error.",
        ("rung and layer", "repeated rows", "factor", "shift"),
        [(name, Entry(str(layer.common.anchors)), *_learned(layer)) for name, layer in layers],
    )
    outputs = Table(
        "Mean square error of the outputs beyond shot noise, in units of 10⁻³, with 95 % "
        "intervals; the last column has the shot noise, which the correction stretches.",
        ("rung and layer", "measured", "corrected", "change", "change with shots"),
        [(name, *_changes(layer)) for name, layer in layers],
    )
    scores = Table(
        "Scores corrected less as measured, on the same images, with 95 % intervals.",
        ("rung", "AUC", "p (DeLong)", "ACC", "p (McNemar)"),
        [
            (
                Entry(one.rung),
                *(piece for d in one.differences for piece in (cell(d.interval), _p(d.p))),
            )
            for one in gains
        ],
    )
    return [learned, outputs, scores]


def _learned(layer: LayerGain) -> list[Entry]:
    """Factor and shift as they were fitted, and as they are applied."""
    fitted = (layer.common.factor, layer.common.shift)
    return [
        Entry(f"{fixed(value)} ± {fixed(error)}", f"applied: {fixed(used)}")
        for value, error, used in zip(
            fitted, layer.common.errors, layer.common.applied, strict=True
        )
    ]


def _changes(layer: LayerGain) -> list[Entry]:
    shown = (layer.before, layer.after, layer.change, layer.change_with_shots)
    return [cell(one, 1e3) for one in shown]


def _p(value: float) -> Entry:
    return Entry(p_value(value))
