"""A study's tables as people read them; Markdown and HTML show the same ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from qvit_qiskit.pages.table import NOTHING, Entry, Table, fixed, p_value
from qvit_qiskit.study.results.contrasts import at
from qvit_qiskit.study.results.findings import Findings, ModelGroup
from qvit_qiskit.study.results.frames import SHOTS, axes_of
from qvit_qiskit.study.results.seed_scores import METRICS


def name_of(study: Findings, group: ModelGroup) -> str:
    """A group as the heading of its line.

    Args:
        study: The study: axes of a single value are left out.
        group: The kind of model.
    """
    return at(study, vars(group))


def score_tables(study: Findings, frame: pd.DataFrame) -> list[Table]:
    """AUC and ACC, groups by sets.

    Args:
        study: The study.
        frame: Its `tables.score_frame`.
    """
    return [_score_table(study, frame, metric) for metric in METRICS]


def _score_table(study: Findings, frame: pd.DataFrame, metric: str) -> Table:
    rows = []
    for group in study.groups:
        mine = of_group(study, frame, group)
        cells = [_score(mine[mine["set"] == name], metric) for name in study.sets]
        rows.append((Entry(name_of(study, group)), *cells))
    split = "test" if study.spec["split"] == "test" else "validation"
    caption = (
        f"{metric} on the {split} split: mean over seeds ± standard deviation over seeds, with the "
        "95 % interval of that mean over images."
    )
    return Table(caption, ("model", *study.sets), rows)


def of_group(study: Findings, frame: pd.DataFrame, group: ModelGroup) -> pd.DataFrame:
    """The lines of a frame that are about a group.

    Args:
        study: The study that the frame is of.
        frame: One with the columns of `axes_of`.
        group: The kind of model.
    """
    chosen = frame
    for name, value in axes_of(study, group).items():
        chosen = chosen[chosen[name] == value]
    return chosen


def _score(mine: pd.DataFrame, metric: str) -> Entry:
    if mine.empty:
        return Entry(NOTHING)
    line = mine.iloc[0]
    return Entry(_plus_minus(line, metric), _limits(line[f"{metric} low"], line[f"{metric} high"]))


def _plus_minus(line: pd.Series, metric: str) -> str:
    deviation = line[f"{metric} sd"]
    around = "" if math.isnan(deviation) else f" ± {fixed(deviation)}"
    return f"{fixed(line[metric])}{around}"


def _limits(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"[{fixed(low)}, {fixed(high)}]"


def validation_table(study: Findings, cells: pd.DataFrame) -> Table:
    """What trainings saw of the validation split, groups by sets: that by which to choose.

    Args:
        study: The study.
        cells: Its `tables.cell_frame`.
    """
    rows = []
    first = study.plan["profiles"][0]["name"]  # a training validates on its own profile
    for group in (group for group in study.groups if group.profile == first):
        mine = of_group(study, cells, group)
        # missing sets become NaN, in the spec's order
        means = mine.groupby("set")[["val AUC", "val ACC"]].mean().reindex(study.datasets)
        means.loc["mean"] = means.mean(skipna=False)  # of all sets or of none
        texts = [
            NOTHING if math.isnan(auc) else f"{fixed(auc)} / {fixed(acc)}"
            for auc, acc in means.itertuples(index=False)
        ]
        shown = texts if len(study.datasets) > 1 else texts[:-1]  # one set is its own mean
        rows.append((Entry(name_of(study, group)), *map(Entry, shown)))
    caption = (
        "AUC / ACC on the validation split at the epoch that was kept, means over seeds: by these "
        "to choose among the models of a study, whose test scores are above."
    )
    return Table(caption, ("model", *study.sets), rows)


def effect_tables(study: Findings, frame: pd.DataFrame, kinds: Sequence[str]) -> list[Table]:
    """Differences of these kinds, one table for each kind and metric.

    Args:
        study: The study.
        frame: Its `tables.effect_frame`.
        kinds: Values of its column ``kind``.
    """
    tables = []
    for kind in kinds:
        mine = frame[frame["kind"] == kind] if len(frame) else frame
        what = "Differences of those differences" if " x " in kind else "Differences"
        tables += [_effect_table(study, mine, metric, what) for metric in METRICS if len(mine)]
    return tables


def _effect_table(study: Findings, frame: pd.DataFrame, metric: str, what: str) -> Table:
    mine = frame[frame["metric"] == metric]
    rows = []
    for (sides, place), lines in mine.groupby(["difference of", "at"], sort=False):
        cells = [_effect(lines[lines["set"] == name]) for name in study.sets]
        rows.append((Entry(f"{sides}; {place}" if place else str(sides)), *cells))
    caption = (
        f"{what} in {metric}, paired by seed and image, with the 95 % interval over both; p over "
        "both, over seeds, over images."
        + ("" if "those" in what else " In parentheses: relative to what is subtracted.")
    )
    return Table(caption, ("difference", *study.sets), rows)


def _effect(lines: pd.DataFrame) -> Entry:
    if lines.empty:
        return Entry(NOTHING)
    line = lines.iloc[0]
    over = "seeds and images" if line["seeds"] > 1 else "images"  # one seed shows no scatter
    share = line["relative"]
    relative = "" if math.isnan(share) else f" ({_signed(100 * share, 1)} %)"
    ps = ", ".join(
        p_value(line[f"p over {name}"]) for name in ("seeds and images", "seeds", "images")
    )
    text = f"{_signed(line['difference'])}{relative}, p {ps}"
    return Entry(text, _limits(line[f"low over {over}"], line[f"high over {over}"]))


def _signed(value: float, decimals: int = 3) -> str:
    text = fixed(value, decimals)
    return f"+{text}" if value > 0 and text != NOTHING else text


def cost_table(frame: pd.DataFrame) -> Table:
    """What one image costs, from `tables.cost_frame`."""
    caption = (
        "The cost of one image. Classical FLOPs are those of the matrix products outside "
        "circuits; circuit-simulation FLOPs are those of a state vector, gate by gate; a "
        f"processor runs the circuits instead, here {SHOTS:,} times each. The three do not add up."
    )
    return Table(caption, tuple(map(str, frame.columns)), _plain(frame))


def plan_table(study: Findings, frame: pd.DataFrame) -> Table:
    """What evaluations on devices cost and lose, groups by sets, from `tables.plan_frame`.

    Args:
        study: The study.
        frame: Its `plan_frame`; at least one line.
    """
    rows = []
    for group in study.groups:
        mine = of_group(study, frame, group)
        parts = mine.groupby(["set", "planned as", "asked"], sort=False)
        for (name, profile, asked), lines in parts:
            device = f"{profile} on {max(lines['device'])}"
            rows.append(
                (
                    Entry(name_of(study, group)), Entry(str(name)), Entry(device),
                    Entry(str(asked)), *_plan_entries(lines),
                )
            )  # fmt: skip
    caption = (
        "The cheapest plans of `qvit plan` for the images of the split, without their labels: QPU "
        "seconds, and what shots and the device's reported errors are predicted to cost of the "
        "AUC, in the mean and with 95 % probability at most. Means over the planned trainings, "
        "least and most in brackets; shots of loud / quiet projections."
    )
    heads = ("model", "set", "device", "asked", "plans", "QPU seconds", "shots", "copies")
    return Table(caption, (*heads, "AUC lost", "at most"), rows)


def _plan_entries(lines: pd.DataFrame) -> tuple[Entry, ...]:
    met = lines[lines["refused"] == ""]
    count = f"{len(met)} of {len(lines)}"
    if met.empty:
        return (Entry(count), *(Entry(NOTHING),) * 5)
    seconds = met["QPU seconds"].astype(float)
    low, high = fixed(seconds.min(), 1), fixed(seconds.max(), 1)
    spread = f"[{low}, {high}]" if low != high else ""
    return (
        Entry(count),
        Entry(fixed(seconds.mean(), 1), spread),
        Entry(", ".join(dict.fromkeys(met["shots"]))),
        Entry(", ".join(dict.fromkeys(str(int(k)) for k in met["copies"]))),
        Entry(_signed(met["AUC lost"].astype(float).mean(), 4)),
        Entry(_signed(met["AUC lost, 95 %"].astype(float).mean(), 4)),
    )


def time_table(frame: pd.DataFrame) -> Table:
    """Training times, from `tables.time_frame`."""
    caption = "Time of training, as measured where it ran; it differs from machine to machine."
    return Table(caption, tuple(map(str, frame.columns)), _plain(frame, decimals=1))


def teacher_table(frame: pd.DataFrame) -> Table:
    """The teachers, from `tables.teacher_frame`."""
    caption = "The teachers' own scores on the same split."
    shown = frame.drop(columns="digest")  # it is in the CSV
    return Table(caption, tuple(map(str, shown.columns)), _plain(shown))


def peer_table(study: Findings, scores: pd.DataFrame, published: pd.DataFrame) -> Table:
    """Ours and the published systems on the same test splits: AUC / ACC.

    Args:
        study: The study.
        scores: Its `score_frame`.
        published: Its `peer_frame`: what others have published.
    """
    names = list(study.datasets)
    rows = []
    for group in study.groups:
        mine = of_group(study, scores, group)
        cells = [_ours(mine[mine["set"] == name]) for name in names]
        rows.append(
            (Entry(f"ours: {name_of(study, group)}"), _size(study, group), *cells, Entry(""))
        )
    for (system, source), lines in published.groupby(["system", "source"], sort=False):
        first = lines.iloc[0]
        cells = [_theirs(lines[lines["set"] == name]) for name in names]
        remark = "; ".join(text for text in (str(source), str(first["note"])) if text)
        size = Entry(str(first["parameters"]) or NOTHING)
        rows.append((Entry(str(system)), size, *cells, Entry(remark)))
    caption = "Test AUC / ACC beside what others have published; ours are means over seeds."
    return Table(caption, ("system", "parameters", *names, "source"), rows)


def _size(study: Findings, group: ModelGroup) -> Entry:
    counts = {run.result["cost"]["parameters"] for run in study.runs if run.group == group}
    ends = sorted({min(counts), max(counts)})
    return Entry("–".join(f"{count:,}" for count in ends))


def _ours(mine: pd.DataFrame) -> Entry:
    if mine.empty:
        return Entry(NOTHING)
    line = mine.iloc[0]
    return Entry(" / ".join(_plus_minus(line, metric) for metric in METRICS))


def _theirs(lines: pd.DataFrame) -> Entry:
    if lines.empty:
        return Entry(NOTHING)
    line = lines.iloc[0]
    numbers = [NOTHING if pd.isna(line[metric]) else fixed(line[metric]) for metric in METRICS]
    return Entry(" / ".join(numbers))


def test_table(frame: pd.DataFrame) -> Table:
    """Every look at a test split, from `tables.test_frame`."""
    rows = [
        (
            Entry(str(line["time"])), Entry(str(line["label"])), Entry(line["profile"] or NOTHING),
            Entry(str(line["git"] or NOTHING)[:12]), Entry(str(line["configuration"])[:12]),
        )
        for line in frame.to_dict("records")
    ]  # fmt: skip
    caption = "Every evaluation on a test split, in the order of time, with the commit it ran from."
    return Table(caption, ("time", "cell", "profile", "commit", "configuration"), rows)


def _plain(frame: pd.DataFrame, decimals: int = 3) -> list[tuple[Entry, ...]]:
    return [
        tuple(
            Entry(value if isinstance(value, str) else fixed(value, decimals))
            if isinstance(value, str | float)
            else Entry(f"{value:,}")
            for value in line.values()
        )
        for line in frame.to_dict("records")
    ]
