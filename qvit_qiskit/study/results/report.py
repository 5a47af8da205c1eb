"""A study's report: its sections, as HTML and as Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from qvit_qiskit.comparison import page
from qvit_qiskit.comparison.sections import Drawn, Section
from qvit_qiskit.pages.table import Entry, Table, listed
from qvit_qiskit.study.results import figures, result_tables
from qvit_qiskit.study.results import frames as tables
from qvit_qiskit.study.results.findings import Findings
from qvit_qiskit.study.results.peers import peers


@dataclass(frozen=True)
class Report:
    """A study with its tables and figures, and the command that made them."""

    title: str
    facts: dict[str, str]
    sections: list[Section]
    frames: dict[str, pd.DataFrame]
    """The report's numbers, by the name of their CSV file without its ending."""


def make_report(study: Findings, command: Sequence[str], title: str) -> Report:
    """Everything that is told of a study.

    Args:
        study: Its finished cells; at least one.
        command: What the user typed, word by word.
        title: Of the page.
    """
    frames = {
        "scores": tables.score_frame(study),
        "differences": tables.effect_frame(study),
        "teachers": tables.teacher_frame(study),
        "costs": tables.cost_frame(study),
        "plans": tables.plan_frame(study),
        "times": tables.time_frame(study),
        "cells": tables.cell_frame(study),
        "peers": tables.peer_frame(study),
        "test-evaluations": tables.test_frame(study),
    }
    sections = [
        _scores(study, frames),
        *_effects(study, frames["differences"]),
        *_teachers(frames["teachers"]),
        *_peers(study, frames),
        *_plans(study, frames["plans"]),
        _costs(frames),
        *_tests(frames["test-evaluations"]),
    ]
    facts = _facts(study, command)
    return Report(title, facts, sections, {k: v for k, v in frames.items() if len(v)})


def _facts(study: Findings, command: Sequence[str]) -> dict[str, str]:
    spec, plan = study.spec, study.plan
    # a wheel knows no commit
    git = sorted({run.result["versions"].get("git", "") for run in study.runs} - {""})
    versions = [run.result["versions"] for run in study.runs]
    packages = [
        f"{name} {listed(sorted({facts[name] for facts in versions}))}"
        for name in ("qvit-qiskit", "qiskit", "qiskit-aer", "torch")
    ]
    # the plan keeps what was so when it was made
    frozen = "frozen before the study" if plan["frozen"] else "not frozen"
    seeds, cells = len(spec["seeds"]), len(plan["cells"])
    facts = {
        "command": shlex.join(command),
        "about": spec["description"],
        "judged on": f"the {spec['split']} split" + _folds(study),
        "trainings": f"{cells - len(study.missing)} of {cells} finished, {seeds} seeds each",
        "configuration": f"{plan['configuration']} ({frozen})",
        "commits": ", ".join(commit[:12] for commit in git),
        "versions": ", ".join(packages),
    }
    facts |= {f"MD5 of {name}": plan["md5"][name] for name in study.datasets}
    return {name: text for name, text in facts.items() if text}  # empty ones say nothing


def _folds(study: Findings) -> str:
    cut = {name: study.folds(name) for name in study.datasets if study.folds(name) > 1}
    counts = listed([f"{count} folds of {name}" for name, count in cut.items()])
    return f"; {counts} (train and val together)" if cut else ""


def _scores(study: Findings, frames: dict[str, pd.DataFrame]) -> Section:
    frame = frames["scores"]
    text = [
        "Every score is the mean over trainings that differ in their seed alone; ± is the standard "
        "deviation over these. The interval is that of this mean over draws of the images, the "
        "trainings held fixed.",
    ]
    # On test images nothing was chosen, so nothing is flattered.
    if study.spec["split"] == "val" and _chooses_epochs(study.spec):
        text.append(
            "The best epoch of a training was chosen on the same validation images, so these "
            "scores are for choosing between configurations, and flatter all of them."
        )
    if study.missing:
        # a grid may lack hundreds
        some = [*study.missing[:5], *(["…"] if len(study.missing) > 5 else [])]
        count = f"{len(study.missing)} of {len(study.plan['cells'])} trainings"
        text.append(f"Not finished: {count}, {', '.join(some)}.")
    beside = study.spec["split"] == "test" and peers(study.datasets)
    drawn = Drawn(
        figures.score_figure(study, frame), "AUC and ACC of every model on every set",
        "Dots are seeds, marks their means, bars 95 % intervals of the mean over images."
        + (" Grey: published systems." if beside else ""),
    )  # fmt: skip
    pieces: list[Drawn | Table] = [drawn, *result_tables.score_tables(study, frame)]
    if study.spec["split"] == "test":
        pieces.append(result_tables.validation_table(study, frames["cells"]))
    return Section("scores", "Scores", text, pieces)


def _chooses_epochs(spec: dict[str, Any]) -> bool:
    parts = [{"select": "best"} | spec["training"], *(o["training"] for o in spec["overrides"])]
    return any(part.get("select") == "best" for part in parts)


def _effects(study: Findings, frame: pd.DataFrame) -> list[Section]:
    size, by_qubits = study.size_name, study.size_name == "qubits"
    heads, sizes = (
        f"{step}{', and the largest against the smallest' if len(values) > 2 else ''}."
        for step, values in (
            ("The larger number of heads against the next smaller one", study.spec["heads"]),
            ("Against the next smaller", study.sizes),
        )
    )
    wanted = (
        ("model", "Model against model", "Same seeds, same images, same training options."),
        ("heads", "More heads", heads),
        (size, f"More {size}" if by_qubits else "Larger width", sizes),
        ("regime", "Distillation", "Against the first regime of the spec, from the same seeds."),
    )
    across = {"heads": ["heads x model"], "regime": [f"regime x {size}", "regime x model"]}
    found_kinds = set(frame["kind"]) if len(frame) else set()
    sections = []
    for kind, title, hint in wanted:
        if kind not in found_kinds:  # an axis of one value has no differences
            continue
        drawn = Drawn(
            figures.effect_figure(study, frame, kind), f"{title}: differences of AUC and ACC",
            "Differences paired by seed and image. Thin bars: 95 % intervals over both; thick "
            "bars: over seeds, the images held fixed.",
        )  # fmt: skip
        more = result_tables.effect_tables(study, frame, [kind, *across.get(kind, [])])
        count = int((frame["kind"] == kind).sum())
        text = [
            f"{hint} {count} differences are tested here, each at its own level: no correction is "
            "made for their number."
        ]
        sections.append(Section(f"by-{kind}", title, text, [drawn, *more]))
    return sections


def _teachers(frame: pd.DataFrame) -> list[Section]:
    if frame.empty:
        return []
    pieces: list[Drawn | Table] = [result_tables.teacher_table(frame)]
    return [Section("teachers", "Teachers", [], pieces)]


def _peers(study: Findings, frames: dict[str, pd.DataFrame]) -> list[Section]:
    published = frames["peers"]
    # Published scores are of test splits: nothing else compares with them.
    if published.empty or study.spec["split"] != "test":
        return []
    text = ["Published scores are as their sources state them; none was computed here."]
    table = result_tables.peer_table(study, frames["scores"], published)
    return [Section("peers", "Beside published systems", text, [table])]


def _plans(study: Findings, frame: pd.DataFrame) -> list[Section]:
    if frame.empty:
        return []
    refused = frame[frame["refused"] != ""]
    text = ["A model without circuits needs no processor and has no plan."]
    text += [f"Refused: {reason}" for reason in dict.fromkeys(refused["refused"])]
    return [Section("plans", "On a processor", text, [result_tables.plan_table(study, frame)])]


def _costs(frames: dict[str, pd.DataFrame]) -> Section:
    pieces: list[Drawn | Table] = [
        result_tables.cost_table(frames["costs"]), result_tables.time_table(frames["times"]),
    ]  # fmt: skip
    return Section("costs", "Costs", [], pieces)


def _tests(frame: pd.DataFrame) -> list[Section]:
    if frame.empty:
        return []
    kinds = frame["configuration"].nunique()
    text = [
        f"This study's folder has seen {len(frame)} evaluations on test splits, of {kinds} "
        f"configuration{'s' if kinds > 1 else ''}."
    ]
    pieces: list[Drawn | Table] = [result_tables.test_table(frame)]
    return [Section("tests", "Evaluations on test splits", text, pieces)]


def as_html(report: Report) -> str:
    """One page that needs nothing else; text is escaped wherever it comes from."""
    return page.render(report.title, report.facts, page.numbered(report.sections))


def as_markdown(report: Report, pictures: dict[str, str]) -> str:
    """The same without anything interactive.

    Args:
        report: What to tell.
        pictures: File names of figures, by the anchor of their section.
    """
    lines = [f"# {report.title}", "", f"Made by `{report.facts['command']}`.", ""]
    rest = {name: text for name, text in report.facts.items() if name != "command"}
    lines += [*_grid(("", ""), [(name, text) for name, text in rest.items()]), ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.text:
            lines += [paragraph, ""]
        for piece in section.pieces:
            if isinstance(piece, Drawn):
                lines += [f"![{piece.title}]({pictures[section.anchor]})", "", piece.caption, ""]
            else:
                rows = [[_joined(cell) for cell in row] for row in piece.rows]
                lines += [piece.caption, "", *_grid(piece.heads, rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def _joined(cell: Entry) -> str:
    return f"{cell.text} {cell.interval}".strip()


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(_escaped(word) for word in line)} |" for line in lines]


def _escaped(word: str) -> str:
    return " ".join(word.split()).replace("|", "\\|")


def default_title(spec: Path) -> str:
    """A title from the spec's name."""
    return f"Study: {spec.stem.replace('-', ' ')}"
