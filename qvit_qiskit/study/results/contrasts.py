"""Which models of a study are compared with which: axis by axis, and one axis across another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from qvit_qiskit.study.results.effects import Effect, effect
from qvit_qiskit.study.results.findings import Findings, ModelGroup
from qvit_qiskit.study.results.seed_scores import METRICS

AXES = ("model", "heads", "size", "regime", "profile")
KINDS = (
    ("model",), ("heads",), ("size",), ("regime",),
    ("heads", "model"), ("regime", "size"), ("regime", "model"),
)  # fmt: skip
"""Differences, and differences of differences: does the second axis change the first's effect?"""


@dataclass(frozen=True)
class Contrast:
    """A linear combination of groups."""

    kind: tuple[str, ...]
    terms: tuple[tuple[int, ModelGroup], ...]
    what: str
    """Such as ``"qvit − vit"``."""
    at: str
    """What is the same on both sides."""


def contrasts(study: Findings) -> Iterator[Contrast]:
    """All comparisons that a study's groups allow.

    Models: the pairs of the spec's ``compare``, or each against those named after it. Heads and
    sizes: each against the next smaller, and of three or more the largest against the smallest.
    Regimes: each against the first one. Profiles are not compared here.
    """
    values = _values(study)
    known = set(study.groups)  # an unfinished group has nothing to compare
    for kind in KINDS:
        rest = [axis for axis in AXES if axis not in kind]
        for pairs in product(*(_pairs(study, axis, values[axis]) for axis in kind)):
            for fixed in product(*(values[axis] for axis in rest)):
                place = dict(zip(rest, fixed, strict=True))
                terms = tuple(_terms(kind, pairs, place))
                if all(group in known for _, group in terms):
                    what = [
                        _what(study, axis, *pair) for axis, pair in zip(kind, pairs, strict=True)
                    ]
                    sentence = what[0] if len(what) == 1 else " × ".join(f"({w})" for w in what)
                    yield Contrast(kind, terms, sentence, at(study, place))


def effects(study: Findings) -> Iterator[tuple[Contrast, str, Effect]]:
    """Every comparison on every data set and on their mean, over the seeds that all sides have."""
    for contrast in contrasts(study):
        groups = [group for _, group in contrast.terms]
        for name in study.sets:
            seeds = study.seeds(groups, name)
            for metric in METRICS if seeds else ():
                yield (
                    contrast,
                    name,
                    effect(
                        [
                            (factor, study.measured(metric, group, name, seeds))
                            for factor, group in contrast.terms
                        ]
                    ),
                )


def _values(study: Findings) -> dict[str, list[Any]]:
    spec = study.spec
    return {
        "model": list(spec["models"]),
        "heads": sorted(spec["heads"]),
        "size": sorted(study.sizes),
        "regime": list(spec["regimes"]),
        "profile": [profile["name"] for profile in study.plan["profiles"]],
    }


def _pairs(study: Findings, axis: str, values: list[Any]) -> list[tuple[Any, Any]]:
    """What is compared, and with what."""
    if axis == "model":
        asked = [tuple(pair) for pair in study.spec.get("compare", ())]
        return asked or [(a, b) for k, a in enumerate(values) for b in values[k + 1 :]]
    if axis == "regime":
        return [(value, values[0]) for value in values[1:]]
    steps = [(larger, smaller) for smaller, larger in pairwise(values)]
    return steps + ([(values[-1], values[0])] if len(values) > 2 else [])


def _terms(
    kind: tuple[str, ...], pairs: tuple[tuple[Any, Any], ...], place: dict[str, Any]
) -> Iterator[tuple[int, ModelGroup]]:
    for sides in product((0, 1), repeat=len(kind)):
        chosen = {axis: pair[side] for axis, pair, side in zip(kind, pairs, sides, strict=True)}
        yield (-1) ** sum(sides), ModelGroup(**place, **chosen)


def _what(study: Findings, axis: str, first: Any, second: Any) -> str:
    unit = {"heads": " heads", "size": f" {study.size_name}"}.get(axis, "")
    return f"{first} − {second}{unit}"


def at(study: Findings, place: dict[str, Any]) -> str:
    """The place of a group in the grid, as people read it; profiles only where there are several.

    Args:
        study: The study.
        place: Values by axis; axes may be missing.
    """
    words = []
    for axis in AXES:
        if axis not in place:
            continue
        value = place[axis]
        if axis == "heads":
            words.append(f"{value} head{'s' if value > 1 else ''}")
        elif axis == "size":
            words.append(f"{value} qubits" if study.size_name == "qubits" else f"width {value}")
        elif axis == "profile":
            words += [value] if len(study.plan["profiles"]) > 1 else []
        elif axis != "regime" or len(study.spec["regimes"]) > 1:
            words.append(str(value))
    return ", ".join(words)
