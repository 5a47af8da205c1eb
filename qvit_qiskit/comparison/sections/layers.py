"""The quantum layers: which one moved the logits, and what their errors are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures import attribution_plot as attribution_figure
from qvit_qiskit.comparison.figures import bias_plot as bias_figure
from qvit_qiskit.comparison.figures import drift as drift_figure
from qvit_qiskit.comparison.figures import parts_plot as parts_figure
from qvit_qiskit.comparison.figures import scatter
from qvit_qiskit.comparison.sections.base import Drawn, Section
from qvit_qiskit.pages.table import Entry, Table, cell, p_value

if TYPE_CHECKING:
    from qvit_qiskit.comparison.findings.systematic import Hypothesis


def attribution(comparison: Comparison) -> Section | None:
    """Which layer moved the logits of the recorded rungs; None where there is only one layer."""
    if all(len(shares.effects) < 2 for shares in comparison.attributions.values()):
        return None
    if not comparison.largest_shares:
        return None
    said = []
    for rung, most in comparison.largest_shares.items():
        share = cell(most.share)
        said.append(
            f"For {rung} the largest share is {_of(most.part)}: {share.text} {share.interval}."
        )
    text = [
        "The recorded errors of one quantum layer at a time are added to an exact pass. A layer's "
        "share is how far this moves the logits towards where all errors together move them; what "
        "the layers do not add up to is the interaction. Shares add up to 1 and may be negative.",
        " ".join(said),
    ]
    caption = (
        "Shares with 95 % intervals over the test images. The errors are those that were recorded, "
        "with their shots as they fell."
    )
    drawn = Drawn(
        attribution_figure.draw(comparison),
        "Share of each quantum layer in what moved the logits. " + " ".join(said),
        caption,
    )
    table = share_table(comparison)
    return Section("attribution", "Which layer moved the logits", text, [drawn, table])


def share_table(comparison: Comparison) -> Table:
    """The share of every quantum layer of the recorded rungs."""
    rows = [
        (Entry(one.part), Entry(one.rung), cell(one.share), cell(one.effect))
        for one in comparison.layer_shares
    ]
    caption = (
        "Shares, and the root mean square by which each part alone moves the logits, with 95 % "
        "intervals over the test images."
    )
    return Table(caption, ("part", "rung", "share", "effect on logits"), rows)


def _of(part: str) -> str:
    return (
        f"that of {part.replace('layer', 'quantum layer')}"
        if part != "interaction"
        else "the interaction"
    )


def parts(comparison: Comparison) -> Section | None:
    """What the errors of the layers' outputs are made of."""
    known = [one.parts for one in comparison.layer_errors if one.parts]
    if not known:
        return None
    text = [
        "The mean square of output minus exact output is the sum of three parts: the variance that "
        "the shots explain, what the device's reported errors explain besides, and the rest. The "
        "rest holds drift, crosstalk and whatever else is not reported, and the decay of waiting "
        "qubits where the run did not count it (idle = false, or an earlier version). Parts "
        "are estimates and may come out negative.",
    ]
    if len([one for one in known if one.reported]) < len(comparison.layer_errors):
        text.append(
            "Where no reported errors belong to a rung, all that shots do not explain is in the "
            "rest."
        )
    drawn = Drawn(
        parts_figure.draw(comparison),
        "Parts of the mean square error of each quantum layer's outputs",
        "Parts of the mean square error, outputs being between −1 and 1. Bars: 95 % intervals over "
        "the test images and their shots.",
    )
    rows = [
        (
            Entry(f"{one.rung}, layer {one.layer}"),
            cell(one.error),
            *(cell(part, 1e3) for part in parts_figure.parts_of(one)),
        )
        for one in comparison.layer_errors
    ]
    table = Table(
        "Root mean square error of the outputs, and the parts of its square in units of 10⁻³, with "
        "95 % intervals.",
        (
            "rung and layer",
            "output error",
            *(f"{p} (10⁻³)" for p in parts_figure.PARTS),
        ),
        rows,
    )
    return Section("budget", "What the errors are made of", text, [drawn, table])


def outputs(comparison: Comparison) -> Section | None:
    """Measured against exact outputs."""
    rungs = comparison.errors_known
    if not rungs:
        return None
    text = [
        "Every output of every row against its exact value at the same angles: what a rung does to "
        "one circuit, without what earlier layers did to its input. A slope below 1 is the "
        "contraction that noise brings; a shift is a bias."
    ]
    shots = any(rung.shots for rung in rungs)
    caption = (
        "darker means more outputs. "
        + (
            "Between the dashed lines 95 % would lie if there were no error but the shots. "
            if shots
            else ""
        )
        + "The lower panels show the difference alone."
    )
    pieces = [
        Drawn(
            scatter.draw(comparison, layer),
            f"Measured against exact expectation values of quantum layer {layer + 1}",
            f"Quantum layer {layer + 1}; {caption}",
        )
        for layer in range(max(len(rung.layers) for rung in rungs))
    ]
    return Section("outputs", "Outputs of the quantum layers", text, [*pieces])


def bias(comparison: Comparison) -> Section | None:
    """Systematic errors by output, qubit and copy."""
    if not comparison.biases:
        return None
    text = [
        "Mean errors of the outputs, in units of the outputs. By output and by physical qubit the "
        "error bars come from the shots alone; by copy from the scatter of the rows, which differ "
        "from copy to copy. They cover these rows; a simulated rung without shots has none."
    ]
    drawn = Drawn(
        bias_figure.draw(comparison),
        "Mean error by output, physical qubit and copy on the chip",
        "Mean error of the outputs with 95 % intervals; outputs and copies are counted from 0.",
    )
    tests = test_tables([one.test for one in comparison.biases])
    return Section("bias", "Bias by output, qubit and copy", text, [drawn, *tests])


def drift(comparison: Comparison) -> Section | None:
    """Systematic errors from job to job."""
    if all(len(one.errors) < 2 for one in comparison.drifts):
        return None  # a single job drifts nowhere
    if any(one.source == "repeated rows" for one in comparison.drifts):
        sentence = (
            "Mean errors from job to job tell of drift. Rows that ran once differ between jobs, "
            "and with them their mean error; rows repeated in every job do not differ, so what "
            "changes there is the device."
        )
        over = "over rows and shots for different rows, over shots for repeated ones."
    else:
        sentence = (
            "Mean errors from job to job. The jobs ran different rows, whose mean errors differ "
            "by themselves; no row was repeated in every job, which would tell drift apart."
        )
        over = "over rows and shots."
    drawn = Drawn(
        drift_figure.draw(comparison),
        "Mean error of each job in the order of time",
        f"Mean error of the outputs by job with 95 % intervals, {over}{_when(comparison)}",
    )
    tests = test_tables([one.test for one in comparison.drifts])
    return Section("drift", "Drift from job to job", [sentence], [drawn, *tests])


def _when(comparison: Comparison) -> str:
    times = sorted(time for one in comparison.drifts for time in one.times if time)
    if not times:
        return ""
    first, last = (time[:16].replace("T", " ") for time in (times[0], times[-1]))
    return f" Jobs from {first} to {last} UTC."


def test_tables(hypotheses: Sequence[Hypothesis | None]) -> list[Table]:
    """Chi-square tests of bias and drift; no table without any."""
    rows = [
        (
            Entry(one.claim),
            Entry(one.rung),
            Entry(str(one.layer)),
            Entry(f"{one.chi_square:,.1f}"),
            Entry(str(one.freedom)),
            Entry(p_value(one.p)),
        )
        for one in hypotheses
        if one is not None
    ]
    heads = ("hypothesis", "rung", "layer", "chi-square", "degrees of freedom", "p")
    caption = "Chi-square tests. A small p speaks against the hypothesis."
    return [Table(caption, heads, rows)] if rows else []
