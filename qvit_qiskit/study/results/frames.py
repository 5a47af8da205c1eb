"""A study as pandas frames: every number, with its interval and its tests."""

from __future__ import annotations

from typing import Any

import pandas as pd

from qvit_qiskit.profile import UNROUTED
from qvit_qiskit.runs.planning.chosen_plan import Option
from qvit_qiskit.runs.planning.request import Accuracy
from qvit_qiskit.study.results.contrasts import effects
from qvit_qiskit.study.results.effects import Tested
from qvit_qiskit.study.results.findings import Findings, ModelGroup, Run
from qvit_qiskit.study.results.peers import peers
from qvit_qiskit.study.results.seed_scores import METRICS, interval

SHOTS = 1024
"""Per circuit, of profiles of devices unless they say otherwise."""


def axes_of(study: Findings, group: ModelGroup) -> dict[str, Any]:
    """The columns that say which model a line is about.

    Args:
        study: The study, whose spec says what sizes are.
        group: The kind of model.
    """
    by_qubits = study.size_name == "qubits"
    return {
        "model": group.model,
        "heads": group.heads,
        "qubits": group.size if by_qubits else group.size // group.heads,
        "width": group.size * group.heads if by_qubits else group.size,
        "regime": group.regime,
        "profile": group.profile if study.routed(group) else UNROUTED,
    }


def score_frame(study: Findings) -> pd.DataFrame:
    """AUC and ACC of every group on every set and on their mean.

    Means over seeds, the standard deviation over seeds, and the interval over test images.
    """
    lines = []
    for group in study.groups:
        for name in study.sets:
            seeds = study.seeds([group], name)
            if not seeds:  # a mean over some folds would be of other images
                continue
            parts = study.parts(group, name, seeds)
            line = {"set": name, **axes_of(study, group), "split": study.spec["split"]}
            line |= {"seeds": len(seeds), "images": sum(len(part.labels) for part in parts)}
            for metric in METRICS:
                measured = study.measured(metric, group, name, seeds)
                over_images = interval(measured, parts)  # the trainings held fixed
                line |= {
                    metric: measured.value,
                    f"{metric} sd": measured.deviation,
                    f"{metric} low": over_images.low,
                    f"{metric} high": over_images.high,
                    f"{metric} interval": over_images.method,
                }
            lines.append(line)
    return pd.DataFrame(lines)


def effect_frame(study: Findings) -> pd.DataFrame:
    """Paired differences between groups: over seeds, over test images, and over both."""
    lines = []
    for contrast, name, effect in effects(study):
        line = {
            "kind": " x ".join(contrast.kind).replace("size", study.size_name),
            "difference of": contrast.what,
            "at": contrast.at,
            "set": name,
            "metric": effect.metric,
            "seeds": effect.seeds,
            "difference": effect.value,
            "relative": effect.relative,
        }
        for over, tested in (
            ("seeds and images", effect.over_both),
            ("seeds", effect.over_seeds),
            ("images", effect.over_images),
        ):
            line |= _tested(over, tested)
        lines.append(line)
    return pd.DataFrame(lines)


def _tested(over: str, tested: Tested) -> dict[str, float]:
    return {
        f"low over {over}": tested.interval.low,
        f"high over {over}": tested.interval.high,
        f"p over {over}": tested.p,
    }


def cell_frame(study: Findings) -> pd.DataFrame:
    """One line for every evaluation of every training."""
    return pd.DataFrame(
        [
            {
                "set": run.dataset,
                **axes_of(study, run.group),
                "seed": run.seed,
                "fold": "" if run.fold is None else run.fold + 1,  # people count from 1
                "split": run.evaluation["split"],
                "images": run.evaluation["images"],
                "AUC": run.evaluation["auc"],
                "ACC": run.evaluation["acc"],
                "best epoch": run.result["history"]["best"]["epoch"],
                "val AUC": run.result["history"]["best"]["val_auc"],
                "val ACC": run.result["history"]["best"]["val_acc"],
                "key": run.cell["key"],
            }
            for run in study.runs
        ]
    )


def by_group(study: Findings) -> list[Run]:
    """All runs, set by set and group by group as in the spec."""
    places = {group: place for place, group in enumerate(study.groups)}
    return sorted(
        study.runs, key=lambda run: (study.datasets.index(run.dataset), places[run.group])
    )


def cost_frame(study: Findings) -> pd.DataFrame:
    """What one image costs in every model: parameters, FLOPs, circuits; they do not add up."""
    lines = []
    for run in by_group(study):
        cost = run.result["cost"]
        axes = axes_of(study, run.group)
        lines.append(
            {
                "set": run.dataset,
                **{name: axes[name] for name in ("model", "heads", "qubits", "width", "regime")},
                "parameters": cost["parameters"],
                "of them in circuits": cost["quantum_parameters"],
                "classical FLOPs": cost["classical_flops"],
                "circuit-simulation FLOPs": cost["simulation_flops"],
                "circuits": cost["circuits"],
                f"executions at {SHOTS} shots": cost["circuits"] * SHOTS,
            }
        )
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        # Regimes mostly change weights and no cost: one line holds all that cost the same.
        same = tuple(value for name, value in line.items() if name != "regime")
        kept = merged.setdefault(same, line)
        if line["regime"] not in kept["regime"].split(", "):
            kept["regime"] += f", {line['regime']}"
    return pd.DataFrame(merged.values())


def time_frame(study: Findings) -> pd.DataFrame:
    """Seconds of training by set and group, on whatever machines ran it, one thread each."""
    seen: dict[tuple[Any, ...], list[Any]] = {}
    for run in by_group(study):
        if run.group.profile == study.plan["profiles"][0]["name"]:
            history = run.result["history"]
            axes = axes_of(study, run.group)
            place = (run.dataset, *(axes[name] for name in list(axes)[:-1]))
            seen.setdefault(place, []).append((history["seconds"], history["epochs"]))
    names = ["set", "model", "heads", "qubits", "width", "regime"]
    return pd.DataFrame(
        [
            {
                **dict(zip(names, place, strict=True)),
                "trainings": len(times),
                "epochs": max(epochs for _, epochs in times),
                "seconds, mean": sum(s for s, _ in times) / len(times),
                "seconds, longest": max(s for s, _ in times),
            }
            for place, times in seen.items()
        ]
    )


def peer_frame(study: Findings) -> pd.DataFrame:
    """What others have published on these sets."""
    return pd.DataFrame(
        [
            {
                "system": peer.system,
                "parameters": peer.parameters,
                "set": dataset,
                "AUC": peer.scores[dataset].get("auc"),
                "ACC": peer.scores[dataset].get("acc"),
                "source": peer.source,
                "note": peer.note,
            }
            for peer in peers(study.datasets)
            for dataset in study.datasets
            if dataset in peer.scores
        ]
    )


def test_frame(study: Findings) -> pd.DataFrame:
    """Every look at a test split that this folder knows of, in the order of time."""
    names = ("time", "label", "profile", "git", "configuration", "cell")
    return pd.DataFrame([{name: test.get(name) or "" for name in names} for test in study.tests])


def teacher_frame(study: Findings) -> pd.DataFrame:
    """The teachers' own scores on the split that the study is judged on."""
    names = ("set", "teacher", "split", "images", "AUC", "ACC", "digest")
    return pd.DataFrame([{name: teacher[name] for name in names} for teacher in study.teachers])


def plan_frame(study: Findings) -> pd.DataFrame:
    """What evaluating each planned model on a device costs and is predicted to lose."""
    first = study.plan["profiles"][0]["name"]  # a model is planned once, however often evaluated
    wanted = {device["digest"] for device in study.plan.get("devices", ())}
    return pd.DataFrame(
        [
            {
                "set": run.dataset,
                **axes_of(study, run.group),
                "seed": run.seed,
                "fold": "" if run.fold is None else run.fold + 1,
                **_planned(plan),
            }
            for run in by_group(study)
            if run.group.profile == first
            for plan in run.result.get("plans", ())
            if plan["digest"] in wanted
        ]
    )


def _planned(plan: dict[str, Any]) -> dict[str, Any]:
    choice = plan.get("choice") or {}
    option = Option.from_record(choice) if choice else None
    return {
        "planned as": plan["profile"],
        "device": plan.get("device", ""),
        "asked": Accuracy(**plan["request"]).describe(),
        "planned images": plan["images"],
        "QPU seconds": choice.get("seconds"),
        "shots": option.both_shots if option else "",
        "copies": choice.get("k"),
        "buffer": choice.get("buffer"),
        "level": choice.get("resilience_level"),
        "readout": choice.get("readout", ""),
        "AUC lost": choice.get("auc_loss"),
        "AUC lost, 95 %": choice.get("auc_bound"),
        "ACC lost": choice.get("acc_loss"),
        "ACC lost, 95 %": choice.get("acc_bound"),
        "agreement": choice.get("agreement"),
        "refused": plan.get("refused", ""),
    }
