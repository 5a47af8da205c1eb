"""The quantum layers: which one moved the logits, and what their errors are made of."""

from __future__ import annotations

import pandas as pd

from qvit_qiskit.comparison.figures import attribution_plot as attribution_figure
from qvit_qiskit.comparison.figures import bias_plot as bias_figure
from qvit_qiskit.comparison.figures import budget_plot as budget_figure
from qvit_qiskit.comparison.figures import drift as drift_figure
from qvit_qiskit.comparison.figures import scatter
from qvit_qiskit.comparison.sections.base import Contents, Drawn, Section, lines
from qvit_qiskit.pages.table import Cell, Table, columns, p_value


def attribution(contents: Contents) -> Section | None:
    """Which layer moved the logits of the recorded rungs; None where there is only one layer."""
    if all(len(found.effects) < 2 for found in contents.comparison.attributions.values()):
        return None
    frame = contents.comparison.shares()
    if frame.empty or frame["share"].isna().all():
        return None
    said = []
    for rung, part in frame.groupby("rung", sort=False):
        most = part.iloc[int(part["share"].abs().argmax())]
        share = columns(most, "share")
        said.append(
            f"For {rung} the largest share is {_of(most['part'])}: {share.text} {share.interval}."
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
        attribution_figure.draw(contents.comparison, frame),
        "Share of each quantum layer in what moved the logits. " + " ".join(said),
        caption,
    )
    rows = [
        (
            Cell(str(line["part"])),
            Cell(str(line["rung"])),
            columns(line, "share"),
            columns(line, "effect on logits"),
        )
        for line in lines(frame)
    ]
    table = Table(
        "Shares, and the root mean square by which each part alone moves the logits, with 95 % "
        "intervals over the test images.",
        ("part", "rung", "share", "effect on logits"),
        rows,
    )
    return Section("attribution", "Which layer moved the logits", text, [drawn, table])


def _of(part: str) -> str:
    return (
        f"that of {part.replace('layer', 'quantum layer')}"
        if part != "interaction"
        else "the interaction"
    )


def budget(contents: Contents) -> Section | None:
    """What the errors of the layers' outputs are made of."""
    frame = contents.comparison.layers()
    if frame.empty or frame["square from shots"].isna().all():
        return None
    text = [
        "The mean square of output minus exact output is the sum of three parts: the variance that "
        "the shots explain, what the device's reported errors explain besides, and the rest. The "
        "rest holds drift, crosstalk, idle decoherence and whatever else is not reported. Parts "
        "are estimates and may come out negative.",
    ]
    if frame["square from reported errors"].isna().any():
        text.append(
            "Where no reported errors belong to a rung, all that shots do not explain is in the "
            "rest."
        )
    drawn = Drawn(
        budget_figure.draw(contents.comparison, frame),
        "Parts of the mean square error of each quantum layer's outputs",
        "Parts of the mean square error, outputs being between −1 and 1. Bars: 95 % intervals over "
        "the test images and their shots.",
    )
    rows = [
        (
            Cell(f"{line['rung']}, layer {line['layer']}"),
            columns(line, "output error"),
            *(columns(line, part, 1e3) for part in budget_figure.PARTS),
        )
        for line in lines(frame)
    ]
    table = Table(
        "Root mean square error of the outputs, and the parts of its square in units of 10⁻³, with "
        "95 % intervals.",
        (
            "rung and layer",
            "output error",
            *(f"{p} (10⁻³)" for p in budget_figure.PARTS.values()),
        ),
        rows,
    )
    return Section("budget", "What the errors are made of", text, [drawn, table])


def outputs(contents: Contents) -> Section | None:
    """Measured against exact outputs."""
    rungs = scatter.measured(contents.comparison)
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
            scatter.draw(contents.comparison, layer),
            f"Measured against exact expectation values of quantum layer {layer + 1}",
            f"Quantum layer {layer + 1}; {caption}",
        )
        for layer in range(len(rungs[0].layers))
    ]
    return Section("outputs", "Outputs of the quantum layers", text, [*pieces])


def bias(contents: Contents) -> Section | None:
    """Systematic errors by output, qubit and copy."""
    frame = contents.comparison.bias()
    if frame.empty:
        return None
    text = [
        "Mean errors of the outputs, in units of the outputs. By output and by physical qubit the "
        "error bars come from the shots alone; by copy from the scatter of the rows, which differ "
        "from copy to copy. They cover these rows; a simulated rung without shots has none."
    ]
    drawn = Drawn(
        bias_figure.draw(contents.comparison, frame),
        "Mean error by output, physical qubit and copy on the chip",
        "Mean error of the outputs with 95 % intervals; outputs and copies are counted from 0.",
    )
    found = contents.tests
    about = found[~found["hypothesis"].str.contains("jobs")] if not found.empty else found
    return Section("bias", "Bias by output, qubit and copy", text, [drawn, *_tests(about)])


def drift(contents: Contents) -> Section | None:
    """Systematic errors from job to job."""
    frame = contents.comparison.drift()
    if frame.empty:
        return None
    if (frame["from"] == "repeated rows").any():
        told = (
            "Mean errors from job to job tell of drift. Rows that ran once differ between jobs, "
            "and with them their mean error; rows repeated in every job do not differ, so what "
            "changes there is the device."
        )
        over = "over rows and shots for different rows, over shots for repeated ones."
    else:
        told = (
            "Mean errors from job to job. The jobs ran different rows, whose mean errors differ "
            "by themselves; no row was repeated in every job, which would tell drift apart."
        )
        over = "over rows and shots."
    drawn = Drawn(
        drift_figure.draw(contents.comparison, frame),
        "Mean error of each job in the order of time",
        f"Mean error of the outputs by job with 95 % intervals, {over}{_when(frame)}",
    )
    found = contents.tests
    about = found[found["hypothesis"].str.contains("jobs")] if not found.empty else found
    return Section("drift", "Drift from job to job", [told], [drawn, *_tests(about)])


def _when(frame: pd.DataFrame) -> str:
    times = sorted(str(time) for time in frame["time"] if time)
    if not times:
        return ""
    first, last = (time[:16].replace("T", " ") for time in (times[0], times[-1]))
    return f" Jobs from {first} to {last} UTC."


def _tests(found: pd.DataFrame) -> list[Table]:
    rows = [
        (
            Cell(str(line["hypothesis"])),
            Cell(str(line["rung"])),
            Cell(str(line["layer"])),
            Cell(f"{line['chi-square']:,.1f}"),
            Cell(str(line["degrees of freedom"])),
            Cell(p_value(float(line["p"]))),
        )
        for line in lines(found)
    ]
    heads = ("hypothesis", "rung", "layer", "chi-square", "degrees of freedom", "p")
    caption = "Chi-square tests. A small p speaks against the hypothesis."
    return [Table(caption, heads, rows)] if rows else []
