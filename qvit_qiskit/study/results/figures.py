"""A study's figures: scores with every seed, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from qvit_qiskit.comparison.figures.style import (
    OF_KIND,
    SPARE,
    Look,
    canvas,
    explain_bars,
    finish_rows,
    short,
)
from qvit_qiskit.study.results.findings import MEAN, Findings
from qvit_qiskit.study.results.peers import peers
from qvit_qiskit.study.results.result_tables import name_of, of_group
from qvit_qiskit.study.results.seed_scores import METRICS

LINE = 0.21
"""Inches of a row."""


def _looks(study: Findings) -> dict[str, Look]:
    """A colour and a marker for every model of the spec."""
    return dict(zip(study.spec["models"], cycle([*OF_KIND.values(), *SPARE]), strict=False))


def score_figure(study: Findings, frame: pd.DataFrame) -> Figure:
    """AUC and ACC by set and group: every seed, their mean, and its interval over images.

    Args:
        study: The study.
        frame: Its `tables.score_frame`.
    """
    groups, sets = study.groups, list(dict.fromkeys(frame["set"]))
    others = study.spec["split"] == "test"
    rows = {
        name: len(groups) + int(others and name != MEAN and bool(peers([name]))) for name in sets
    }
    figure = canvas(sum(LINE * count + 0.42 for count in rows.values()) + 0.5)
    panels = figure.subplots(
        len(sets), 2, squeeze=False, sharey="row", sharex="none",
        height_ratios=[LINE * rows[name] + 0.3 for name in sets],
    )  # fmt: skip
    style = _looks(study)
    for place, name in enumerate(sets):
        for column, metric in enumerate(METRICS):
            panel = panels[place, column]
            _score_panel(panel, study, frame[frame["set"] == name], name, metric, style)
            if rows[name] > len(groups):
                known = [peer.scores[name].get(metric.lower()) for peer in peers([name])]
                values = [value for value in known if value is not None]
                panel.plot(values, [len(groups)] * len(values), "|", color="0.45", markersize=9)
            panel.set_ylim(rows[name] - 0.4, -0.6)
            panel.set_title(f"{name}, {metric}", fontsize="small", loc="left")
        labels = [short(name_of(study, group), 34) for group in groups]
        labels += ["published"] * (rows[name] - len(groups))
        panels[place, 0].set_yticks(range(rows[name]), labels, fontsize="small")
    return figure


def _score_panel(
    panel: Any, study: Findings, frame: pd.DataFrame, name: str, metric: str, style: dict[str, Look]
) -> None:
    for row, group in enumerate(study.groups):
        mine = of_group(study, frame, group)
        if mine.empty:
            continue
        line = mine.iloc[0]
        look = style[group.model]
        seeds = study.seeds([group], name)
        values = study.measured(metric, group, name, seeds).values  # type: ignore[arg-type]
        panel.plot([line[f"{metric} low"], line[f"{metric} high"]], [row, row], color=look.color)
        panel.plot(values, [row + 0.3] * len(values), ".", color=look.color, markersize=3)
        panel.plot(line[metric], row, look.marker, color=look.color, markersize=5)
    finish_rows(panel, margin=0.05)


def effect_figure(study: Findings, frame: pd.DataFrame, kind: str) -> Figure:
    """Differences of one kind with their intervals over seeds and images, and over seeds alone.

    Args:
        study: The study.
        frame: Its `tables.effect_frame`; with lines of that kind.
        kind: A value of its column ``kind``.
    """
    mine = frame[frame["kind"] == kind]
    sides = list(dict.fromkeys(mine["difference of"]))
    sets = [name for name in study.sets if (mine["set"] == name).any()]
    rows = list(dict.fromkeys(zip(mine["difference of"], mine["at"], strict=True)))
    figure = canvas(len(sets) * (LINE * len(rows) + 0.42) + 0.75)
    panels = figure.subplots(len(sets), 2, squeeze=False, sharey=True, sharex="col")
    labels = [short(at if len(sides) == 1 else f"{what}; {at}", 38) for what, at in rows]
    for place, name in enumerate(sets):
        for column, metric in enumerate(METRICS):
            panel = panels[place, column]
            panel.axvline(0, color="0.5", linestyle="--", linewidth=0.9, zorder=0)
            for line in mine[(mine["metric"] == metric) & (mine["set"] == name)].to_dict("records"):
                _whiskers(panel, rows.index((line["difference of"], line["at"])), line)
            panel.set_title(f"{name}, {metric}", fontsize="small", loc="left")
            panel.set_ylim(len(rows) - 0.4, -0.6)
            finish_rows(panel, margin=0.05)
    for column, metric in enumerate(METRICS):
        direction = sides[0] if len(sides) == 1 else "difference"
        panels[-1, column].set_xlabel(f"{metric}, {direction}")
    panels[0, 0].set_yticks(range(len(rows)), labels, fontsize="small")
    for panel in panels[:, 0]:
        panel.tick_params(axis="y", labelsize="small")
    explain_bars(figure, "95 % over seeds and images", "95 % over seeds alone")
    return figure


def _whiskers(panel: Any, row: int, line: dict[Hashable, Any]) -> None:
    over = "seeds and images" if line["seeds"] > 1 else "images"
    for name, width, alpha in ((over, 1.2, 1.0), ("seeds", 4.0, 0.45)):
        ends = [line[f"low over {name}"], line[f"high over {name}"]]
        panel.plot(ends, [row, row], color="#0072B2", linewidth=width, alpha=alpha)
    panel.plot(line["difference"], row, "o", color="#0072B2", markersize=4.5)
